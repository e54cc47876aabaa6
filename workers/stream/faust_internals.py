"""All code that touches unstable internals of Faust and aiokafka.

* Faust's consumer is replaced by one that ignores the processed topics. Its thread returns whole chunks of their
  partitions from any offset, committed records only (`attach`, `consumer_thread`). An offset outside the log is an
  error there, not a reason to restart elsewhere (`record_out_of_range`).
* aiokafka's producer is extended to add partitions to a transaction without sending to them, to back off from an
  unavailable broker, and to begin a transaction soon after the previous one (`producer`, `cover`, `pace`).

`faust_assumptions` lists each internal with the reason; if one has changed, the worker does not start.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, TypeVar, cast

import faust
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.errors import LeaderNotAvailableError, OffsetOutOfRangeError, for_code
from aiokafka.producer import sender
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, TopicPartition
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from yarl import URL

from workers.kafka.client_lifetime import in_time, leave
from workers.kafka.clients import AIOKafkaConsumer, AIOKafkaProducer, new_async_producer
from workers.kafka.fetch_pacing import paced
from workers.kafka.records import OutgoingRecord, Record

T = TypeVar("T")

log = logging.getLogger(__name__)

BATCH_BYTES = 1_048_000
"""Bytes of one produce batch: just below the 1 MiB that a broker accepts by default."""

_LATEST, _UNCOMMITTED = -1, 0  # protocol values: the end of a log, including uncommitted records
_ONE_BATCH = 1  # bytes to fetch: a broker always returns at least one whole batch
_POLL_MS = 1_000  # how long one pull waits for records; returns on the first record
_FETCH_WAIT_MS = 50  # the longest a busy partition waits for a fetch from idle ones
_RETRY_MS = 50  # aiokafka's pause before a retry; its default of 100 hurts latency
_METADATA_PAUSE_S = 0.2  # between two requests for a partition's leader
_CONNECT_PAUSES_S = 0.05, 0.8  # before reconnecting to a broker: the first, doubled up to the last
_MANY = 10  # refusals counted at most
_CONCURRENT_PAUSE_S = 0.005  # before a retry while a broker still writes the previous transaction's markers


# Input: Faust's consumer, without the partitions of processed topics.


def attach(app: faust.App, topic: faust.TopicT, close: Callable[[], Awaitable[None]]) -> None:
    """Take over a topic: Faust still subscribes to it, but does not fetch, commit or monitor it.

    `close` is awaited before the app stops its consumer; those of several topics run concurrently.
    """
    if not isinstance(app.transport, _Transport):
        app.transport = _Transport(app.conf.broker_consumer, app)
    app.transport.fed_topics.update(topic.topics)
    app.transport.closing.append(close)
    # Faust must neither commit for this topic nor report its streams as stuck.
    topic.acks = False
    app.topics.add(topic)


def consumer_thread(app: faust.App) -> "ConsumerThread":
    """The thread of the consumer Faust manages; restarting the app replaces it."""
    return cast("_Consumer", app.consumer).thread


class Chunk(NamedTuple):
    """The result of one pull."""

    records: list[Record]
    wanted: int
    """The offset to request next: everything before it was read or is not a committed record."""
    mark: int | None
    """Changes whenever the broker has responded for the partition since the last pull."""
    held_at: int | None = None
    """Where an open transaction blocks reading; None if none does."""


class Kept(NamedTuple):
    """The range of a partition's log."""

    beginning: int
    end: int
    """The high watermark: the offset after the last record, committed or not."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread; its public methods are called from the app's loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._out_of_range: dict[TopicPartition, int] = {}

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust reads uncommitted records unless its own transactions are on.
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - see ASSUMPTIONS
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS  # noqa: SLF001 - see ASSUMPTIONS
        consumer.stop = partial(leave, consumer, consumer.stop)
        record_out_of_range(consumer._client, self._out_of_range)  # noqa: SLF001 - see ASSUMPTIONS
        return paced(consumer)

    async def read_from(self, tp: TopicPartition, wanted: int, limit: int) -> Chunk:
        """At most `limit` records from the wanted offset.

        Raises:
            OffsetOutOfRangeError: The offset is outside the log.
        """
        return await self._there(self._pull(tp, wanted, limit))

    async def record_at(self, tp: TopicPartition, offset: int) -> Record | None:
        """The record at the offset, committed or not; None if there is none."""
        return await self._there(self._record_at(tp, offset))

    async def kept(self, tp: TopicPartition) -> Kept:
        """The range of the partition that the broker keeps now."""
        return await self._there(self._kept(tp))

    async def committed(self, tp: TopicPartition) -> tuple[int, str]:
        """The group's committed offset with its note, read from the broker; the beginning if there is none."""
        return await self._there(self._committed(tp))

    async def beginning(self, tp: TopicPartition) -> int:
        """The offset of the first record on the broker."""
        return await self._there(self._beginning(tp))

    async def commit_offset(self, tp: TopicPartition, upto: int, note: str) -> None:
        """Commit for the group, if the partition is still ours."""
        await self._there(self._ensure_consumer().commit({tp: OffsetAndMetadata(upto, note)}))

    async def check_group(self) -> None:
        """Raise the error that keeps the consumer out of its group; then aiokafka tries again.

        Otherwise aiokafka reports it only when records are fetched, and waits.
        """
        if self._consumer is not None:  # otherwise it has not started
            await self._there(self._check_group())

    async def _check_group(self) -> None:
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - see ASSUMPTIONS
        if coordinator is not None:
            coordinator.check_errors()

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        # Not Faust's `call_thread`: both of its workers would block in long polls.
        try:
            there = asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop)
        except RuntimeError:  # its loop is closed
            coroutine.close()
            raise ConnectionAbortedError("the consumer's thread has ended") from None
        try:
            return await asyncio.wrap_future(there)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ConnectionAbortedError("the consumer's thread is ending") from None

    async def _pull(self, tp: TopicPartition, wanted: int, limit: int) -> Chunk:
        consumer = self._ensure_consumer()
        if await consumer.position(tp) != wanted:
            consumer.seek(tp, wanted)
        fetched = await consumer.getmany(tp, timeout_ms=_POLL_MS, max_records=limit)
        # Faust may have sought back meanwhile, at most to the committed offset.
        records = [_record(message) for message in fetched.get(tp, ()) if message.offset >= wanted]
        # The position also skips transaction markers, which are not records.
        position = await consumer.position(tp)
        stable, high = consumer.last_stable_offset(tp), consumer.highwater(tp)
        mark = consumer.last_poll_timestamp(tp)
        # Checked last: aiokafka has reset itself to the oldest record, and later positions refer to that.
        refused = self._out_of_range.pop(tp, None)
        if refused is not None and refused >= wanted:
            if not records or records[0].offset >= refused:
                raise OffsetOutOfRangeError({tp: refused})
            return Chunk([record for record in records if record.offset < refused], refused, mark)
        reached = max(wanted, position)
        held = stable is not None and high is not None and reached >= stable and 0 <= stable < high
        return Chunk(records, reached, mark, stable if held else None)

    async def _kept(self, tp: TopicPartition) -> Kept:
        self._out_of_range.pop(tp, None)
        # The public `end_offsets` excludes uncommitted records.
        asked = OffsetRequest(-1, _UNCOMMITTED, [(tp.topic, [(tp.partition, _LATEST)])])
        return Kept(await self._beginning(tp), int((await self._ask(tp, asked))[-1]))

    async def _record_at(self, tp: TopicPartition, offset: int) -> Record | None:
        # Separate from the consumer's own fetches: Faust also moves its position during a rebalance.
        asked = FetchRequest(
            _FETCH_WAIT_MS, 1, _ONE_BATCH, _UNCOMMITTED, [(tp.topic, [(tp.partition, offset, _ONE_BATCH)])]
        )
        *_, batches = await self._ask(tp, asked)
        found = fetcher.PartitionRecords(
            tp, fetcher.MemoryRecords(batches), None, offset, None, None, False, _UNCOMMITTED
        )
        first = next(found, None)
        return _record(first) if first is not None and first.offset == offset else None

    async def _ask(self, tp: TopicPartition, request: Any) -> Any:
        """The response of the partition's leader."""
        client = self._ensure_consumer()._client  # noqa: SLF001 - see ASSUMPTIONS
        leader = client.cluster.leader_for_partition(tp)
        if leader is None or leader < 0:
            raise LeaderNotAvailableError(tp)
        [(_, [(_, code, *found)])] = (await client.send(leader, request)).topics
        if code:
            raise for_code(code)(tp)
        return found

    async def _committed(self, tp: TopicPartition) -> tuple[int, str]:
        consumer = self._ensure_consumer()
        # The public `committed` makes the same request but drops the note.
        found = (await consumer._coordinator.fetch_committed_offsets([tp])).get(tp)  # noqa: SLF001 - see ASSUMPTIONS
        if found is not None:
            return found.offset, found.metadata or ""
        return await self._beginning(tp), ""

    async def _beginning(self, tp: TopicPartition) -> int:
        beginning: int = (await self._ensure_consumer().beginning_offsets([tp]))[tp]
        return beginning


