"""The feed: how records reach a handler, and how its results leave together with the offsets.

Stock Faust hands an agent one event at a time, sends each result by itself, and its own "exactly once"
leaves results for other topics outside the transaction. The feed takes over one topic of a Faust app.
Faust still subscribes, balances the group, recovers tables and runs the agents of every other topic; for
the partitions of this topic the feed

1. pulls whole chunks from the consumer that Faust manages, on that consumer's own thread;
2. gives them to a plain function: records of one partition, in offset order;
3. sends all that the function returned in large batches and, in one Kafka transaction with them,
   the offset behind the last record (`Delivery.EXACTLY_ONCE`), or commits that offset once every send is
   acknowledged (`Delivery.AT_LEAST_ONCE`).

Why nothing is lost and, exactly once, nothing doubled, whatever Faust and the group do meanwhile:

* Each partition has a transactional id of its own. Starting its producer fences every earlier one and waits
  until their transactions have ended. Only then is the committed offset read, and work starts exactly there.
* The feed says which offset it wants next. Where the consumer stands elsewhere (a rebalance, a seek by
  Faust, an answer lost on the way) it is put back: no chunk is skipped, none is taken twice.
* A transaction that failed is not repaired. Its producer is thrown away, and the partition starts again as
  after a takeover.
* A commit that was acknowledged may still come undone: see `_TransactionalCourier`.

Failures come in two kinds. A broker that is away, a rebalance, a lost producer id: wait, and start the
partition again, forever. A producer fenced by another worker, a right that is missing, a bug in the handler:
trying again cannot help, so the process ends with `EXIT_FEED_LOST` for its supervisor to see.

This is the only module that touches parts of Faust and aiokafka that they do not promise to keep.
`check_assumptions` lists each with its reason, and refuses to start where one has changed.
"""

import asyncio
import inspect
import logging
import os
import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from time import monotonic, perf_counter
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, cast

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from aiokafka.producer.sender import Sender
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, TopicPartition
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.consumer import RecordMap, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.threads import ServiceThread
from mode.worker import Worker
from yarl import URL

from workers.records import BatchReport, Companion, Delivery, Handler, Outgoing, Placing, Record

T = TypeVar("T")

log = logging.getLogger(__name__)

EXIT_FEED_LOST = 70
"""The process's exit code when this worker must not go on: start a new one, do not retry inside."""

MAX_BATCH = 1_000
"""Records in one call of the handler and one transaction: half of it cost a fifth of the speed."""

BATCH_BYTES = 1_048_000
"""Bytes of one produce batch: just below the 1 MiB that a broker accepts unless told otherwise."""

_BUFFERED_BATCHES = 2  # ready for the handler while the batch before them is on its way out
_RHYTHM_S = 0.03  # the longest between the starts of two batches of a partition that are not full
_STEADY = 8  # records in a batch that make it part of a steady stream; a smaller one is waited on for less
_PULL_PAUSE_S = 0.01  # after a pull: fetching record by record costs more than deciding them
_GIVE_WAY_S = 0.2  # the longest a batch waits for those that go first
_BUFFERED_BYTES = 8_000_000  # of a partition, and of one batch, however few records that is
_POLL_MS = 1_000  # how long one pull waits for records; any record ends it at once
_FETCH_WAIT_MS = 250  # the longest a partition waits behind a fetch of quiet partitions of its broker
_SETTLE_S = 3.0  # of quiet, after which the last transaction is confirmed by another one
_RETRY_MS = 50  # aiokafka's pause before it repeats a request; its default of 100 shows in the latency
_METADATA_PAUSE_S = 0.2  # between two questions for a partition's leader
_LONGEST_PAUSE_S = 15.0  # between two attempts to start a partition again
_DRAIN_S = 20.0  # for the batch in progress when a partition is taken away or the worker stops
_CLOSE_S = 5.0  # for a producer to close: without its broker aiokafka would wait forever
_LAST_CALL_S = 30.0  # for an orderly stop after a fatal failure, then the process ends anyway

