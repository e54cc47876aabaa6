"""What a decision becomes as a ClaimResponse: clean by a reader that is not ours, and in the sender's words."""

import json
import re
from functools import cache
from typing import Any, get_args

import fhirkit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.adapters.adapter import Decided
from events.adapters.chain import Requested
from events.adapters.code_lists import ACTIONS
from events.adapters.pas.adapter import PAS
from events.adapters.submission import Refusal, SourceError
from events.decision import Decision, Determination
from tests.support.composed_decisions import NUMBER, decided_line, decision_of
from tests.support.pas_answers import AT, requested, troubles
from tests.support.pas_bundles import CPT, HCPCS, PARTNER, PAS_URL, RECEIVED, X12_URL, Json, coded
from tests.support.pas_decisions import QUESTION, REVIEW, two_items

LARGEST = 1_000_000


@cache
def _requested(**claim: Any) -> Requested:
    """A message with two items and its request."""
    [found] = PAS.read(json.dumps(two_items(**claim)).encode(), PARTNER, RECEIVED)
    assert found.refused is None
    return requested(found)


def _bundle(decision: Decision, found: Requested | None = None) -> Json:
    value = PAS.answer((found or _requested()).context, Decided(decision, AT))
    assert troubles(value) == []
    written: Json = json.loads(value)
    return written


def _answer(decision: Decision, found: Requested | None = None) -> Json:
    resource: Json = _bundle(decision, found)["entry"][0]["resource"]
    return resource


def _extension(element: Json, name: str) -> Any:
    """The value of an extension, or the extensions inside it."""
    for one in element.get("extension", ()):
        if one["url"] in (f"{PAS_URL}{name}", name):
            return one.get("extension") or next(value for key, value in one.items() if key.startswith("value"))
    return None


def _review(adjudicated: Json) -> tuple[str, str | None, list[str]]:
    """The action, the number and the reasons of an element's only adjudication."""
    [adjudication] = adjudicated["adjudication"]
    review = {"extension": _extension(adjudication, "extension-reviewAction") or ()}
    action = (adjudication.get("reason") or _extension(review, "extension-reviewActionCode"))["coding"][0]
    assert action["system"] == f"{X12_URL}306"
    reasons = [
        one["valueCodeableConcept"]["coding"][0]["code"] for one in review["extension"] if one["url"] == "reasonCode"
    ]
    return action["code"], _extension(review, "number"), reasons


APPROVED = decision_of(
    "A1",
    decided_line(1, "A1", "medically_necessary", valid_through="2025-12-01"),
    decided_line(2, "A1", "medically_necessary"),
)


def test_the_response_comes_first_and_the_sender_s_resources_fol() -> None:
    written = _bundle(APPROVED)
    sent = {entry["fullUrl"] for entry in two_items()["entry"]}
    assert (written["type"], written["timestamp"]) == ("collection", "2025-06-02T16:33:20-05:00")
    assert written["entry"][0]["resource"]["resourceType"] == "ClaimResponse"
    kinds = {entry["resource"]["resourceType"] for entry in written["entry"][1:]}
    assert {"Patient", "Organization", "Coverage"} <= kinds
    assert {entry["fullUrl"] for entry in written["entry"][1:]} <= sent


def test_references_of_the_response_are_in_the_bundle() -> None:
    written = _bundle(APPROVED)
    urls = {entry["fullUrl"] for entry in written["entry"]}
    response = written["entry"][0]["resource"]
    assert {response[name]["reference"] for name in ("patient", "insurer", "requestor")} <= urls
    for entry in written["entry"][1:]:
        assert set(re.findall(r'"reference": "([^"]*)"', json.dumps(entry))) <= urls


def test_what_is_certified_has_its_number_and_its_period() -> None:
    response = _answer(APPROVED)
    assert response["outcome"] == "complete"
    assert _review(response) == ("A1", NUMBER, [])
    first, second = response["item"]
    assert (_review(first), first["itemSequence"]) == (("A1", NUMBER, []), 1)
    assert _extension(first, "extension-itemPreAuthPeriod") == {"start": "2025-06-02", "end": "2025-12-01"}
    assert _extension(second, "extension-itemPreAuthPeriod") is None
    assert [_extension(item, "extension-itemTraceNumber")["value"] for item in (first, second)] == ["L1", "L2"]
    assert (
        _extension({"extension": _extension(response, "extension-claimResponseReviewer")}, "wasHumanReviewedFlag")
        is False
    )


