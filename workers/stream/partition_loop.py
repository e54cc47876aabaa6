"""The loop that runs one partition's records through the handler."""

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
from workers.kafka.records import BatchReport, Handler, Instead, Lost, OutgoingRecord, Record
from workers.stream.faust_internals import Chunk, consumer_thread
from workers.stream.partition_output import OversizedError, PartitionOutput, Sender, UnevenTopicsError, opened_output

log = logging.getLogger(__name__)
events = structlog.get_logger(__name__)

EXIT_PROCESSOR_LOST = 70
"""The process's exit code when this worker must stop: start a new one, do not retry in the process."""

RHYTHM_S = 0.03  # the longest between the starts of two partial batches of a partition
_LATER_RHYTHM_S = 0.5  # always, at lower priority: each small batch costs the processor with priority
_STEADY = 8  # records in a batch of a steady stream; smaller batches wait less
_PULL_PAUSE_S = 0.005  # after a pull: fetching records one by one costs more than deciding them
_BUFFERED_BYTES = 8_000_000  # limit per partition and per batch, in bytes
_SETTLE_S = 3.0  # idle time before the last transaction is confirmed by another
_NARROWING = 8  # divides a batch that is too large for Kafka, to find the oversized record
_LOOK_AGAIN_S = 3.0  # between checks for a reset of an offset outside its log
_LONGEST_PAUSE_S = 15.0  # between two restarts of a partition
_DRAIN_S = 20.0  # for the batch in progress when a partition is revoked or the worker stops

FATAL_ERRORS = (
    ProducerFenced,
    InvalidProducerEpoch,
    TransactionalIdAuthorizationFailed,
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTopicError,
)
TRANSIENT_ERRORS = (KafkaError, OSError, TimeoutError)
"""Errors of the broker or the network that are not fatal."""


def _size(record: Record) -> int:
    """The approximate size of a record in bytes."""
    size = len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"")
    return size


class ProcessorLostError(SystemExit):
    """This worker must stop: another one fenced it, or retrying cannot help.

    A `SystemExit`, so that `faust worker`, which re-raises what crashed the app, exits with its code.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(EXIT_PROCESSOR_LOST)
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence

    __repr__ = __str__


class Progress(NamedTuple):
    """Whether a partition makes progress."""

    started: bool
    """Whether it has been taken over."""
    waiting_seconds: float
    """How long records have waited without one being processed; 0 if none waits."""
    silent_seconds: float
    """Since the broker's last response for the partition, with or without records."""
    held_seconds: float = 0.0
    """How long an open transaction has blocked reading; 0 if none does."""
    refused: bool = False
    """Whether the committed offset is outside the log; nothing is read until it is reset."""


class Owner(Sender, Protocol):
    """The part of a stream processor that a partition loop needs."""

    topic: str
    handler: Handler
    instead: Instead | None
    max_batch: int

    @property
    def room(self) -> int:
        """The number of records that a partition may buffer."""

    @property
    def turns(self) -> "Turns":
        """Limits the batches in progress."""

    @property
    def behind(self) -> "First | None":
        """The stream processor that has priority, if any."""

    async def give_up(self, sentence: str) -> None:
        """End the process: retrying cannot help."""


class Turns(Protocol):
    """Limits how many batches are in progress at once."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for a turn and hold it inside the context."""


class First(Protocol):
    """A stream processor with priority."""

    async def let_go_first(self) -> None:
        """Return when a batch of lower priority may start."""


