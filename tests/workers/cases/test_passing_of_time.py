"""Time passes for cases: a record for each partition where one is due, and none for the others."""

import asyncio

import pytest

from events.case_event import TimePassed, case_event_of
from workers.cases.passing_of_time import AGAIN_SECONDS, PassingOfTime
from workers.configuration.settings import Settings
from workers.state.rocksdb_store import StorageError


class Clocked:
    """The passing of time over cases in memory, on a clock of its own."""

    def __init__(self, due: dict[int, int | None]) -> None:
        self.due = due
        self.now = 1_000.0
        self.passed = 0.0
        self.sent: list[tuple[int, bytes]] = []
        self.time = PassingOfTime(
            Settings(), lambda: self.due, self._next_due, self._send, lambda: self.now, lambda: self.passed
        )

    def _next_due(self, partition: int) -> int | None:
        return self.due[partition]

    async def _send(self, partition: int, value: bytes) -> None:
        self.sent.append((partition, value))


def test_a_record_is_due_where_a_case_is() -> None:
    clocked = Clocked({0: 999_999, 1: 1_000_000, 2: 1_000_001, 3: None})
    assert clocked.time.due() == [0, 1]
    asyncio.run(clocked.time.send([0, 1]))
    assert [partition for partition, _ in clocked.sent] == [0, 1]
    assert {type(case_event_of(value)) for _, value in clocked.sent} == {TimePassed}


def test_a_partition_gets_another_record_only_after_a_while() -> None:
    clocked = Clocked({0: 1})
    asyncio.run(clocked.time.send(clocked.time.due()))
    clocked.passed += AGAIN_SECONDS - 0.1
    assert clocked.time.due() == []
    clocked.passed += 0.2
    assert clocked.time.due() == [0]


@pytest.mark.parametrize("jump", [-2_400.0, -86_400.0 * 30, 2_400.0])
def test_a_clock_that_jumps_does_not_change_the_pace(jump: float) -> None:
    """A record that was sent while the clock was ahead does not delay the next one when it is set right."""
    clocked = Clocked({0: -(10**12)})
    asyncio.run(clocked.time.send(clocked.time.due()))
    clocked.now += jump
    assert clocked.time.due() == []
    clocked.passed += AGAIN_SECONDS
    assert clocked.time.due() == [0]


@pytest.mark.parametrize("error", [StorageError("gone"), KeyError(0)])
def test_a_partition_that_is_being_taken_away_is_left_out(error: Exception) -> None:
    def gone(_: int) -> int | None:
        raise error

    clocked = Clocked({0: 1})
    assert PassingOfTime(Settings(), lambda: [0], gone, clocked._send).due() == []  # noqa: SLF001 (the tests' own)