FATAL_ERRORS = (
    ProducerFenced,
    InvalidProducerEpoch,
    TransactionalIdAuthorizationFailed,
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
TRANSIENT_ERRORS = (KafkaError, OSError, TimeoutError)
"""All that is not fatal and comes from the broker or the way there."""


class AssumptionError(RuntimeError):
    """Faust or aiokafka changed where the feed leans on them."""


class Progress(NamedTuple):
    """How far a partition's work is from standing still."""

    started: bool
    """Whether it has been taken over."""
    waiting_seconds: float
    """For how long records have been here of which none was done; 0 where none waits."""
    silent_seconds: float
    """Since the broker last answered for the partition, with records or without."""


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


def app_settings() -> dict[str, Any]:
    """The Faust settings a fed app needs, in either mode of delivery."""
    return {
        # Faust's own transactions stay off: they miss results for other topics, and break tables when
        # partitions move.
        "processing_guarantee": "at_least_once",
        # Waiting for unacknowledged events at a rebalance writes every one of them to the log.
        "stream_wait_empty": False,
        # A group without offsets has decided nothing yet.
        "consumer_auto_offset_reset": "earliest",
        "producer_acks": -1,
        "producer_max_batch_size": BATCH_BYTES,
        # Nobody elects a leader here, so no topic is needed for it.
        "topic_disable_leader": True,
    }


def feed(
    app: faust.App,
    topic: faust.TopicT,
    handler: Handler,
    *,
    outputs: Iterable[str],
    delivery: Delivery = Delivery.EXACTLY_ONCE,
    max_batch: int = MAX_BATCH,
    companion: Companion | None = None,
    place: Placing | None = None,
    behind: "Feed | None" = None,
) -> "Feed":
    """Give every record of the topic to the handler, and deliver what it returns.

    The handler is a plain function that raises for no record, however malformed; if it raises all the same,
    the worker stops rather than skip a record. Call this where agents are declared, before the app starts.

    `outputs` names every topic that the handler sends to. Results for a topic with as many partitions as this one
    go to the partition their record came from: both are keyed alike, and whoever rebuilds a partition's state finds
    all of it in one place. Results for other topics are placed by their key as Kafka's own clients do. With `place`,
    that says where all go.

    An app may have several feeds, each of a topic of its own. One that is `behind` another lets that one's
    records go first: while a whole batch of them waits, all that are behind it together start a batch only
    every 0.2 seconds. So they never stop, and never take more than a small share of the worker.
    """
    check_assumptions()
    topics = frozenset(outputs)
    return Feed(app, topic, handler, topics, delivery, max_batch, companion or Companion(), place, behind)


class Feed:
    """One topic's way through a handler. Made by `feed`."""

    def __init__(
        self,
        app: faust.App,
        topic: faust.TopicT,
        handler: Handler,
        outputs: frozenset[str],
        delivery: Delivery,
        max_batch: int,
        companion: Companion,
        place: Placing | None,
        behind: "Feed | None",
    ) -> None:
        (self.topic,) = topic.topics
        self.app = app
        self.handler = handler
        self.outputs = outputs
        self.delivery = delivery
        self.max_batch = max_batch
        self.companion = companion
        self.place = place
        self.behind = behind
        self._turn = asyncio.Lock()
        self._lanes: dict[int, _Lane] = {}
        self._attach(topic)

    @property
    def partitions(self) -> dict[int, bool]:
        """The partitions that are assigned, and whether each has started handling records."""
        return {partition: lane.open for partition, lane in self._lanes.items()}

    async def let_go_first(self) -> None:
        """Return when a batch of a feed behind this one may start: no batch waits here, or long enough did."""
        async with self._turn:
            until = perf_counter() + _GIVE_WAY_S
            while self._backlogged() and perf_counter() < until:  # noqa: ASYNC110 - no one event says so of all lanes
                await asyncio.sleep(_RHYTHM_S)

    def _backlogged(self) -> bool:
        return sum(lane.waiting for lane in self._lanes.values()) >= self.max_batch

    @property
    def progress(self) -> dict[int, Progress]:
        """The partitions that are assigned, and how each gets on."""
        return {partition: lane.progress for partition, lane in self._lanes.items()}

    @property
    def thread(self) -> "_Thread":
        """The thread of the consumer Faust manages; a restart of the app brings another."""
        consumer = cast("_Consumer", self.app.consumer)
        return consumer.thread

    def _attach(self, topic: faust.TopicT) -> None:
        app = self.app
        if not isinstance(app.transport, _Transport):
            app.transport = _Transport(app.conf.broker_consumer, app)
        app.transport.fed_topics.add(self.topic)
        # Faust must neither commit for this topic nor report its streams as stuck.
        topic.acks = False
        app.topics.add(topic)
        # Each is awaited: a rebalance, or the end of the worker, waits for the batch in progress.
        app.on_partitions_assigned.connect(self._on_assigned)  # type: ignore[arg-type]
        app.on_partitions_revoked.connect(self._on_revoked)  # type: ignore[arg-type]
        app.on_before_shutdown.connect(self._on_shutdown)

    async def _on_assigned(self, _app: object, assigned: Iterable[TP], **_: object) -> None:
        # Also a partition that stays with this worker starts again: another may have had it in between.
        await self._close_lanes(list(self._lanes))
        for tp in assigned:
            if tp.topic == self.topic:
                self._lanes[tp.partition] = _Lane(self, tp.partition)

    async def _on_revoked(self, _app: object, revoked: Iterable[TP], **_: object) -> None:
        await self._close_lanes([tp.partition for tp in revoked if tp.topic == self.topic])

    async def _on_shutdown(self, *_: object, **__: object) -> None:
        await self._close_lanes(list(self._lanes))

    async def _close_lanes(self, partitions: Iterable[int]) -> None:
        lanes = [self._lanes.pop(partition) for partition in partitions if partition in self._lanes]
        await asyncio.gather(*(lane.close() for lane in lanes))

    async def give_up(self, sentence: str) -> None:
        """End the process: whatever is wrong, trying again cannot help."""
        log.critical("%s", sentence)
        if self.app.crashed:
            return
        if self.app.in_worker:
            last_call = threading.Timer(_LAST_CALL_S, os._exit, (EXIT_FEED_LOST,))
            last_call.daemon = True
            last_call.start()
        await self.app.crash(FeedLost(sentence))


class _Lane:
    """One assigned partition: what has arrived, and the loop that takes it through the handler."""

    def __init__(self, owner: Feed, partition: int) -> None:
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
        self._stage = "take_over"
        self._heard: tuple[int | None, float] = (None, monotonic())  # the broker's mark, and when it was new
        self._waiting_since: float | None = None
        self.open = False
        self._task = asyncio.create_task(self._run(), name=f"feed {owner.topic}-{partition}")

    @property
    def waiting(self) -> int:
        """Records that have arrived and are not handled yet."""
        return len(self._arrived)

    @property
    def progress(self) -> Progress:
        now = monotonic()
        waiting = now - self._waiting_since if self._waiting_since is not None else 0.0
        return Progress(self.open, waiting, now - self._heard[1])

    async def close(self) -> None:
        """Let the batch in progress end, if it can, and take no other."""
        self._closing = True
        if not self._in_batch:
            self._task.cancel()
        _, late = await asyncio.wait({self._task}, timeout=_DRAIN_S)
        if late:
            log.warning("%s: the batch in progress did not end in %s s, and is void", self, _DRAIN_S)
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=2 * _CLOSE_S)

    async def _run(self) -> None:
        while not self._closing:
            try:
                await self._serve()
            except FATAL_ERRORS as error:
                self._failed(error)
                await self._feed.give_up(f"{self}: {error!r}: this worker must not go on with the partition.")
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

    async def _wait_after(self, error: BaseException) -> None:
        pause = min(_LONGEST_PAUSE_S, 0.25 * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        log.warning("%s: %r: starting the partition again in %.1f s", self, error, pause)
        if not self._closing:
            await asyncio.sleep(pause)

    async def _serve(self) -> None:
        """Take over the partition where its committed offset says, then batch after batch."""
        async with _courier(self._feed, self._tp) as courier:
            start, note = await self._feed.thread.committed(self._tp)
            async with self._companion(start, note), self._pulling_from(start) as puller:
                self.open = True
                self._heard = None, monotonic()
                self._stage = "receive"
                while not self._closing:
                    await self._take_through(courier, await self._next_batch(courier, puller))

    @asynccontextmanager
    async def _companion(self, start: int, note: str) -> AsyncIterator[None]:
        try:
            await self._feed.companion.assigned(self._tp.partition, start)
            self._feed.companion.resumed(self._tp.partition, start, note)
            yield
        finally:
            self.open = False
            self._feed.companion.revoked(self._tp.partition)

    @asynccontextmanager
    async def _pulling_from(self, start: int) -> AsyncIterator[asyncio.Task[None]]:
        self._arrived.clear()
        self._arrived_bytes = 0
        puller = asyncio.create_task(self._pull_from(start), name=f"pull {self}")
        puller.add_done_callback(lambda _: self._news.set())
        try:
            yield puller
        finally:
            puller.cancel()
            await asyncio.wait({puller}, timeout=_CLOSE_S)

    async def _pull_from(self, wanted: int) -> None:
        while True:
            while len(self._arrived) >= self._room_for or self._arrived_bytes >= _BUFFERED_BYTES:
                self._room.clear()
                await self._room.wait()
            room = self._room_for - len(self._arrived)
            records, wanted, mark = await self._feed.thread.read_from(self._tp, wanted, room)
            self._arrived.extend(records)
            self._note_arrival(mark)
            self._arrived_bytes += sum(len(record.value or b"") for record in records)
            self._news.set()
            if len(records) < room:
                await asyncio.sleep(_PULL_PAUSE_S)

    def _note_arrival(self, mark: int | None) -> None:
        now = monotonic()
        if mark != self._heard[0]:
            self._heard = mark, now
        if not self._arrived and not self._in_batch:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now

    async def _next_batch(self, courier: "_Courier", puller: asyncio.Task[None]) -> list[Record]:
        while not self._arrived:
            if puller.done():
                puller.result()  # raises: what ended the pulling ends the serving
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), _SETTLE_S if courier.unsettled else None)
            except TimeoutError:
                with self._busy():
                    self._stage = "settle"
                    await courier.settle()
                    self._stage = "receive"
        if len(self._arrived) < self._feed.max_batch:
            # A steady stream shares transactions; a trickle, or a record after a quiet moment, hardly waits.
            pause = _RHYTHM_S * min(1.0, self._size / _STEADY)
            await asyncio.sleep(self._begun + pause - perf_counter())
        if self._feed.behind is not None:
            await self._feed.behind.let_go_first()
        # Closed while partitions move and while tables recover.
        await self._feed.app.flow_control.acquire()
        return self._cut()

    def _cut(self) -> list[Record]:
        batch: list[Record] = []
        size = 0
        while self._arrived and len(batch) < self._feed.max_batch and size < _BUFFERED_BYTES:
            batch.append(self._arrived.popleft())
            size += len(batch[-1].value or b"")
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

    async def _take_through(self, courier: "_Courier", records: list[Record]) -> None:
        with self._busy():
            self._size = len(records)
            begun = self._begun = perf_counter()
            self._stage = "remember"  # all that a handler may fail with is what it remembers
            outputs = self._feed.handler(records)
            handled = perf_counter()
            self._stage = "deliver"
            note = self._feed.companion.note(self._tp.partition, records, outputs)
            ends = await courier.deliver(outputs, records[-1].offset + 1, note)
            delivered = perf_counter()
            self._failures = 0
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

    def __str__(self) -> str:
        return f"{self._tp.topic}-{self._tp.partition}"


