"""Reads the audit log: each act once, with its outcome if known."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from pydantic import ValidationError

from events.audit import Acted
from events.topics import AUDIT
from workers.configuration.settings import Settings
from workers.kafka import clients, reader
from workers.kafka.errors import ReadingError
from workers.kafka.reader import Span, StrangeError, data_of, log_skipped, written_at


class RecordedAct(NamedTuple):
    """One record."""

    at: datetime
    """The broker's time."""
    acted: Acted


class Done(NamedTuple):
    """One act."""

    at: datetime
    """Its start; or its end, if the start is not on record."""
    until: datetime | None
    """Its end; None while it is in progress, or if its process died."""
    last: Acted
    """Its last known state."""


def acts(settings: Settings, since: datetime | None = None, what: str | None = None) -> list[Done]:
    """Acts recorded since `since`, of one kind or all, newest first.

    Raises:
        ReadingError: The brokers do not respond, or the topic does not exist.
        AccessRefusedError: The cluster refuses us.
    """
    recorded = (act for act in records(settings, since) if what in {None, act.acted.what})
    return sorted(joined(recorded), key=lambda act: act.at, reverse=True)


def joined(recorded: Iterable[RecordedAct]) -> list[Done]:
    """Join starts and ends of acts, in the order of first mention."""
    found: dict[str, Done] = {}
    for act in recorded:
        over = act.at if act.acted.outcome != "begun" else None
        begun = found.get(act.acted.act)
        if begun is None:
            found[act.acted.act] = Done(act.at, over, act.acted)
        elif over is not None:
            found[act.acted.act] = Done(begun.at, over, act.acted)
    return list(found.values())


def records(settings: Settings, since: datetime | None = None) -> Iterator[RecordedAct]:
    """Every record since then, in order; invalid ones are skipped with a log line.

    Raises:
        ReadingError: The brokers do not respond, or the topic does not exist.
        AccessRefusedError: The cluster refuses us.
    """
    where = TopicPartition(settings.topic(AUDIT), 0)
    kept = reader.kept(settings, [where.topic])
    if where not in kept:
        lacking = reader.lacking(settings, [where.topic])
        raise ReadingError(f"{lacking}: nobody did anything that was recorded; {reader.MAKE_TOPICS}")
    for record in reader.records(settings, _since(settings, where, kept[where], since)):
        try:
            recorded = read(record)
        except StrangeError as error:
            log_skipped(record, error)
            continue
        if since is None or recorded.at >= since:
            yield recorded


def _since(settings: Settings, where: TopicPartition, span: Span, since: datetime | None) -> dict[TopicPartition, Span]:
    if since is None:
        return {where: span}
    with clients.consumer(settings) as consumer:
        first = consumer.offsets_for_times({where: round(since.timestamp() * 1000)})[where]
    return {where: span._replace(beginning=max(first.offset, span.beginning))} if first is not None else {}


def read(record: ConsumerRecord) -> RecordedAct:
    """Parse a record.

    Raises:
        StrangeError: It is not an audit record.
    """
    try:
        return RecordedAct(written_at(record), Acted.model_validate_json(json.dumps(data_of(record.value))))
    except ValidationError:
        raise StrangeError("it has not the fields of an act") from None
