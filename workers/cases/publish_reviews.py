"""Publishes verdicts and extensions, each checked before."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from events.decode import ReceivedReview, decode_review
from events.envelope import JSON, SPECVERSION, STRUCTURED, Attributes, write
from events.field_types import written_instant
from events.topics import VERDICTS
from events.verdict import AuthorizationExtended, AuthorizationReviewed
from workers.configuration.settings import Settings
from workers.kafka import clients
from workers.kafka.connect import LONG_PATIENCE
from workers.kafka.records import WrittenHeaders


class Sending(NamedTuple):
    """One event to be published."""

    request_id: str
    value: bytes
    headers: WrittenHeaders


def sending(raw: bytes, found: Settings) -> Sending:
    """One event of a file, checked; bare data gets an envelope.

    Raises:
        RejectedError: It is no verdict and no extension.
    """
    data = _bare(raw)
    if data is None:
        received = decode_review(raw)
        return Sending(received.event.request_id, raw, (("content-type", STRUCTURED.encode()),))
    extends = "extension_id" in data
    attributes = Attributes(
        id=str(data.get("extension_id" if extends else "verdict_id") or "-")[:512],
        source=found.source,
        specversion=SPECVERSION,
        type=AuthorizationExtended.TYPE if extends else AuthorizationReviewed.TYPE,
        datacontenttype=JSON,
    )
    value, headers = write(attributes, None, json.dumps(data, ensure_ascii=False).encode(), "structured")
    received = decode_review(value, headers)
    named = attributes.model_copy(update={"subject": received.event.request_id})
    value, headers = write(named, _time(received), json.dumps(data, ensure_ascii=False).encode(), "structured")
    return Sending(received.event.request_id, value, headers)


def _bare(raw: bytes) -> dict[str, Any] | None:
    """The data of an event without an envelope; None if it has one, or is none."""
    try:
        tree = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) and "specversion" not in tree else None


def _time(received: ReceivedReview) -> str:
    event = received.event
    at = event.decided_at if isinstance(event, AuthorizationReviewed) else datetime.now(UTC).replace(microsecond=0)
    return written_instant(at)


def publish(made: Sequence[Sending], found: Settings) -> Iterator[str]:
    """Publish events, each keyed by its request's id; yields the place of each once the broker has it.

    Raises:
        ReadingError: The broker does not respond; places already yielded were published, and others may have been.
        AccessRefusedError: The cluster refuses us.
    """
    topic = found.topic(VERDICTS)
    with clients.producer(found) as producer:
        futures = [
            producer.send(topic, one.value, key=one.request_id.encode(), headers=list(one.headers)) for one in made
        ]
        for future in futures:
            sent = future.get(timeout=LONG_PATIENCE)
            yield f"{sent.topic}/{sent.partition}/{sent.offset}"
