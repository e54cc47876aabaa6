"""A topic of a Faust app, taken over: its partitions come and go, and each has a lane."""

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
from workers.kafka import damaged_records
from workers.records import Delivery, Handler, Instead, PartitionListener, Placing
from workers.stream.faust_assumptions import check_assumptions
from workers.stream.faust_internals import BATCH_BYTES, attach, consumer_thread
from workers.stream.partition_loop import EXIT_FEED_LOST, RHYTHM_S, FeedLost, PartitionLoop, Progress

log = logging.getLogger(__name__)

MAX_BATCH = 1_000
"""Records in one call of the handler and one transaction: half of it cost a fifth of the speed."""

BATCHES_AT_ONCE = 4
"""Of all partitions: enough to handle one while others are on their way out. A batch that has begun waits at every step
for the handlers of the others, and among sixty-four, each with a backlog, it would take longer than a transaction may,
and longer than whoever takes its partition away waits for it."""
_LONGEST_TURN_S = 5.0  # then a batch counts no more: a broker that is away must not hold up the partitions of others

_GIVE_WAY_S = 0.2  # the longest a batch waits for those that go first
_NEW_S = 60.0  # how long the group may take to begin with a topic that was created again
_LAST_CALL_S = 30.0  # for an orderly stop after a fatal failure, then the process ends anyway


def app_settings() -> dict[str, Any]:
    """The Faust settings a fed app needs, in either mode of delivery."""
    return {
        # Faust's own transactions stay off: they miss results for other topics, and break tables when
        # partitions move.
        "processing_guarantee": "at_least_once",
        # Waiting for unacknowledged events at a rebalance writes every one of them to the log.
        "stream_wait_empty": False,
        # How soon a topic that was deleted and created again is given out anew; five minutes unless told.
        "consumer_metadata_max_age_ms": 10_000,
        # A group without offsets has decided nothing yet.
        "consumer_auto_offset_reset": "earliest",
        "producer_acks": -1,
        "producer_max_batch_size": BATCH_BYTES,
        # What is too large the broker says: Faust would turn away what the topics are declared to take.
        "producer_max_request_size": LARGEST_RECORD,
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
    companion: PartitionListener | None = None,
    place: Placing | None = None,
    alike: Iterable[str] = (),
    behind: "StreamProcessor | None" = None,
) -> "StreamProcessor":
    """Give every record of the topic to the handler, and deliver what it returns.

    The handler is a plain function that raises for no record, however malformed; if it raises all the same,
    the worker stops rather than skip a record. Call this where agents are declared, before the app starts.

    `outputs` names every topic that the handler sends to. `alike` names those that have as many partitions as this one
    by their declaration. Results for one of them go to the partition their record came from, or nowhere: both are keyed
    alike, and whoever rebuilds a partition's state finds all of it in one place. Where the numbers differ, the process
    ends. Results for other topics are placed by their key as Kafka's own clients do. With `place`, that says where all
    go, of `alike` topics too, whose numbers must still be equal.

    A batch of results that Kafka takes for too large is tried again with fewer records. Where that of a single record
    still is, the handler's method `instead`, an `Instead`, says what is sent in its place; without one, the worker
    stops.

    An app may have several feeds, each of a topic of its own. One that is `behind` another lets that one's
    records go first: while a whole batch of them waits, all that are behind it together start a batch only
    every 0.2 seconds, and at any time they gather records for half a second before they take a batch that is not full.
    So they never stop, and never take more than a small share of the worker.
    """
    check_assumptions()
    damaged_records.install()
    topics = frozenset(outputs)
    return StreamProcessor(
        app, topic, handler, (topics, topics & set(alike)), delivery, companion or PartitionListener(), place, behind
    )


