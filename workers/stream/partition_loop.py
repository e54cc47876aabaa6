"""One partition: what has arrived, and the loop that takes it through the handler."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from time import monotonic, perf_counter
from typing import NamedTuple, Protocol

import structlog
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    InvalidTopicError,
    KafkaError,
    OffsetOutOfRangeError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.structs import TopicPartition

from workers.kafka import offset_metadata
from workers.kafka.client_lifetime import LEAVE_SECONDS
from workers.kafka.offset_metadata import Note
from workers.records import BatchReport, Handler, Instead, Lost, OutgoingRecord, Record
from workers.stream.faust_internals import Chunk, consumer_thread
from workers.stream.partition_output import OversizedError, PartitionOutput, Sender, UnevenTopicsError, courier

log = logging.getLogger(__name__)
events = structlog.get_logger(__name__)

EXIT_FEED_LOST = 70
"""The process's exit code when this worker must not go on: start a new one, do not retry inside."""

_BUFFERED_BATCHES = 2  # ready for the handler while the batch before them is on its way out
RHYTHM_S = 0.06  # the longest between the starts of two batches of a partition that are not full
_LATER_RHYTHM_S = 0.5  # the same, always, for a feed behind another: of its small batches each costs those it is behind
_STEADY = 8  # records in a batch that make it part of a steady stream; a smaller one is waited on for less
_PULL_PAUSE_S = 0.01  # after a pull: fetching record by record costs more than deciding them
_BUFFERED_BYTES = 8_000_000  # of a partition, and of one batch, however few records that is
_SETTLE_S = 3.0  # of quiet, after which the last transaction is confirmed by another one
_NARROWING = 8  # what a batch that Kafka took for too large is divided by, to find the record that is
_LOOK_AGAIN_S = 3.0  # whether somebody has set another offset, where the committed one lies nowhere in its log
_LONGEST_PAUSE_S = 15.0  # between two attempts to start a partition again
_DRAIN_S = 20.0  # for the batch in progress when a partition is taken away or the worker stops

FATAL_ERRORS = (
    ProducerFenced,
    InvalidProducerEpoch,
    TransactionalIdAuthorizationFailed,
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTopicError,
)
TRANSIENT_ERRORS = (KafkaError, OSError, TimeoutError)
"""All that is not fatal and comes from the broker or the way there."""


def _size(record: Record) -> int:
    """About as many bytes as a record holds."""
    size = len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"")
    return size


class FeedLost(SystemExit):
    """This worker must not go on: another one fenced it, or trying again cannot help.

    A `SystemExit`, so that `faust worker`, which raises again whatever crashed the app, ends with its code.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(EXIT_FEED_LOST)
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence

    __repr__ = __str__


class Progress(NamedTuple):
    """How far a partition's work is from standing still."""

    started: bool
    """Whether it has been taken over."""
    waiting_seconds: float
    """For how long records have been here of which none was done; 0 where none waits."""
    silent_seconds: float
    """Since the broker last answered for the partition, with records or without."""
    held_seconds: float = 0.0
    """For how long one open transaction has kept from being read what is behind it; 0 where none does."""
    refused: bool = False
    """Whether the committed offset lies nowhere in the log, so that nothing is read before another is set."""


class Owner(Sender, Protocol):
    """Whose partition it is: as much of a feed as a lane needs."""

    topic: str
    handler: Handler
    instead: Instead | None
    max_batch: int

    @property
    def turns(self) -> "Turns":
        """Whose batch is under way."""

    @property
    def behind(self) -> "First | None":
        """The feed that goes first, if there is one."""

    async def give_up(self, sentence: str) -> None:
        """End the process: whatever is wrong, trying again cannot help."""


class Turns(Protocol):
    """Lets a few batches be under way at once."""

    def one(self) -> AbstractAsyncContextManager[None]:
        """Wait for a turn, and have it while this holds."""


class First(Protocol):
    """A feed that goes first."""

    async def let_go_first(self) -> None:
        """Return when a batch of a feed behind it may start."""