# Out: one producer for each partition.


class _Sent(NamedTuple):
    """One batch on its way."""

    topic: str
    partition: int
    records: int
    future: asyncio.Future[Any]


class _Courier:
    """Carries the results of one partition out, and its offset forward once they are there.

    Its producer is started with the first result: a feed that sends nothing needs no connection for each partition.
    """

    unsettled = False
    """Whether what was delivered last is still to be confirmed."""

    def __init__(self, producer: AIOKafkaProducer, owner: Feed, source: TopicPartition) -> None:
        self._producer = producer
        self._feed = owner
        self._source = source
        self.started = False

    async def deliver(self, outputs: Sequence[Outgoing], upto: int, note: str) -> dict[str, int]:
        """Return once the broker has all outputs, and `upto` as the partition's next offset, with the note.

        What is returned says for each topic of the outputs which offset comes behind the last of them.
        """
        first = [one for one in outputs if one.topic in self._feed.companion.first]
        others = [one for one in outputs if one.topic not in self._feed.companion.first]
        ends: dict[str, int] = {}
        for wave in (first, others):
            if wave:
                ends |= await self._arrived(await self._send(wave))
        await self._feed.thread.commit_offset(self._source, upto, note)
        return ends

    async def start(self) -> None:
        """Be ready to send."""
        if not self.started:
            self.started = True
            await self._open()

    async def _open(self) -> None:
        await self._producer.start()

    async def settle(self) -> None:
        """Confirm what was delivered last."""

    async def _send(self, outputs: Sequence[Outgoing]) -> list[_Sent]:
        await self.start()
        sent = []
        for (topic, partition), group in (await self._sorted(outputs)).items():
            for batch in _packed(self._producer, group):
                count = batch.record_count()
                future = await self._producer.send_batch(batch, topic, partition=partition)
                sent.append(_Sent(topic, partition, count, future))
        return sent

    @staticmethod
    async def _arrived(sent: Sequence[_Sent]) -> dict[str, int]:
        ends: dict[str, int] = {}
        for one, metadata in zip(sent, await asyncio.gather(*(one.future for one in sent)), strict=True):
            ends[one.topic] = max(ends.get(one.topic, 0), metadata.offset + one.records)
        return ends

    async def _sorted(self, outputs: Sequence[Outgoing]) -> dict[tuple[str, int], list[Outgoing]]:
        places = {topic: await self._place(topic) for topic in {output.topic for output in outputs}}
        groups: dict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        for output in outputs:
            groups[output.topic, places[output.topic](output.key)].append(output)
        return groups

    async def _place(self, topic: str) -> Callable[[bytes], int]:
        there = await self._partitions(topic)
        place = self._feed.place
        if place is not None:
            return lambda key: place(key, len(there))
        if len(there) == 1:
            return lambda _key: there[0]
        choose = DefaultPartitioner()
        return lambda key: choose(key, there, there)

    async def _partitions(self, topic: str) -> list[int]:
        """The partitions of a topic of outputs to which something may go."""
        there = sorted(await self._producer.partitions_for(topic))
        if self._feed.place is not None:
            return there
        here = await self._producer.partitions_for(self._source.topic)
        return [self._source.partition] if len(there) == len(here) else there