class Turns:
    """So many at once, and the others in their order."""

    def __init__(self, at_once: int, longest: float) -> None:
        """Let `at_once` be under way; one of more than `longest` seconds goes on, but counts no more."""
        self._free = asyncio.Semaphore(at_once)
        self._longest = longest

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it while this holds."""
        await self._free.acquire()
        with ExitStack() as ending:
            ending.callback(self._free.release)
            late = asyncio.get_running_loop().call_later(self._longest, ending.close)
            try:
                yield
            finally:
                late.cancel()


class StreamProcessor:
    """One topic's way through a handler. Made by `feed`."""

    def __init__(
        self,
        app: faust.App,
        topic: faust.TopicT,
        handler: Handler,
        outputs: tuple[frozenset[str], frozenset[str]],
        delivery: Delivery,
        companion: PartitionListener,
        place: Placing | None,
        behind: "StreamProcessor | None",
    ) -> None:
        (self.topic,) = topic.topics
        self.app = app
        self.handler = handler
        self.outputs, self.alike = outputs
        self.delivery = delivery
        self.max_batch = MAX_BATCH
        self.companion = companion
        self.place = place
        self.behind = behind
        self.instead: Instead | None = getattr(handler, "instead", None)
        self.turns = Turns(BATCHES_AT_ONCE, _LONGEST_TURN_S)
        self._turn = asyncio.Lock()
        self._created_again: float | None = None  # when that was last noticed of the topic
        self._lanes: dict[int, PartitionLoop] = {}
        self._assigned: set[int] = set()
        self._attach(topic)

    async def let_go_first(self) -> None:
        """Return when a batch of a feed behind this one may start: no batch waits here, or long enough did."""
        async with self._turn:
            until = perf_counter() + _GIVE_WAY_S
            while self._backlogged() and perf_counter() < until:  # noqa: ASYNC110 - no one event says so of all lanes
                await asyncio.sleep(RHYTHM_S)

    def _backlogged(self) -> bool:
        return sum(lane.waiting for lane in self._lanes.values()) >= self.max_batch

    @property
    def progress(self) -> dict[int, Progress]:
        """The partitions that are assigned, and how each gets on."""
        return {partition: lane.progress for partition, lane in self._lanes.items()}

    def _attach(self, topic: faust.TopicT) -> None:
        app = self.app
        attach(app, topic, self._on_shutdown)
        # Each is awaited: a rebalance, or the end of the worker, waits for the batch in progress.
        app.on_partitions_assigned.connect(self._on_assigned)  # type: ignore[arg-type]
        app.on_partitions_revoked.connect(self._on_revoked)  # type: ignore[arg-type]

    async def _on_assigned(self, _app: object, assigned: Iterable[TP], **_: object) -> None:
        # Also a partition that stays with this worker starts again: another may have had it in between.
        await self._close_lanes(list(self._lanes))
        self._assigned = {tp.partition for tp in assigned if tp.topic == self.topic}
        for partition in self._assigned.difference(self._lanes):
            self._lanes[partition] = PartitionLoop(self, partition, new_log=self._has_new_log)

    @property
    def _has_new_log(self) -> bool:
        """Whether the topic was created again so lately that offsets of the old log may still be committed."""
        return self._created_again is not None and monotonic() - self._created_again < _NEW_S

    async def _on_revoked(self, _app: object, revoked: Iterable[TP], **_: object) -> None:
        taken = [tp.partition for tp in revoked if tp.topic == self.topic]
        self._assigned.difference_update(taken)
        await self._close_lanes(taken)

    async def _on_shutdown(self) -> None:
        self._assigned.clear()
        await self._close_lanes(list(self._lanes))

    async def _close_lanes(self, partitions: Iterable[int]) -> None:
        lanes = [self._lanes.pop(partition) for partition in partitions if partition in self._lanes]
        await asyncio.gather(*(lane.close() for lane in lanes))

    @property
    def stopping(self) -> bool:
        """Whether the app ends already, by order or by a failure."""
        return bool(self.app.should_stop)

    async def check_group(self) -> None:
        """Raise what keeps this worker out of its group, if anything does.

        Raises:
            KafkaError: That; where it is not retriable, trying again cannot help.
            ConnectionAbortedError: The consumer is ending.
        """
        await consumer_thread(self.app).check_group()

    async def begin_anew(self, before: float) -> None:
        """The topic is another log of the same name: its partitions start again.

        Those that were taken over `before`, by the monotonic clock, have seen the old log only: what they committed is
        of no meaning, and they start at the beginning. Others start where their committed offset says, if the new log
        has it: while the group moved, it may be one of the old log still.
        """
        self._created_again = monotonic()
        old = {partition for partition, lane in self._lanes.items() if lane.began < before}
        partitions = list(self._lanes)
        await self._close_lanes(partitions)
        # Meanwhile the group may have moved, which starts what is assigned then.
        for partition in self._assigned.intersection(partitions).difference(self._lanes):
            self._lanes[partition] = PartitionLoop(self, partition, from_beginning=partition in old, new_log=True)

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