class _Consumer(driver.Consumer):
    """Faust's consumer, which ignores the partitions of processed topics."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> ConsumerThread:
        return cast("ConsumerThread", self._thread)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:  # noqa: ASYNC109
        if active_partitions is None:  # a client without a group, which only reads replies
            return await super()._getmany(None, timeout)
        others = {tp for tp in active_partitions if tp.topic not in cast("_Transport", self.transport).fed_topics}
        if others:
            return await super()._getmany(others, timeout)
        # aiokafka takes an empty set for "all partitions".
        await self.sleep(timeout)
        return {}

    async def on_stop(self) -> None:
        # The last commit of what agents have acknowledged: it would retry forever while the broker is unavailable.
        await in_time(super().on_stop())


class _Producer(driver.Producer):
    """Faust's producer for agents and tables; it stops in bounded time."""

    def _new_producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        made = super()._new_producer(transactional_id)
        made.stop = partial(leave, made, made.stop)
        return made

    async def flush(self) -> None:
        if self.app.should_stop:
            await in_time(super().flush())  # what is not delivered was not acknowledged
        else:
            await super().flush()


class _Transport(driver.Transport):
    Consumer = _Consumer
    Producer = _Producer

    def __init__(self, url: list[URL], app: faust.App) -> None:
        super().__init__(url, app)
        self.fed_topics: set[str] = set()
        self.closing: list[Callable[[], Awaitable[None]]] = []
        app.on_before_shutdown.connect(self._close)

    async def _close(self, *_: object, **__: object) -> None:
        # Concurrently: without a broker each takes its full timeout, and a supervisor does not wait minutes.
        await asyncio.gather(*(close() for close in self.closing))


