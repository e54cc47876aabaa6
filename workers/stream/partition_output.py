"""One producer per partition: sends its results to Kafka and commits its offset."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol

import faust
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from workers.configuration.settings import Delivery
from workers.kafka.client_lifetime import leave
from workers.kafka.clients import AIOKafkaProducer
from workers.kafka.records import OutgoingRecord, PartitionListener, Placing
from workers.stream import faust_internals


class Sender(Protocol):
    """The part of a stream processor that an output needs."""

    app: faust.App
    outputs: frozenset[str]
    alike: frozenset[str]
    delivery: Delivery
    place: Placing | None
    listener: PartitionListener


class UnevenTopicsError(RuntimeError):
    """Topics that must have equally many partitions do not: records would go to the wrong partition."""


class OversizedError(Exception):
    """Kafka refused a record as too large; nothing of the batch is committed."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        """The topics that refused it."""
        super().__init__(f"larger than {', '.join(sorted(topics))} takes")


_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class _Sent(NamedTuple):
    """One batch that was sent."""

    topic: str
    partition: int
    records: int
    future: asyncio.Future[Any]


def _refused(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and isinstance(future.exception(), _TOO_LARGE)


class PartitionOutput:
    """Sends the results of one partition, then commits its offset.

    Its producer starts with the first result: a partition that sends nothing needs no connection.
    """

    unsettled = False
    """Whether the last delivery still has to be confirmed."""

    def __init__(self, producer: AIOKafkaProducer, owner: Sender, source: TopicPartition) -> None:
        self._producer = producer
        self._owner = owner
        self._source = source
        self.started = False

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:
        """Return once the broker has all outputs, and `upto` as the partition's next offset, with the note.

        The result maps each output topic to the offset after its last output.

        Raises:
            OversizedError: Kafka refused some of them as too large.
        """
        first = [output for output in outputs if output.topic in self._owner.listener.first]
        others = [output for output in outputs if output.topic not in self._owner.listener.first]
        ends: dict[str, int] = {}
        for wave in (first, others):
            if wave:
                ends |= await self._arrived(await self._send(wave))
        await faust_internals.consumer_thread(self._owner.app).commit_offset(self._source, upto, note)
        return ends

    async def start(self) -> None:
        """Start the producer, once."""
        if not self.started:
            self.started = True
            await self._open()

    async def _open(self) -> None:
        await self._producer.start()

    async def settle(self) -> None:
        """Confirm the last delivery."""

    async def _send(self, outputs: Sequence[OutgoingRecord]) -> list[_Sent]:
        await self.start()
        sent = []
        for (topic, partition), group in (await self._sorted(outputs)).items():
            for batch in faust_internals.packed(self._producer, group):
                count = batch.record_count()
                future = await self._producer.send_batch(batch, topic, partition=partition)
                sent.append(_Sent(topic, partition, count, future))
        return sent

    @staticmethod
    async def _arrived(sent: Sequence[_Sent]) -> dict[str, int]:
        ends: dict[str, int] = {}
        try:
            arrived = await asyncio.gather(*(batch.future for batch in sent))
        except _TOO_LARGE:
            raise OversizedError(frozenset(batch.topic for batch in sent if _refused(batch.future))) from None
        for batch, metadata in zip(sent, arrived, strict=True):
            ends[batch.topic] = max(ends.get(batch.topic, 0), metadata.offset + batch.records)
        return ends

    async def _sorted(self, outputs: Sequence[OutgoingRecord]) -> dict[tuple[str, int], list[OutgoingRecord]]:
        there = {topic: await self._partitions(topic) for topic in {output.topic for output in outputs}}
        places = {topic: self._place(partitions) for topic, partitions in there.items()}
        groups: dict[tuple[str, int], list[OutgoingRecord]] = defaultdict(list)
        for output in outputs:
            topic, to = output.topic, output.to
            if to is not None and topic in self._owner.alike:
                # Its other partitions are not taken over from an earlier owner, who may have left something there.
                raise ValueError(f"a record for {topic} names its partition, and the topic is declared alike")
            partition = places[topic](output.key) if to is None else to(len(there[topic]))
            groups[topic, partition].append(output)
        return groups

    def _place(self, there: list[int]) -> Callable[[bytes], int]:
        place = self._owner.place
        if place is not None:
            return lambda key: place(key, len(there))
        if len(there) == 1:
            return lambda _key: there[0]
        choose = DefaultPartitioner()
        return lambda key: choose(key, there, there)

    async def _partitions(self, topic: str) -> list[int]:
        """The partitions of an output topic that may be sent to.

        Raises:
            UnevenTopicsError: It must have as many as the input topic, and does not.
        """
        there = sorted(await self._producer.partitions_for(topic))
        if topic not in self._owner.alike:
            return there
        here = await self._producer.partitions_for(self._source.topic)
        if len(there) != len(here):
            raise UnevenTopicsError(
                f"{self._source.topic} has {len(here)} partitions and {topic} has {len(there)}, but they must have "
                "equally many: nothing was sent; `dli topics check` shows all, `dli topics scale N` makes them even"
            )
        return [self._source.partition] if self._owner.place is None else there


class TransactionalOutput(PartitionOutput):
    """One transaction per batch, committed or aborted as a whole, even if the broker fails.

    Kafka acknowledges a commit before the partitions have its markers. A coordinator that restarts just then may not
    yet know the partitions' leaders; Apache Kafka takes the partitions for deleted and drops the markers, logging
    "couldn't find leader endpoint". The records stay pending, neither committed nor aborted, until the same producer
    id's next marker in that partition decides them, whatever it was meant for. Hence:

    * A new owner first aborts whatever its predecessor left pending, with one transaction over every output partition
      and its offset, and only then reads the committed offset.
    * A transaction also covers the partitions of the previous two, so that they share its outcome; so the third without
      outputs covers none.
    * The last one before an idle period is confirmed by another, so that no reader waits for pending records.

    A commit is final when the next one is acknowledged; until then a `PartitionListener` must not persist its data.
    """

    def __init__(self, producer: AIOKafkaProducer, owner: Sender, source: TopicPartition) -> None:
        super().__init__(producer, owner, source)
        self._recent: deque[set[TopicPartition]] = deque(maxlen=2)
        self._upto = (0, "")

    async def _open(self) -> None:
        await super()._open()
        places = [
            TopicPartition(topic, partition)
            for topic in sorted(self._owner.outputs)
            for partition in await self._partitions(topic)
        ]
        await self._producer.begin_transaction()
        faust_internals.cover(self._producer, places)
        await self._move_offset(0, "")  # any offset: it is aborted; only the group's part in it matters
        await self._producer.abort_transaction()

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:
        """Return once everything is committed in one transaction; the result is the same.

        Raises:
            OversizedError: Kafka refused some as too large; the transaction and this output are void.
        """
        undeclared = {output.topic for output in outputs} - self._owner.outputs
        if undeclared:
            raise ValueError(f"the handler sent to {', '.join(sorted(undeclared))}, which is not among its outputs")
        await self._producer.begin_transaction()
        faust_internals.cover(self._producer, set[TopicPartition]().union(*self._recent))
        # In sequence: a broker refuses sends while it adds the group to the transaction.
        sent = await self._send(outputs)
        ends = await self._arrived(sent)
        await self._move_offset(upto, note)
        await self._producer.commit_transaction()
        # Even if it is nothing: two topics whose processors send to each other would never come to rest, because each
        # marker is read, and an offset after it committed, with markers of its own.
        self._recent.append({TopicPartition(batch.topic, batch.partition) for batch in sent})
        self._upto = upto, note
        self.unsettled = True
        return ends

    async def settle(self) -> None:
        """Confirm the last transaction by one that covers its partitions and sends nothing."""
        await self.deliver((), *self._upto)
        self.unsettled = False

    async def _move_offset(self, upto: int, note: str) -> None:
        offset = {self._source: OffsetAndMetadata(upto, note)}
        await self._producer.send_offsets_to_transaction(offset, self._owner.app.conf.id)


@asynccontextmanager
async def opened_output(owner: Sender, source: TopicPartition) -> AsyncIterator[PartitionOutput]:
    """The output of a partition, closed on exit."""
    exactly_once = owner.delivery is Delivery.EXACTLY_ONCE
    name = f"{owner.app.conf.id}-{source.topic}-{source.partition}"
    # One id per partition, on any worker: the latest to start fences the others.
    producer = faust_internals.producer(owner.app, transactional_id=name if exactly_once else None)
    made = (TransactionalOutput if exactly_once else PartitionOutput)(producer, owner, source)
    try:
        if exactly_once:
            await made.start()  # fences the previous owner and ends its transactions
        yield made
    finally:
        await leave(producer)  # even if it never started: otherwise aiokafka warns that it was not closed
