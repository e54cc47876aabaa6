"""Finds one request's decision on Kafka."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from events.decision import Decision, PolicyDocumentReference
from events.topics import DECISIONS
from policy_core.document.models import PolicyDocument
from workers.configuration.settings import Settings
from workers.dashboard.data.counters import DecisionPosition
from workers.decide.decision_text import LINE, headline, line_of, sections
from workers.kafka.reader import Span, StrangeError, data_of, kept, log_skipped, records, written_at

Documents = Callable[[PolicyDocumentReference], PolicyDocument | None]
"""Finds the document that a decision names."""
REPORT_EVERY = 5_000
"""Records between progress reports of a search."""


class Section(NamedTuple):
    """One part of a trace."""

    title: str
    rows: tuple[tuple[str, str], ...]


class Found(NamedTuple):
    """A decision for display, as in `dli explain`, with its position."""

    request_id: str
    headline: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    sections: tuple[Section, ...]


def at_place(settings: Settings, documents: Documents, place: DecisionPosition, request_id: str) -> Found | None:
    """The decision at a position; None if it is no longer kept.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    where = TopicPartition(place.topic, place.partition)
    for record in records(settings, {where: Span(place.offset, place.offset + 1)}):
        if record.offset == place.offset and record.key == request_id.encode() and _is_decision(record):
            return found(record, documents)
    return None


def anywhere(
    settings: Settings,
    documents: Documents,
    request_id: str,
    report: Callable[[float], None],
    stopped: Callable[[], bool],
) -> Found | None:
    """Search all partitions for the newest decision on a request, until `stopped`.

    `report` is called with the progress, from 0 to 1.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    wanted = kept(settings, [settings.topic(DECISIONS)])
    key, newest, total = request_id.encode(), None, sum(span.end - span.beginning for span in wanted.values())
    for number, record in enumerate(records(settings, wanted)):
        if stopped():
            return None
        if number % REPORT_EVERY == 0:
            report(min(number / max(total, 1), 1.0))
        if record.key == key and (newest is None or record.timestamp >= newest.timestamp) and _is_decision(record):
            newest = record
    return found(newest, documents) if newest is not None else None


def _is_decision(record: ConsumerRecord) -> bool:
    """Whether a record is a displayable decision of ours."""
    try:
        written_at(record)
        Decision.model_validate_json(json.dumps(data_of(record.value)))
    except ValueError:
        log_skipped(record, StrangeError("it is no decision"))
        return False
    return True


def found(record: ConsumerRecord, documents: Documents) -> Found:
    """The display form of the decision in a record."""
    decision = Decision.model_validate_json(json.dumps(data_of(record.value)))
    return Found(
        decision.request_id,
        headline(decision).plain,
        LINE,
        tuple(map(line_of, decision.lines)),
        tuple(_sections(decision, next(map(documents, decision.policies), None), record)),
    )


def _sections(decision: Decision, document: PolicyDocument | None, record: ConsumerRecord) -> Iterator[Section]:
    for title, rows in sections(decision, document):
        found = tuple(rows)
        if found:
            yield Section(title, found)
    decided = datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(timespec="milliseconds")
    place = DecisionPosition(record.topic, record.partition, record.offset)
    yield Section("Where it stands", (("record", str(place)), ("written", decided)))
