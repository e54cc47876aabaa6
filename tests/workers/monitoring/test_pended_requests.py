"""What waits: counted from decisions, with a clock, and bounded."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support import generator
from tests.support.packaged import packaged_library
from tests.support.requests import record
from workers.configuration.settings import read
from workers.decide.handler import DecisionHandler
from workers.kafka.reader import data_of
from workers.monitoring.pended_requests import Pended

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def decision(request_id: str, **changes: Any) -> dict[str, Any]:
    fields = {"request_id": request_id, "action": "A4", "due_at": str(NOW + HOUR), "clock": {"state": "running"}}
    return {name: value for name, value in (fields | changes).items() if value is not None}


def counted(pended: Pended, now: datetime = NOW) -> tuple[dict[str, int], int]:
    states, overdue = pended.count(now)
    return {state: count for state, count in states.items() if count}, overdue


def test_a_pended_request_is_overdue_after_its_due_date() -> None:
    """A pended request is overdue once its due date has passed."""
    pended = Pended()
    pended.take(decision("R-1"), NOW)

    assert counted(pended, NOW + HOUR) == ({"running": 1}, 0)
    assert counted(pended, NOW + HOUR + timedelta(seconds=1)) == ({"running": 1}, 1)


def test_without_a_due_date_nothing_is_overdue() -> None:
    pended = Pended()
    pended.take(decision("R-1", due_at=None, clock={"state": "waiting_for_information"}), NOW)

    assert counted(pended, NOW + 100 * HOUR) == ({"waiting_for_information": 1}, 0)


@pytest.mark.parametrize("changes", [{"action": "A1"}, {"action": "C"}, {"clock": {"state": "answered"}}])
def test_what_asks_nobody_to_act_is_not_pended(changes: dict[str, Any]) -> None:
    pended = Pended()
    pended.take(decision("R-1", **changes), NOW)

    assert counted(pended) == ({}, 0)


@pytest.mark.parametrize("superseding_first", [False, True])
def test_a_superseded_request_no_longer_waits(superseding_first: bool) -> None:
    """A request that is superseded no longer waits, in whichever order the two are read."""
    pended = Pended()
    taken = [(decision("R-1"), NOW), (decision("R-2", supersedes="R-1", action="A1"), NOW + HOUR)]
    for one, at in reversed(taken) if superseding_first else taken:
        pended.take(one, at)

    assert counted(pended) == ({}, 0)


def test_a_decision_made_again_counts_once() -> None:
    pended = Pended()
    for _ in range(3):
        pended.take(decision("R-1"), NOW)

    assert counted(pended) == ({"running": 1}, 0)


def test_what_is_older_than_the_days_that_are_kept_is_forgotten() -> None:
    pended = Pended(kept=timedelta(days=2))
    pended.take(decision("R-1"), NOW)

    assert counted(pended, NOW + timedelta(days=2)) == ({"running": 1}, 1)
    assert counted(pended, NOW + timedelta(days=2, seconds=1)) == ({}, 0)


def test_no_more_is_kept_than_allowed() -> None:
    pended = Pended(most=10)
    for number in range(25):
        pended.take(decision(f"R-{number}", supersedes=f"S-{number}"), NOW)

    assert counted(pended) == ({"running": 10}, 0)


def test_every_decision_that_is_published_can_be_taken() -> None:
    settings = read(topic_prefix="t.")
    handler = DecisionHandler(packaged_library(), settings)
    lines = [generator.encode(one) for one in generator.requests(44, 500)]
    outputs = handler([record(line, offset) for offset, line in enumerate(lines)])
    made = [data_of(one.value) for one in outputs if one.topic == "t.authorization.decisions"]
    pended = Pended()
    for one in made:
        pended.take(one, NOW)

    waiting = [one for one in made if one["action"] == "A4"]
    superseded = {one.get("supersedes") for one in made}
    expected = {one["request_id"] for one in waiting} - superseded
    assert len(made) == 500
    assert sum(counted(pended)[0].values()) == len(expected) > 100
