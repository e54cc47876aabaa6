"""One transaction for all partitions of a worker: while it is committed, the next one collects what comes.

With light load a delivery is committed at once; the more load, the more partitions and records share a transaction.

Each partition has its own transactional id; a worker's transactions have that of its lowest partition. At each
assignment a worker starts a producer with every one of its partitions' ids. That fences a dead or paused worker that
had one of them, and ends its transaction, so that nobody waits for a timeout. What makes this sound are the offsets:
they are committed as a member of the group's generation, which Kafka refuses from a worker whose partitions were given
to others, and a partition's offset is read once no open transaction is about to move it (see `group_offsets`).

Kafka acknowledges a commit before the partitions have its markers. A coordinator that restarts just then may not
yet know the partitions' leaders; Apache Kafka takes the partitions for deleted and drops the markers, logging
"couldn't find leader endpoint". The records stay pending, neither committed nor aborted, until the same producer
id's next marker in that partition decides them, whatever it was meant for. Hence:

* A producer's start ends with an aborted transaction over every partition of the output topics, since a predecessor may
  have had any of them, and over the group's offsets. Only then is a committed offset read.
* A transaction also covers the partitions of the previous two, so that they share its outcome.
* The last one before an idle period is confirmed by another, so that no reader waits for pending records.
* If a transaction fails, those before it may go with it: a partition that has delivered before compares its committed
  offset before it delivers again.

A commit is final when the next one is acknowledged; until then a `PartitionListener` must not persist its data.

A transaction that fails before its commit is requested is void for certain, once its producer is replaced. A delivery
that was too large for Kafka fails; the others are delivered again at once, each in a transaction of its own, so that no
record stops other partitions. If a commit's outcome is unknown, all its deliveries fail, and their partitions restart
at the committed offset.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Protocol

import faust
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from workers.kafka.client_lifetime import LEAVE_SECONDS, leave
from workers.kafka.clients import AIOKafkaProducer
from workers.kafka.records import OutgoingRecord
from workers.stream import faust_internals
from workers.stream.group_offsets import Member, MembershipLostError, commit_as
from workers.stream.outgoing_batches import (
    Outputs,
    OversizedError,
    Placed,
    Placement,
    Sent,
    UnevenTopicsError,
    arrived,
    partitions_of,
    send,
)

_STARTS_AT_ONCE = 8
"""Producers that are started at once at an assignment."""


class Owner(Outputs, Protocol):
    """The part of a stream processor that its transactions need."""

    app: faust.App


class CommitGoneError(KafkaError):  # type: ignore[misc]  # aiokafka is untyped
    """The committed offset is not the one whose commit was acknowledged: the partition must start again from it."""


_OVER = (ProducerFenced, InvalidProducerEpoch, MembershipLostError)
"""Another worker has partitions of ours: to go on would fence that worker."""


class Delivery:
    """The results of one partition, and the offset to commit with them."""

    def __init__(self, placement: Placement, outputs: Sequence[OutgoingRecord], upto: OffsetAndMetadata) -> None:
        self.placement = placement
        self.outputs = outputs
        self.upto = upto
        self.done: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
        """For each output topic, the offset after its last record."""

    @property
    def source(self) -> TopicPartition:
        """The partition."""
        return self.placement.source

    def succeed(self, ends: dict[str, int]) -> None:
        """It is committed."""
        if not self.done.done():  # its partition was closed meanwhile
            self.done.set_result(ends)

    def fail(self, error: BaseException) -> None:
        """It is not committed, or nobody knows."""
        if not self.done.done():
            self.done.set_exception(error)


class Transactions:
    """The transactions of one assignment of partitions."""

    def __init__(self, owner: Owner, sources: Iterable[TopicPartition], member: Member) -> None:
        """For these partitions, at least one; `member` is the membership under which they were assigned."""
        self._owner = owner
        self._member = member
        self._own, *self._others = sorted(sources)
        self._producer: AIOKafkaProducer | None = None
        self._over: Exception | None = None
        self._in_order = asyncio.Lock()
        self._starts = asyncio.Semaphore(_STARTS_AT_ONCE)
        self._waiting: list[Delivery] = []
        self._committing: asyncio.Task[None] | None = None
        self._recent: deque[set[TopicPartition]] = deque(maxlen=2)
        self._committed: dict[TopicPartition, tuple[int, str]] = {}
        self._latest: set[TopicPartition] = set()  # the partitions of the last transaction
        self._unverified: set[TopicPartition] = set()  # those whose last commit may be gone

    # --- for the partitions ---

    async def join(self, source: TopicPartition) -> None:
        """Return when the partition's committed offset may be read: nothing delivered before can still move it.

        Raises:
            ProducerFenced: Another worker has one of the partitions.
            MembershipLostError: So says the group.
            UnevenTopicsError: Topics must have equally many partitions, and do not.
            KafkaError: Other errors of the brokers.
        """
        self._waiting = [delivery for delivery in self._waiting if delivery.source != source]
        async with self._in_order:
            await self._opened()
            self.confirmed(source)
            self._committed.pop(source, None)

    async def deliver(self, delivery: Delivery) -> dict[str, int]:
        """Return once it is committed, in one transaction with all else that waits.

        Raises:
            OversizedError: Kafka refused some of it as too large.
            CommitGoneError: An earlier commit of the partition is gone.
            UnevenTopicsError: Topics must have equally many partitions, and do not.
            KafkaError: Other errors of the brokers; it may be committed all the same.
        """
        self._waiting.append(delivery)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_waiting(), name=f"commits of {self._own.topic}")
        return await delivery.done

    def is_unsettled(self, source: TopicPartition) -> bool:
        """Whether the partition's last delivery still has to be confirmed."""
        return source in self._latest or source in self._unverified

    def confirmed(self, source: TopicPartition) -> None:
        """The partition's last delivery is confirmed."""
        self._latest.discard(source)
        self._unverified.discard(source)

    async def close(self) -> None:
        """End what is in progress; its deliveries fail. Never raises."""
        self._over = self._over or ConnectionAbortedError("the partitions are no longer assigned")
        for delivery in self._waiting:
            delivery.fail(self._over)
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.wait({self._committing}, timeout=2 * LEAVE_SECONDS)
        await self._discard()

    # --- one transaction after the other ---

    async def _commit_waiting(self) -> None:
        while self._waiting:
            async with self._in_order:
                together, self._waiting = self._waiting, []
                await self._attempt(together)
                # If that transaction was void: those that are not to blame, each by itself.
                for delivery in together:
                    await self._attempt([delivery])

    async def _attempt(self, deliveries: Sequence[Delivery]) -> None:
        """Commit those that are not done in one transaction; if that is certainly void, some may remain undone."""
        attempt = _Attempt([delivery for delivery in deliveries if not delivery.done.done()])
        if not attempt.deliveries:
            return
        try:
            producer = await self._opened()
            await self._prepare(producer, attempt)
            if attempt.placed:
                await self._transact(producer, attempt)
        except BaseException as error:
            await self._discard()
            if isinstance(error, _OVER):
                self._over = error
            attempt.failed(error, over=self._over is not None)
            if not isinstance(error, Exception):
                raise

    async def _prepare(self, producer: AIOKafkaProducer, attempt: "_Attempt") -> None:
        """Find where the results go; deliveries for which that is impossible fail."""
        for delivery in attempt.deliveries:
            try:
                await self._verify(delivery.source)
                attempt.placed.append((delivery, await delivery.placement.placed(producer, delivery.outputs)))
            except (CommitGoneError, UnevenTopicsError) as error:
                delivery.fail(error)

    async def _verify(self, source: TopicPartition) -> None:
        """Check that the partition's last commit is not gone.

        Raises:
            CommitGoneError: It is.
        """
        if source in self._unverified:
            there = await faust_internals.consumer_thread(self._owner.app).committed(source)
            if there != self._committed[source]:
                raise CommitGoneError(f"{self._committed[source]} was committed, and {there} is there")
            self._unverified.discard(source)

    async def _transact(self, producer: AIOKafkaProducer, attempt: "_Attempt") -> None:
        attempt.is_void = True
        await producer.begin_transaction()
        faust_internals.cover(producer, set[TopicPartition]().union(*self._recent))
        # In sequence: a broker refuses sends while it adds the group to the transaction.
        sent = [(delivery, await send(producer, outputs)) for delivery, outputs in attempt.placed]
        ends = await _all_arrived(sent)
        moved = {delivery.source: delivery.upto for delivery, _ in sent}
        await producer.send_offsets_to_transaction(moved, self._member.group)
        attempt.is_void = False
        await producer.commit_transaction()
        places = {batch.where for _, batches in sent for batch in batches}
        if places:
            self._recent.append(places)
        self._latest = set(moved)
        self._committed |= {source: (upto.offset, upto.metadata) for source, upto in moved.items()}
        for (delivery, _), offsets in zip(sent, ends, strict=True):
            delivery.succeed(offsets)

    # --- the producer ---

    async def _opened(self) -> AIOKafkaProducer:
        """The producer, started if there is none: whoever had one of our ids is fenced, its transactions ended."""
        if self._over is not None:
            raise self._over.with_traceback(None)
        while self._producer is None:
            await self._start()
        return self._producer

    async def _start(self) -> None:
        try:
            # A worker that has lost its partitions must not fence those that have them now.
            await faust_internals.consumer_thread(self._owner.app).check_member(self._member)
            await _all_of([self._open(), *map(self._fence, self._others)])
        except BaseException as error:
            await self._discard()
            if isinstance(error, _OVER):
                self._over = error
            raise
        self._others.clear()

    async def _open(self) -> None:
        self._producer = await self._started(self._own)

    async def _fence(self, source: TopicPartition) -> None:
        async with self._starts:
            await leave(await self._started(source))

    async def _started(self, source: TopicPartition) -> AIOKafkaProducer:
        # One id per partition, on any worker: the latest to start fences the others.
        app = self._owner.app
        name = f"{app.conf.id}-{source.topic}-{source.partition}"
        producer = faust_internals.producer(app, transactional_id=name)
        commit_as(producer, self._member)
        try:
            await producer.start()
            await faust_internals.learn_topics(producer, {source.topic, *self._owner.outputs})
            await self._abort_pending(producer, source)
        except BaseException:
            await leave(producer)
            raise
        return producer

    async def _abort_pending(self, producer: AIOKafkaProducer, source: TopicPartition) -> None:
        """Abort what an earlier transaction of the producer's id may have left pending, wherever that is."""
        places = [
            TopicPartition(topic, partition)
            for topic in sorted(self._owner.outputs)
            for partition in await partitions_of(producer, self._owner, topic, source.topic)
        ]
        await producer.begin_transaction()
        faust_internals.cover(producer, places)
        # Any offset: it is aborted; only the group's part in it matters.
        await producer.send_offsets_to_transaction({source: OffsetAndMetadata(0, "")}, self._member.group)
        await producer.abort_transaction()

    async def _discard(self) -> None:
        """Stop the producer, whose transaction failed: with it may go what those before have left pending."""
        producer, self._producer = self._producer, None
        self._recent.clear()
        self._latest.clear()
        self._unverified = set(self._committed)
        if producer is not None:
            await leave(producer)


class _Attempt:
    """Deliveries that are to share a transaction."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self.deliveries = deliveries
        self.placed: list[tuple[Delivery, Placed]] = []
        self.is_void = False
        """Whether a transaction was begun and its commit not requested yet."""

    def failed(self, error: BaseException, *, over: bool) -> None:
        """Fail them, except where each may succeed by itself."""
        if self.is_void and not over and len(self.deliveries) > 1 and isinstance(error, Exception):
            return
        told = error if isinstance(error, Exception) else ConnectionAbortedError("the worker gives up the partitions")
        for delivery in self.deliveries:
            delivery.fail(told)


async def _all_arrived(sent: Sequence[tuple[Delivery, Sequence[Sent]]]) -> list[dict[str, int]]:
    """The ends of each delivery; the first that was too large fails.

    Raises:
        OversizedError: Kafka refused some as too large.
    """
    await asyncio.gather(*(batch.future for _, batches in sent for batch in batches), return_exceptions=True)
    ends = []
    for delivery, batches in sent:
        try:
            ends.append(await arrived(batches))
        except OversizedError as error:
            delivery.fail(error)
            raise
    return ends


async def _all_of(starts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them all to their end, then raise the first error."""
    for result in await asyncio.gather(*starts, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