class PartitionLoop:
    """One assigned partition: what has arrived, and the loop that takes it through the handler."""

    def __init__(self, owner: Owner, partition: int, *, from_beginning: bool = False, new_log: bool = False) -> None:
        """Start where the committed offset says, or at the beginning where that was committed for another log.

        In a new log, whose topic was created again lately, an offset that it does not have is such a one too.
        """
        self._from_beginning = from_beginning
        self._new_log = new_log
        self.began = monotonic()
        self._feed = owner
        self._tp = TopicPartition(owner.topic, partition)
        self._arrived: deque[Record] = deque()
        self._arrived_bytes = 0
        self._room_for = owner.max_batch * _BUFFERED_BATCHES
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._begun = 0.0
        self._size = 0
        self._failures = 0
        self._in_batch = False
        self._closing = False
        self._tried = (0, 0, 0)  # the batch in progress: its first offset, its last one, its records
        self._at_once = owner.max_batch  # of records, up to the offset behind which nothing was refused
        self._narrow_upto = -1
        self._refused: dict[int, frozenset[str]] = {}  # the topics that take no answer of its size, for an offset
        self._stage = "take_over"
        self._heard: tuple[int | None, float] = (None, monotonic())  # the broker's mark, and when it was new
        self._waiting_since: float | None = None
        self._held: tuple[int | None, float] = (None, monotonic())  # where an open transaction begins, and since when
        self._committed, self._note = 0, Note()
        self._read_to = 0
        self._no_longer_there: int | None = None  # an offset that was read from, and then lay nowhere in the log
        self.open = False
        self._not_in_log = False
        self._task = asyncio.create_task(self._run(), name=f"feed {owner.topic}-{partition}")

    @property
    def waiting(self) -> int:
        """Records that have arrived and are not handled yet."""
        return len(self._arrived)

    @property
    def progress(self) -> Progress:
        """How far its work is from standing still."""
        now = monotonic()
        waiting = now - self._waiting_since if self._waiting_since is not None else 0.0
        held = now - self._held[1] if self._held[0] is not None else 0.0
        return Progress(self.open, waiting, now - self._heard[1], held, self._not_in_log)

    async def close(self) -> None:
        """Let the batch in progress end, if it can, and take no other."""
        self._closing = True
        if not self._in_batch:
            self._task.cancel()
        _, late = await asyncio.wait({self._task}, timeout=_DRAIN_S)
        if late:
            log.warning("%s: the batch in progress did not end in %s s, and is void", self, _DRAIN_S)
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=2 * LEAVE_SECONDS)

    async def _run(self) -> None:
        while not self._closing:
            try:
                await self._serve()
            except OversizedError as error:
                self._failed(error)
                if not self._narrowed(error):
                    await self._feed.give_up(f"{self}: {error}, however short: raise max.message.bytes there.")
                    return
            except FATAL_ERRORS as error:
                self._failed(error)
                await self._feed.give_up(f"{self}: {error!r}: this worker must not go on with the partition.")
                return
            except UnevenTopicsError as error:
                self._failed(error)
                await self._feed.give_up(f"{self}: {error}")
                return
            except TRANSIENT_ERRORS as error:
                self._failed(error)
                await self._wait_after(error)
            except Exception as error:
                self._failed(error)
                log.exception("%s: failed in a way that trying again cannot mend", self)
                await self._feed.give_up(f"{self}: stopped so that no record is skipped.")
                return

    def _failed(self, error: BaseException) -> None:
        self._feed.companion.failed(self._tp.partition, self._stage, error)
        self._stage = "take_over"

    def _narrowed(self, error: OversizedError) -> bool:
        """Try again with less: fewer records, and of a single one its short form. False where there is nothing less."""
        first, last, records = self._tried
        if records > 1:
            self._at_once, self._narrow_upto = max(1, records // _NARROWING), last
            log.warning("%s: offsets %d to %d: %s: trying them in smaller batches", self, first, last, error)
            return True
        before = self._refused.get(first, frozenset())
        if self._feed.instead is None or error.topics <= before:
            return False
        self._refused = {first: before | error.topics}
        log.error("%s: offset %d: %s: something short is sent in its place", self, first, error)
        return True

    async def _wait_after(self, error: BaseException) -> None:
        pause = min(_LONGEST_PAUSE_S, 0.25 * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        log.warning("%s: %r: starting the partition again in %.1f s", self, error, pause)
        if not self._closing:
            await asyncio.sleep(pause)

    async def _serve(self) -> None:
        """Take over the partition where its committed offset says, then batch after batch."""
        async with courier(self._feed, self._tp) as carrier:
            refused, lost = await self._placed(carrier)
            if not refused:
                await self._go_on(carrier, lost)
                return
        await self._until_set_anew()

    async def _go_on(self, carrier: PartitionOutput, lost: Lost | None) -> None:
        start = self._committed if lost is None else lost.last + 1
        async with self._companion(start):
            if lost is not None:
                await self._pass_over(carrier, lost)
            async with self._pulling_from(start) as puller:
                self.open = True
                self._heard = None, monotonic()
                self._stage = "receive"
                while not self._closing:
                    await self._for_a_batch(carrier, puller)
                    if self._closing:
                        break
                    async with self._feed.turns.one():
                        # Closed while partitions move and while tables recover.
                        await self._feed.app.flow_control.acquire()
                        await self._take_through(carrier, self._cut())

    async def _placed(self, carrier: PartitionOutput) -> tuple[bool, Lost | None]:
        """Find the committed offset in the log: whether it is refused, and what was lost before anybody read it.

        Refused is an offset beyond the end, and one whose last record is another one now: the log was cut, and what
        has been written since stands at offsets that were passed already. It stays refused, over restarts and however
        long the log grows, until another offset is set.
        """
        thread = consumer_thread(self._feed.app)
        if self._from_beginning:
            await carrier.deliver((), await thread.beginning(self._tp), "")
            self._from_beginning = False
        self._committed, committed = await thread.committed(self._tp)
        self._note = offset_metadata.read(committed)
        kept = await thread.kept(self._tp)
        # One that was reached, and is not behind the log's beginning, was beyond its end, however long it is by now.
        gone, self._no_longer_there = self._no_longer_there, None
        was_cut = gone is not None and kept.beginning <= gone <= self._committed
        cut = was_cut or self._committed > kept.end or not await self._is_the_same(kept.beginning)
        if self._new_log and (cut or self._note.refused is not None):
            self._new_log, self._from_beginning = False, True
            return await self._placed(carrier)
        if cut and self._note.refused is None:
            self._note = self._note._replace(refused=kept.end)
            await carrier.deliver((), self._committed, str(self._note))
        self._not_in_log = self._note.refused is not None
        lost = Lost(self._committed, kept.beginning - 1) if self._committed < kept.beginning else None
        return self._not_in_log, lost

    async def _is_the_same(self, beginning: int) -> bool:
        """Whether the last record that was read still stands where it stood; true of one that nobody keeps any more."""
        mark = self._note.mark
        if mark is None or mark.offset < beginning:
            return True
        found = await consumer_thread(self._feed.app).record_at(self._tp, mark.offset)
        return found is not None and offset_metadata.mark(found) == mark

    async def _until_set_anew(self) -> None:
        """Wait with the partition, and read nothing, until another offset is committed."""
        events.error(
            "offset_not_in_log",
            topic=self._tp.topic,
            partition=self._tp.partition,
            committed=self._committed,
            end_when_found=self._note.refused,
            do="the log was cut, or the offset was set wrongly: nothing of this partition is read until its offset is "
            f"set by `dli reset-offset {self._tp.topic} {self._tp.partition} --to earliest --execute`; the worker then "
            "goes on by itself",
        )
        thread = consumer_thread(self._feed.app)
        stands = self._committed, str(self._note)
        while not self._closing and await thread.committed(self._tp) == stands:  # noqa: ASYNC110 (Kafka tells nobody)
            await asyncio.sleep(_LOOK_AGAIN_S)
        self._not_in_log = False

    async def _pass_over(self, carrier: PartitionOutput, lost: Lost) -> None:
        """Go on behind what was lost, and tell of it once that is committed: so nothing is told of twice."""
        note = self._note._replace(text=self._feed.companion.passing_over(self._tp.partition, lost))
        await carrier.deliver((), lost.last + 1, str(note))
        self._committed, self._note = lost.last + 1, note
        self._feed.companion.passed_over(self._tp.partition, lost)
        events.error(
            "records_lost",
            topic=self._tp.topic,
            partition=self._tp.partition,
            first=lost.first,
            last=lost.last,
            count=lost.count,
            why="the broker removed them before they were read (retention, or somebody deleted records)",
        )

    @asynccontextmanager
    async def _companion(self, start: int) -> AsyncIterator[None]:
        try:
            await self._feed.companion.assigned(self._tp.partition, start)
            self._feed.companion.resumed(self._tp.partition, self._committed, self._note.text)
            yield
        finally:
            self.open = False
            self._feed.companion.revoked(self._tp.partition)

    @asynccontextmanager
    async def _pulling_from(self, start: int) -> AsyncIterator[asyncio.Task[None]]:
        self._arrived.clear()
        self._arrived_bytes = 0
        self._read_to = start
        puller = asyncio.create_task(self._pull_from(start), name=f"pull {self}")
        puller.add_done_callback(lambda _: self._news.set())
        try:
            yield puller
        finally:
            puller.cancel()
            await asyncio.wait({puller}, timeout=LEAVE_SECONDS)

    async def _pull_from(self, wanted: int) -> None:
        while True:
            while len(self._arrived) >= self._room_for or self._arrived_bytes >= _BUFFERED_BYTES:
                self._room.clear()
                await self._room.wait()
            room = self._room_for - len(self._arrived)
            found = await consumer_thread(self._feed.app).read_from(self._tp, wanted, room)
            self._read_to = wanted = found.wanted
            self._arrived.extend(found.records)
            self._note_arrival(found)
            self._arrived_bytes += sum(map(_size, found.records))
            self._news.set()
            if len(found.records) < room:
                await asyncio.sleep(_PULL_PAUSE_S)

    def _note_arrival(self, found: Chunk) -> None:
        now = monotonic()
        if found.mark != self._heard[0]:
            self._heard = found.mark, now
        if found.held_at != self._held[0]:
            self._held = found.held_at, now
        if not self._arrived and not self._in_batch:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now

    async def _for_a_batch(self, carrier: PartitionOutput, puller: asyncio.Task[None]) -> None:
        """Wait until there is one, and until it is to be taken."""
        quiet_until = monotonic() + _SETTLE_S
        while not self._arrived:
            if self._closing:  # told so while it settled, which is let end
                return
            if puller.done():
                await self._ended(carrier, puller)
            self._news.clear()
            open_end = carrier.unsettled or self._read_to > self._committed
            try:
                # Every answer of the broker is news, with records or without.
                # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes together with news.
                async with asyncio.timeout(quiet_until - monotonic() if open_end else None):
                    await self._news.wait()
            except TimeoutError:
                await self._settle(carrier)
                quiet_until = monotonic() + _SETTLE_S
        if len(self._arrived) < self._feed.max_batch:
            # A steady stream shares transactions; a trickle, or a record after a quiet moment, hardly waits.
            pause = RHYTHM_S * min(1.0, self._size / _STEADY) if self._feed.behind is None else _LATER_RHYTHM_S
            await asyncio.sleep(self._begun + pause - perf_counter())
        if self._feed.behind is not None:
            await self._feed.behind.let_go_first()

    async def _ended(self, carrier: PartitionOutput, puller: asyncio.Task[None]) -> None:
        """Raise what ended the pulling: it ends the serving too."""
        if isinstance(puller.exception(), OffsetOutOfRangeError):
            await self._settle(carrier)  # so that markers which were read count for no loss
            self._no_longer_there = self._read_to
        puller.result()

    async def _settle(self, carrier: PartitionOutput) -> None:
        """Confirm the last transaction; and commit that what is behind the last record is none: markers, or aborted.

        Retention may remove these before anything follows, and they must not be taken for requests that were lost.
        """
        with self._busy():
            self._stage = "settle"
            if self._read_to > self._committed:
                await carrier.deliver((), self._read_to, str(self._note))
                self._committed = self._read_to
            elif carrier.unsettled:
                await carrier.settle()
            self._stage = "receive"

    def _cut(self) -> list[Record]:
        batch: list[Record] = []
        size = 0
        narrow = self._arrived[0].offset <= self._narrow_upto
        most = self._at_once if narrow else self._feed.max_batch
        while self._arrived and len(batch) < most and size < _BUFFERED_BYTES:
            batch.append(self._arrived.popleft())
            size += _size(batch[-1])
        self._arrived_bytes -= size
        self._room.set()
        return batch

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """What runs in here is let end when the partition is taken away."""
        self._in_batch = True
        try:
            yield
        finally:
            self._in_batch = False

    async def _take_through(self, carrier: PartitionOutput, records: list[Record]) -> None:
        with self._busy():
            self._size = len(records)
            begun = self._begun = perf_counter()
            self._stage = "remember"  # all that a handler may fail with is what it remembers
            self._tried = records[0].offset, records[-1].offset, len(records)
            outputs = self._answers(records)
            handled = perf_counter()
            self._stage = "deliver"
            note = Note(
                self._feed.companion.note(self._tp.partition, records, outputs), offset_metadata.mark(records[-1])
            )
            ends = await carrier.deliver(outputs, records[-1].offset + 1, str(note))
            self._committed, self._note = records[-1].offset + 1, note
            delivered = perf_counter()
            self._failures = 0
            self._refused = {}
            self._waiting_since = monotonic() if self._arrived else None
            self._stage = "remember"
            self._feed.companion.after_commit(self._tp.partition, records, outputs, ends)
            self._feed.companion.on_batch(
                BatchReport(
                    topic=self._tp.topic,
                    partition=self._tp.partition,
                    first_offset=records[0].offset,
                    last_offset=records[-1].offset,
                    records=len(records),
                    outputs=len(outputs),
                    oldest_timestamp=records[0].timestamp,
                    handler_seconds=handled - begun,
                    delivery_seconds=delivered - handled,
                )
            )
            self._stage = "receive"

    def _answers(self, records: list[Record]) -> Sequence[OutgoingRecord]:
        refused = self._refused.get(records[0].offset) if len(records) == 1 else None
        if refused is None or self._feed.instead is None:
            return self._feed.handler(records)
        return self._feed.instead(records[0], refused)

    def __str__(self) -> str:
        return f"{self._tp.topic}-{self._tp.partition}"
