"""Lets time pass for cases: writes a record into a partition of case events when a case there is due.

Time reaches a case as a record, in one order with everything else; when it is, the broker's clock says, which dates the
record. So a clock that is ahead announces nothing too early, two workers that both write announce nothing twice, and
a verdict that was published before the deadline stops the clock first, if it comes late: the record is written when
the workers have read what was there. That wait is bounded; a deadline must not pass in silence.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable

import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError

from events.case_event import TimePassed, packed
from events.topics import CASE_EVENTS, DECISIONS, LEDGER, LINKS, REQUESTS, VERDICTS
from workers.configuration.settings import Settings
from workers.kafka.group_progress import has_read
from workers.state.rocksdb_store import StorageError

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often the cases are looked at."""
AGAIN_SECONDS = 5.0
"""How soon a partition gets another record, if a case is still due there: the first is on its way."""
PATIENCE_SECONDS = 60.0
"""How long a deadline waits for workers that are behind."""
STAGES = ((REQUESTS, VERDICTS), (DECISIONS,), (LINKS,), (CASE_EVENTS,), (LEDGER,))
"""The way of what may stop a clock: requests and verdicts, links, and what a case tells another."""

SENDING_ERRORS = (KafkaError, ProducerSendError, OSError)
"""A record could not be written; it is tried again."""

Send = Callable[[int, bytes], Awaitable[None]]
"""Writes a value into a partition of case events."""


class PassingOfTime:
    """Writes the passing of time for this worker's partitions."""

    def __init__(
        self,
        settings: Settings,
        partitions: Callable[[], Collection[int]],
        next_due: Callable[[int], int | None],
        send: Send,
        clock: Callable[[], float] = time.time,
        pace: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at the cases of `partitions`, which `next_due` gives in milliseconds since the epoch.

        `clock` says what is due; it may jump. `pace` never does: what was sent while the clock was ahead must not delay
        what is due when it is right again.
        """
        self._settings = settings
        self._partitions = partitions
        self._next_due = next_due
        self._send = send
        self._clock = clock
        self._pace = pace
        self._sent: dict[int, float] = {}

    async def run(self) -> None:
        """Look again and again until the worker ends."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            due = self.due()
            if due:
                await self._settle()
                try:
                    await self.send(due)
                except SENDING_ERRORS as error:
                    log.warning("time_not_written", error=type(error).__name__)

    def due(self) -> list[int]:
        """The partitions with a case that is due now."""
        now, paced = self._clock(), self._pace()
        return [
            partition
            for partition in list(self._partitions())
            if paced - self._sent.get(partition, -AGAIN_SECONDS) >= AGAIN_SECONDS and self._is_due(partition, now)
        ]

    def _is_due(self, partition: int, now: float) -> bool:
        try:
            moment = self._next_due(partition)
        except (StorageError, KeyError):  # the partition has just been taken away
            return False
        return moment is not None and moment <= now * 1000

    async def _settle(self) -> None:
        """Wait until the workers have read what was there, or for as long as a deadline may wait."""
        if not await has_read(self._settings, STAGES, PATIENCE_SECONDS):
            log.warning("deadlines_announced_behind", waited_seconds=PATIENCE_SECONDS)

    async def send(self, partitions: Iterable[int]) -> None:
        """Write a record into each partition."""
        for partition in partitions:
            self._sent[partition] = self._pace()
            await self._send(partition, packed(TimePassed()))
