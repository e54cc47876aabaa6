"""Barriers end the waiting of events whose request is unknown, each once."""

import asyncio

from workers.cases.route import barrier_of
from workers.configuration.settings import Settings
from workers.ledger.barriers import Barriers
from workers.state.rocksdb_store import StorageError


class Waiting:
    """What waits in the ledger's partitions, and the barriers that are written."""

    def __init__(self, last: dict[int, int | None]) -> None:
        self.last = last
        self.sent: list[tuple[int, int | None]] = []
        self.barriers = Barriers(Settings(), lambda: self.last, self._last, self._send)

    def _last(self, partition: int) -> int | None:
        found = self.last[partition]
        if found == -1:
            raise StorageError("gone")
        return found

    async def _send(self, partition: int, value: bytes) -> None:
        self.sent.append((partition, barrier_of(value)))


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
