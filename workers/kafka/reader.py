"""Reads topics without a consumer group: commits nothing, affects no other consumer."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.consumer.fetcher import ConsumerRecord

from events.envelope import Headers, loads
from workers.configuration.settings import Settings
from workers.kafka import clients
from workers.kafka.clients import KafkaAdminClient
from workers.kafka.connect import PATIENCE, milliseconds

log = structlog.get_logger(__name__)


class StrangeError(ValueError):
    """A record on one of our topics is not one of our events; the message says why, without its content."""


class Span(NamedTuple):
    """The offsets that a partition keeps."""

    beginning: int
    end: int
    """The offset after the last record visible to readers of committed records."""


class Extent(NamedTuple):
    """The range of a partition's log, committed or not."""

    beginning: int
    end: int
    """The high watermark: the offset after the last record written."""
    stable: int
    """The last stable offset: lower than `end` while a transaction is open."""


def partitions_of(admin: KafkaAdminClient, topics: list[str]) -> list[TopicPartition]:
    """All partitions of the topics that exist."""
    described = admin.describe_topics(topics) if topics else []  # an empty list would mean all topics
    return [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in described
        for partition in topic["partitions"]
    ]


def missing(settings: Settings, topics: list[str]) -> list[str]:
    """The topics that do not exist or are hidden from us.

    Raises:
        ReadingError: They do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    with clients.admin(settings) as admin:
        there = {partition.topic for partition in partitions_of(admin, topics)}
    return sorted(set(topics) - there)


def lacking(settings: Settings, topics: list[str]) -> str | None:
    """The beginning of a message that names missing topics; None if all exist.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    names = missing(settings, topics)
    hidden = f", or it is hidden from {settings.sasl_username}" if settings.sasl_username else ""
    return f"{settings.bootstrap} has no topic {' and '.join(names)}{hidden}" if names else None


MAKE_TOPICS = "`dli topics apply` makes the topics, and --topic-prefix is part of their names"
"""The advice for missing topics."""


def spans(admin: KafkaAdminClient, partitions: list[TopicPartition]) -> dict[TopicPartition, Span]:
    """The offsets that each partition keeps."""
    if not partitions:
        return {}
    beginnings = admin.list_partition_offsets(
        dict.fromkeys(partitions, OffsetSpec.EARLIEST), timeout_ms=milliseconds(PATIENCE)
    )
    ends = admin.list_partition_offsets(
        dict.fromkeys(partitions, OffsetSpec.LATEST),
        isolation_level="read_committed",
        timeout_ms=milliseconds(PATIENCE),
    )
    return {partition: Span(beginnings[partition].offset, ends[partition].offset) for partition in partitions}


def extents(admin: KafkaAdminClient, partitions: list[TopicPartition]) -> dict[TopicPartition, Extent]:
    """The range of each partition's log."""
    if not partitions:
        return {}
    # Before the stable offsets: records written in between must not look like an open transaction.
    ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST), timeout_ms=milliseconds(PATIENCE))
    return {
        partition: Extent(span.beginning, ends[partition].offset, min(span.end, ends[partition].offset))
        for partition, span in spans(admin, partitions).items()
    }


def kept(settings: Settings, topics: list[str]) -> dict[TopicPartition, Span]:
    """The offsets kept by every partition of the topics that exist.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    with clients.admin(settings) as admin:
        return spans(admin, partitions_of(admin, topics))


def records(settings: Settings, wanted: Mapping[TopicPartition, Span]) -> Iterator[ConsumerRecord]:
    """The committed records of these spans, by partition and offset.

    Raises:
        ReadingError: The brokers do not respond.
    """
    with clients.consumer(settings) as consumer:
        for partition, span in wanted.items():
            consumer.assign([partition])
            consumer.seek(partition, span.beginning)
            # The position also skips transaction markers, which are not records.
            while consumer.position(partition) < span.end:
                for found in consumer.poll(timeout_ms=500).values():
                    yield from (record for record in found if record.offset < span.end)


def data_of(value: bytes | None) -> dict[str, Any]:
    """The data of an event of ours, in either content mode.

    Raises:
        StrangeError: It is not an event.
    """
    try:
        tree = loads(value or b"")
    except ValueError:
        raise StrangeError("it is not JSON") from None
    data = tree.get("data") if isinstance(tree, dict) and "specversion" in tree else tree
    if not isinstance(data, dict):
        raise StrangeError("it is no event")
    return data


def headers_of(record: ConsumerRecord) -> Headers:
    """A record's headers, with null values as empty."""
    return tuple((name, value or b"") for name, value in record.headers)


def written_at(record: ConsumerRecord) -> datetime:
    """The time of a record's timestamp.

    Raises:
        StrangeError: The timestamp is out of range.
    """
    try:
        return datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise StrangeError("its timestamp is in no year") from None


def log_skipped(record: ConsumerRecord, error: StrangeError) -> None:
    """Log which record is skipped, and why; nothing else reports it."""
    log.warning(
        "record_passed_over", topic=record.topic, partition=record.partition, offset=record.offset, detail=str(error)
    )