class _TransactionalCourier(_Courier):
    """One transaction for each batch, of which all comes or nothing, whatever becomes of the broker.

    Kafka acknowledges a commit before the partitions have its markers. A coordinator that restarts just then
    may not know the partitions' leaders yet; Apache Kafka takes those for deleted and drops the markers, logging
    "couldn't find leader endpoint". The records are left hanging: neither committed nor aborted, until the same
    producer id's next marker in that partition makes them the one or the other, whatever it was meant for. Hence:

    * A new owner first aborts, with one transaction over every partition its outputs may go to and over its
      offset, whatever an earlier one left hanging, and only then asks from where to go on.
    * A transaction covers the places of the two before it too, so that they have the same fate.
    * The last one before a quiet spell is confirmed by one more: nobody waits for an answer that hangs.

    A commit is final when the next one is acknowledged; a `Companion` keeps nothing of it for good before.
    """

    def __init__(self, producer: AIOKafkaProducer, owner: Feed, source: TopicPartition) -> None:
        super().__init__(producer, owner, source)
        self._recent: deque[set[TopicPartition]] = deque(maxlen=2)
        self._upto = (0, "")

    async def _open(self) -> None:
        await super()._open()
        places = [
            TopicPartition(topic, partition)
            for topic in sorted(self._feed.outputs)
            for partition in await self._partitions(topic)
        ]
        await self._producer.begin_transaction()
        self._cover(places)
        await self._move_offset(0, "")  # any: it is aborted, and all that counts is that the group hears of it
        await self._producer.abort_transaction()

    async def deliver(self, outputs: Sequence[Outgoing], upto: int, note: str) -> dict[str, int]:
        undeclared = {output.topic for output in outputs} - self._feed.outputs
        if undeclared:
            raise ValueError(f"the handler sent to {', '.join(sorted(undeclared))}, which is not among its outputs")
        await self._producer.begin_transaction()
        self._cover(set[TopicPartition]().union(*self._recent))
        # One after the other: while a broker adds the group to the transaction it turns sends away.
        sent = await self._send(outputs)
        ends = await self._arrived(sent)
        await self._move_offset(upto, note)
        await self._producer.commit_transaction()
        if sent:
            self._recent.append({TopicPartition(one.topic, one.partition) for one in sent})
        self._upto = upto, note
        self.unsettled = True
        return ends

    async def settle(self) -> None:
        await self.deliver((), *self._upto)
        self.unsettled = False

    def _cover(self, places: Iterable[TopicPartition]) -> None:
        for place in places:
            self._producer._txn_manager.maybe_add_partition_to_txn(place)  # noqa: SLF001 - see ASSUMPTIONS

    async def _move_offset(self, upto: int, note: str) -> None:
        offset = {self._source: OffsetAndMetadata(upto, note)}
        await self._producer.send_offsets_to_transaction(offset, self._feed.app.conf.id)


