"""Reading topics as they stand, by readers of no group: nothing is committed, nobody's work is touched."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from events.envelope import Headers, loads
from workers.errors import DliError
from workers.kafka import connect
from workers.settings import Settings

log = structlog.get_logger(__name__)

PATIENCE_MS = 8_000
"""How long one question to the brokers may take."""

LOOK_MS = 5_000
"""How long a look before the work may take."""


class ReadingError(DliError):
    """The brokers do not answer, or refuse; the message says what to do."""


class StrangeError(ValueError):
    """A record on a topic of ours is nothing that we write; the message says why, and repeats nothing of it."""


class Span(NamedTuple):
    """What is kept of a partition."""

    beginning: int
    end: int
    """Behind the last record that readers of committed records can see."""


class Extent(NamedTuple):
    """What a partition's log holds, committed or not."""

    beginning: int
    end: int
    """The high watermark: behind the last record that is written."""
    stable: int
    """Behind the last record that readers of committed records can see: lower while a transaction is open."""


@contextmanager
def told(settings: Settings) -> Iterator[None]:
    """Turn what a Kafka client raises into a sentence.

    Raises:
        ReadingError: Whatever it was.
    """
    try:
        yield
    except KafkaError as error:
        raise ReadingError(connect.explained(settings, error)) from error


def new_admin(settings: Settings) -> KafkaAdminClient:
    """A client of the cluster's administration; close it.

    Raises:
        AccessRefusedError: The cluster does not let us in.
    """
    connect.check(settings)
    return KafkaAdminClient(
        **connect.client(settings),
        client_id=f"{settings.app_id}-reading",
        bootstrap_timeout_ms=PATIENCE_MS,
        request_timeout_ms=PATIENCE_MS,
    )


def new_consumer(settings: Settings) -> KafkaConsumer:
    """A reader of committed records, of no group; close it.

    Raises:
        AccessRefusedError: The cluster does not let us in.
    """
    connect.check(settings)
    return KafkaConsumer(
        **connect.client(settings),
        client_id=f"{settings.app_id}-reading",
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        allow_auto_create_topics=False,
        auto_offset_reset="earliest",
    )


def partitions_of(admin: KafkaAdminClient, topics: list[str]) -> list[TopicPartition]:
    """All partitions of those of the topics that are there."""
    described = admin.describe_topics(topics) if topics else []  # an empty list would mean all there are
    return [
        TopicPartition(one["name"], partition["partition_index"])
        for one in described
        for partition in one["partitions"]
    ]


def missing(settings: Settings, topics: list[str]) -> list[str]:
    """Those of the topics that are not there, or are hidden from us; the brokers have five seconds to say so.

    Raises:
        ReadingError: They do not.
        AccessRefusedError: The cluster does not let us in.
    """
    connect.check(settings)
    with told(settings):
        admin = KafkaAdminClient(
            **connect.client(settings),
            client_id=f"{settings.app_id}-reading",
            bootstrap_timeout_ms=LOOK_MS,
            request_timeout_ms=LOOK_MS,
        )
        try:
            there = {one.topic for one in partitions_of(admin, topics)}
        finally:
            admin.close()
    return sorted(set(topics) - there)


def lacking(settings: Settings, topics: list[str]) -> str | None:
    """What is missing of these topics, in a sentence's beginning; None where all of them are there.

    Raises:
        ReadingError: The brokers do not say.
        AccessRefusedError: The cluster does not let us in.
    """
    names = missing(settings, topics)
    hidden = f", or it is hidden from {settings.sasl_username}" if settings.sasl_username else ""
    return f"{settings.bootstrap} has no topic {' and '.join(names)}{hidden}" if names else None


MAKE_TOPICS = "`dli topics apply` makes the topics, and --topic-prefix is part of their names"
"""What to do then."""


def spans(admin: KafkaAdminClient, partitions: list[TopicPartition]) -> dict[TopicPartition, Span]:
    """What is kept of each partition."""
    if not partitions:
        return {}
    beginnings = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST), timeout_ms=PATIENCE_MS)
    ends = admin.list_partition_offsets(
        dict.fromkeys(partitions, OffsetSpec.LATEST), isolation_level="read_committed", timeout_ms=PATIENCE_MS
    )
    return {one: Span(beginnings[one].offset, ends[one].offset) for one in partitions}


def extents(admin: KafkaAdminClient, partitions: list[TopicPartition]) -> dict[TopicPartition, Extent]:
    """What the log of each partition holds."""
    if not partitions:
        return {}
    # Before what is committed: what is written in between must not look like an open transaction.
    ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST), timeout_ms=PATIENCE_MS)
    return {
        one: Extent(span.beginning, ends[one].offset, min(span.end, ends[one].offset))
        for one, span in spans(admin, partitions).items()
    }


def kept(settings: Settings, topics: list[str]) -> dict[TopicPartition, Span]:
    """What is kept of every partition of those of the topics that are there.

    Raises:
        ReadingError: The brokers do not answer.
        AccessRefusedError: The cluster does not let us in.
    """
    with told(settings):
        admin = new_admin(settings)
        try:
            return spans(admin, partitions_of(admin, topics))
        finally:
            admin.close()


def records(settings: Settings, wanted: Mapping[TopicPartition, Span]) -> Iterator[ConsumerRecord]:
    """The committed records of these spans, partition by partition in offset order.

    Raises:
        ReadingError: The brokers do not answer.
    """
    with told(settings):
        consumer = new_consumer(settings)
        try:
            for partition, span in wanted.items():
                consumer.assign([partition])
                consumer.seek(partition, span.beginning)
                # The position is also behind transaction markers, which never show as records.
                while consumer.position(partition) < span.end:
                    for found in consumer.poll(timeout_ms=500).values():
                        yield from (one for one in found if one.offset < span.end)
        finally:
            consumer.close()


def data_of(value: bytes | None) -> dict[str, Any]:
    """The data of an event that we published, in whichever mode.

    Raises:
        StrangeError: It is none.
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
    """A record's headers; one that is null is empty."""
    return tuple((name, value or b"") for name, value in record.headers)


def written_at(record: ConsumerRecord) -> datetime:
    """When a record was written, by its timestamp.

    Raises:
        StrangeError: That is in no year.
    """
    try:
        return datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise StrangeError("its timestamp is in no year") from None


def pass_over(record: ConsumerRecord, error: StrangeError) -> None:
    """Say in one line which record is passed over, and why: nobody else tells an operator of it."""
    log.warning(
        "record_passed_over", topic=record.topic, partition=record.partition, offset=record.offset, detail=str(error)
    )
