"""A topic as the truth behind a copy, read from Kafka when a partition is taken over."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from workers.kafka.client_lifetime import started

WAIT_MS = 500


class Change(NamedTuple):
    """One record of the changelog."""

    offset: int
    key: bytes
    value: bytes | None
    """None where the entry was taken back."""
    timestamp: int
    """When the record was appended, in milliseconds since the epoch."""


class Changelog(Protocol):
    """The changelog topic, as it is read when a partition is taken over."""

    topic: str

    async def end(self, partition: int) -> int:
        """The offset behind the partition's last record."""

    def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Change]]:
        """Committed records from an offset, or the first one kept after it, up to `end`; no batch is empty."""


class KafkaChangelog:
    """Reads the changelog topic with a consumer of no group, committed records only.

    When a partition is taken over, its earlier owner is fenced and its transactions have ended: the log's end is the
    end of what was committed.
    """

    def __init__(self, client: Mapping[str, Any], topic: str) -> None:
        self.topic = topic
        self._client = dict(client)

    def _reader(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._client,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )

    async def end(self, partition: int) -> int:
        """The offset behind the partition's last record."""
        where = TopicPartition(self.topic, partition)
        async with started(self._reader()) as consumer:
            ends = await consumer.end_offsets([where])
        return int(ends[where])

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Change]]:
        """Committed records from an offset, or the first one kept after it, up to `end`, in batches."""
        if start >= end:
            return
        where = TopicPartition(self.topic, partition)
        async with started(self._reader()) as consumer:
            consumer.assign([where])
            consumer.seek(where, start)
            while await consumer.position(where) < end:
                found = await consumer.getmany(where, timeout_ms=WAIT_MS)
                for records in found.values():
                    changes = [
                        Change(one.offset, one.key or b"", one.value, one.timestamp)
                        for one in records
                        if one.offset < end
                    ]
                    if changes:
                        yield changes
