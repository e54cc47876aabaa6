"""The same messages give the same bytes as when they were recorded, so that a replay meets what is on the topics.

A change of `VERSION` or of what platforms are told records anew: the failing assertion shows the digest.
"""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from events.adapters.adapter import Adapter, Decided
from events.adapters.chain import Requested, resolve
from events.adapters.pas.adapter import PAS
from events.adapters.submission import Submission
from events.adapters.x12.adapter import X12
from events.decision import Decision
from tests.support import pas_bundles, pas_damage, x12_damage, x12_messages
from tests.support.composed_decisions import decided_line, decision_of
from tests.support.pas_bundles import QUESTIONNAIRE
from tests.support.pas_decisions import QUESTION, REVIEW

MESSAGES = 60
AT = 1_748_900_000_123
PARTNER = pas_bundles.PARTNER.model_copy(update={"senders": x12_messages.PARTNER.senders})


def _bundle(number: int) -> dict[str, Any]:
    facts = {"clinical.malignancy": "aml", "clinical.purposes": ["a", "b"], "service_lines.1.performed_on": "donor"}
    return pas_bundles.bundle(number, pas_bundles.response(QUESTIONNAIRE, facts) if number % 2 else None)


def _damaged_bundle(number: int) -> bytes:
    return json.dumps(pas_damage.damaged(_bundle(number), Random(number))).encode()


def _inquiry(number: int) -> bytes:
    asked = [{"name": "resource", "resource": _bundle(number + more)} for more in (0, 1)]
    return json.dumps({"resourceType": "Parameters", "parameter": asked}, indent=1).encode()


def _interchange(number: int) -> bytes:
    style = x12_messages.Style("|", ">", "!", "\n") if number % 2 else x12_messages.USUAL
    return x12_messages.written(x12_messages.request(Random(number)), style=style)


def _damaged_interchange(number: int) -> bytes:
    return x12_damage.damaged(_interchange(number), Random(number))


def _decisions(submission: Submission) -> Iterator[Decision]:
    numbers = [line["line"] for line in (submission.request or {})["service_lines"]]
    asked = [decided_line(number, "A4", "information_needed", missing=[QUESTION]) for number in numbers]
    granted = {"code": "38241", "units": 1, "from": "2025-06-20", "through": "2025-07-20"}
    verdict = {**REVIEW, "reasons": ["0F", "0T"], "text": "Not shown: see \u201c2.1\u201d.", "specialty": "Hematology"}
    yield decision_of("A4", *asked, due_at="2025-06-20T17:00:00-05:00")
    yield decision_of("A1", *[decided_line(number, "A1", "medically_necessary") for number in numbers])
    yield decision_of(
        "A6",
        *[decided_line(n, "A6", "medically_necessary", authorized=granted, review=verdict) for n in numbers],
    )


def _results(adapter: Adapter, value: bytes) -> Iterator[str]:
    """Everything that becomes of a record."""
    for submission in adapter.read(value, PARTNER, AT):
        # Not the configuration's digest, which changes with what can be configured.
        yield submission.model_dump_json(exclude={"configuration"})
        yield adapter.report(submission, None, None, AT).decode("latin-1")
        if submission.refused is not None:
            yield adapter.refuse(submission, submission.refused, AT).decode("latin-1")
            continue
        found = resolve(submission, None)
        if isinstance(found, Requested):
            yield found.request.content().decode()
            for decision in _decisions(submission):
                yield adapter.answer(found.context, Decided(decision, AT)).decode("latin-1")


RECORDED: list[tuple[Adapter, Callable[[int], bytes], str]] = [
    (PAS, pas_bundles.message, "e9329ea82e4576c7"),
    (PAS, lambda number: json.dumps(_bundle(number)).encode(), "3f0debae20eb5695"),
    (PAS, _damaged_bundle, "6cba5a55224f35a1"),
    (PAS, _inquiry, "64b4c3811362c0b2"),
    (X12, _interchange, "55cd1c84b6d2df4a"),
    (X12, _damaged_interchange, "ac0cde0db7a09487"),
]


@pytest.mark.parametrize(("adapter", "make", "recorded"), RECORDED)
def test_the_same_messages_give_the_same_bytes(adapter: Adapter, make: Callable[[int], bytes], recorded: str) -> None:
    found = sha256()
    for number in range(MESSAGES):
        for result in _results(adapter, make(number)):
            found.update(result.encode() + b"\0")
    assert found.hexdigest()[:16] == recorded