@asynccontextmanager
async def _courier(owner: Feed, source: TopicPartition) -> AsyncIterator[_Courier]:
    exactly_once = owner.delivery is Delivery.EXACTLY_ONCE
    name = f"{owner.app.conf.id}-{source.topic}-{source.partition}"
    producer = AIOKafkaProducer(
        **_producer_settings(owner.app),
        # One id for a partition, whichever worker has it: who starts last fences all before.
        transactional_id=name if exactly_once else None,
    )
    _pace_metadata(producer.client)
    courier = (_TransactionalCourier if exactly_once else _Courier)(producer, owner, source)
    try:
        if exactly_once:
            await courier.start()  # fences who had the partition before, and ends what they left
        yield courier
    finally:
        if courier.started:
            await _close(producer)


def _producer_settings(app: faust.App) -> dict[str, Any]:
    conf = app.conf
    return {
        "bootstrap_servers": driver.server_list(conf.broker_producer, driver.Transport.default_port),
        "client_id": conf.broker_client_id,
        "acks": "all",
        "enable_idempotence": True,
        "max_batch_size": BATCH_BYTES,
        "compression_type": conf.producer_compression_type,
        "retry_backoff_ms": _RETRY_MS,
        **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
    }


def _packed(producer: AIOKafkaProducer, outputs: Iterable[Outgoing]) -> Iterator[BatchBuilder]:
    """As few batches as hold the outputs, in their order."""
    batch = producer.create_batch()
    for output in outputs:
        if not _fits(batch, output):
            yield batch
            batch = producer.create_batch()
            _fits(batch, output)  # an empty batch takes any record; the broker judges its size
    yield batch


