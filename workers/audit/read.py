"""What is recorded, read back: each act once, with how it ended as far as that is known."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from pydantic import ValidationError

from events.audit import Acted
from events.topics import AUDIT
from workers.kafka import reader
from workers.kafka.reader import ReadingError, Span, StrangeError, data_of, log_skipped, written_at
from workers.settings import Settings


class Told(NamedTuple):
    """One record."""

    at: datetime
    """By the broker's clock."""
    acted: Acted


class Done(NamedTuple):
    """One act."""

    at: datetime
    """When it began; when it ended, where its beginning is not kept or never was told apart."""
    until: datetime | None
    """When it ended; None where nobody said so: it is under way, or its process died."""
    last: Acted
    """The last that is known of it."""


def acts(settings: Settings, since: datetime | None = None, what: str | None = None) -> list[Done]:
    """Acts, the newest first; those that were told of since then, of one kind or of all.

    Raises:
        ReadingError: The brokers do not answer, or the topic is not there.
        AccessRefusedError: The cluster does not let us in.
    """
    told = (one for one in records(settings, since) if what in {None, one.acted.what})
    return sorted(joined(told), key=lambda one: one.at, reverse=True)


def joined(told: Iterable[Told]) -> list[Done]:
    """The beginnings of acts, with their ends, in the order in which the acts are told of first."""
    found: dict[str, Done] = {}
    for one in told:
        over = one.at if one.acted.outcome != "begun" else None
        begun = found.get(one.acted.act)
        if begun is None:
            found[one.acted.act] = Done(one.at, over, one.acted)
        elif over is not None:
            found[one.acted.act] = Done(begun.at, over, one.acted)
    return list(found.values())


def records(settings: Settings, since: datetime | None = None) -> Iterator[Told]:
    """Every record since then, in order. What is none is passed over, with a log line.

    Raises:
        ReadingError: The brokers do not answer, or the topic is not there.
        AccessRefusedError: The cluster does not let us in.
    """
    where = TopicPartition(settings.topic(AUDIT), 0)
    kept = reader.kept(settings, [where.topic])
    if where not in kept:
        lacking = reader.lacking(settings, [where.topic])
        raise ReadingError(f"{lacking}: nobody did anything that was recorded; {reader.MAKE_TOPICS}")
    for record in reader.records(settings, _since(settings, where, kept[where], since)):
        try:
            told = read(record)
        except StrangeError as error:
            log_skipped(record, error)
            continue
        if since is None or told.at >= since:
            yield told


def _since(settings: Settings, where: TopicPartition, span: Span, since: datetime | None) -> dict[TopicPartition, Span]:
    if since is None:
        return {where: span}
    with reader.kafka_errors(settings):
        consumer = reader.new_consumer(settings)
        try:
            first = consumer.offsets_for_times({where: round(since.timestamp() * 1000)})[where]
        finally:
            consumer.close()
    return {where: span._replace(beginning=max(first.offset, span.beginning))} if first is not None else {}


def read(record: ConsumerRecord) -> Told:
    """What a record tells.

    Raises:
        StrangeError: It tells nothing of ours.
    """
    try:
        return Told(written_at(record), Acted.model_validate_json(json.dumps(data_of(record.value))))
    except ValidationError:
        raise StrangeError("it has not the fields of an act") from None
