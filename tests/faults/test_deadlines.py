"""Deadlines pass while workers die, stand still, are all gone, or have clocks that jump.

Each deadline is announced once, never before its moment, and `late` says whether that was more than five minutes ago.
Moments are reckoned here from what was submitted; whether one had come is told by the broker's clock.
"""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from events.topics import CASE_EVENTS, DEADLINES
from tests.faults import jumping_clock
from tests.faults.flow import PARTITIONS, SESSION_SECONDS, Fleet, eventually
from tests.support.reviews import pended_request
from tests.support.running import everything_on, publish, settings_for
from workers.cases.passing_of_time import STAGES
from workers.configuration.settings import Settings
from workers.dev_brokers import Broker
from workers.kafka.group_progress import read_to_end
from workers.topics import apply_topics

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

REQUESTS = 600
TIMEFRAME = timedelta(days=7)
"""Of a standard request."""
LEAD = timedelta(hours=24)
PUNCTUAL = timedelta(minutes=5)
COME_LATE = timedelta(minutes=10)
"""How long ago the deadlines of a third passed."""
FAULT_SECONDS = 60.0
"""In which the other deadlines pass."""


class Announced(NamedTuple):
    """One announcement."""

    request_id: str
    kind: str
    late: bool
    at: datetime


class Board:
    """Pended requests whose deadlines have passed, pass soon, or come near soon."""

    def __init__(self, now: datetime, chance: Random) -> None:
        self.moments: dict[tuple[str, str], datetime] = {}
        self.lines = []
        for number in range(REQUESTS):
            name = f"PA-{number}"
            within = timedelta(seconds=chance.uniform(5, FAULT_SECONDS))
            due = (now - COME_LATE, now + within, now + LEAD + within)[number % 3]
            submitted = (due - TIMEFRAME).astimezone(UTC).isoformat(timespec="milliseconds")
            self.lines.append(json.dumps(pended_request(name, submitted_at=submitted)).encode())
            soon = datetime.fromisoformat(submitted) + TIMEFRAME - LEAD
            self.moments[name, "due_soon"] = soon
            if number % 3 != 2:
                self.moments[name, "overdue"] = soon + LEAD


def announced(found: Settings) -> list[Announced]:
    records = everything_on(found, DEADLINES)
    data = [json.loads(one.value)["data"] for one in records]
    times = [datetime.fromtimestamp(one.timestamp / 1000, UTC) for one in records]
    return [Announced(one["request_id"], one["kind"], one["late"], at) for one, at in zip(data, times, strict=True)]


@contextmanager
def deployed(broker: Broker, prefix: str, folder: Path) -> Iterator[tuple[Settings, Fleet]]:
    found = settings_for(broker.bootstrap, prefix, folder, session_timeout_seconds=SESSION_SECONDS)
    found = found.model_copy(update={"partitions": PARTITIONS})
    apply_topics.apply(found)
    fleet = Fleet(found, folder)
    try:
        yield found, fleet
    finally:
        fleet.stop()


def assert_each_announced_once(found: Settings, fleet: Fleet, board: Board) -> None:
    def all_announced() -> bool:
        fleet.look_after()
        return len(announced(found)) >= len(board.moments)

    assert eventually(all_announced), f"{len(announced(found))} of {len(board.moments)}\n{fleet.said()}"
    # What was read when the last deadline passed has had its effect: nobody announces it once more.
    assert eventually(lambda: read_to_end(found, (*STAGES, (CASE_EVENTS,)), 60.0)), fleet.said()
    all_of_them = announced(found)
    assert Counter((one.request_id, one.kind) for one in all_of_them) == dict.fromkeys(board.moments, 1)
    assert [one for one in all_of_them if one.at < board.moments[one.request_id, one.kind]] == [], "too early"
    wrong = [one for one in all_of_them if one.late != (one.at - board.moments[one.request_id, one.kind] > PUNCTUAL)]
    assert wrong == []
    assert {one.late for one in all_of_them} == {True, False}


def test_deadlines_are_announced_once_while_workers_die(
    broker: Broker, prefix: str, tmp_path: Path, chance: Random
) -> None:
    """Workers are killed, or stopped until others have taken over; then all are gone, and deadlines pass meanwhile."""
    with deployed(broker, prefix, tmp_path) as (found, fleet):
        fleet.start(2)
        board = Board(datetime.now(UTC), chance)
        publish(found, board.lines)
        until = time.monotonic() + FAULT_SECONDS / 2
        while time.monotonic() < until:
            fleet.look_after()
            time.sleep(chance.uniform(1, 4))
            victim = chance.choice(fleet.running)
            if chance.random() < 0.5:
                victim.kill()
                chance.choice(fleet.idle).start()
                continue
            victim.signal(signal.SIGSTOP)
            time.sleep(2 * SESSION_SECONDS)
            victim.signal(signal.SIGCONT)
        for one in fleet.running:
            one.kill()
        time.sleep(FAULT_SECONDS / 4)
        fleet.start(2)
        assert_each_announced_once(found, fleet, board)


def test_deadlines_follow_the_brokers_clock(broker: Broker, prefix: str, tmp_path: Path, chance: Random) -> None:
    """The workers' clocks jump by up to 30 days back and 40 minutes ahead, at any moment."""
    with deployed(broker, prefix, tmp_path) as (found, fleet):
        for one in fleet.workers:
            one.command[1:3] = [jumping_clock.__file__]
        fleet.start(2)
        board = Board(datetime.now(UTC), chance)
        publish(found, board.lines)
        assert_each_announced_once(found, fleet, board)
