"""Ends the waiting of events whose request is unknown: writes a barrier when requests and decisions are read.

An event waits in the ledger's partition until the decision on its request is known. When all requests that were
published before a moment after it are decided, and all decisions have their pointers, its request is unknown, and a
barrier says so. Requests count too: a cancellation may be decided long before the request that it cancels, whose
partition is behind.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from events.topics import DECISIONS, REQUESTS
from workers.cases.passing_of_time import SENDING_ERRORS
from workers.cases.route import barrier
from workers.configuration.settings import Settings
from workers.kafka.group_progress import has_read
from workers.state.rocksdb_store import StorageError

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often it is looked for events that wait."""
STAGES = ((REQUESTS,), (DECISIONS,))
"""What must be read, one after the other."""
PATIENCE_SECONDS = 600.0
"""How long one wait for that takes at most; another follows, up to the ends of then."""

Send = Callable[[int, bytes], Awaitable[None]]
"""Writes a value into a partition of the ledger."""


class Barriers:
    """Writes the barriers of this worker's partitions."""

    def __init__(
        self,
        settings: Settings,
        partitions: Callable[[], Collection[int]],
        last_waiting: Callable[[int], int | None],
        send: Send,
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._last_waiting = last_waiting
        self._send = send
        self._ended: dict[int, int] = {}

    async def run(self) -> None:
        """Look again and again until the worker ends."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            waiting = self.waiting()
            if waiting and await has_read(self._settings, STAGES, PATIENCE_SECONDS):
                try:
                    await self.send(waiting)
                except SENDING_ERRORS as error:
                    log.warning("barrier_not_written", error=type(error).__name__)

    def waiting(self) -> dict[int, int]:
        """The offset of the last event that waits, by partition; without those that a barrier has ended already."""
        found = {partition: self._last(partition) for partition in list(self._partitions())}
        return {
            partition: last
            for partition, last in found.items()
            if last is not None and last > self._ended.get(partition, -1)
        }

    def _last(self, partition: int) -> int | None:
        try:
            return self._last_waiting(partition)
        except (StorageError, KeyError):  # the partition has just been taken away
            return None

    async def send(self, waiting: dict[int, int]) -> None:
        """Write a barrier into each partition."""
        for partition, last in waiting.items():
            await self._send(partition, barrier(last))
            self._ended[partition] = last
