"""A trace as text: a decision is read beside the document that its revision's event published."""

import json
from typing import Any, cast

import pytest
from rich.console import Console

from events.origin_headers import RecordPosition
from tests.support.every_decision import EXAMPLES
from tests.support.packaged import packaged_library
from workers.kafka.clients import KafkaConsumer
from workers.ledger.trace import Answer, Event, Trace, Traced, _Topics
from workers.ledger.trace_text import trace_text
from workers.policies.revision_events import event_of

Json = dict[str, Any]
DECISION: Json = json.loads((EXAMPLES / "authorization.decided.v1" / "valid" / "everything-stated.json").read_bytes())
NOT_KNOWN = "the policy document has its digest"


def published() -> Json:
    """The event that published the document of the decision."""
    newest = packaged_library().chain("L.2.03.402").links[-1]
    found: Json = json.loads(event_of(newest).to_json())
    assert found["digest"] == DECISION["data"]["policies"][0]["known_through"]
    return found


def printed(*revisions: Json | None) -> str:
    answer = Answer("decision", 0, Event(RecordPosition("authorization.decisions", 0, 1), DECISION["data"]), None)
    name = DECISION["data"]["request_id"]
    asked = Traced(name, newest=True, supersedes=None, refused=False, answers=(answer,))
    events = tuple(Event(RecordPosition("policy.revisions", 0, at), one) for at, one in enumerate(revisions))
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(trace_text(Trace(name, (asked,), events)))
    return captured.get()


def test_a_traced_decision_has_the_words_of_its_document() -> None:
    text = printed(published())

    assert NOT_KNOWN not in text
    for citation in published()["document"]["statements"][0]["cites"]:
        assert f"sha256 {citation['sha256']}" in text


def test_only_verdicts_are_read_for_what_an_answer_is_made_from() -> None:
    """Whoever can write an answer could otherwise have any record shown that the reader may read."""
    topics = _Topics(cast("KafkaConsumer", None), "authorization.verdicts")
    answer = Event(RecordPosition("authorization.decisions", 0, 1), {}, cause=RecordPosition("dli.audit", 0, 7))

    assert topics.review_of(answer) is None


@pytest.mark.parametrize(
    "revision",
    [
        None,
        {},
        {"digest": "0" * 64, "document": published()["document"]},
        {**published(), "document": None},
        {**published(), "document": {"format": 2}},
        {**published(), "document": {**published()["document"], "of_a_later_version": 1}},
    ],
    ids=["no longer kept", "empty", "another", "without document", "of no shape", "of a later version"],
)
def test_a_traced_decision_is_shown_without_its_document(revision: Json | None) -> None:
    text = printed(revision)

    assert NOT_KNOWN in text
    assert DECISION["data"]["decision_id"] in text
