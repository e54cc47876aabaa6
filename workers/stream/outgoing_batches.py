"""Places a partition's results in the partitions of their topics, and sends them in large batches."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import TopicPartition

from workers.kafka.clients import AIOKafkaProducer
from workers.kafka.records import OutgoingRecord, Placing
from workers.stream import faust_internals


class Outputs(Protocol):
    """The topics of a stream processor's results."""

    outputs: frozenset[str]
    alike: frozenset[str]
    place: Placing | None


class UnevenTopicsError(RuntimeError):
    """Topics that must have equally many partitions do not: records would go to the wrong partition."""


class OversizedError(Exception):
    """Kafka refused a record as too large; nothing of the batch is committed."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        """The topics that refused it."""
        super().__init__(f"larger than {', '.join(sorted(topics))} takes")


_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

Placed = Mapping[tuple[str, int], Sequence[OutgoingRecord]]
"""Results by topic and partition."""


class Placement:
    """Where the results of one partition go."""

    def __init__(self, owner: Outputs, source: TopicPartition) -> None:
        self._owner = owner
        self.source = source

    async def placed(self, producer: AIOKafkaProducer, outputs: Sequence[OutgoingRecord]) -> Placed:
        """The results by the partition that they go to.

        Raises:
            UnevenTopicsError: A topic must have as many partitions as the input topic, and does not.
        """
        places = {topic: await self.place(producer, topic) for topic in {output.topic for output in outputs}}
        groups: dict[tuple[str, int], list[OutgoingRecord]] = defaultdict(list)
        for output in outputs:
            groups[output.topic, places[output.topic](output.key)].append(output)
        return groups

    async def place(self, producer: AIOKafkaProducer, topic: str) -> Callable[[bytes], int]:
        """From a result's key to its partition.

        Raises:
            UnevenTopicsError: As above.
        """
        there = await partitions_of(producer, self._owner, topic, self.source.topic)
        place = self._owner.place
        if place is not None:
            return lambda key: place(key, len(there))
        if topic in self._owner.alike:
            return lambda _key: self.source.partition
        if len(there) == 1:
            return lambda _key: there[0]
        choose = DefaultPartitioner()
        return lambda key: choose(key, there, there)


async def partitions_of(producer: AIOKafkaProducer, owner: Outputs, topic: str, source: str) -> list[int]:
    """All partitions of an output topic, in order.

    Raises:
        UnevenTopicsError: It must have as many as the input topic, `source`, and does not.
    """
    there = sorted(await producer.partitions_for(topic))
    if topic in owner.alike:
        here = await producer.partitions_for(source)
        if len(there) != len(here):
            raise UnevenTopicsError(
                f"{source} has {len(here)} partitions and {topic} has {len(there)}, but they must have "
                "equally many: nothing was sent; `dli topics check` shows all, `dli topics scale N` makes them even"
            )
    return there


class Sent(NamedTuple):
    """One batch that was sent."""

    where: TopicPartition
    records: int
    future: asyncio.Future[Any]


async def send(producer: AIOKafkaProducer, outputs: Placed) -> list[Sent]:
    """Give the results to the producer, in as few batches as possible."""
    sent = []
    for (topic, partition), group in outputs.items():
        for batch in faust_internals.packed(producer, group):
            count = batch.record_count()
            future = await producer.send_batch(batch, topic, partition=partition)
            sent.append(Sent(TopicPartition(topic, partition), count, future))
    return sent


async def arrived(sent: Sequence[Sent]) -> dict[str, int]:
    """Return once the broker has all batches: for each topic, the offset after its last record.

    Raises:
        OversizedError: Kafka refused some of them as too large.
    """
    found = await asyncio.gather(*(batch.future for batch in sent), return_exceptions=True)
    refused = frozenset(
        batch.where.topic for batch, answer in zip(sent, found, strict=True) if isinstance(answer, _TOO_LARGE)
    )
    if refused:
        raise OversizedError(refused)
    ends: dict[str, int] = {}
    for batch, answer in zip(sent, found, strict=True):
        if isinstance(answer, BaseException):
            raise answer
        ends[batch.where.topic] = max(ends.get(batch.where.topic, 0), answer.offset + batch.records)
    return ends
