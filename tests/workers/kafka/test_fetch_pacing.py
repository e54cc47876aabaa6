"""A broker that does not wait for records is asked less and less often, and one that does as ever."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest

from workers.kafka import fetch_pacing
from workers.kafka.fetch_pacing import FIRST_S, LONGEST_S, paced

EMPTY, RECORDS = b"", b"records"
FETCH = FetchRequest(250, 1, 1000, 1, [("t", [(0, 0, 1000)])])


class Clock:
    """Time that passes where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(fetch_pacing, "perf_counter", lambda: made.now)
    monkeypatch.setattr(fetch_pacing, "sleep", made.sleep)
    return made


def asked(clock: Clock, answers: list[tuple[float, bytes]], request: Any = FETCH, nodes: int = 1) -> list[float]:
    """The pauses behind answers, each after so many seconds and with these bytes."""
    told = iter(answers)

    async def send(_node: int, _request: Any, **_: Any) -> Any:
        took, raw = next(told)
        clock.now += took
        return SimpleNamespace(topics=[("t", [(0, 0, 5, 5, 0, [], EMPTY), (1, 0, 5, 5, 0, [], raw)])])

    async def through() -> None:
        client = SimpleNamespace(send=send)
        paced(SimpleNamespace(_client=client, _fetch_max_wait_ms=250))
        for number in range(len(answers)):
            await client.send(number % nodes, request)

    asyncio.new_event_loop().run_until_complete(through())
    return clock.slept


def test_quick_empty_answers_are_held_longer_and_longer(clock: Clock) -> None:
    """Empty answers that come at once are held back longer and longer."""
    pauses = asked(clock, [(0.0, EMPTY)] * 20)

    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1], len(pauses)) == (FIRST_S, LONGEST_S, 20)


def test_each_broker_has_a_pause_of_its_own(clock: Clock) -> None:
    assert asked(clock, [(0.0, EMPTY)] * 4, nodes=2) == [FIRST_S, FIRST_S, 2 * FIRST_S, 2 * FIRST_S]


def test_records_are_never_kept_and_end_the_quiet(clock: Clock) -> None:
    assert asked(clock, [(0.0, EMPTY), (0.0, EMPTY), (0.0, RECORDS), (0.0, EMPTY)]) == [FIRST_S, 2 * FIRST_S, FIRST_S]


def test_a_broker_that_waits_is_asked_again_at_once(clock: Clock) -> None:
    assert asked(clock, [(0.25, EMPTY), (0.249, EMPTY), (0.3, EMPTY), (0.01, RECORDS)] * 5) == []


def test_other_questions_are_left_alone(clock: Clock) -> None:
    assert asked(clock, [(0.0, EMPTY)] * 5, request=object()) == []
