"""Each rule of a PAS request: what one change to a whole message does to the request."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from events.adapters.pas.adapter import PAS
from events.adapters.submission import Submission
from tests.support.pas_bundles import (
    CPT,
    HCPCS,
    ICD_10_CM,
    PARTNER,
    PCS,
    QUESTIONNAIRE,
    RECEIVED,
    X12_URL,
    Json,
    coded,
    extension,
    response,
)

BASE = "https://ehr.example/fhir/"
NPI = "http://hl7.org/fhir/sid/us-npi"
MB = {"type": coded("http://terminology.hl7.org/CodeSystem/v2-0203", "MB")}


def _item(number: int = 1, code: str = "38242", system: str = CPT, **more: Any) -> Json:
    return {"sequence": number, "productOrService": coded(system, code), "servicedDate": "2025-06-16", **more}


CLAIM: Json = {
    "resourceType": "Claim",
    "id": "c1",
    "identifier": [{"system": "urn:trnorg:9640001112", "value": "TR-1"}],
    "status": "active",
    "use": "preauthorization",
    "patient": {"reference": "Patient/p1"},
    "insurer": {"reference": "Organization/payer"},
    "provider": {"reference": "Organization/hosp"},
    "insurance": [{"focal": True, "coverage": {"reference": "Coverage/cov"}}],
    "item": [_item()],
}
RESOURCES: tuple[Json, ...] = (
    {"resourceType": "Organization", "id": "payer", "identifier": [{"value": "60111"}]},
    {"resourceType": "Organization", "id": "hosp", "identifier": [{"system": NPI, "value": "1300000019"}]},
    {"resourceType": "Patient", "id": "p1", "identifier": [{**MB, "value": "MHP0044001"}]},
    {"resourceType": "Coverage", "id": "cov", "subscriberId": "SUB1"},
)


def _entry(resource: Json) -> Json:
    return {"fullUrl": f"{BASE}{resource['resourceType']}/{resource['id']}", "resource": resource}


def _bundle(*more: Json, timestamp: Any = "2025-06-02T14:05:00-05:00", **claim: Any) -> Json:
    """A whole message, its Claim changed, with other resources, which replace those of the same id."""
    changed = {name: value for name, value in {**deepcopy(CLAIM), **claim}.items() if value is not None}
    mine = {one["id"] for one in more}
    others = [one for one in deepcopy(RESOURCES) if one["id"] not in mine] + list(more)
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [_entry(one) for one in (changed, *others)]}
    return bundle | ({"timestamp": timestamp} if timestamp is not None else {})


def _read(tree: Json) -> Submission:
    [found] = PAS.read(json.dumps(tree).encode(), PARTNER, RECEIVED)
    return found


def _request(*more: Json, **claim: Any) -> Json:
    found = _read(_bundle(*more, **claim))
    assert found.refused is None, found.refused
    return dict(found.request or {})


def _refused(*more: Json, **claim: Any) -> dict[str, str]:
    """The place of each error, by path."""
    found = _read(_bundle(*more, **claim))
    assert found.refused is not None
    return {error.path: error.place for error in found.refused.errors}


def _certified(code: str) -> Json:
    return extension("extension-certificationType", valueCodeableConcept=coded(f"{X12_URL}1322", code))


def _level(code: str) -> Json:
    return extension("extension-levelOfServiceCode", valueCodeableConcept=coded(f"{X12_URL}1338", code))


CANCELLED: Json = {"modifierExtension": [extension("modifierextension-infoCancelled", valueBoolean=True)]}
OLD_CANCELLED: Json = {"extension": [extension("extension-itemCancelled", valueBoolean=True)]}
RELATED = [{"claim": {"reference": "Claim/c0"}}]


@pytest.mark.parametrize(
    ("code", "word"),
    [("I", "initial"), ("R", "renewal"), ("S", "revision"), ("4", "extension"), ("3", "cancellation")]
    + [(code, "reconsideration") for code in "12N"],
)
def test_certification_by_list_1322_on_the_claim_or_its_items(code: str, word: str) -> None:
    assert _request(extension=[_certified(code)])["certification"] == word
    assert _request(item=[_item(extension=[_certified(code)])])["certification"] == word


def test_certification_that_is_not_stated() -> None:
    assert _request()["certification"] == "initial"
    assert _request(related=RELATED)["certification"] == "revision"
    both = [_item(1, extension=[_certified("I")]), _item(2, extension=[_certified("R")])]
    assert _request(item=both)["certification"] == "initial"
    assert _request(item=both, related=RELATED)["certification"] == "revision"


def test_an_unknown_certification_is_refused_where_it_stands() -> None:
    assert _refused(extension=[_certified("X")]) == {"certification": "Claim.extension(certificationType)"}
    on_item = [_item(1), _item(2, extension=[_certified("X")])]
    assert _refused(item=on_item) == {"certification": "Claim.item[1].extension(certificationType)"}


@pytest.mark.parametrize(
    ("code", "word"), [("U", "expedited"), ("03", "expedited"), ("E", "standard"), ("9", "standard")]
)
def test_urgency_by_list_1338(code: str, word: str) -> None:
    assert _request(extension=[_level(code)])["urgency"] == word


def test_an_extension_is_the_same_with_its_guide_s_version() -> None:
    def versioned(stated: Json) -> Json:
        return {**stated, "url": f"{stated['url']}|2.2.0"}

    cancelled: Json = {"modifierExtension": [versioned(CANCELLED["modifierExtension"][0])]}
    traced = versioned(
        extension("extension-itemTraceNumber", valueIdentifier={"system": "https://ehr.example/items", "value": "T1"})
    )
    items = [_item(1, extension=[versioned(_certified("R")), traced]), _item(2, **cancelled)]
    tree = _bundle(item=items, extension=[versioned(_level("U"))])
    found = _read(tree)
    request = found.request or {}
    assert (request["urgency"], request["certification"]) == ("expedited", "renewal")
    assert [line["line"] for line in request["service_lines"]] == [1]
    assert found.cancelled_lines == (2,)
    assert '"T1"' in json.dumps(dict(found.echo))


def test_urgency_is_never_the_priority() -> None:
    assert _request(priority=coded("p", "stat"))["urgency"] == "standard"


@pytest.mark.parametrize(
    ("timestamp", "created", "submitted"),
    [
        ("2025-06-02T14:05:00Z", "2025-06-01T10:00:00Z", "2025-06-02T14:05:00Z"),
        (None, "2025-06-01T10:00:00Z", "2025-06-01T10:00:00Z"),
        ("2025-06-02", "2025-06-01T10:00:00Z", "2025-06-01T10:00:00Z"),
        ("2025-06-02T14:05:00", None, "2025-06-02T14:05:00-05:00"),
        ("2025-11-02T01:30:00", None, "2025-11-02T01:30:00-05:00"),
        (None, "2025-06-01", "2025-06-03T00:33:20-05:00"),
        (None, None, "2025-06-03T00:33:20-05:00"),
    ],
)
def test_when_it_was_submitted(timestamp: Any, created: Any, submitted: str) -> None:
    received = 1_748_928_800_000
    [found] = PAS.read(json.dumps(_bundle(timestamp=timestamp, created=created)).encode(), PARTNER, received)
    assert found.refused is None
    assert (found.request or {})["submitted_at"] == submitted


@pytest.mark.parametrize("timestamp", ["2025-02-30T10:00:00Z", "yesterday", 5, {}])
def test_a_time_that_does_not_exist_is_refused(timestamp: Any) -> None:
    assert _refused(timestamp=timestamp) == {"submitted_at": "Bundle.timestamp"}


def _patient(*identifiers: Json) -> Json:
    return {"resourceType": "Patient", "id": "p1", "identifier": list(identifiers)}


def test_the_member_is_found_in_this_order() -> None:
    own, cover = {"resourceType": "Coverage", "id": "cov"}, {**MB, "value": "MB2"}
    assert _request()["member"]["member_id"] == "MHP0044001"
    plain = _patient({"value": "A"})
    assert _request(plain, {**own, "identifier": [cover], "subscriberId": "S"})["member"]["member_id"] == "MB2"
    assert _request(plain)["member"]["member_id"] == "SUB1"
    assert _request(plain, own)["member"]["member_id"] == "A"
    assert list(_refused(_patient({"value": "A"}, {"value": "B"}), own)) == ["member.member_id"]


def test_a_claim_without_a_patient_is_refused() -> None:
    assert _refused(patient=None) == {"member.member_id": "Claim.patient"}
    assert _refused(patient={}) == {"member.member_id": "Claim.patient"}
    inquiry = _read({"resourceType": "Parameters", "parameter": [{"resource": _bundle(patient=None)}]})
    assert inquiry.refused is not None
    assert [error.place for error in inquiry.refused.errors] == ["Claim.patient"]


def test_the_line_of_business_is_the_first_rule_that_matches() -> None:
    classed = {"resourceType": "Coverage", "id": "cov", "class": [{"type": coded("c", "group"), "value": "STATE-7"}]}
    assert _request(_patient({**MB, "value": "R12345678"}))["member"]["line_of_business"] == "fep"
    assert _request(classed)["member"]["line_of_business"] == "state_and_school"
    assert _request()["member"]["line_of_business"] == "commercial"
    assert _refused(insurer={"reference": "Organization/hosp"}) == {"member.line_of_business": "Coverage"}


ROLE = {"resourceType": "PractitionerRole", "id": "r"}
DOCTOR = {"resourceType": "Practitioner", "id": "dr", "identifier": [{"system": NPI, "value": "1300000027"}]}


@pytest.mark.parametrize(
    ("role", "npi"),
    [
        ({"practitioner": {"reference": "Practitioner/dr"}, "organization": {"reference": "Organization/hosp"}}, "27"),
        ({"organization": {"reference": "Organization/hosp"}}, "19"),
        (
            {"practitioner": {"reference": "Practitioner/gone"}, "organization": {"reference": "Organization/hosp"}},
            "19",
        ),
    ],
)
def test_a_role_s_provider_is_its_practitioner_then_organization(role: Json, npi: str) -> None:
    found = _request(ROLE | role, DOCTOR, provider={"reference": "PractitionerRole/r"})
    assert found["provider"] == {"npi": f"13000000{npi}"}


def test_a_provider_without_a_number_of_its_own_is_refused() -> None:
    assert _refused(provider=None) == {"provider.npi": "Claim.provider"}
    assert _refused({**DOCTOR, "id": "hosp", "identifier": [{"system": NPI, "value": "1300000020"}]}, DOCTOR,
                    provider={"reference": "Practitioner/hosp"}) == {"provider.npi": "Claim.provider"}  # fmt: skip


def test_diagnoses_by_concept_and_reference_others_are_noted() -> None:
    condition = {
        "resourceType": "Condition",
        "id": "cond",
        "code": {"coding": [*coded("http://snomed.info/sct", "1")["coding"], *coded(ICD_10_CM, "C91.01")["coding"]]},
    }
    stated = [
        {"diagnosisCodeableConcept": coded("http://hl7.org/fhir/sid/icd-9-cm", "205.00")},
        {"diagnosisCodeableConcept": coded("http://terminology.hl7.org/CodeSystem/icd9cm", "205.10")},
        {"diagnosisReference": {"reference": "Condition/cond"}},
        {"diagnosisCodeableConcept": coded("http://snomed.info/sct", "91857003")},
    ]
    found = _read(_bundle(condition, diagnosis=stated))
    assert (found.request or {})["diagnoses"] == [
        {"system": "icd-9-cm", "code": "205.00"},
        {"system": "icd-9-cm", "code": "205.10"},
        {"system": "icd-10-cm", "code": "C91.01"},
    ]
    assert found.notes == ("Claim.diagnosis[3]: no diagnosis of ICD-10-CM or ICD-9-CM; left out",)


def test_a_malformed_diagnosis_is_refused_where_it_stands() -> None:
    stated = [{"diagnosisCodeableConcept": coded(ICD_10_CM, code)} for code in ("C92.02", "nonsense")]
    assert _refused(diagnosis=stated) == {"diagnoses.1.code": "Claim.diagnosis[1]"}


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (CPT, "38242", "cpt"),
        (HCPCS, "38242", "cpt"),
        (CPT, "S2150", "hcpcs"),
        (CPT, "0537T", "cpt"),
        ("", "38242", "cpt"),
        (PCS, "30243Q1", "icd-10-pcs"),
        ("http://hl7.org/fhir/sid/icd-9-pcs", "41.05", "icd-9-pcs"),
        ("http://terminology.hl7.org/CodeSystem/icd9cm", "41.05", "icd-9-pcs"),
        (f"{X12_URL}1365", "3", "service-type"),
        ("https://bluebutton.cms.gov/resources/codesystem/hcpcs", "S2150", "hcpcs"),
        ("https://bluebutton.cms.gov/resources/codesystem/hcpcs", "38242", "cpt"),
    ],
)
def test_a_procedure_s_system_is_told_by_its_shape(system: str, code: str, expected: str) -> None:
    [line] = _request(item=[_item(code=code, system=system)])["service_lines"]
    assert (line["system"], line["code"]) == (expected, code)


def test_a_line_without_a_code_of_a_known_system_is_refused() -> None:
    place = {"service_lines.0.code": "Claim.item[0].productOrService"}
    assert _refused(item=[_item(system="http://snomed.info/sct", code="1234567")]) == place
    assert _refused(item=[_item(productOrService={})]) == place


def test_a_category_is_the_service_type_of_a_line_without_a_code() -> None:
    kind = coded(f"{X12_URL}1365", "2")
    absent = coded("http://terminology.hl7.org/CodeSystem/data-absent-reason", "not-applicable")
    for stated in ({}, absent):
        [line] = _request(item=[_item(productOrService=stated, category=kind)])["service_lines"]
        assert (line["system"], line["code"]) == ("service-type", "2")
    assert _refused(item=[_item(productOrService=absent)])


@pytest.mark.parametrize(("quantity", "units"), [({"value": 2}, 2), ({"value": 3.0}, 3), ({}, 1), (None, 1)])
def test_units(quantity: Any, units: int) -> None:
    assert _request(item=[_item(quantity=quantity)])["service_lines"][0]["units"] == units


@pytest.mark.parametrize("quantity", [{"value": 0.5}, {"value": 0}, {"value": "2"}, {"value": True}, [], "2"])
def test_units_that_are_no_whole_number_are_refused(quantity: Any) -> None:
    assert _refused(item=[_item(quantity=quantity)]) == {"service_lines.0.units": "Claim.item[0].quantity"}


EVENT = {"category": coded("t", "patientEvent"), "timingPeriod": {"start": "2025-07-01", "end": "2025-07-03"}}
ORDER = {"resourceType": "ServiceRequest", "id": "sr", "occurrenceDateTime": "2025-08-01T09:00:00-05:00"}
ORDERED: Json = {
    "extension": [extension("extension-requestedService", valueReference={"reference": "ServiceRequest/sr"})]
}


@pytest.mark.parametrize(
    ("item", "claim", "day"),
    [
        ({}, {"supportingInfo": [EVENT]}, "2025-06-16"),
        ({"servicedDate": None, "servicedPeriod": {"start": "2025-06-20"}}, {"supportingInfo": [EVENT]}, "2025-06-20"),
        ({"servicedDate": None, "servicedPeriod": {"start": None}}, {"supportingInfo": [EVENT]}, "2025-07-01"),
        ({"servicedDate": None, **ORDERED}, {"supportingInfo": [EVENT]}, "2025-07-01"),
        ({"servicedDate": None, **ORDERED}, {}, "2025-08-01"),
    ],
)
def test_the_day_of_service_is_found_in_this_order(item: Json, claim: Json, day: str) -> None:
    assert _request(ORDER, item=[_item(**item)], **claim)["service_lines"][0]["service_date"] == day


@pytest.mark.parametrize("day", ["2025-06", "2025-02-30", 5, {}])
def test_a_day_that_does_not_exist_is_refused(day: Any) -> None:
    assert _refused(item=[_item(servicedDate=day)]) == {"service_lines.0.service_date": "Claim.item[0].servicedDate"}


def test_a_line_without_a_day_is_refused() -> None:
    assert list(_refused(item=[_item(servicedDate=None)])) == ["service_lines.0.service_date"]


@pytest.mark.parametrize("cancelled", [CANCELLED, OLD_CANCELLED, {"extension": [_certified("3")]}])
def test_cancelled_items_are_left_out_and_all_are_a_cancellation(cancelled: Json) -> None:
    found = _read(_bundle(item=[_item(1), _item(2, **cancelled)]))
    assert found.refused is None
    assert [line["line"] for line in (found.request or {})["service_lines"]] == [1]
    assert (found.cancelled_lines, found.follows) == ((2,), True)
    whole = _read(_bundle(item=[_item(1, **cancelled), _item(2, **cancelled)]))
    assert whole.refused is None
    assert (whole.request or {})["certification"] == "cancellation"
    assert (len((whole.request or {})["service_lines"]), whole.cancelled_lines) == (2, ())


def test_a_cancellation_without_items_has_the_prior_claim_s() -> None:
    prior = {**deepcopy(CLAIM), "id": "c0", "item": [_item(4), _item(5, **CANCELLED)]}
    cancel = {"extension": [_certified("3")], "item": None, "related": RELATED}
    assert [line["line"] for line in _request(prior, **cancel)["service_lines"]] == [4]
    assert "service_lines" not in _request(**cancel)
    prior["item"] = [_item(4, servicedDate="2025-06")]
    assert "service_lines" not in _request(prior, **cancel)


@pytest.mark.parametrize(
    ("identifiers", "trace"),
    [
        ([{"system": "urn:trnorg:96", "value": "T"}], "96:T"),
        ([{"system": "s", "value": "X"}, {"value": "T", "assigner": {"identifier": {"value": "97"}}}], "97:T"),
        ([{"system": "s", "value": "X"}], "SENDER:B-1"),
    ],
)
def test_the_trace(identifiers: list[Json], trace: str) -> None:
    sender = {"url": "interchangeSenderID", "valueString": "SENDER"}
    sent = extension("extension-TransmissionIdentifiers", extension=[sender])
    tree = _bundle(identifier=identifiers, extension=[sent]) | {"identifier": {"value": "B-1"}}
    assert _read(tree).trace == trace


def test_a_message_without_a_trace_is_refused() -> None:
    assert _refused(identifier=None) == {"request_id": "Claim.identifier"}


def test_a_prior_number_is_the_claim_s_or_an_item_s() -> None:
    numbered = [extension("extension-authorizationNumber", valueString="AUTH1")]
    assert _request(extension=numbered)["prior_authorization_number"] == "AUTH1"
    assert _request(item=[_item(extension=numbered)])["prior_authorization_number"] == "AUTH1"
    assert not _read(_bundle(extension=numbered)).follows
    ours = [extension("extension-administrationReferenceNumber", valueString="DLI0123456789")]
    assert _read(_bundle(item=[_item(extension=ours)])).follows


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "draft"])
def test_a_withdrawn_claim_is_never_read_as_a_request(status: str) -> None:
    """Unless it is a cancellation by its certification type; that is one whatever its status."""
    found = _read(_bundle(status=status))
    assert found.refused is not None
    assert [(one.path, one.place) for one in found.refused.errors] == [("certification", "Claim.status")]
    cancels = _read(_bundle(status=status, extension=[_certified("3")]))
    assert (cancels.request or {})["certification"] == "cancellation"


def test_past_procedures_with_their_days() -> None:
    done = {"resourceType": "Procedure", "id": "pr", "code": coded(CPT, "38240"), "performedDateTime": "2024-11-20"}
    stated = [
        {"procedureCodeableConcept": coded(PCS, "30243G2"), "date": "2024-11-21T08:00:00Z"},
        {"procedureReference": {"reference": "Procedure/pr"}},
        {"procedureCodeableConcept": coded("http://snomed.info/sct", "1")},
    ]
    found = _read(_bundle(done, procedure=stated))
    assert (found.request or {})["procedures"] == [
        {"system": "icd-10-pcs", "code": "30243G2", "date": "2024-11-21"},
        {"system": "cpt", "code": "38240", "date": "2024-11-20"},
    ]
    assert found.notes == ("Claim.procedure[2]: no procedure with a code that is known here; left out",)


@pytest.mark.parametrize("status", ["preparation", "not-done", "on-hold", "stopped", "entered-in-error", "unknown", 1])
def test_a_procedure_that_was_not_completed_is_no_evidence(status: Any) -> None:
    other = {"resourceType": "Procedure", "id": "pr", "status": status, "code": coded(CPT, "38240")}
    found = _read(_bundle(other, procedure=[{"procedureReference": {"reference": "Procedure/pr"}}]))
    assert "procedures" not in (found.request or {})
    assert found.notes == ("Claim.procedure[0]: it is not said to be completed; left out",)


def test_a_planned_procedure_is_no_evidence() -> None:
    """One of the day itself may have been done; the day behind it is still to come."""
    stated = [{"procedureCodeableConcept": coded(CPT, "38240"), "date": day} for day in ("2025-06-02", "2025-06-03")]
    found = _read(_bundle(procedure=stated, timestamp="2025-06-02T14:05:00-05:00"))
    assert [one["date"] for one in (found.request or {})["procedures"]] == ["2025-06-02"]
    assert found.notes == ("Claim.procedure[1]: it is planned, for after the request; left out",)


def _contained(tree: Json) -> None:
    tree["entry"][0]["resource"]["contained"] = [tree["entry"].pop(2)["resource"]]
    tree["entry"][0]["resource"]["provider"] = {"reference": "#hosp"}


def _urns(tree: Json) -> None:
    tree["entry"][2]["fullUrl"] = "urn:uuid:7b0c1a52-5f0e-4c6e-9d61-000000000001"
    tree["entry"][0]["resource"]["provider"] = {"reference": "urn:uuid:7b0c1a52-5f0e-4c6e-9d61-000000000001"}


def _absolute(tree: Json) -> None:
    tree["entry"][0]["resource"]["provider"] = {"reference": f"{BASE}Organization/hosp/_history/3"}


def _odd_urls(tree: Json) -> None:
    for number, entry in enumerate(tree["entry"]):
        entry["fullUrl"] = f"entry {number}"


def _no_urls(tree: Json) -> None:
    for entry in tree["entry"]:
        del entry["fullUrl"]


def _url_without_id(tree: Json) -> None:
    del tree["entry"][2]["resource"]["id"]


@pytest.mark.parametrize("change", [_contained, _urns, _absolute, _odd_urls, _no_urls, _url_without_id])
def test_references_are_resolved_however_they_are_written(change: Callable[[Json], None]) -> None:
    tree = _bundle()
    change(tree)
    found = _read(tree)
    assert found.refused is None, found.refused
    assert (found.request or {})["provider"] == {"npi": "1300000019"}


def test_references_in_a_circle_end() -> None:
    circle = {**ROLE, "practitioner": {"reference": "PractitionerRole/r"}, "organization": {"reference": "#r"}}
    assert list(_refused(circle, provider={"reference": "PractitionerRole/r"})) == ["provider.npi"]


@pytest.mark.parametrize(
    "tree",
    [
        {"resourceType": "Claim"},
        {"resourceType": "Bundle"},
        {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}, _entry(CLAIM)]},
        _bundle(use="claim"),
        [],
    ],
)
def test_what_does_not_begin_with_a_claim_is_unsupported(tree: Any) -> None:
    refused = _read(tree).refused
    assert refused is not None
    assert refused.reason == "unsupported_type"


@pytest.mark.parametrize("kind", ["ClaimResponse", "OperationOutcome"])
def test_an_answer_is_not_answered(kind: str) -> None:
    for tree in ({"resourceType": kind}, {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": kind}}]}):
        found = _read(tree)
        assert found.refused is not None
        assert PAS.refuse(found, found.refused, RECEIVED) == b""


# --- answers to the questionnaire ----------------------------------------------------------------------------------


FACTS = {"clinical.malignancy": "hematologic", "clinical.purposes": "treat_relapse"}


def _answered(found: Json, **claim: Any) -> Any:
    return _request(found, **claim).get("clinical")


def test_facts_are_read_from_our_questionnaire_only() -> None:
    wanted = {"malignancy": "hematologic", "purposes": ["treat_relapse"]}
    assert _answered(response(QUESTIONNAIRE, FACTS)) == wanted
    assert _answered(response(f"{QUESTIONNAIRE}|2025-03-28", FACTS)) == wanted
    assert _answered(response("https://other.example/q", FACTS)) is None


def test_answers_are_noted_if_the_partner_has_no_questionnaire() -> None:
    without = PARTNER.model_copy(update={"questionnaire": None})
    tree = _bundle(response(QUESTIONNAIRE, FACTS))
    [found] = PAS.read(json.dumps(tree).encode(), without, RECEIVED)
    assert "clinical" not in (found.request or {})
    place = f"Bundle.entry[{len(tree['entry']) - 1}].resource"
    assert found.notes == (f"{place}: the partner's file names no questionnaire; left out",)


def test_facts_are_read_in_groups_and_in_a_bundle_of_dtr() -> None:
    grouped = response(QUESTIONNAIRE, FACTS)
    grouped["item"] = [{"linkId": "group", "item": grouped["item"]}]
    inner = {"resourceType": "Bundle", "id": "dtr", "entry": [{"resource": grouped}]}
    assert _answered(inner) == {"malignancy": "hematologic", "purposes": ["treat_relapse"]}


def test_answers_that_are_not_this_claim_s_are_left_out() -> None:
    found = response(QUESTIONNAIRE, FACTS)
    assert _answered({**found, "subject": {"reference": "Patient/p1"}}) is not None
    another = {"resourceType": "Patient", "id": "p2"}
    assert "clinical" not in _request(another, {**found, "subject": {"reference": "Patient/p2"}})
    assert _answered({**found, "status": "entered-in-error"}) is None
    info = {"valueReference": {"reference": "QuestionnaireResponse/qr"}}
    prior = {**deepcopy(CLAIM), "id": "c0", "supportingInfo": [info]}
    assert "clinical" not in _request(found, prior, related=RELATED)
    assert "clinical" in _request(found, prior, related=RELATED, supportingInfo=[info])


def test_answers_that_cannot_be_read_are_noted_and_never_guessed() -> None:
    found = response(QUESTIONNAIRE, FACTS)
    found["item"][0]["answer"] = [{"valueString": "hematologic"}]
    found["item"].append({"linkId": "malignancy", "answer": [{"valueBoolean": True}]})
    read = _read(_bundle(found))
    assert (read.request or {})["clinical"] == {"purposes": ["treat_relapse"]}
    assert len(read.notes) == 2


def test_a_fact_that_is_answered_in_two_ways_is_refused() -> None:
    found = response(QUESTIONNAIRE, FACTS)
    found["item"].append({"linkId": "clinical.malignancy", "answer": [{"valueCoding": {"code": "none"}}]})
    assert list(_refused(found)) == ["clinical.malignancy"]


def test_on_whom_a_line_is_performed() -> None:
    found = response(QUESTIONNAIRE, {"service_lines.1.performed_on": "donor"})
    assert _request(found)["service_lines"][0]["performed_on"] == "donor"


# --- inquiries -----------------------------------------------------------------------------------------------------


def test_parameters_are_an_inquiry_for_each_bundle() -> None:
    asked = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": _bundle()}] * 2}
    found = PAS.read(json.dumps(asked).encode(), PARTNER, RECEIVED)
    assert [(one.kind, one.trace) for one in found] == [("inquire", "9640001112:TR-1")] * 2
    assert found[0].request == {"member": {"member_id": "MHP0044001"}}
    [none] = PAS.read(b'{"resourceType": "Parameters"}', PARTNER, RECEIVED)
    assert (none.kind, none.refused is not None) == ("inquire", True)


def test_a_bundle_of_the_inquiry_s_profile_is_an_inquiry() -> None:
    profile = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/profile-claim-inquiry"
    assert _read(_bundle(meta={"profile": [profile]})).kind == "inquire"


def test_an_inquiry_needs_a_trace_and_a_member() -> None:
    asked = {
        "resourceType": "Parameters",
        "parameter": [{"resource": _bundle(identifier=None, patient=None, insurance=None)}],
    }
    refused = _read(asked).refused
    assert refused is not None
    assert [error.path for error in refused.errors] == ["request_id", "member.member_id"]


def test_x12s_lists_have_two_addresses() -> None:
    """Bundles of earlier guides name X12's code lists by `http`."""
    older = "http://codesystem.x12.org/005010/"
    item = {**_item(1, "3", f"{older}1365"), "extension": [{**_certified("S")}]}
    item["extension"][0]["valueCodeableConcept"]["coding"][0]["system"] = f"{older}1322"
    found = _request(item=[item])
    assert (found["service_lines"][0]["system"], found["service_lines"][0]["code"]) == ("service-type", "3")
    assert found["certification"] == "revision"
