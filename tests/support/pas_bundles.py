"""PAS bundles: a seeded, realistic mix, in both shapes and in the ways senders write them.

The bundle of a seed depends on the seed alone. No value is a person's.
"""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from random import Random
from typing import Any, Final

from events.adapters.partner import Partner
from tests.support.generator import npi

Json = dict[str, Any]
PAS_URL: Final = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
X12_URL: Final = "https://codesystem.x12.org/005010/"
CPT: Final = "http://www.ama-assn.org/go/cpt"
HCPCS: Final = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
PCS: Final = "http://www.cms.gov/Medicare/Coding/ICD10"
ICD_10_CM: Final = "http://hl7.org/fhir/sid/icd-10-cm"
QUESTIONNAIRE: Final = "https://dli-authorization.example/Questionnaire/L.2.03.402"
RECEIVED: Final = 1_748_900_000_000
PARTNER: Final = Partner.model_validate(
    {
        "name": "delta",
        "time_zone": "America/Chicago",
        "payer_ids": ["60111"],
        "lines_of_business": [
            {"member_id": r"^R\d{8}$", "is": "fep"},
            {"plan": "^STATE-", "is": "state_and_school"},
            {"payer": "60111", "is": "commercial"},
        ],
        "questionnaire": QUESTIONNAIRE,
    }
)
"""Whose bundles these are."""


def coded(system: str, code: str) -> Json:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code}]}


def extension(name: str, **value: Any) -> Json:
    """One of the guide's extensions."""
    return {"url": PAS_URL + name, **value}


def response(canonical: str, facts: Mapping[str, Any]) -> Json:
    """A QuestionnaireResponse that states these facts, by path."""
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "qr",
        "questionnaire": canonical,
        "status": "completed",
        "item": [{"linkId": path, "answer": _answers(value)} for path, value in facts.items()],
    }


def _answers(value: Any) -> list[Json]:
    if isinstance(value, list):
        return [answer for one in value for answer in _answers(one)]
    if isinstance(value, bool):
        return [{"valueBoolean": value}]
    if value[:1].isdigit():
        return [{"valueDate": value}]
    return [{"valueCoding": {"system": f"{QUESTIONNAIRE}/codes", "code": value}}]


def message(seed: int) -> bytes:
    """One request as a record."""
    return json.dumps(bundle(seed)).encode()


def bundle(seed: int, answered: Json | None = None) -> Json:
    """One request that can be decided, with a QuestionnaireResponse or without."""
    chance = Random(seed)
    asked = date(2025, 1, 2) + timedelta(days=chance.randrange(500))
    resources = _resources(chance)
    if answered is not None:
        resources["qr"] = answered
    write = _style(chance)
    claim = _claim(chance, asked, resources)
    entries = [(write("Claim", "c")[0], claim)]
    entries += [(write(one["resourceType"], own)[0], {**one, "id": own}) for own, one in resources.items()]
    made: Json = {
        "resourceType": "Bundle",
        "identifier": {
            "system": "https://delta-hospital.example/transaction",
            "value": f"DH-{chance.randrange(10**6)}",
        },
        "type": "collection",
        "entry": [{"fullUrl": url, "resource": _linked(one, resources, write)} for url, one in entries],
    }
    if chance.random() < 0.7:
        made["timestamp"] = f"{asked}T{chance.randrange(6, 20):02}:30:00-05:00"
    return made


def _style(chance: Random) -> Any:
    """How fullUrls and references are written: the fullUrl, and the reference to it."""
    kind = chance.choice(("relative", "absolute", "urn", "bare"))

    def written(type_: str, own: str) -> tuple[str, str]:
        if kind == "urn":
            url = f"urn:uuid:7b0c1a52-5f0e-4c6e-9d61-{sum(map(ord, own)):012}"
            return url, url
        if kind == "bare":
            return own, f"{type_}/{own}"
        url = f"https://ehr.delta-hospital.example/fhir/{type_}/{own}"
        return url, url if kind == "absolute" else f"{type_}/{own}"

    return written


def _linked(resource: Any, resources: Mapping[str, Json], write: Any) -> Any:
    """A resource whose references, `@own`, are written in a style."""
    if isinstance(resource, list):
        return [_linked(one, resources, write) for one in resource]
    if not isinstance(resource, dict):
        return resource
    if str(resource.get("reference", "")).startswith("@"):
        own = resource["reference"][1:]
        return {"reference": write(resources[own]["resourceType"], own)[1]}
    return {name: _linked(value, resources, write) for name, value in resource.items()}


