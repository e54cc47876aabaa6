"""Takes over one topic of a Faust app, with a loop for each assigned partition."""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from time import monotonic, perf_counter
from typing import Any

import faust
from faust.types import TP

from events.topics import LARGEST_RECORD
from workers.configuration.settings import Delivery
from workers.kafka import damaged_records
from workers.kafka.records import Handler, Instead, PartitionListener, Placing
from workers.stream.faust_assumptions import check_assumptions
from workers.stream.faust_internals import BATCH_BYTES, attach, consumer_thread
from workers.stream.partition_loop import EXIT_PROCESSOR_LOST, RHYTHM_S, PartitionLoop, ProcessorLostError, Progress

log = logging.getLogger(__name__)

MAX_BATCH = 1_000
"""Records per handler call and transaction: half of it cost a fifth of the throughput."""

_BUFFERED_BATCHES = 2  # of a partition: the next one is complete while the previous one is being delivered
_BUFFERED_RECORDS = 16_000
"""For all partitions together, up to sixty-four of them: two batches for each would be 128,000."""
_LEAST_SHARE = 4  # a partition may buffer at least this part of a batch: smaller batches cost throughput

BATCHES_AT_ONCE = 4
"""For all partitions together: enough to handle one batch while others are being delivered. A batch in progress waits
at every step for the handlers of the others; among sixty-four backlogged partitions it would exceed the transaction
timeout and the rebalance timeout."""
_LONGEST_TURN_S = 5.0  # then a batch no longer counts: an unavailable broker must not block partitions of other brokers

_GIVE_WAY_S = 0.2  # the longest a batch waits for those with priority
_NEW_S = 60.0  # how long the group may take to start on a recreated topic
_LAST_CALL_S = 30.0  # for an orderly stop after a fatal failure; then the process exits anyway


def app_settings() -> dict[str, Any]:
    """The Faust settings an app needs, in either delivery mode."""
    return {
        # Faust's own transactions stay off: they miss results for other topics, and break tables on rebalances.
        "processing_guarantee": "at_least_once",
        # Waiting for unacknowledged events at a rebalance logs every one of them.
        "stream_wait_empty": False,
        # How soon a recreated topic is assigned again; the default is five minutes.
        "consumer_metadata_max_age_ms": 10_000,
        # A group without offsets has decided nothing yet.
        "consumer_auto_offset_reset": "earliest",
        "producer_acks": -1,
        "producer_max_batch_size": BATCH_BYTES,
        # The broker judges size: Faust would refuse records that the topics accept.
        "producer_max_request_size": LARGEST_RECORD,
        # No leader election here, so its topic is not needed.
        "topic_disable_leader": True,
    }


def stream_processor(
    app: faust.App,
    topic: faust.TopicT,
    handler: Handler,
    *,
    outputs: Iterable[str],
    delivery: Delivery = Delivery.EXACTLY_ONCE,
    listener: PartitionListener | None = None,
    place: Placing | None = None,
    alike: Iterable[str] = (),
    behind: "StreamProcessor | None" = None,
) -> "StreamProcessor":
    """Pass every record of the topic to the handler, and deliver what it returns.

    The handler is a plain function that must not raise for any record, however malformed; if it does, the worker stops
    rather than skip a record. Call this where agents are declared, before the app starts.

    `outputs` names every topic that the handler sends to. `alike` names those declared with as many partitions as this
    one. Results for them go to the partition their record came from: both have the same keys, so that all of a
    partition's state is in one place. If the numbers differ, the process exits. Results for other topics are placed by
    key as Kafka's own clients do. `place`, if given, places all results, including those for `alike` topics, whose
    numbers must still be equal.

    A batch of results that is too large for Kafka is retried with fewer records. If the result of a single record is
    too large, the handler's method `instead`, an `Instead`, gives a replacement; without one, the worker stops.

    An app may have several stream processors, each with its own topic. One that is `behind` another yields to it: while
    the other has a whole batch waiting, all that are behind it together start one batch every 0.2 seconds, and they
    always collect records for half a second before they take a partial batch. So they never stop, and use only a small
    share of the worker.
    """
    check_assumptions()
    damaged_records.patch_clients()
    topics = frozenset(outputs)
    return StreamProcessor(
        app, topic, handler, (topics, topics & set(alike)), delivery, listener or PartitionListener(), place, behind
    )


