"""Where an answer comes from, in the headers of its record.

The answer itself does not say it: the same request gives the same bytes, wherever it stood. Whoever keeps track of
answers reads two short headers instead of the answer.

    dli-cause        topic/partition/offset of the record that was answered
    dli-request      of a dead letter: the request id that the event still showed
    dli-supersedes   of a decision: the request that its request supersedes
    dli-shadow       of what a draft would decide: the digest of its document; nobody was answered so
    dli-replay       of what a replay decides: its name; nobody was answered so
"""

from typing import NamedTuple

from events.envelope import Headers, WrittenHeaders, header

CAUSE = "dli-cause"
REQUEST = "dli-request"
SUPERSEDES = "dli-supersedes"
SHADOW = "dli-shadow"
SHADOW_MARK = "dlishadow"
"""The same as an extension attribute of CloudEvents, whose names have no hyphen."""
REPLAY = "dli-replay"
REPLAY_MARK = "dlireplay"


class RecordPosition(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def place_of(text: str) -> RecordPosition | None:
    """The place that a text names; None where it names none."""
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    if not topic or not _is_number(partition) or not _is_number(offset):
        return None
    return RecordPosition(topic, int(partition), int(offset))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18  # noqa: PLR2004 (digits of what Kafka counts in)


def provenance(cause: RecordPosition, *, request: str | None = None, supersedes: str | None = None) -> WrittenHeaders:
    """The headers of an answer."""
    named = ((CAUSE, str(cause)), (REQUEST, request), (SUPERSEDES, supersedes))
    return tuple((name, text.encode()) for name, text in named if text is not None)


def cause_of(headers: Headers) -> RecordPosition | None:
    """The place of what was answered; None where the headers do not say it."""
    found = header(headers, CAUSE)
    return place_of(found) if found is not None else None
