"""Out: one producer for each partition, which takes its results to Kafka and its offset forward."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from workers.kafka.client_lifetime import leave
from workers.records import Delivery, OutgoingRecord, PartitionListener, Placing
from workers.stream import faust_internals


class Sender(Protocol):
    """Whose results are carried: as much of a feed as a courier needs."""

    app: faust.App
    outputs: frozenset[str]
    alike: frozenset[str]
    delivery: Delivery
    place: Placing | None
    companion: PartitionListener


class UnevenTopicsError(RuntimeError):
    """Topics that are declared alike have other numbers of partitions: what is sent would go astray."""


class OversizedError(Exception):
    """Kafka takes what was sent for too large; nothing of the batch is committed."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        """Where it was to go."""
        super().__init__(f"larger than {', '.join(sorted(topics))} takes")


_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class _Sent(NamedTuple):
    """One batch on its way."""

    topic: str
    partition: int
    records: int
    future: asyncio.Future[Any]


def _refused(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and isinstance(future.exception(), _TOO_LARGE)


class PartitionOutput:
    """Carries the results of one partition out, and its offset forward once they are there.

    Its producer is started with the first result: a feed that sends nothing needs no connection for each partition.
    """

    unsettled = False
    """Whether what was delivered last is still to be confirmed."""

    def __init__(self, producer: AIOKafkaProducer, owner: Sender, source: TopicPartition) -> None:
        self._producer = producer
        self._feed = owner
        self._source = source
        self.started = False

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:
        """Return once the broker has all outputs, and `upto` as the partition's next offset, with the note.

        What is returned says for each topic of the outputs which offset comes behind the last of them.

        Raises:
            OversizedError: Kafka takes some of them for too large.
        """
        first = [one for one in outputs if one.topic in self._feed.companion.first]
        others = [one for one in outputs if one.topic not in self._feed.companion.first]
        ends: dict[str, int] = {}
        for wave in (first, others):
            if wave:
                ends |= await self._arrived(await self._send(wave))
        await faust_internals.consumer_thread(self._feed.app).commit_offset(self._source, upto, note)
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
            arrived = await asyncio.gather(*(one.future for one in sent))
        except _TOO_LARGE:
            raise OversizedError(frozenset(one.topic for one in sent if _refused(one.future))) from None
        for one, metadata in zip(sent, arrived, strict=True):
            ends[one.topic] = max(ends.get(one.topic, 0), metadata.offset + one.records)
        return ends

    async def _sorted(self, outputs: Sequence[OutgoingRecord]) -> dict[tuple[str, int], list[OutgoingRecord]]:
        places = {topic: await self._place(topic) for topic in {output.topic for output in outputs}}
        groups: dict[tuple[str, int], list[OutgoingRecord]] = defaultdict(list)
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
        """The partitions of a topic of outputs to which something may go.

        Raises:
            UnevenTopicsError: It is to have as many as the topic of the records, and has not.
        """
        there = sorted(await self._producer.partitions_for(topic))
        if topic not in self._feed.alike:
            return there
        here = await self._producer.partitions_for(self._source.topic)
        if len(there) != len(here):
            raise UnevenTopicsError(
                f"{self._source.topic} has {len(here)} partitions and {topic} has {len(there)}, but they must have "
                "equally many: nothing was sent; `dli topics check` shows all, `dli topics scale N` makes them even"
            )
        return [self._source.partition] if self._feed.place is None else there


class TransactionalOutput(PartitionOutput):
    """One transaction for each batch, of which all comes or nothing, whatever becomes of the broker.

    Kafka acknowledges a commit before the partitions have its markers. A coordinator that restarts just then
    may not know the partitions' leaders yet; Apache Kafka takes those for deleted and drops the markers, logging
    "couldn't find leader endpoint". The records are left hanging: neither committed nor aborted, until the same
    producer id's next marker in that partition makes them the one or the other, whatever it was meant for. Hence:

    * A new owner first aborts, with one transaction over every partition its outputs may go to and over its
      offset, whatever an earlier one left hanging, and only then asks from where to go on.
    * A transaction covers the places of the two before it too, so that they have the same fate.
    * The last one before a quiet spell is confirmed by one more: nobody waits for an answer that hangs.

    A commit is final when the next one is acknowledged; a `PartitionListener` keeps nothing of it for good before.
    """

    def __init__(self, producer: AIOKafkaProducer, owner: Sender, source: TopicPartition) -> None:
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
        faust_internals.cover(self._producer, places)
        await self._move_offset(0, "")  # any: it is aborted, and all that counts is that the group hears of it
        await self._producer.abort_transaction()

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:
        """Return once all is committed in one transaction; the same is returned.

        Raises:
            OversizedError: Kafka takes some of them for too large; the transaction is void, and so is this courier.
        """
        undeclared = {output.topic for output in outputs} - self._feed.outputs
        if undeclared:
            raise ValueError(f"the handler sent to {', '.join(sorted(undeclared))}, which is not among its outputs")
        await self._producer.begin_transaction()
        faust_internals.cover(self._producer, set[TopicPartition]().union(*self._recent))
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
        """Confirm the last transaction by one that covers its places and sends nothing."""
        await self.deliver((), *self._upto)
        self.unsettled = False

    async def _move_offset(self, upto: int, note: str) -> None:
        offset = {self._source: OffsetAndMetadata(upto, note)}
        await self._producer.send_offsets_to_transaction(offset, self._feed.app.conf.id)


@asynccontextmanager
async def courier(owner: Sender, source: TopicPartition) -> AsyncIterator[PartitionOutput]:
    """A courier for a partition's results, as long as they are to be carried."""
    exactly_once = owner.delivery is Delivery.EXACTLY_ONCE
    name = f"{owner.app.conf.id}-{source.topic}-{source.partition}"
    # One id for a partition, whichever worker has it: who starts last fences all before.
    producer = faust_internals.producer(owner.app, transactional_id=name if exactly_once else None)
    made = (TransactionalOutput if exactly_once else PartitionOutput)(producer, owner, source)
    try:
        if exactly_once:
            await made.start()  # fences who had the partition before, and ends what they left
        yield made
    finally:
        await leave(producer)  # also one that never started: aiokafka takes it for forgotten otherwise