class PartitionLoop:
    """One assigned partition: its buffered records and the loop that runs them through the handler."""

    def __init__(self, owner: Owner, partition: int, *, from_beginning: bool = False, new_log: bool = False) -> None:
        """Start at the committed offset, or at the beginning if it was committed for another log.

        In a new log, whose topic was recently recreated, that includes an offset outside the log.
        """
        self._from_beginning = from_beginning
        self._new_log = new_log
        self.began = monotonic()
        self._owner = owner
        self._tp = TopicPartition(owner.topic, partition)
        self._arrived: deque[Record] = deque()
        self._arrived_bytes = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._begun = 0.0
        self._size = 0
        self._failures = 0
        self._in_batch = False
        self._closing = False
        self._tried = (0, 0, 0)  # the batch in progress: its first and last offset, its number of records
        self._at_once = owner.max_batch  # records per batch, up to `_narrow_upto`
        self._narrow_upto = -1
        self._refused: dict[int, frozenset[str]] = {}  # the topics that refused an offset's answer as too large
        self._stage = "take_over"
        self._heard: tuple[int | None, float] = (None, monotonic())  # the broker's mark, and when it changed
        self._waiting_since: float | None = None
        self._held: tuple[int | None, float] = (None, monotonic())  # where an open transaction begins, and since when
        self._committed, self._note = 0, Note()
        self._read_to = 0
        self._no_longer_there: int | None = None  # an offset that was read from and then left the log
        self.open = False
        self._not_in_log = False
        self._task = asyncio.create_task(self._run(), name=f"partition {owner.topic}-{partition}")

    @property
    def waiting(self) -> int:
        """Records that have arrived and are not yet handled."""
        return len(self._arrived)

    @property
    def progress(self) -> Progress:
        """Whether the partition makes progress."""
        now = monotonic()
        waiting = now - self._waiting_since if self._waiting_since is not None else 0.0
        held = now - self._held[1] if self._held[0] is not None else 0.0
        return Progress(self.open, waiting, now - self._heard[1], held, self._not_in_log)

    async def close(self) -> None:
        """Finish the batch in progress, if possible, and start no other."""
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
                    await self._owner.give_up(f"{self}: {error}, however short: raise max.message.bytes there.")
                    return
            except FATAL_ERRORS as error:
                self._failed(error)
                await self._owner.give_up(f"{self}: {error!r}: this worker must not go on with the partition.")
                return
            except UnevenTopicsError as error:
                self._failed(error)
                await self._owner.give_up(f"{self}: {error}")
                return
            except TRANSIENT_ERRORS as error:
                self._failed(error)
                await self._wait_after(error)
            except Exception as error:
                self._failed(error)
                log.exception("%s: failed in a way that trying again cannot mend", self)
                await self._owner.give_up(f"{self}: stopped so that no record is skipped.")
                return

    def _failed(self, error: BaseException) -> None:
        self._owner.listener.failed(self._tp.partition, self._stage, error)
        self._stage = "take_over"

    def _narrowed(self, error: OversizedError) -> bool:
        """Retry with fewer records, or a short form of a single one. False if nothing smaller is possible."""
        first, last, records = self._tried
        if records > 1:
            self._at_once, self._narrow_upto = max(1, records // _NARROWING), last
            log.warning("%s: offsets %d to %d: %s: trying them in smaller batches", self, first, last, error)
            return True
        before = self._refused.get(first, frozenset())
        if self._owner.instead is None or error.topics <= before:
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
        """Take over the partition at its committed offset, then process batch after batch."""
        async with opened_output(self._owner, self._tp) as output:
            refused, lost = await self._take_over(output)
            if not refused:
                await self._run_batches(output, lost)
                return
        await self._until_reset()

    async def _run_batches(self, output: PartitionOutput, lost: Lost | None) -> None:
        start = self._committed if lost is None else lost.last + 1
        async with self._listening(start):
            if lost is not None:
                await self._skip_lost(output, lost)
            async with self._pulling_from(start) as puller:
                self.open = True
                self._heard = None, monotonic()
                self._stage = "receive"
                while not self._closing:
                    await self._for_a_batch(output, puller)
                    if self._closing:
                        break
                    async with self._owner.turns.turn():
                        # Closed during rebalances and table recovery.
                        await self._owner.app.flow_control.acquire()
                        await self._process(output, self._cut())

    async def _take_over(self, output: PartitionOutput) -> tuple[bool, Lost | None]:
        """Find the committed offset in the log: whether it is refused, and what was lost unread.

        An offset is refused if it is beyond the end, or if the record before it has changed: the log was cut, and new
        records reuse offsets that were already processed. It stays refused, across restarts, until another offset is
        set.
        """
        thread = consumer_thread(self._owner.app)
        if self._from_beginning:
            await output.deliver((), await thread.beginning(self._tp), "")
            self._from_beginning = False
        self._committed, committed = await thread.committed(self._tp)
        self._note = offset_metadata.read(committed)
        kept = await thread.kept(self._tp)
        # An offset that was reached and is not before the log's beginning was beyond its end, even if not any more.
        gone, self._no_longer_there = self._no_longer_there, None
        was_cut = gone is not None and kept.beginning <= gone <= self._committed
        cut = was_cut or self._committed > kept.end or not await self._is_same_record(kept.beginning)
        if self._new_log and (cut or self._note.refused is not None):
            self._new_log, self._from_beginning = False, True
            return await self._take_over(output)
        if cut and self._note.refused is None:
            self._note = self._note._replace(refused=kept.end)
            await output.deliver((), self._committed, str(self._note))
        self._not_in_log = self._note.refused is not None
        lost = Lost(self._committed, kept.beginning - 1) if self._committed < kept.beginning else None
        return self._not_in_log, lost

    async def _is_same_record(self, beginning: int) -> bool:
        """Whether the last record read is still at its offset; true if retention removed it."""
        mark = self._note.mark
        if mark is None or mark.offset < beginning:
            return True
        found = await consumer_thread(self._owner.app).record_at(self._tp, mark.offset)
        return found is not None and offset_metadata.mark(found) == mark

    async def _until_reset(self) -> None:
        """Read nothing until another offset is committed."""
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
        thread = consumer_thread(self._owner.app)
        stands = self._committed, str(self._note)
        while not self._closing and await thread.committed(self._tp) == stands:  # noqa: ASYNC110 (no event for it)
            await asyncio.sleep(_LOOK_AGAIN_S)
        self._not_in_log = False

    async def _skip_lost(self, output: PartitionOutput, lost: Lost) -> None:
        """Continue after the lost records, and report them, once only, when that is committed."""
        note = self._note._replace(text=self._owner.listener.passing_over(self._tp.partition, lost))
        await output.deliver((), lost.last + 1, str(note))
        self._committed, self._note = lost.last + 1, note
        self._owner.listener.passed_over(self._tp.partition, lost)
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
    async def _listening(self, start: int) -> AsyncIterator[None]:
        try:
            await self._owner.listener.assigned(self._tp.partition, start)
            self._owner.listener.resumed(self._tp.partition, self._committed, self._note.text)
            yield
        finally:
            self.open = False
            self._owner.listener.revoked(self._tp.partition)

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
            while (room := self._owner.room - len(self._arrived)) <= 0 or self._arrived_bytes >= _BUFFERED_BYTES:
                self._room.clear()
                await self._room.wait()
            found = await consumer_thread(self._owner.app).read_from(self._tp, wanted, room)
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

    async def _for_a_batch(self, output: PartitionOutput, puller: asyncio.Task[None]) -> None:
        """Wait until a batch is due."""
        quiet_until = monotonic() + _SETTLE_S
        while not self._arrived:
            if self._closing:  # set while it settled, which is allowed to finish
                return
            if puller.done():
                await self._raise_ended(output, puller)
            self._news.clear()
            open_end = output.unsettled or self._read_to > self._committed
            try:
                # Every response of the broker sets the event, with or without records. Not `wait_for`: before Python
                # 3.12 it swallows a cancellation that coincides with the event.
                async with asyncio.timeout(quiet_until - monotonic() if open_end else None):
                    await self._news.wait()
            except TimeoutError:
                # A process that stood still sees the pause end and records arrive in one moment.
                if not self._arrived:
                    await self._settle(output)
                quiet_until = monotonic() + _SETTLE_S
        if len(self._arrived) < self._owner.max_batch:
            # Records of a steady stream share transactions; isolated records hardly wait.
            pause = RHYTHM_S * min(1.0, self._size / _STEADY) if self._owner.behind is None else _LATER_RHYTHM_S
            await asyncio.sleep(self._begun + pause - perf_counter())
        if self._owner.behind is not None:
            await self._owner.behind.let_go_first()

    async def _raise_ended(self, output: PartitionOutput, puller: asyncio.Task[None]) -> None:
        """Raise the error that ended the pulling."""
        if isinstance(puller.exception(), OffsetOutOfRangeError):
            await self._settle(output)  # so that markers already read do not count as lost
            self._no_longer_there = self._read_to
        puller.result()

    async def _settle(self, output: PartitionOutput) -> None:
        """Confirm the last transaction, and commit the offset after trailing markers and aborted records.

        Retention may remove these before anything follows; they must not be taken for lost requests.
        """
        with self._busy():
            self._stage = "settle"
            # Reading goes on meanwhile. What has arrived is not handled: whoever comes next must find it.
            upto = self._arrived[0].offset if self._arrived else self._read_to
            if upto > self._committed:
                # Before the first record, there is no note yet; an offset without one looks as if it were set by hand.
                text = self._note.text or self._owner.listener.note(self._tp.partition, (), ())
                note = self._note._replace(text=text)
                await output.deliver((), upto, str(note))
                self._committed, self._note = upto, note
            elif output.unsettled:
                await output.settle()
            self._stage = "receive"

    def _cut(self) -> list[Record]:
        batch: list[Record] = []
        size = 0
        narrow = self._arrived[0].offset <= self._narrow_upto
        most = self._at_once if narrow else self._owner.max_batch
        while self._arrived and len(batch) < most and size < _BUFFERED_BYTES:
            batch.append(self._arrived.popleft())
            size += _size(batch[-1])
        self._arrived_bytes -= size
        self._room.set()
        return batch

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Work in here is allowed to finish when the partition is revoked."""
        self._in_batch = True
        try:
            yield
        finally:
            self._in_batch = False

    async def _process(self, output: PartitionOutput, records: list[Record]) -> None:
        with self._busy():
            self._size = len(records)
            begun = self._begun = perf_counter()
            self._stage = "remember"  # only a handler's local store may fail
            self._tried = records[0].offset, records[-1].offset, len(records)
            outputs = self._answers(records)
            handled = perf_counter()
            self._stage = "deliver"
            note = Note(
                self._owner.listener.note(self._tp.partition, records, outputs), offset_metadata.mark(records[-1])
            )
            ends = await output.deliver(outputs, records[-1].offset + 1, str(note))
            self._committed, self._note = records[-1].offset + 1, note
            delivered = perf_counter()
            self._failures = 0
            self._refused = {}
            self._waiting_since = monotonic() if self._arrived else None
            self._stage = "remember"
            self._owner.listener.after_commit(self._tp.partition, records, outputs, ends)
            self._owner.listener.on_batch(
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
        if refused is None or self._owner.instead is None:
            return self._owner.handler(records)
        return self._owner.instead(records[0], refused)

    def __str__(self) -> str:
        return f"{self._tp.topic}-{self._tp.partition}"
