"""Finds one request's answers on Kafka: by the workers' pointers, at a known position, or by reading all of them."""

from collections.abc import Callable, Iterable
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from events.envelope import header
from events.origin_headers import REQUEST, RecordPosition, cause_of
from events.topics import DEAD_LETTERS, DECISIONS, VERDICTS
from workers.configuration.settings import Settings
from workers.dashboard.data.counters import DecisionPosition
from workers.kafka.reader import Span, StrangeError, data_of, headers_of, kept, log_skipped, records
from workers.ledger.trace import Answer, Event, Trace, Traced, TraceError, trace
from workers.state.request_digests import digest

REPORT_EVERY = 5_000
"""Records between progress reports of a search."""
ASKED = 3
"""Workers asked before the search goes on without them."""


def by_workers(settings: Settings, urls: Iterable[str], request_id: str) -> Trace | None:
    """The whole chain of a request, as `dli trace` has it; None if no worker answers or knows it.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
        PolicyDocumentError: The publishers' keys cannot be read.
    """
    for url in list(urls)[:ASKED]:
        try:
            return trace(request_id, url, settings)
        except TraceError:
            continue
    return None


def at_place(settings: Settings, place: DecisionPosition, reference: str) -> Trace | None:
    """The answer at a position, if it is still that of the request whose id has this digest, in hexadecimal.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    record = _record(settings, RecordPosition(*place))
    request_id = _request_of(record) if record is not None else None
    if record is None or request_id is None or digest(request_id.encode()).hex() != reference:
        return None
    answer = _answer(settings, record)
    return _of(request_id, [answer]) if answer is not None else None


def anywhere(
    settings: Settings, request_id: str, report: Callable[[float], None], stopped: Callable[[], bool]
) -> Trace | None:
    """Search all decisions and dead letters for the answers to a request, until `stopped`.

    `report` is called with the progress, from 0 to 1.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    wanted = kept(settings, [settings.topic(DECISIONS), settings.topic(DEAD_LETTERS)])
    total = sum(span.end - span.beginning for span in wanted.values())
    found = []
    for number, record in enumerate(records(settings, wanted)):
        if stopped():
            return None
        if number % REPORT_EVERY == 0:
            report(min(number / max(total, 1), 1.0))
        if _request_of(record) == request_id:
            found.append(record)
    answers = [answer for record in found if (answer := _answer(settings, record)) is not None]
    return _of(request_id, answers) if answers else None


def _request_of(record: ConsumerRecord) -> str | None:
    """The id of the request that a record answers: of a dead letter, the key may be another."""
    named = header(headers_of(record), REQUEST)
    if named is not None:
        return named
    try:
        return record.key.decode() if record.key else None
    except UnicodeDecodeError:
        return None


def _answer(settings: Settings, record: ConsumerRecord) -> Answer | None:
    try:
        data = data_of(record.value)
    except StrangeError as error:
        log_skipped(record, error)
        return None
    kind = "decision" if record.topic == settings.topic(DECISIONS) else "dead_letter"
    cause = cause_of(headers_of(record))
    place = RecordPosition(record.topic, record.partition, record.offset)
    made_from = _event(settings, cause) if cause is not None else None
    reviewed = cause is not None and cause.topic == settings.topic(VERDICTS)
    request, review = (None, made_from) if reviewed else (made_from, None)
    return Answer(kind, record.timestamp, Event(place, data, record.timestamp), request, review)


def _event(settings: Settings, place: RecordPosition) -> Event:
    record = _record(settings, place)
    return Event(place, _data(record), record.timestamp) if record is not None else Event(place, None)


def _data(record: ConsumerRecord) -> dict[str, Any] | None:
    try:
        return data_of(record.value)
    except StrangeError:
        return None


def _record(settings: Settings, place: RecordPosition) -> ConsumerRecord | None:
    """The record at a position; None if it is no longer kept."""
    where = TopicPartition(place.topic, place.partition)
    span = kept(settings, [place.topic]).get(where)
    if span is None or not span.beginning <= place.offset < span.end:
        return None
    found = list(records(settings, {where: Span(place.offset, place.offset + 1)}))
    return next((record for record in found if record.offset == place.offset), None)


def _of(request_id: str, answers: list[Answer]) -> Trace:
    """The trace of a request whose chain is not known."""
    answers.sort(key=lambda answer: answer.timestamp)
    named = (answer.event.data.get("supersedes") for answer in answers if answer.event.data is not None)
    supersedes = next((found for found in named if isinstance(found, str)), None)
    member = Traced(request_id, newest=True, supersedes=supersedes, refused=False, answers=tuple(answers))
    return Trace(request_id, (member,), ())
