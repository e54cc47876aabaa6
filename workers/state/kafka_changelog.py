"""The changelog topic on Kafka."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka.structs import TopicPartition

from workers.kafka.clients import async_consumer
from workers.state.changelog import Change

WAIT_MS = 500


class KafkaChangelog:
    """Reads committed records of the changelog topic, without a consumer group.

    When a partition is taken over, its previous owner is fenced and its transactions have ended: everything up to the
    log's end is decided.
    """

    def __init__(self, client: Mapping[str, Any], topic: str) -> None:
        self.topic = topic
        self._client = dict(client)

    async def end(self, partition: int) -> int:
        """The offset after the partition's last record."""
        where = TopicPartition(self.topic, partition)
        async with async_consumer(self._client) as consumer:
            ends = await consumer.end_offsets([where])
        return int(ends[where])

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Change]]:
        """Committed records from `start`, or the first one kept after it, up to `end`, in batches."""
        if start >= end:
            return
        where = TopicPartition(self.topic, partition)
        async with async_consumer(self._client) as consumer:
            consumer.assign([where])
            consumer.seek(where, start)
            while await consumer.position(where) < end:
                found = await consumer.getmany(where, timeout_ms=WAIT_MS)
                for records in found.values():
                    changes = [
                        Change(record.offset, record.key or b"", record.value, record.timestamp)
                        for record in records
                        if record.offset < end
                    ]
                    if changes:
                        yield changes
