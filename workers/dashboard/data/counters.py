"""What the dashboard keeps of the events it reads: counts, rings of a fixed size, and where decisions stand.

Nothing here grows with the number of requests, and nothing but digests leads to one.
"""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

MINUTES = 120
HOURS = 14 * 24
"""Buckets of time that are kept."""
POINTERS = 200_000
"""Decisions whose place is remembered, the newest."""
WAITING = 50_000
"""Requests remembered until their answer comes, and answers until their request does."""
LATENCIES = 5_000
"""The newest that are kept."""
NONE = "none"
"""In place of a revision's date, where none was in force."""

Revision = tuple[str, str]
"""A policy's number and its revision's date, or `NONE`."""


class DecisionPosition(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Mix:
    """Service lines by revision and determination, in buckets of time; the oldest buckets go."""

    def __init__(self, width: timedelta, most: int) -> None:
        self.width = width
        self._most = most
        self._buckets: dict[datetime, Counter[tuple[Revision, str]]] = {}

    def take(self, at: datetime, revision: Revision, determination: str) -> None:
        """Count one line."""
        seconds = self.width.total_seconds()
        start = datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)
        if start not in self._buckets:
            if len(self._buckets) >= self._most:
                oldest = min(self._buckets)
                if start < oldest:
                    return
                del self._buckets[oldest]
            self._buckets[start] = Counter()
        self._buckets[start][revision, determination] += 1

    def buckets(self) -> dict[datetime, Counter[tuple[Revision, str]]]:
        """What is kept, oldest first."""
        return {start: Counter(self._buckets[start]) for start in sorted(self._buckets)}


class Latencies:
    """How long answers took, from a request's timestamp to its answer's, both as Kafka has them."""

    def __init__(self) -> None:
        self._requests: OrderedDict[bytes, int] = OrderedDict()
        # Of two topics, the one with the answer may be read first.
        self._answers: OrderedDict[bytes, int] = OrderedDict()
        self.newest: deque[tuple[int, float]] = deque(maxlen=LATENCIES)
        """When an answer was written, in milliseconds since the epoch, and the seconds that it took."""

    def asked(self, key: bytes | None, at: int) -> None:
        """A request was written."""
        if key:
            self._pair(digest(key), at, self._requests, self._answers)

    def answered(self, key: bytes | None, at: int) -> None:
        """An answer was written."""
        if key:
            self._pair(digest(key), at, self._answers, self._requests)

    def _pair(self, key: bytes, at: int, mine: OrderedDict[bytes, int], others: OrderedDict[bytes, int]) -> None:
        other = others.pop(key, None)
        if other is None:
            _keep(mine, key, at, WAITING)
            return
        asked, answered = (other, at) if mine is self._answers else (at, other)
        self.newest.append((answered, max(answered - asked, 0) / 1000))


@dataclass
class Tallies:
    """Of decisions and dead letters."""

    decisions: int = 0
    first: datetime | None = None
    """When the oldest decision that was counted was made."""
    last: datetime | None = None
    by_minute: Mix = field(default_factory=lambda: Mix(timedelta(minutes=1), MINUTES))
    by_hour: Mix = field(default_factory=lambda: Mix(timedelta(hours=1), HOURS))
    actions: Counter[str] = field(default_factory=Counter)
    lines: Counter[tuple[Revision, str]] = field(default_factory=Counter)
    """By revision and determination."""
    under: Counter[Revision] = field(default_factory=Counter)
    """Decisions by revision; one with lines under two revisions counts for both."""
    asked: Counter[str] = field(default_factory=Counter)
    """Decisions that ask for a fact, by fact."""
    letters: Counter[str] = field(default_factory=Counter)
    """Dead letters by reason."""
    latencies: Latencies = field(default_factory=Latencies)
    places: OrderedDict[bytes, DecisionPosition] = field(default_factory=OrderedDict)
    """Where the newest decisions stand, by the digest of their request's id."""

    def decided(self, decision: dict[str, Any], at: datetime, place: DecisionPosition) -> None:
        """Count one decision's data, which was made at that time and stands there; nothing of it where it is none."""
        action, key = str(decision["action"]), digest(decision["request_id"].encode())
        lines = [
            ((str(one["policy"]["number"]), str(one["policy"].get("revision", NONE))), str(one["determination"]))
            for one in decision["lines"]
        ]
        asked = {str(one["fact"]) for line in decision["lines"] for one in line["missing"]}
        self.decisions += 1
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)
        self.actions[action] += 1
        for revision, determination in lines:
            self.lines[revision, determination] += 1
            self.by_minute.take(at, revision, determination)
            self.by_hour.take(at, revision, determination)
        self.under.update({revision for revision, _ in lines})
        self.asked.update(asked)
        self.places.pop(key, None)
        _keep(self.places, key, place, POINTERS)

    def put_aside(self, letter: dict[str, Any]) -> None:
        """Count one dead letter's data."""
        self.letters[str(letter["reason"])] += 1

    def place_of(self, request_id: str) -> DecisionPosition | None:
        """Where the newest decision on a request stands, if it is among those remembered."""
        return self.places.get(digest(request_id.encode()))


def digest(raw: bytes) -> bytes:
    """What stands for a request here."""
    return blake2b(raw, digest_size=12).digest()


def _keep(kept: OrderedDict[bytes, T], key: bytes, value: T, most: int) -> None:
    kept[key] = value
    if len(kept) > most:
        kept.popitem(last=False)