def _fits(batch: BatchBuilder, output: Outgoing) -> bool:
    added = batch.append(timestamp=None, key=output.key, value=output.value, headers=list(output.headers))
    return added is not None


def _pace_metadata(client: AIOKafkaClient) -> None:
    """Ask a broker that is away who leads a partition a few times a second, not thousands of times."""
    ask, last = client.force_metadata_update, 0.0

    async def paced() -> bool:
        nonlocal last
        pause = last + _METADATA_PAUSE_S - perf_counter()
        last = max(perf_counter(), last + _METADATA_PAUSE_S)
        await asyncio.sleep(pause)
        known: bool = await ask()
        return known

    client.force_metadata_update = lambda: asyncio.ensure_future(paced())


async def _close(producer: AIOKafkaProducer) -> None:
    try:
        await asyncio.wait_for(producer.stop(), _CLOSE_S)
    except TimeoutError:
        log.warning("a producer did not close in %s s; ended by force, its transaction is void", _CLOSE_S)
        with suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(producer._sender.close(), _CLOSE_S)  # noqa: SLF001 - see ASSUMPTIONS
        await producer.client.close()
    except KafkaError as error:
        log.debug("while a producer closed: %r", error)


# In: Faust's consumer, with the fed partitions left to us.


class _Thread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread; its public methods are called from the app's loop."""

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust reads uncommitted records unless its own transactions are on.
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - see ASSUMPTIONS
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS  # noqa: SLF001 - see ASSUMPTIONS
        return consumer

    async def read_from(self, tp: TopicPartition, wanted: int, limit: int) -> tuple[list[Record], int, int | None]:
        """At most `limit` records from the wanted offset on, and the offset to want next.

        Also a mark that is another one whenever the broker has answered for the partition since the last call.
        """
        return await self._there(self._pull(tp, wanted, limit))

    async def committed(self, tp: TopicPartition) -> tuple[int, str]:
        """The group's offset as the broker has it now, with its note; a group without one starts at the beginning."""
        return await self._there(self._committed(tp))

    async def commit_offset(self, tp: TopicPartition, upto: int, note: str) -> None:
        """Commit for the group, if the partition is still ours."""
        await self._there(self._ensure_consumer().commit({tp: OffsetAndMetadata(upto, note)}))

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        # Not Faust's `call_thread`: its two workers would both sit waiting in long polls.
        there = asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop)
        try:
            return await asyncio.wrap_future(there)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ConnectionAbortedError("the consumer's thread is ending") from None

    async def _pull(self, tp: TopicPartition, wanted: int, limit: int) -> tuple[list[Record], int, int | None]:
        consumer = self._ensure_consumer()
        if await consumer.position(tp) != wanted:
            consumer.seek(tp, wanted)
        fetched = await consumer.getmany(tp, timeout_ms=_POLL_MS, max_records=limit)
        # Faust may have sought back meanwhile, but to no further than the committed offset.
        records = [_record(message) for message in fetched.get(tp, ()) if message.offset >= wanted]
        # The position is also behind transaction markers, which never show as records.
        return records, max(wanted, await consumer.position(tp)), consumer.last_poll_timestamp(tp)

    async def _committed(self, tp: TopicPartition) -> tuple[int, str]:
        consumer = self._ensure_consumer()
        # What the public `committed` asks too; it drops the note.
        found = (await consumer._coordinator.fetch_committed_offsets([tp])).get(tp)  # noqa: SLF001 - see ASSUMPTIONS
        if found is not None:
            return found.offset, found.metadata or ""
        beginning: int = (await consumer.beginning_offsets([tp]))[tp]
        return beginning, ""


