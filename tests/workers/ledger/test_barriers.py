"""Barriers end the waiting of events whose request is unknown, each once."""

import asyncio
from pathlib import Path

import pytest

from tests.support import generator
from tests.support.running import publish, settings_for, until, worker
from workers.cases.route import barrier_of
from workers.configuration.settings import Settings
from workers.ledger.barriers import LOOK_SECONDS, Barriers
from workers.state.rocksdb_store import StorageError
from workers.topics import apply_topics


class Waiting:
    """What waits in the ledger's partitions, and the barriers that are written."""

    def __init__(self, last: dict[int, int | None], settings: Settings | None = None) -> None:
        self.last = last
        self.sent: list[tuple[int, int | None]] = []
        self.barriers = Barriers(settings or Settings(), lambda: self.last, self._last, self._send)

    def _last(self, partition: int) -> int | None:
        found = self.last[partition]
        if found == -1:
            raise StorageError("gone")
        return found

    async def _send(self, partition: int, value: bytes) -> None:
        self.sent.append((partition, barrier_of(value)))


@pytest.mark.kafka
def test_nothing_is_unknown_while_older_requests_are_undecided(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """Its request may be among them: a cancellation overtakes what it cancels, if that partition is behind."""
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    publish(found, [generator.encode(generator.request(5, 1))])

    async def run() -> tuple[bool, bool]:
        waiting = Waiting({0: 7}, found)
        looking = asyncio.create_task(waiting.barriers.run())
        await asyncio.sleep(5 * LOOK_SECONDS)
        early = bool(waiting.sent)
        with worker(found, tmp_path):
            late = await until(lambda: waiting.sent == [(0, 7)])
        looking.cancel()
        return early, late

    assert asyncio.run(run()) == (False, True)


def test_only_partitions_where_something_waits_get_a_barrier() -> None:
    waiting = Waiting({0: 7, 1: None, 2: -1})
    asyncio.run(waiting.barriers.send(waiting.barriers.waiting()))
    assert waiting.sent == [(0, 7)]


def test_the_same_events_get_one_barrier() -> None:
    waiting = Waiting({0: 7})
    asyncio.run(waiting.barriers.send(waiting.barriers.waiting()))
    assert waiting.barriers.waiting() == {}
    waiting.last[0] = 9
    assert waiting.barriers.waiting() == {0: 9}
