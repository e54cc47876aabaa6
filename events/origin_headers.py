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
WRITER_VERSION = 1
"""The first version, and that of all dead letters and drafts' answers; of decisions see `workers.decide.writers`."""
LARGEST_WRITER = 65_535
REQUEST = "dli-request"
SUPERSEDES = "dli-supersedes"
SHADOW = "dli-shadow"
SHADOW_MARK = "dlishadow"
"""The same as a CloudEvents extension attribute, whose name may have no hyphen."""
REPLAY = "dli-replay"
REPLAY_MARK = "dlireplay"


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


def provenance(
    cause: RecordPosition, *, request: str | None = None, supersedes: str | None = None, writer: int = WRITER_VERSION
) -> WrittenHeaders:
    """The headers of an answer."""
    always = ((CAUSE, str(cause).encode()), (WRITER, b"%d" % writer))
    if request is None and supersedes is None:
        return always
    named = ((REQUEST, request), (SUPERSEDES, supersedes))
    return (*always, *((name, text.encode()) for name, text in named if text is not None))


def cause_of(headers: Headers) -> RecordPosition | None:
    """The position of the answered record; None if the headers do not have it."""
    found = header(headers, CAUSE)
    return place_of(found) if found is not None else None


def writer_of(headers: Headers) -> int | None:
    """The version of the writer that an answer names; None if it names none, or no number from 1 to 65535."""
    found = header(headers, WRITER) or ""
    version = int(found) if _is_number(found) else 0
    return version if 0 < version <= LARGEST_WRITER and found == str(version) else None
