"""Responses of every shape that the PAS adapter writes, in groups."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import cycle, product
from random import Random
from types import MappingProxyType
from typing import Any, Final, get_args

from events.adapters.adapter import Decided
from events.adapters.chain import chain_key
from events.adapters.code_lists import ACTIONS
from events.adapters.partner import Partner
from events.adapters.pas.adapter import PAS
from events.adapters.pas.systems import WRITTEN_SYSTEMS
from events.adapters.submission import Chain, Context, Refusal, SourceError, Submission, Trouble
from events.dead_letter import Reason
from events.decision import Determination
from events.decode import Received
from events.topics import PAS_RESPONSES
from events.verdict import AuthorizationReviewed
from tests.support import interop_samples
from tests.support.composed_decisions import decided_line, decision_of
from tests.support.integrated import Integrated
from tests.support.pas_answers import AT, answered, first_answer, library, requested
from tests.support.pas_bundles import (
    PARTNER,
    QUESTIONNAIRE,
    RECEIVED,
    X12_URL,
    Json,
    bundle,
    coded,
    extension,
    message,
    response,
)
from tests.support.pas_damage import damaged
from tests.support.pas_decisions import QUESTION, REVIEW, two_items
from tests.support.reviews import verdict
from workers.cases.final_decision import reviewed_decision
from workers.decide.handler import decide
from workers.demo import platform
from workers.integration.partners import load
from workers.policies.policy_questionnaire import questionnaire_of

GENERATED = 300
"""Bundles of the seeded mix, and as many damaged ones."""
POLICY = "L.2.03.402"
_GRANTED = {"authorized": {"code": "38243", "units": 2, "from": "2025-06-20", "through": "2025-07-20"}}
_REVIEWED = {
    "review": REVIEW | {"npi": "1300000019", "specialty": "Hematology", "reasons": ["0F", "14"], "text": "Not shown."}
}
_PROGRAM = {"program": {"name": "Federal program", "says": "decides by its own policy"}}
_OF_A_LINE: Final[tuple[Json, ...]] = (
    {},
    {"valid_through": "2025-12-01"},
    {"missing": [QUESTION]},
    _REVIEWED,
    _REVIEWED | _GRANTED,
    _PROGRAM,
)


_FOREIGN: Final = (
    "https://ehr.example/codes",
    "http://snomed.info/sct",
    f"{X12_URL}98",
    "http://terminology.hl7.org/CodeSystem/v2-0203",
    "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "http://hl7.org/fhir/administrative-gender",
    "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp",
    "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes",
    "http://hl7.org/fhir/sid/icd-10-cm",
)


def _read(tree: Json) -> Submission:
    [found] = PAS.read(json.dumps(tree).encode(), PARTNER, RECEIVED)
    return found


@cache
def _two_items() -> Context:
    return requested(_read(two_items())).context


def _samples() -> Iterator[bytes]:
    """To the contract's samples, in their order: those of one trace follow each other."""
    assert interop_samples.SAMPLES is not None
    partner = Partner.model_validate_json((interop_samples.SAMPLES / "partner.json").read_bytes())
    chains: dict[bytes, Chain] = {}
    for file in interop_samples.files("pas", "json"):
        [found] = PAS.read(file.read_bytes(), partner, AT)
        if found.refused is not None:
            yield answered(found)
            continue
        before = chains.get(key := chain_key(found))
        chains[key] = requested(found, before).chain
        yield answered(found, before)


def _generated() -> Iterator[bytes]:
    for seed in range(GENERATED):
        [found] = PAS.read(message(seed), PARTNER, RECEIVED)
        yield answered(found)


def _damaged() -> Iterator[bytes]:
    for seed in range(GENERATED):
        for found in PAS.read(json.dumps(damaged(bundle(seed), Random(seed))).encode(), PARTNER, RECEIVED):
            if value := first_answer(found):
                yield value


def _refused() -> Iterator[bytes]:
    """For every reason and trouble, of a message and of a request; and of what is no Claim."""
    found = _read(two_items(provider={"reference": "Organization/gone"}))
    paths = ("", "clinical.chimerism", "service_lines.0.code", "diagnoses.0.code", "member.member_id")
    for trouble, path in product(get_args(Trouble), paths):
        placed = SourceError(path=path, place="Claim.item[0]", trouble=trouble, message="should be another word")
        errors = (placed, placed.model_copy(update={"place": ""}))
        refusal = Refusal(reason="schema_violation", errors=errors)
        yield PAS.refuse(found, refusal, AT)
        yield PAS.refuse(_two_items(), refusal, AT)
    for reason in get_args(Reason):
        yield PAS.refuse(found, Refusal(reason=reason), AT)
        yield PAS.refuse(_two_items(), Refusal(reason=reason), AT)
    for value in (b"", b"{", b"[]", b'{"resourceType": "Bundle"}', b'{"resourceType": "Patient"}'):
        [found] = PAS.read(value, PARTNER, RECEIVED)
        yield answered(found)


def _questions_and_answers() -> Iterator[bytes]:
    """Submitted without the facts, asked for them, answered, certified; then whatever facts are stated."""
    house = Integrated(*load(platform.PARTNER))
    for name in ("claim.json", "claim-answers.json"):
        house.send("pas", (platform.MESSAGES / name).read_bytes())
        house.settle()
    yield from ((one.value or b"") for one in house.log[PAS_RESPONSES])
    facts = {"clinical.transplant.type": "allogeneic", "clinical.malignancy": "hematologic"}
    for seed in range(20):
        yield answered(_read(bundle(seed, answered=response(QUESTIONNAIRE, facts))))