class _Consumer(driver.Consumer):
    """Faust's consumer, blind to the fed partitions: it neither fetches nor hands out their records."""

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> _Thread:
        return cast("_Thread", self._thread)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:  # noqa: ASYNC109
        if active_partitions is None:  # a client without a group, which reads replies only
            return await super()._getmany(None, timeout)
        others = {tp for tp in active_partitions if tp.topic not in cast("_Transport", self.transport).fed_topics}
        if others:
            return await super()._getmany(others, timeout)
        # aiokafka takes an empty set for "all partitions".
        await self.sleep(timeout)
        return {}


class _Transport(driver.Transport):
    Consumer = _Consumer

    def __init__(self, url: list[URL], app: faust.App) -> None:
        super().__init__(url, app)
        self.fed_topics: set[str] = set()


def _record(message: ConsumerRecord[Any, Any]) -> Record:
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.timestamp,
        message.key,
        message.value,
        tuple(message.headers),
    )


# What others do not promise to keep.


class Assumption(NamedTuple):
    """Something the feed leans on, and the words of the source that show it is still there."""

    where: Callable[..., Any]
    says: str
    reason: str


VERSIONS = {"faust-streaming": "0.15.3", "aiokafka": "0.14."}

ASSUMPTIONS = (
    Assumption(
        BaseConsumer._wait_next_records,  # noqa: SLF001
        "await self._getmany( active_partitions=active_partitions, timeout=timeout, )",
        "`_getmany` is overridden, so that Faust's own fetching leaves the fed partitions out",
    ),
    Assumption(
        ThreadDelegateConsumer.__init__,
        "self._thread = self._new_consumer_thread()",
        "`_new_consumer_thread` is overridden and `_thread` read, to pull on the consumer's own thread",
    ),
    Assumption(
        driver.AIOKafkaConsumerThread._create_consumer,  # noqa: SLF001
        "return self._create_worker_consumer(transport)",
        "`_create_worker_consumer` is overridden to set what Faust has no setting for",
    ),
    Assumption(
        driver.AIOKafkaConsumerThread._ensure_consumer,  # noqa: SLF001
        "return self._consumer",
        "called for the aiokafka consumer that holds the group's assignment",
    ),
    Assumption(
        ServiceThread.__init__,
        "self.thread_loop = thread_loop or asyncio.new_event_loop()",
        "aiokafka's consumer may be used on its own event loop only",
    ),
    Assumption(
        AIOKafkaConsumer.start,
        "isolation_level=self._isolation_level",
        "set between creation and start, so that only committed records are read",
    ),
    Assumption(
        AIOKafkaConsumer.start,
        "fetch_max_wait_ms=self._fetch_max_wait_ms",
        "set between creation and start, so that a busy partition does not wait for quiet ones",
    ),
    Assumption(
        AIOKafkaConsumer.committed,
        "await self._coordinator.fetch_committed_offsets([partition])",
        "the committed offset is asked of the broker each time, never remembered",
    ),
    Assumption(
        GroupCoordinator._do_fetch_commit_offsets,  # noqa: SLF001
        "offsets[tp] = OffsetAndMetadata(offset, metadata)",
        "the note that was committed with an offset comes back with it",
    ),
    Assumption(
        Fetcher.fetched_records,
        "if self._subscriptions.reassignment_in_progress: await self._subscriptions.wait_for_assignment()",
        "records of an assignment that is being taken away are never handed out",
    ),
    Assumption(
        faust.App._on_partitions_revoked,  # noqa: SLF001
        "await T(self.on_partitions_revoked.send)(revoked)",
        "a rebalance waits for this signal, in which the batch in progress ends",
    ),
    Assumption(
        faust.App._on_partitions_assigned,  # noqa: SLF001
        "await T(self.on_partitions_assigned.send)(assigned)",
        "this signal names all partitions assigned, not only new ones",
    ),
    Assumption(
        faust.App.on_stop,
        "await self._stop_consumer() # send shutdown signal await self.on_before_shutdown.send()",
        "the batch in progress ends in this signal, while consumer and loop still run",
    ),
    Assumption(
        Conductor._update_indices,  # noqa: SLF001
        "if channel.acks: self._acking_topics.add(topic)",
        "a topic with `acks` off is left alone by Faust's committer and its stall detector",
    ),
    Assumption(
        Worker._shutdown_loop,  # noqa: SLF001
        "raise self.crash_reason from self.crash_reason",
        "so does `FeedLost` become the exit code of `faust worker`",
    ),
    Assumption(
        AIOKafkaProducer.stop,
        "await self._sender.close()",
        "`_sender` is closed by force where `stop` would wait for an absent broker",
    ),
    Assumption(
        MessageAccumulator._append_batch,  # noqa: SLF001
        "self._txn_manager.maybe_add_partition_to_txn(tp)",
        "`maybe_add_partition_to_txn` is called for partitions that a transaction covers and sends nothing to",
    ),
    Assumption(
        Sender._sender_routine,  # noqa: SLF001
        "fut = self.client.force_metadata_update() waiters.add(fut)",
        "`force_metadata_update` is replaced by one that pauses: a missing leader makes this loop spin",
    ),
    Assumption(
        Sender.close,
        "self._sender_task.cancel()",
        "that is what ends a sender by force",
    ),
    Assumption(
        MessageAccumulator.create_builder,
        "is_transactional=is_transactional",
        "a batch we fill ourselves carries the producer's transaction",
    ),
)


def check_assumptions(
    versions: Mapping[str, str] = MappingProxyType(VERSIONS), assumptions: Iterable[Assumption] = ASSUMPTIONS
) -> None:
    """Raise, with a sentence, if Faust or aiokafka is no longer what this module was written against."""
    for package, known in versions.items():
        if not version(package).startswith(known):
            raise AssumptionError(
                f"{package} is {version(package)}, and the feed was written against {known}: read what "
                "changed, run the feed's tests with Apache Kafka, then change the version here."
            )
    for where, says, reason in assumptions:
        if says not in " ".join(inspect.getsource(where).split()):
            raise AssumptionError(f"{where.__qualname__} no longer says {says!r}, but the feed leans on it: {reason}.")