def record_out_of_range(client: AIOKafkaClient, out_of_range: dict[TopicPartition, int]) -> None:
    """Make a consumer's client record the offsets that brokers report as out of range.

    aiokafka then silently resets to the oldest record, leaving no trace of the loss. The requested offset is recorded
    before aiokafka sees the response.
    """
    send = client.send

    async def recording(node_id: int, request: Any, **options: Any) -> Any:
        answer = await send(node_id, request, **options)
        if isinstance(request, FetchRequest):
            asked = {(topic, place[0]): place[1] for topic, places in request.topics for place in places}
            for topic, places in answer.topics:
                for partition, code, *_ in places:
                    if code == OffsetOutOfRangeError.errno:
                        out_of_range[TopicPartition(topic, partition)] = asked[topic, partition]
        return answer

    client.send = recording


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


# Output: aiokafka's producer.


def producer(app: faust.App, transactional_id: str | None) -> AIOKafkaProducer:
    """A producer for a stream processor's results, not yet started; at least idempotent."""
    # The only way to set it: at fifty transactions a second, one in twenty waited aiokafka's 20 ms.
    sender.BACKOFF_OVERRIDE = _CONCURRENT_PAUSE_S
    made = new_async_producer(_producer_settings(app), transactional_id=transactional_id)
    pace(made.client)
    return made


def cover(producer: AIOKafkaProducer, places: Iterable[TopicPartition]) -> None:
    """Add these partitions to the transaction in progress, even if it sends nothing to them."""
    for place in places:
        producer._txn_manager.maybe_add_partition_to_txn(place)  # noqa: SLF001 - see ASSUMPTIONS


def packed(producer: AIOKafkaProducer, outputs: Iterable[OutgoingRecord]) -> Iterator[BatchBuilder]:
    """Pack the outputs into as few batches as possible, in order."""
    batch = producer.create_batch()
    for output in outputs:
        if not _fits(batch, output):
            yield batch
            batch = producer.create_batch()
            _fits(batch, output)  # an empty batch takes any record; the broker judges its size
    yield batch


def _fits(batch: BatchBuilder, output: OutgoingRecord) -> bool:
    added = batch.append(timestamp=None, key=output.key, value=output.value, headers=list(output.headers))
    return added is not None


def _producer_settings(app: faust.App) -> dict[str, Any]:
    conf = app.conf
    return {
        "bootstrap_servers": driver.server_list(conf.broker_producer, driver.Transport.default_port),
        "client_id": conf.broker_client_id,
        "max_batch_size": BATCH_BYTES,
        "compression_type": conf.producer_compression_type,
        "retry_backoff_ms": _RETRY_MS,
        **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
    }


def pace(client: AIOKafkaClient) -> None:
    """Limit a client's leader requests and reconnects to a few per second.

    Each partition has a producer, and aiokafka retries without a pause: together they would flood a starting broker
    with thousands of connections.
    """
    ask, ready = client.force_metadata_update, client.ready
    last = 0.0
    refused: Counter[int] = Counter()

    async def paced() -> bool:
        nonlocal last
        pause = last + _METADATA_PAUSE_S - perf_counter()
        last = max(perf_counter(), last + _METADATA_PAUSE_S)
        await asyncio.sleep(pause)
        known: bool = await ask()
        return known

    async def patient(node_id: int, **options: Any) -> bool:
        first, longest = _CONNECT_PAUSES_S
        if refused[node_id]:
            await asyncio.sleep(min(longest, first * 2 ** (refused[node_id] - 1)))
        connected: bool = await ready(node_id, **options)
        refused[node_id] = 0 if connected else min(refused[node_id] + 1, _MANY)
        return connected

    asking: set[asyncio.Task[bool]] = set()
    close = client.close

    def asked() -> asyncio.Task[bool]:
        task = asyncio.create_task(paced())
        asking.add(task)
        task.add_done_callback(asking.discard)
        return task

    async def closed() -> None:
        # No response comes after closing, and asyncio complains about abandoned tasks.
        for task in asking:
            task.cancel()
        await close()

    client.force_metadata_update = asked
    client.ready = patient
    client.close = closed