@pytest.mark.parametrize(
    "determination",
    [one for one in get_args(Determination) if one not in ("medically_necessary", "redirected", "cancelled")],
)
def test_what_is_pended_is_complete_and_never_reads_as_a_denial(determination: str) -> None:
    response = _answer(
        decision_of("A4", decided_line(1, "A4", determination), decided_line(2, "A1", "medically_necessary"))
    )
    reason = "0U" if determination in ("information_needed", "invalid_code") else "0V"
    assert response["outcome"] == "complete"
    assert _review(response) == ("A4", None, [reason])
    assert _review(response["item"][0]) == ("A4", None, [reason])
    assert _extension(response["item"][0], "extension-administrationReferenceNumber") == NUMBER


def test_questions_go_out_as_communication_requests_and_notes() -> None:
    line = decided_line(1, "A4", "information_needed", missing=[QUESTION])
    written = _bundle(decision_of("A4", line, decided_line(2, "A4", "not_addressed"), due_at="2025-06-09T15:00:00Z"))
    response = written["entry"][0]["resource"]
    [asked] = [entry for entry in written["entry"] if entry["resource"]["resourceType"] == "CommunicationRequest"]
    assert response["communicationRequest"] == [{"reference": asked["fullUrl"]}]
    assert _extension(asked["resource"], "extension-serviceLineNumber") == 1
    assert [one["value"] for one in asked["resource"]["identifier"]] == [NUMBER]
    assert asked["resource"]["payload"] == [{"contentString": "102089-0"}]
    assert [one["coding"][0] for name in ("category", "medium") for one in asked["resource"][name]] == [
        {"system": f"{X12_URL}755", "code": "OZ"},
        {"system": f"{X12_URL}756", "code": "EL"},
    ]
    assert asked["resource"]["recipient"] == [response["insurer"]]
    assert asked["resource"]["requester"] == response["insurer"]
    numbers = [one["valueIdentifier"]["value"] for one in response["item"][0]["extension"] if "valueIdentifier" in one]
    assert numbers == ["L1", NUMBER]
    notes = {note["number"]: note["text"] for note in response["processNote"]}
    assert [notes[number] for number in response["item"][0]["noteNumber"]] == ["Question: What kind of malignancy?"]
    assert "A decision is due by 2025-06-09T10:00:00-05:00." in notes.values()


def test_another_program_is_named_with_what_it_does() -> None:
    program = {"name": "Federal program", "says": "decides by its own policy"}
    response = _answer(decision_of("CT", decided_line(1, "CT", "redirected", program=program)))
    assert (_review(response), response["processNote"][0]["text"]) == (
        ("CT", None, []),
        "Federal program: decides by its own policy",
    )


