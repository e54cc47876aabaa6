"""Headers that identify the origin of an answer.

The answer itself does not contain its origin: the same request gives the same bytes, whatever its position. Readers
that track answers read short headers instead of the answer.

    dli-cause        topic/partition/offset of the answered record
    dli-writer       the version of the form in which this answer is written
    dli-request      in a dead letter: the request id, if the event had a readable one
    dli-supersedes   in a decision: the request that its request supersedes
    dli-shadow       in a draft's answer, which platforms ignore: the digest of its document
    dli-replay       in a replay's answer, which platforms ignore: its name
"""

from typing import NamedTuple

from events.envelope import Headers, WrittenHeaders, header

CAUSE = "dli-cause"
WRITER = "dli-writer"
WRITER_VERSION = "1"
"""A change of an answer's bytes takes a new version; the writer of the old one stays, for replays."""
REQUEST = "dli-request"
SUPERSEDES = "dli-supersedes"
SHADOW = "dli-shadow"
SHADOW_MARK = "dlishadow"
"""The same as a CloudEvents extension attribute, whose name may have no hyphen."""
REPLAY = "dli-replay"
REPLAY_MARK = "dlireplay"


_WRITTEN = (WRITER, WRITER_VERSION.encode())


class RecordPosition(NamedTuple):
    """The position of a record."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def place_of(text: str) -> RecordPosition | None:
    """Parse a position; None if the text is not one."""
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    if not topic or not _is_number(partition) or not _is_number(offset):
        return None
    return RecordPosition(topic, int(partition), int(offset))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18  # noqa: PLR2004 (digits of a 64-bit offset)


def provenance(cause: RecordPosition, *, request: str | None = None, supersedes: str | None = None) -> WrittenHeaders:
    """The headers of an answer."""
    always = ((CAUSE, str(cause).encode()), _WRITTEN)
    if request is None and supersedes is None:
        return always
    named = ((REQUEST, request), (SUPERSEDES, supersedes))
    return (*always, *((name, text.encode()) for name, text in named if text is not None))


def cause_of(headers: Headers) -> RecordPosition | None:
    """The position of the answered record; None if the headers do not have it."""
    found = header(headers, CAUSE)
    return place_of(found) if found is not None else None
