"""A log on Kafka, read without a consumer group: it commits nothing."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from aiokafka.errors import CorruptRecordException, KafkaError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from workers.configuration.settings import Settings, read
from workers.event_log.source import Chunk, Damage, Extent, Piece, ReplayError
from workers.kafka.clients import AIOKafkaConsumer, async_consumer
from workers.kafka.connect import client
from workers.kafka.errors import ReadingError
from workers.kafka.records import Record, Unreadable

WAIT_MS = 500
FETCH_BYTES = 16_000_000
"""Fetch size per partition: small fetches are slow."""
CHUNK_RECORDS = 4_000


class UnreachableLogError(ReplayError, ReadingError):
    """The brokers do not respond, perhaps in the middle of something: what was begun may be partly done."""

    is_refusal = False


@dataclass(frozen=True)
class KafkaSource:
    """Ranges of topics on a cluster, with ends fixed at creation."""

    bootstrap: str
    prefix: str
    extents: Mapping[tuple[str, int], Extent]
    """By topic's full name and partition."""

    @property
    def identity(self) -> str:
        """Identifies topics and start offsets; not the ends, which move and which a run stores itself."""
        named = sorted((topic, partition, extent.first) for (topic, partition), extent in self.extents.items())
        return sha256(repr((self.bootstrap, named)).encode()).hexdigest()

    def topic(self, name: str) -> str:
        """The full name of a declared topic."""
        return self.prefix + name

    def partitions(self, topic: str) -> Sequence[int]:
        """The requested partitions of a topic."""
        return sorted(partition for name, partition in self.extents if name == topic)

    def extent(self, topic: str, partition: int) -> Extent:
        """The range of a partition."""
        return self.extents[topic, partition]

    def ends(self) -> dict[str, int]:
        """The offset after the last record, for each topic and partition."""
        return {f"{topic}/{partition}": extent.end for (topic, partition), extent in self.extents.items()}

    def ending(self, ends: Mapping[str, int]) -> "KafkaSource":
        """The same source with the ends of an earlier attempt."""
        extents = {
            (topic, partition): replace(extent, end=ends[f"{topic}/{partition}"])
            for (topic, partition), extent in self.extents.items()
            if f"{topic}/{partition}" in ends
        }
        return replace(self, extents=extents)

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        """Committed records from an offset to the end of the range.

        Raises:
            ReplayError: The broker does not respond, or no longer has them.
        """
        loop = asyncio.new_event_loop()
        pieces = _pieces(self.bootstrap, topic, partition, start, self.extents[topic, partition].end)
        try:
            while True:
                try:
                    yield loop.run_until_complete(anext(pieces))
                except StopAsyncIteration:
                    return
                except OffsetOutOfRangeError:
                    sentence = f"{topic}/{partition}: offset {start} is no longer kept; begin later, or use an archive"
                    raise ReplayError(sentence) from None
                except (KafkaError, OSError) as error:
                    raise unreachable(self.bootstrap, error) from None
        finally:
            loop.run_until_complete(pieces.aclose())
            loop.close()

    def keys(self, topic: str, partition: int) -> Iterator[Sequence[bytes | None]]:
        """The keys of all committed records of a partition."""
        for piece in self.read(topic, partition, self.extents[topic, partition].first):
            if piece.chunk is not None:
                yield [record.key for record in piece.chunk.records]


def committed(settings: Settings, ends: Mapping[tuple[str, int], int], until: datetime) -> None:
    """Commit the archives' end offsets and time, as a group without members.

    Raises:
        ReplayError: Kafka refuses it.
    """
    note = until.isoformat(timespec="seconds")
    offsets = {TopicPartition(*where): OffsetAndMetadata(end, note) for where, end in ends.items()}
    try:
        asyncio.run(_commit(settings, offsets))
    except (KafkaError, OSError) as error:
        raise ReplayError(
            f"{settings.bootstrap}: {type(error).__name__}: the archive is complete, and that it is could not be told "
            f"Kafka; may we read the group {settings.archive_group} (`dli rights`)?"
        ) from None


async def _commit(settings: Settings, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
    async with async_consumer(client(settings), group_id=settings.archive_group) as consumer:
        consumer.assign(list(offsets))
        await consumer.commit(dict(offsets))


def unreachable(bootstrap: str, error: BaseException) -> UnreachableLogError:
    """The error for a failing broker."""
    return UnreachableLogError(f"{bootstrap}: {type(error).__name__}; is Kafka there, and is --bootstrap its address?")


def reader(bootstrap: str) -> AbstractAsyncContextManager[AIOKafkaConsumer]:
    """A consumer without a group, closed on exit."""
    # Read here, not passed in: sources are sent between processes, and must not contain credentials.
    connection = client(read(bootstrap=bootstrap))
    return async_consumer(connection, auto_offset_reset="none", max_partition_fetch_bytes=FETCH_BYTES)


async def _pieces(bootstrap: str, topic: str, partition: int, start: int, end: int) -> AsyncGenerator[Piece, None]:
    if start >= end:
        return
    where = TopicPartition(topic, partition)
    async with reader(bootstrap) as consumer:
        consumer.assign([where])
        consumer.seek(where, start)
        lost: int | None = None
        at = start
        while at < end:
            try:
                found = (await consumer.getmany(where, timeout_ms=WAIT_MS, max_records=CHUNK_RECORDS)).get(where, [])
            except CorruptRecordException:
                # The end of the loss is unknown until a later record is read.
                lost = at if lost is None else lost
                at += 1
                consumer.seek(where, at)
                continue
            at = await consumer.position(where)
            kept = [record for record in found if record.offset < end]
            if lost is not None and (kept or at >= end):
                last = (kept[0].offset if kept else end) - 1
                yield Piece(
                    damage=Damage(topic, partition, lost, last, "Kafka's own check sum is not that of the records")
                )
                lost = None
            for record in (record for record in kept if isinstance(record.value, Unreadable)):
                last = min(record.value.last, end - 1)
                yield Piece(
                    damage=Damage(topic, partition, record.offset, last, f"Kafka has it, but {record.value.why}")
                )
            kept = [record for record in kept if not isinstance(record.value, Unreadable)]
            if kept:
                yield Piece(Chunk([_record(record) for record in kept], [record.timestamp_type for record in kept]))
        if lost is not None:
            yield Piece(
                damage=Damage(topic, partition, lost, end - 1, "Kafka's own check sum is not that of the records")
            )


def _record(record: object) -> Record:
    return Record(
        record.topic,  # type: ignore[attr-defined]  # aiokafka ships no types
        record.partition,  # type: ignore[attr-defined]
        record.offset,  # type: ignore[attr-defined]
        record.timestamp,  # type: ignore[attr-defined]
        record.key,  # type: ignore[attr-defined]
        record.value,  # type: ignore[attr-defined]
        tuple(record.headers),  # type: ignore[attr-defined]
    )
