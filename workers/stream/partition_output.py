"""The output of one partition: sends its results to Kafka and commits its offset."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import faust
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from workers.kafka.client_lifetime import leave
from workers.kafka.clients import AIOKafkaProducer
from workers.kafka.records import OutgoingRecord, PartitionListener
from workers.stream import faust_internals
from workers.stream.outgoing_batches import Outputs, Placement, arrived, send
from workers.stream.transactions import Delivery, Transactions


class Sender(Outputs, Protocol):
    """The part of a stream processor that an output needs."""

    app: faust.App
    listener: PartitionListener
    transactions: Transactions | None
    """Those of the partitions assigned now; None with at-least-once delivery."""


class Output(Protocol):
    """Where the results of one partition go."""

    @property
    def unsettled(self) -> bool:
        """Whether the last delivery still has to be confirmed."""

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:
        """Return once the broker has all outputs, and `upto` as the partition's next offset, with the note.

        The result maps each output topic to the offset after its last output.

        Raises:
            OversizedError: Kafka refused some of them as too large.
        """

    async def settle(self) -> None:
        """Confirm the last delivery."""


class PartitionOutput:
    """At least once: a producer for each partition, whose offset is committed when every result is acknowledged.

    The producer starts with the first result: a partition that sends nothing needs no connection.
    """

    unsettled = False

    def __init__(self, producer: AIOKafkaProducer, owner: Sender, source: TopicPartition) -> None:
        self._producer = producer
        self._owner = owner
        self._placement = Placement(owner, source)
        self._started = False

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:
        """As in `Output`; results for the listener's `first` topics are acknowledged before others are sent."""
        first = [output for output in outputs if output.topic in self._owner.listener.first]
        others = [output for output in outputs if output.topic not in self._owner.listener.first]
        ends: dict[str, int] = {}
        for wave in (first, others):
            if wave:
                ends |= await self._sent(wave)
        thread = faust_internals.consumer_thread(self._owner.app)
        await thread.commit_offset(self._placement.source, upto, note)
        return ends

    async def settle(self) -> None:
        """Nothing is left to confirm."""

    async def _sent(self, outputs: Sequence[OutgoingRecord]) -> dict[str, int]:
        if not self._started:
            self._started = True
            await self._producer.start()
        return await arrived(await send(self._producer, await self._placement.placed(self._producer, outputs)))


class TransactionalOutput:
    """Exactly once: results and offset are committed together, in a transaction that other partitions share."""

    def __init__(self, transactions: Transactions, owner: Sender, source: TopicPartition) -> None:
        self._transactions = transactions
        self._owner = owner
        self._placement = Placement(owner, source)
        self._upto = OffsetAndMetadata(0, "")

    @property
    def unsettled(self) -> bool:
        """Whether no transaction after the last delivery's has been committed."""
        return self._transactions.is_unsettled(self._placement.source)

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:
        """As in `Output`."""
        undeclared = {output.topic for output in outputs} - self._owner.outputs
        if undeclared:
            raise ValueError(f"the handler sent to {', '.join(sorted(undeclared))}, which is not among its outputs")
        self._upto = OffsetAndMetadata(upto, note)
        return await self._transactions.deliver(Delivery(self._placement, outputs, self._upto))

    async def settle(self) -> None:
        """Confirm the last transaction by one that covers its partitions and sends nothing."""
        await self._transactions.deliver(Delivery(self._placement, (), self._upto))
        self._transactions.confirmed(self._placement.source)


@asynccontextmanager
async def opened_output(owner: Sender, source: TopicPartition) -> AsyncIterator[Output]:
    """The output of a partition. Nothing that was delivered before can still move the partition's offset."""
    if owner.transactions is not None:
        await owner.transactions.join(source)
        yield TransactionalOutput(owner.transactions, owner, source)
        return
    producer = faust_internals.producer(owner.app, transactional_id=None)
    try:
        yield PartitionOutput(producer, owner, source)
    finally:
        await leave(producer)  # even if it never started: otherwise aiokafka warns that it was not closed