class Turns:
    """Limits how many are in progress; the others wait in order."""

    def __init__(self, at_once: int, longest: float) -> None:
        """Allow `at_once` in progress; after `longest` seconds one continues but no longer counts."""
        self._free = asyncio.Semaphore(at_once)
        self._longest = longest

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it inside the context."""
        await self._free.acquire()
        with ExitStack() as ending:
            ending.callback(self._free.release)
            late = asyncio.get_running_loop().call_later(self._longest, ending.close)
            try:
                yield
            finally:
                late.cancel()


class StreamProcessor:
    """Runs one topic through a handler. Created by `stream_processor`."""

    def __init__(
        self,
        app: faust.App,
        topic: faust.TopicT,
        handler: Handler,
        outputs: tuple[frozenset[str], frozenset[str]],
        delivery: Delivery,
        listener: PartitionListener,
        place: Placing | None,
        behind: "StreamProcessor | None",
    ) -> None:
        (self.topic,) = topic.topics
        self.app = app
        self.handler = handler
        self.outputs, self.alike = outputs
        self.delivery = delivery
        self.max_batch = MAX_BATCH
        self.listener = listener
        self.place = place
        self.behind = behind
        self.instead: Instead | None = getattr(handler, "instead", None)
        self.turns = Turns(BATCHES_AT_ONCE, _LONGEST_TURN_S)
        self._turn = asyncio.Lock()
        self._created_again: float | None = None  # when this was last noticed
        self._loops: dict[int, PartitionLoop] = {}
        self._assigned: set[int] = set()
        self._attach(topic)

    async def let_go_first(self) -> None:
        """Return when a batch of lower priority may start: no full batch waits here, or the pause is over."""
        async with self._turn:
            until = perf_counter() + _GIVE_WAY_S
            while self._backlogged() and perf_counter() < until:  # noqa: ASYNC110 - no single event covers all loops
                await asyncio.sleep(RHYTHM_S)

    def _backlogged(self) -> bool:
        return sum(loop.waiting for loop in self._loops.values()) >= self.max_batch

    @property
    def room(self) -> int:
        """The number of records that a partition may buffer: two batches, and less among many partitions."""
        share = _BUFFERED_RECORDS // max(1, len(self._loops))
        return max(self.max_batch // _LEAST_SHARE, min(self.max_batch * _BUFFERED_BATCHES, share))

    @property
    def progress(self) -> dict[int, Progress]:
        """The progress of each assigned partition."""
        return {partition: loop.progress for partition, loop in self._loops.items()}

    def _attach(self, topic: faust.TopicT) -> None:
        app = self.app
        attach(app, topic, self._on_shutdown)
        # Each is awaited: a rebalance or a shutdown waits for the batch in progress.
        app.on_partitions_assigned.connect(self._on_assigned)  # type: ignore[arg-type]
        app.on_partitions_revoked.connect(self._on_revoked)  # type: ignore[arg-type]

    async def _on_assigned(self, _app: object, assigned: Iterable[TP], **_: object) -> None:
        # A partition that stays with this worker restarts too: another may have had it in between.
        await self._close_loops(list(self._loops))
        self._assigned = {tp.partition for tp in assigned if tp.topic == self.topic}
        for partition in self._assigned.difference(self._loops):
            self._loops[partition] = PartitionLoop(self, partition, new_log=self._has_new_log)

    @property
    def _has_new_log(self) -> bool:
        """Whether the topic was recreated so recently that offsets of the old log may still be committed."""
        return self._created_again is not None and monotonic() - self._created_again < _NEW_S

    async def _on_revoked(self, _app: object, revoked: Iterable[TP], **_: object) -> None:
        taken = [tp.partition for tp in revoked if tp.topic == self.topic]
        self._assigned.difference_update(taken)
        await self._close_loops(taken)

    async def _on_shutdown(self) -> None:
        self._assigned.clear()
        await self._close_loops(list(self._loops))

    async def _close_loops(self, partitions: Iterable[int]) -> None:
        loops = [self._loops.pop(partition) for partition in partitions if partition in self._loops]
        await asyncio.gather(*(loop.close() for loop in loops))

    @property
    def stopping(self) -> bool:
        """Whether the app is stopping, on request or after a failure."""
        return bool(self.app.should_stop)

    async def check_group(self) -> None:
        """Raise the error that keeps this worker out of its group, if any.

        Raises:
            KafkaError: That error; if it is not retriable, trying again cannot help.
            ConnectionAbortedError: The consumer is ending.
        """
        await consumer_thread(self.app).check_group()

    async def restart_on_new_log(self, before: float) -> None:
        """Restart the partitions: the topic is a new log of the same name.

        Partitions taken over `before`, by the monotonic clock, have seen only the old log: their committed offsets are
        void, and they start at the beginning. The others start at their committed offset if the new log has it; during
        the rebalance it may still be one of the old log.
        """
        self._created_again = monotonic()
        old = {partition for partition, loop in self._loops.items() if loop.began < before}
        partitions = list(self._loops)
        await self._close_loops(partitions)
        # A rebalance may have happened meanwhile; it starts the loops of its own assignment.
        for partition in self._assigned.intersection(partitions).difference(self._loops):
            self._loops[partition] = PartitionLoop(self, partition, from_beginning=partition in old, new_log=True)

    async def give_up(self, sentence: str) -> None:
        """End the process: retrying cannot help."""
        log.critical("%s", sentence)
        if self.app.crashed:
            return
        if self.app.in_worker:
            last_call = threading.Timer(_LAST_CALL_S, os._exit, (EXIT_PROCESSOR_LOST,))
            last_call.daemon = True
            last_call.start()
        await self.app.crash(ProcessorLostError(sentence))
