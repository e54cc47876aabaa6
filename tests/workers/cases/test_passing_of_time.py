"""Time passes for cases: a record for each partition where one is due, and none for the others."""

import asyncio
from pathlib import Path

import pytest

from events.case_event import TimePassed, case_event_of
from events.topics import DECISIONS
from tests.support import generator
from tests.support.running import eventually, everything_on, publish, settings_for, worker
from workers.cases import passing_of_time
from workers.cases.passing_of_time import AGAIN_SECONDS, PassingOfTime
from workers.configuration.settings import Settings
from workers.dev_brokers import free_ports
from workers.kafka.group_progress import read_to_end
from workers.state.rocksdb_store import StorageError
from workers.topics import apply_topics


class Clocked:
    """The passing of time over cases in memory, on a clock of its own."""

    def __init__(self, due: dict[int, int | None]) -> None:
        self.due = due
        self.now = 1_000.0
        self.sent: list[tuple[int, bytes]] = []
        self.time = PassingOfTime(Settings(), lambda: self.due, self._next_due, self._send, lambda: self.now)

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
    clocked.now += AGAIN_SECONDS - 0.1
    assert clocked.time.due() == []
    clocked.now += 0.2
    assert clocked.time.due() == [0]


@pytest.mark.parametrize("error", [StorageError("gone"), KeyError(0)])
def test_a_partition_that_is_being_taken_away_is_left_out(error: Exception) -> None:
    def gone(_: int) -> int | None:
        raise error

    clocked = Clocked({0: 1})
    assert PassingOfTime(Settings(), lambda: [0], gone, clocked._send).due() == []  # noqa: SLF001 (the tests' own)


def test_silent_brokers_are_no_sign_that_all_is_read() -> None:
    found = Settings(bootstrap=f"127.0.0.1:{free_ports().client}")
    assert not asyncio.run(passing_of_time.has_read(found, ((),), 1.0))


@pytest.mark.broker
def test_all_is_read_when_the_workers_have_committed_it(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """A group has read a stage when it has committed the offsets of its end, and not before."""
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    stages = passing_of_time.STAGES
    assert read_to_end(found, stages, 0.0)  # nothing is there
    publish(found, [generator.encode(generator.request(5, number)) for number in range(5)])
    assert not read_to_end(found, stages, 0.5)
    with worker(found, tmp_path):
        assert eventually(lambda: len(everything_on(found, DECISIONS)) == 5)
        assert read_to_end(found, stages, 60.0)