def test_a_verdict_has_its_reasons_words_and_reviewer() -> None:
    review = REVIEW | {"npi": "1300000019", "specialty": "Hematology", "reasons": ["0F"], "text": "Not shown."}
    response = _answer(
        decision_of("A3", decided_line(1, "A3", "not_medically_necessary", review=review), stage="final")
    )
    assert _review(response["item"][0]) == ("A3", None, ["0F"])
    assert [note["text"] for note in response["processNote"]] == ["Not shown."]
    reviewer = {"extension": _extension(response, "extension-claimResponseReviewer")}
    assert _extension(reviewer, "wasHumanReviewedFlag") is True
    assert _extension(reviewer, "reviewerNPI") == {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1300000019"}
    assert _extension(reviewer, "reviewerSpecialty") == {"text": "Hematology"}


def test_less_than_asked_is_an_item_as_asked_and_one_as_granted() -> None:
    granted = {"code": "38243", "units": 2, "from": "2025-06-20", "through": "2025-07-20"}
    line = decided_line(1, "A6", "medically_necessary", authorized=granted, review=REVIEW)
    response = _answer(decision_of("A6", line, stage="final"))
    assert _review(response["item"][0]) == ("A6", NUMBER, [])
    [added] = response["addItem"]
    assert (added["itemSequence"], added["productOrService"], added["quantity"]) == (
        [1],
        coded(CPT, "38243"),
        {"value": 2},
    )
    assert added["servicedPeriod"] == {"start": "2025-06-20", "end": "2025-07-20"}
    assert added["modifier"] == [coded(CPT, "59")]
    assert _review(added) == ("A6", NUMBER, [])


def test_a_modifier_comes_back_if_the_guide_has_its_list() -> None:
    tree = two_items()
    modifiers = [coded("https://ehr.example/codes", "L"), coded(CPT, "59"), coded(HCPCS, "RT")]
    tree["entry"][0]["resource"]["item"][0]["modifier"] = modifiers
    [found] = PAS.read(json.dumps(tree).encode(), PARTNER, RECEIVED)
    line = decided_line(1, "A6", "medically_necessary", authorized={"code": "38243", "units": 2}, review=REVIEW)
    [added] = _answer(decision_of("A6", line, stage="final"), requested(found))["addItem"]
    assert added["modifier"] == [coded(CPT, "59"), coded(HCPCS, "RT")]


def test_items_that_the_message_cancels_are_answered_c() -> None:
    found = _requested()
    found = found._replace(context=found.context.model_copy(update={"cancelled_lines": (2,)}))
    response = _answer(decision_of("A1", decided_line(1, "A1", "medically_necessary")), found)
    assert [(item["itemSequence"], _review(item)[0]) for item in response["item"]] == [(1, "A1"), (2, "C")]


def test_identifiers_come_back_behind_the_control_number() -> None:
    response = _answer(APPROVED)
    assert response["identifier"][0]["value"] == NUMBER
    sent = two_items()["entry"][0]["resource"]["identifier"][0]
    assert response["identifier"][1] == {"system": sent["system"], "value": sent["value"]}


@pytest.mark.parametrize(
    ("system", "code", "comes_back"),
    [
        ("http://terminology.hl7.org/CodeSystem/v2-0203", "MB", True),
        ("https://ehr.example/codes", "X9", True),
        ("http://terminology.hl7.org/CodeSystem/v2-0203", "X9", False),
        ("http://hl7.org/fhir/administrative-gender", "X9", False),
        ("http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes", "X9", False),
    ],
)
def test_a_code_that_a_validator_refuses_does_not_come_back(system: str, code: str, comes_back: bool) -> None:
    tree = two_items()
    [patient] = [entry["resource"] for entry in tree["entry"] if entry["resource"]["resourceType"] == "Patient"]
    patient["identifier"][0]["type"] = coded(system, code)
    [found] = PAS.read(json.dumps(tree).encode(), PARTNER, RECEIVED)
    answered = _bundle(APPROVED, requested(found))
    [same] = [entry["resource"] for entry in answered["entry"] if entry["resource"]["resourceType"] == "Patient"]
    assert (same["identifier"][0].get("type") == coded(system, code)) is comes_back


def test_a_refusal_names_each_error_by_path_place_and_loop() -> None:
    [found] = PAS.read(json.dumps(two_items(provider={"reference": "Organization/gone"})).encode(), PARTNER, RECEIVED)
    assert found.refused is not None
    value = PAS.refuse(found, found.refused, AT)
    assert troubles(value) == []
    response = json.loads(value)["entry"][0]["resource"]
    [error] = response["error"]
    assert response["outcome"] == "error"
    assert error["code"]["coding"] == [{"system": f"{X12_URL}901", "code": "43"}]
    assert _extension(error, "extension-errorPath") == "Claim.provider"
    assert _extension({"extension": _extension(error, "extension-errorElement")}, "error") == "2010B-NM109"
    assert _extension(error, "extension-errorFollowupAction")["coding"][0]["code"] == "C"
    assert response["processNote"] == [{"number": 1, "type": "print", "text": "provider.npi: missing"}]


def test_a_claim_without_a_patient_is_answered() -> None:
    [found] = PAS.read(json.dumps(two_items(patient=None)).encode(), PARTNER, RECEIVED)
    assert found.refused is not None
    value = PAS.refuse(found, found.refused, AT)
    [error] = json.loads(value)["entry"][0]["resource"]["error"]
    assert _extension(error, "extension-errorPath") == "Claim.patient"
    assert error["code"]["coding"] == [{"system": f"{X12_URL}901", "code": "15"}]
    assert troubles(value) == []


def test_a_request_that_cannot_be_decided_is_refused_by_path() -> None:
    error = SourceError(path="supersedes", place="", trouble="invalid", message="should be another")
    value = PAS.refuse(_requested().context, Refusal(reason="schema_violation", errors=(error,)), AT)
    [found] = json.loads(value)["entry"][0]["resource"]["error"]
    assert _extension(found, "extension-errorPath") == "Claim"
    without = PAS.refuse(_requested().context, Refusal(reason="internal_error"), AT)
    assert troubles(value) + troubles(without) == []


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("clinical", "QuestionnaireResponse.item"),
        ("clinical.chimerism", "QuestionnaireResponse.repeat(item).where(linkId = 'clinical.chimerism')"),
        ("clinical.purposes.1", "QuestionnaireResponse.repeat(item).where(linkId = 'clinical.purposes')"),
        (
            "clinical.transplant.?",
            "QuestionnaireResponse.repeat(item).where(linkId.startsWith('clinical.transplant.'))",
        ),
    ],
)
def test_an_undecidable_answer_is_found_by_its_link_id(path: str, place: str) -> None:
    error = SourceError(path=path, place="", trouble="invalid", message="should be another word")
    value = PAS.refuse(_requested().context, Refusal(reason="schema_violation", errors=(error,)), AT)
    [found] = json.loads(value)["entry"][0]["resource"]["error"]
    assert _extension(found, "extension-errorPath") == place
    assert troubles(value) == []


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"resourceType": "Bundle"}', b'{"resourceType": "Patient"}'])
def test_a_broken_structure_becomes_an_operation_outcome(value: bytes) -> None:
    [found] = PAS.read(value, PARTNER, RECEIVED)
    assert found.refused is not None
    answer = PAS.refuse(found, found.refused, AT)
    assert json.loads(answer)["resourceType"] == "OperationOutcome"
    assert troubles(answer) == []


