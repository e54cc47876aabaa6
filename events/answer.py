"""An answer as it goes out: the one place that wraps it in its envelope and gives it the headers of its origin."""

from typing import NamedTuple

from events.envelope import JSON, NO_EXTENSIONS, SPECVERSION, Attributes, Mode, WrittenHeaders, write
from events.origin_headers import REPLAY, REPLAY_MARK, SHADOW, SHADOW_MARK, RecordPosition, provenance


class Mark(NamedTuple):
    """What sets an answer apart from those that platforms wait for: as an attribute of the event, and as a header."""

    attribute: str
    header: str
    value: str


def of_draft(digest: str) -> Mark:
    """The mark of what a draft would decide: the digest of its document."""
    return Mark(SHADOW_MARK, SHADOW, digest)


def of_replay(name: str) -> Mark:
    """The mark of what a replay decides: its name."""
    return Mark(REPLAY_MARK, REPLAY, name)


class Wrapping(NamedTuple):
    """What an answer's envelope and headers say beside the answer."""

    source: str
    """The URI reference of who answers."""
    mode: Mode
    type: str
    """Of the event, `authorization.decided.v1` for one."""
    id: str
    subject: str | None
    request: str | None = None
    """Of a dead letter: the request id that the event still showed."""
    supersedes: str | None = None
    """Of a decision: the request that its request supersedes."""
    mark: Mark | None = None


def wrapped(
    data: bytes, cause: RecordPosition, asked: Attributes | None, wrapping: Wrapping
) -> tuple[bytes, WrittenHeaders]:
    """The value and headers of an answer's record.

    Args:
        data: The answer, as JSON.
        cause: Where the record stands that is answered.
        asked: The attributes of the event in it, where they are known.
        wrapping: What else is said.
    """
    mark = wrapping.mark
    extensions = {mark.attribute: mark.value} if mark is not None else NO_EXTENSIONS
    value, headers = write(_attributes(asked, wrapping), data, wrapping.mode, extensions)
    marked = ((mark.header, mark.value.encode()),) if mark is not None else ()
    return value, (*headers, *marked, *provenance(cause, request=wrapping.request, supersedes=wrapping.supersedes))


def _attributes(asked: Attributes | None, said: Wrapping) -> Attributes:
    if asked is not None:
        return asked.caused(id=said.id, source=said.source, type=said.type, subject=said.subject)
    return Attributes(
        id=said.id,
        source=said.source,
        specversion=SPECVERSION,
        type=said.type,
        subject=said.subject,
        datacontenttype=JSON,
    )
