"""Lives of requests: deterministic, valid events, and of every kind."""

import json
from collections import Counter

import pytest
from pydantic import BaseModel

from events.decode import decode
from events.request import AuthorizationRequest
from events.verdict import AuthorizationExtended, AuthorizationReviewed
from tests.support.packaged import packaged_library
from workers.decide.handler import decide
from workers.traffic.generate import Generator
from workers.traffic.lives import LaterEvent, later_events

MODELS: dict[str, type[BaseModel]] = {
    "requested": AuthorizationRequest,
    "reviewed": AuthorizationReviewed,
    "extended": AuthorizationExtended,
}


def lives(count: int, seed: int = 1) -> list[list[LaterEvent]]:
    made = []
    for line in Generator(3).lines(count):
        decision = decide(decode(line, bare_allowed=True), packaged_library())
        made.append(later_events(seed, json.loads(line), json.loads(decision.to_json())))
    return made


LIVES = lives(3_000)
EVENTS = [event for life in LIVES for event in life]


def test_a_seed_determines_all_lives() -> None:
    """The same seed gives the same lives and another seed others."""
    assert lives(200) == LIVES[:200]
    assert lives(200, seed=2) != LIVES[:200]


def test_every_event_is_valid() -> None:
    """Every event is valid once an amendment names its decision."""
    for event in EVENTS:
        data = {"decision_id": "0" * 32, **event.data} if event.kind == "reviewed" else event.data
        assert MODELS[event.kind].model_validate_json(json.dumps(data))


def test_events_come_in_order_and_after_the_request() -> None:
    for life in LIVES:
        assert [event.at for event in life] == sorted(event.at for event in life)


@pytest.mark.parametrize("certification", ["revision", "renewal", "cancellation", "reconsideration"])
def test_later_requests_of_every_kind_occur(certification: str) -> None:
    found = Counter(event.data["certification"] for event in EVENTS if event.kind == "requested")

    assert found[certification] > 0


def test_verdicts_of_every_kind_occur() -> None:
    verdicts = [event.data for event in EVENTS if event.kind == "reviewed"]
    actions = {line["action"] for verdict in verdicts for line in verdict["lines"]}

    assert actions == {"A1", "A3", "A6"}
    assert {verdict["reviewer"]["role"] for verdict in verdicts} == {"physician", "medical_policy", "case_management"}
    assert any("amends" in verdict for verdict in verdicts)
    assert any(verdict["reviewer"].get("license_state") == "TX" for verdict in verdicts)
    assert any(event.kind == "extended" for event in EVENTS)


def test_adverse_verdicts_that_should_stand_are_complete() -> None:
    """Every adverse verdict that should stand has state evaluation and concurrence."""
    for event in EVENTS:
        if event.kind == "reviewed" and not event.data["verdict_id"].endswith("-X1"):
            adverse = any(line["action"] in {"A3", "A6"} for line in event.data["lines"])
            complete = event.data.get("evaluated") and event.data.get("concurrence")
            assert not adverse or (complete and event.data["reviewer"]["license_state"] == "MS")