def test_an_inquiry_has_the_newest_decision_or_nothing() -> None:
    asked = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": two_items()}]}
    [inquiry] = PAS.read(json.dumps(asked).encode(), PARTNER, RECEIVED)
    line = decided_line(1, "A4", "information_needed", missing=[QUESTION])
    found = json.loads(PAS.report(inquiry, _requested().context, Decided(decision_of("A4", line), AT), AT))
    [returned] = found["parameter"]
    assert fhirkit.validate(found) == []
    assert returned["name"] == "return"
    assert returned["resource"]["meta"]["profile"] == [f"{PAS_URL}profile-pas-inquiry-response-bundle"]
    response = returned["resource"]["entry"][0]["resource"]
    assert (response["meta"]["profile"], "communicationRequest" in response) == (
        [f"{PAS_URL}profile-claiminquiryresponse"],
        False,
    )
    assert json.loads(PAS.report(inquiry, None, None, AT)) == {"resourceType": "Parameters"}


LINES = st.builds(
    decided_line,
    st.sampled_from((1, 2)),
    st.sampled_from(sorted(ACTIONS)),
    st.sampled_from(get_args(Determination)),
    missing=st.lists(st.just(QUESTION), max_size=2),
    valid_through=st.none() | st.just("2025-12-01"),
    review=st.none() | st.builds(lambda text: REVIEW | {"text": text}, st.text(max_size=20)),
    authorized=st.none() | st.just({"code": "38243", "units": 1}),
)


@given(st.sampled_from(sorted(ACTIONS)), st.lists(LINES, min_size=1, max_size=2, unique_by=lambda line: line["line"]))
def test_every_decision_is_answered_in_good_r4_and_always_alike(action: str, lines: list[Json]) -> None:
    decision = decision_of(
        action, *({name: value for name, value in line.items() if value is not None} for line in lines)
    )
    written = PAS.answer(_requested().context, Decided(decision, AT))
    assert troubles(written) == []
    assert written == PAS.answer(_requested().context, Decided(decision, AT))


def test_an_answer_stays_below_a_record_s_size() -> None:
    long = {"system": "https://d.example/" + "l" * 150, "value": "v" * 200, "type": {"text": "t" * 200}}
    traces = [{"url": f"{PAS_URL}extension-itemTraceNumber", "valueIdentifier": long}] * 50
    item = {
        "productOrService": coded(CPT, "38242"),
        "servicedDate": "2025-06-16",
        "modifier": [coded("https://d.example/" + "m" * 150, "m" * 200)] * 50,
        "extension": traces,
    }
    items = [item | {"sequence": number} for number in range(1, 100)]
    tree = two_items(item=items, identifier=[{"system": "urn:trnorg:96", "value": "T"}] + [long] * 500)
    for entry in tree["entry"][1:]:
        entry["resource"] |= {"text": {"div": "x" * 10**6}, "photo": ["x" * 10**6]}
        entry["resource"]["identifier"] = [*entry["resource"].get("identifier", ()), *[long] * 1_000]
    [found] = PAS.read(json.dumps(tree).encode(), PARTNER, RECEIVED)
    assert found.refused is None
    lines = [decided_line(number, "A4", "information_needed", missing=[QUESTION]) for number in range(1, 100)]
    value = PAS.answer(requested(found).context, Decided(decision_of("A4", *lines), AT))
    assert troubles(value) == []
    assert len(value) < LARGEST
    assert len(found.model_dump_json()) < LARGEST
