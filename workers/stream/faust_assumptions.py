"""The unstable internals of Faust and aiokafka that this package relies on, each with the reason.

`check_assumptions` refuses to start if one has changed; `VERSIONS` pins the tested versions.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, NamedTuple

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer import sender
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import Sender
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from mode.threads import ServiceThread
from mode.worker import Worker


class AssumptionError(RuntimeError):
    """Faust or aiokafka changed an internal that this package relies on."""


class Assumption(NamedTuple):
    """An internal this package relies on, and the source text that shows it is unchanged."""

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
        driver.AIOKafkaConsumerThread.on_thread_stop,
        "await self._consumer.stop()",
        "`stop` is replaced by one that ends where the broker is away",
    ),
    Assumption(
        driver.Producer.on_stop,
        "await producer.stop()",
        "the same",
    ),
    Assumption(
        driver.Producer.on_start,
        "producer = self._producer = self._new_producer()",
        "`_new_producer` is overridden to replace it",
    ),
    Assumption(
        BaseConsumer.on_stop,
        "await self.commit_and_end_transactions()",
        "this last commit is bounded, and so is `Producer.flush` while the app stops",
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
        GroupCoordinator.check_errors,
        "exc = self._pending_exception self._pending_exception = None raise exc",
        "an error that keeps a member out of its group is told here, and the member tries again once it is",
    ),
    Assumption(
        Fetcher._proc_fetch_request,  # noqa: SLF001
        "response = await self._client.send(node_id, request)",
        "`send` is replaced by one that notes which offsets are out of range, before aiokafka begins anew elsewhere",
    ),
    Assumption(
        Fetcher._proc_fetch_request,  # noqa: SLF001
        "for topic, partitions in request.topics: for partition, offset, _ in partitions:",
        "a fetch request tells which offsets it asks for",
    ),
    Assumption(
        Fetcher._proc_offset_request,  # noqa: SLF001
        "request = OffsetRequest(-1, self._isolation_level, list(topic_data.items()))",
        "the end of a log is asked for as its `OffsetRequest` does, but for records that are not committed too",
    ),
    Assumption(
        PartitionRecords.__init__,
        "self, tp, records, aborted_transactions, fetch_offset, key_deserializer, value_deserializer, check_crcs, "
        "isolation_level,",
        "made for one batch that was fetched apart, to find the record at an offset",
    ),
    Assumption(
        Fetcher.fetched_records,
        "if self._subscriptions.reassignment_in_progress: await self._subscriptions.wait_for_assignment()",
        "records of an assignment that is being taken away are never handed out",
    ),
    Assumption(
        Fetcher._proc_fetch_request,  # noqa: SLF001
        "records = MemoryRecords(part_data[-1]) if records.has_next():",
        "`MemoryRecords` is replaced by `kafka.damaged_records`, to have the bytes of a batch that cannot be read",
    ),
    Assumption(
        Fetcher._proc_fetch_request,  # noqa: SLF001
        "partition_records = PartitionRecords( tp, records, aborted_transactions, fetch_offset,",
        "`PartitionRecords` is replaced in that module by `workers.kafka.damaged_records`",
    ),
    Assumption(
        PartitionRecords._unpack_records,  # noqa: SLF001
        "while records.has_next(): next_batch = records.next_batch()",
        "called again for the batches behind one that it failed at",
    ),
    Assumption(
        PartitionRecords._unpack_records,  # noqa: SLF001
        "self.next_fetch_offset = record.offset + 1 yield consumer_record",
        "its records before the one that it failed at have been handed out, and `next_fetch_offset` is behind them",
    ),
    Assumption(
        FetchResult.getall,
        "else: self._update_position() self._partition_records = None",
        "a fetch that ends early is gone on with where `next_fetch_offset` is",
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
        "so does `ProcessorLostError` become the exit code of `faust worker`",
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
        AIOKafkaClient.send,
        "if not (await self.ready(node_id, group=group)): raise NodeNotReadyError(",
        "`ready` is replaced by one that pauses, on the way of every request",
    ),
    Assumption(
        Fetcher._proc_fetch_request,  # noqa: SLF001
        "response = await self._client.send(node_id, request)",
        "`send` is replaced by one that keeps an empty answer for a moment, where the broker did not wait for records",
    ),
    Assumption(
        Fetcher._proc_fetch_request,  # noqa: SLF001
        "records = MemoryRecords(part_data[-1])",
        "whether an answer is empty is seen by the last part of each partition's",
    ),
    Assumption(
        sender.AddPartitionsToTxnHandler.handle_response,
        "if not txn_manager.txn_partitions: return BACKOFF_OVERRIDE",
        "that constant is set to a shorter pause, for a transaction right behind another",
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
    """Raise `AssumptionError` if Faust or aiokafka differs from what this module was written against."""
    for package, known in versions.items():
        if not version(package).startswith(known):
            raise AssumptionError(
                f"{package} is {version(package)}, and the stream processor was written against {known}: read what "
                "changed, run its tests with Apache Kafka, then change the version here."
            )
    for where, says, reason in assumptions:
        if says not in " ".join(inspect.getsource(where).split()):
            raise AssumptionError(
                f"{where.__qualname__} no longer says {says!r}, but the stream processor relies on it: {reason}."
            )