def _resources(chance: Random) -> dict[str, Json]:
    member = f"{chance.choice(('MHP00', 'R'))}{chance.randrange(10**7, 10**8)}"
    typed = {"type": coded("http://terminology.hl7.org/CodeSystem/v2-0203", "MB")} if chance.random() < 0.6 else {}
    number = {"system": "https://magnolia.example/member", "value": member, **typed}
    provider = {"identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": npi(chance)}]}
    found: dict[str, Json] = {
        "payer": {
            "resourceType": "Organization",
            "identifier": [{"system": "http://hl7.org/fhir/sid/us-naic", "value": "60111"}],
            "active": True,
            "name": "Magnolia Health Plan",
        },
        "patient": {
            "resourceType": "Patient",
            "identifier": [number],
            "name": [{"family": "Tillman", "given": ["Odessa"]}],
            "gender": "female",
            "birthDate": "1979-04-12",
        },
        "cover": {
            "resourceType": "Coverage",
            "status": "active",
            "subscriberId": member,
            "beneficiary": {"reference": "@patient"},
            "payor": [{"reference": "@payer"}],
        },
        "cond": {"resourceType": "Condition", "subject": {"reference": "@patient"}, "code": coded(ICD_10_CM, "C92.02")},
    }
    kind = chance.choice(("Organization", "Organization", "Practitioner", "PractitionerRole"))
    if kind == "PractitionerRole":
        found["who"] = {"resourceType": "Practitioner", **provider, "name": [{"family": "Okafor"}]}
        found["asks"] = {"resourceType": kind, "practitioner": {"reference": "@who"}}
    else:
        called: Json = {"active": True, "name": "Delta"} if kind == "Organization" else {"name": [{"family": "Okafor"}]}
        found["asks"] = {"resourceType": kind, **provider, **called}
    return found


def _claim(chance: Random, asked: date, resources: Mapping[str, Json]) -> Json:
    own = f"TR-{chance.randrange(10**6)}"
    identifier = chance.choice(
        (
            {"system": "urn:trnorg:9640001112", "value": own},
            {"system": "https://d.example/t", "value": own, "assigner": {"identifier": {"value": "9640001112"}}},
        )
    )
    code, on_items = chance.choice("IIIIRS4"), chance.random() < 0.7
    certification = extension("extension-certificationType", valueCodeableConcept=coded(f"{X12_URL}1322", code))
    level = extension(
        "extension-levelOfServiceCode", valueCodeableConcept=coded(f"{X12_URL}1338", chance.choice(("U", "03", "E")))
    )
    infos: list[Json] = [
        {
            "sequence": 1,
            "category": coded("http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes", "patientEvent"),
            "timingDate": f"{asked + timedelta(days=14)}",
        }
    ]
    if "qr" in resources:
        infos.append(
            {"sequence": 2, "category": coded("t:x", "additionalInformation"), "valueReference": {"reference": "@qr"}}
        )
    diagnoses: list[Json] = [{"sequence": 1, "diagnosisCodeableConcept": coded(ICD_10_CM, "C91.01")}]
    if chance.random() < 0.3:
        diagnoses.append({"sequence": 2, "diagnosisReference": {"reference": "@cond"}})
    return {
        "resourceType": "Claim",
        "id": "c",
        "extension": ([level] if chance.random() < 0.4 else []) + ([] if on_items else [certification])
        or [extension("x")],
        "identifier": [identifier],
        "status": "active",
        "type": coded("http://terminology.hl7.org/CodeSystem/claim-type", "institutional"),
        "use": "preauthorization",
        "patient": {"reference": "@patient"},
        "created": chance.choice((f"{asked}", f"{asked}T14:05:00-05:00")),
        "insurer": {"reference": "@payer"},
        "provider": {"reference": "@asks"},
        "priority": coded("http://terminology.hl7.org/CodeSystem/processpriority", "normal"),
        "supportingInfo": infos,
        "diagnosis": diagnoses,
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "@cover"}}],
        "item": [
            _item(chance, number, asked, [certification] if on_items else [])
            for number in range(1, 2 + chance.randrange(3))
        ],
    }


def _item(chance: Random, number: int, asked: date, extensions: list[Json]) -> Json:
    system, code = chance.choice(
        ((CPT, "38242"), (HCPCS, "38242"), (CPT, "S2150"), (HCPCS, "86950"), (CPT, "86813"), (PCS, "30243Q1"))
    )
    trace = extension(
        "extension-itemTraceNumber", valueIdentifier={"system": "https://d.example/l", "value": f"L{number}"}
    )
    item: Json = {
        "extension": [*extensions, trace],
        "sequence": number,
        "category": coded(f"{X12_URL}1365", "2"),
        "productOrService": coded(system, code),
    }
    day = asked + timedelta(days=14 + number)
    item |= chance.choice(
        ({}, {"servicedDate": f"{day}"}, {"servicedPeriod": {"start": f"{day}", "end": f"{day + timedelta(days=2)}"}})
    )
    return item | chance.choice(({}, {"quantity": {"value": chance.randrange(1, 4)}}))
