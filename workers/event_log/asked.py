"""What part of a log is asked for, by offset, time and partition; without Kafka's client."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from events.topics import TOPICS
from workers.event_log.source import ReplayError

Bound = int | datetime | None


@dataclass(frozen=True)
class Asked:
    """A range of requests, including their answers."""

    start: Bound = None
    """The first offset or instant; None for the beginning."""
    end: Bound = None
    """The offset or instant after the range; None for the current end."""
    partitions: tuple[int, ...] = ()
    """Empty means all."""
    behind: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """Start offsets by full topic name and partition, where another archive ended."""

    def began(self, topic: str, partition: int) -> int | None:
        """The start offset of a partition, if given."""
        return self.behind.get((topic, partition))

    @property
    def bounded(self) -> bool:
        """Whether the user gave a start or an end."""
        return self.start is not None or self.end is not None


def declared(topics: Sequence[str]) -> tuple[str, ...]:
    """The given topics without duplicates.

    Raises:
        ReplayError: One is not declared.
    """
    known = [topic.name for topic in TOPICS]
    strange = [name for name in topics if name not in known]
    if strange:
        raise ReplayError(f"--topic {strange[0]}: no declared topic; there are {', '.join(known)}")
    return tuple(dict.fromkeys(topics))


def asked_for(start: str | None, end: str | None, partitions: Sequence[int] = ()) -> Asked:
    """The range given by `--from`, `--to` and `--partition`.

    Raises:
        ReplayError: A bound is invalid, or the range is empty.
    """
    asked = Asked(bound(start, "--from"), bound(end, "--to"), tuple(sorted(set(partitions))))
    first, behind = asked.start, asked.end
    alike = (isinstance(first, int) and isinstance(behind, int)) or (
        isinstance(first, datetime) and isinstance(behind, datetime)
    )
    if alike and first >= behind:  # type: ignore[operator]  # both have the same type
        raise ReplayError(f"--from {start} --to {end}: nothing lies between; --to is the first one behind the range")
    return asked


def bound(text: str | None, flag: str) -> Bound:
    """Parse an offset or an instant from the command line.

    Raises:
        ReplayError: It is neither.
    """
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ReplayError(f"{flag} {text}: neither an offset nor an instant as 2025-06-02T00:00:00Z") from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def numbers(there: Sequence[int]) -> str:
    """Partition numbers in readable form."""
    gapless = len(there) > 1 and list(there) == list(range(there[0], there[-1] + 1))
    return f"{there[0]} to {there[-1]}" if gapless else ", ".join(map(str, there)) or "none"
