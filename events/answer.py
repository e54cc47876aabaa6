"""Wraps every outgoing answer in its envelope and adds the headers of its origin."""

from typing import NamedTuple

from events.envelope import JSON, SPECVERSION, Cause, Mode, WrittenHeaders, written
from events.origin_headers import (
    REPLAY,
    REPLAY_MARK,
    SHADOW,
    SHADOW_MARK,
    WRITER_VERSION,
    RecordPosition,
    provenance,
)


class Mark(NamedTuple):
    """Marks an answer that platforms must not act on, as an attribute of the event and as a header."""

    attribute: str
    header: str
    value: str


def of_draft(digest: str) -> Mark:
    """The mark of a draft's answers: the digest of its document."""
    return Mark(SHADOW_MARK, SHADOW, digest)


def of_replay(name: str) -> Mark:
    """The mark of a replay's answers: its name."""
    return Mark(REPLAY_MARK, REPLAY, name)


class Wrapping(NamedTuple):
    """The parts of an answer's envelope and headers."""

    source: str
    """The URI reference of the sender."""
    mode: Mode
    type: str
    """The event type, such as `authorization.decided.v1`."""
    id: str
    subject: str | None
    time: str
    """Of a decision, the request's `submitted_at`; of a dead letter, its record's time."""
    request: str | None = None
    """For a dead letter: the request id, if the event had a readable one."""
    supersedes: str | None = None
    """For a decision: the request that its request supersedes."""
    mark: Mark | None = None
    writer: int = WRITER_VERSION
    """The version of the form in which the answer is written."""


def wrapped(
    data: bytes, position: RecordPosition, cause: Cause | None, wrapping: Wrapping
) -> tuple[bytes, WrittenHeaders]:
    """The value and headers of an answer's record.

    Args:
        data: The answer, as JSON.
        position: The position of the answered record.
        cause: What the answer says of its event, if known.
        wrapping: The rest of the envelope and headers.
    """
    present = {"id": wrapping.id, "source": wrapping.source, "specversion": SPECVERSION, "type": wrapping.type}
    if wrapping.subject is not None:
        present["subject"] = wrapping.subject
    present["datacontenttype"] = JSON
    if cause is not None:
        present["correlationid"] = cause.correlation_id
        present["causationid"] = cause.causation_id
        if cause.traceparent is not None:
            present["traceparent"] = cause.traceparent
    present["time"] = wrapping.time
    mark = wrapping.mark
    if mark is None:
        value, headers = written(present, data, wrapping.mode)
    else:
        value, headers = written(present | {mark.attribute: mark.value}, data, wrapping.mode)
        headers = (*headers, (mark.header, mark.value.encode()))
    origin = provenance(position, request=wrapping.request, supersedes=wrapping.supersedes, writer=wrapping.writer)
    return value, (*headers, *origin)