def _inquiries() -> Iterator[bytes]:
    """Of what is decided, of what is not known, and of what cannot be read."""
    for seed in range(20):
        asked: Json = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": bundle(seed)}]}
        inquiry, [sent] = _read(asked), PAS.read(message(seed), PARTNER, RECEIVED)
        found = requested(sent)
        decision = decide(Received(None, found.request), library())
        yield PAS.report(inquiry, found.context, Decided(decision, AT), AT)
        yield PAS.report(inquiry, None, None, AT)
        claim = asked["parameter"][0]["resource"]["entry"][0]["resource"]
        claim["identifier"] = []
        yield PAS.report(_read(asked), None, None, AT)


def _foreign_codes() -> Iterator[bytes]:
    """With codes of all kinds of systems wherever codes come back."""
    for system in _FOREIGN:
        tree, code = two_items(), coded(system, "X9")
        for one in (entry["resource"] for entry in tree["entry"]):
            kind = one["resourceType"]
            for identifier in one.get("identifier", ()) if kind != "Claim" else ():
                identifier["type"] = code
            elements: dict[str, Json] = {
                "Organization": {"type": [code]},
                "Coverage": {"type": code, "relationship": code, "class": [{"type": code, "value": "1"}]},
                "Claim": {"item": [item | {"modifier": [code]} for item in one.get("item", ())]},
            }
            one.update(elements.get(kind, {}))
        found = requested(_read(tree)).context
        decision = decision_of("A6", decided_line(1, "A6", "medically_necessary", **_GRANTED, **_REVIEWED))
        yield PAS.answer(found, Decided(decision, AT))


def _cancellations() -> Iterator[bytes]:
    """Of the whole, with items and with those of its trace; and of one item beside another."""
    cancel = extension("extension-certificationType", valueCodeableConcept=coded(f"{X12_URL}1322", "3"))
    first = _read(two_items())
    chain = requested(first).chain
    yield answered(_read(two_items(extension=[cancel])), chain)
    yield answered(_read(two_items(extension=[cancel], item=[])), chain)
    tree = two_items()
    tree["entry"][0]["resource"]["item"][1]["extension"].append(cancel)
    yield answered(_read(tree), chain)


def _verdicts() -> Iterator[bytes]:
    """Final decisions, each made by a verdict on what was recommended or pended."""
    granted = {"code": "38242", "units": 1, "from": "2025-06-20", "through": "2025-07-20"}
    for seed in range(30):
        [sent] = PAS.read(message(seed), PARTNER, RECEIVED)
        found = requested(sent)
        recorded = decide(Received(None, found.request), library())
        for action in ("A1", "A3", "A6") if recorded.action == "A4" else ():
            stated = verdict(json.loads(recorded.to_json()), "V-1", action)
            if action == "A6":
                stated["lines"] = [line | {"authorized": granted} for line in stated["lines"]]
            read = AuthorizationReviewed.model_validate_json(json.dumps(stated))
            final = reviewed_decision(recorded, read, library()[POLICY], found.request.urgency)
            yield PAS.answer(found.context, Decided(final, AT))


def _decisions() -> Iterator[bytes]:
    """Every action with every determination, and with all else that a line may say."""
    other = decided_line(2, "A1", "medically_necessary", valid_through="2025-12-01")
    dues: tuple[Json, ...] = ({}, {"due_at": "2025-06-09T15:00:00Z"})
    shapes = product(sorted(ACTIONS), get_args(Determination), dues)
    for (action, determination, due), more in zip(shapes, cycle(_OF_A_LINE), strict=False):
        decision = decision_of(action, decided_line(1, action, determination, **more), other, **due)
        yield PAS.answer(_two_items(), Decided(decision, AT))
    for system in WRITTEN_SYSTEMS:
        granted = decided_line(1, "A6", "medically_necessary", system=system, **_GRANTED, **_REVIEWED)
        yield PAS.answer(_two_items(), Decided(decision_of("A6", granted), AT))


def _questionnaire() -> Iterator[bytes]:
    yield json.dumps(questionnaire_of(library()[POLICY].document, POLICY)).encode()


GROUPS: Final[Mapping[str, Callable[[], Iterator[bytes]]]] = MappingProxyType(
    {
        "samples": _samples,
        "generated": _generated,
        "damaged": _damaged,
        "refused": _refused,
        "questions and answers": _questions_and_answers,
        "inquiries": _inquiries,
        "foreign codes": _foreign_codes,
        "cancellations": _cancellations,
        "verdicts": _verdicts,
        "decisions": _decisions,
        "questionnaire": _questionnaire,
    }
)
"""What makes the responses of each group; the last is our questionnaire. The samples lie beside the checkout or not."""


def asking() -> Any:
    """A response with questions, two CommunicationRequests and a reason, for tests to spoil."""
    lines = [decided_line(number, "A4", "information_needed", missing=[QUESTION]) for number in (1, 2)]
    return json.loads(PAS.answer(_two_items(), Decided(decision_of("A4", *lines), AT)))
