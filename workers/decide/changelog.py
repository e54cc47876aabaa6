"""The changelog of answered requests, read from Kafka when a partition is taken over."""

from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from workers.decide.duplicates import Change

WAIT_MS = 500


class KafkaChangelog:
    """Reads the changelog topic with a consumer of no group, committed records only.

    When a partition is taken over, its earlier owner is fenced and its transactions have ended: the log's end is the
    end of what was answered.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self._bootstrap = bootstrap

    def _reader(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )

    async def end(self, partition: int) -> int:
        """The offset behind the partition's last record."""
        where = TopicPartition(self.topic, partition)
        async with self._reader() as consumer:
            ends = await consumer.end_offsets([where])
        return int(ends[where])

    async def read(self, partition: int, start: int) -> AsyncIterator[Sequence[Change]]:
        """Committed records from an offset, or the first one kept after it, to the end, in batches."""
        where = TopicPartition(self.topic, partition)
        async with self._reader() as consumer:
            consumer.assign([where])
            end = (await consumer.end_offsets([where]))[where]
            consumer.seek(where, start)
            while await consumer.position(where) < end:
                found = await consumer.getmany(where, timeout_ms=WAIT_MS)
                for records in found.values():
                    yield [Change(one.offset, one.key, one.value) for one in records]
