"""The dashboard's data: counters, fixed-size ring buffers, and positions of decisions.

Memory is bounded, and requests are identified only by digests.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from workers.state.recent_requests import RecentRequests
from workers.state.request_digests import digest

MINUTES = 120
HOURS = 14 * 24
"""Time buckets kept."""
POINTERS = 200_000
"""The number of newest answers with known positions."""
WAITING = 50_000
"""Unmatched requests and answers kept."""
LATENCIES = 5_000
"""The newest latencies kept."""
NONE = "none"
"""Instead of a revision's date, if none was in force."""

Revision = tuple[str, str]
"""A policy's number and its revision's date, or `NONE`."""


class DecisionPosition(NamedTuple):
    """The position of a record."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Mix:
    """Service lines by revision and determination, in time buckets; the oldest are dropped."""

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
        """The buckets, oldest first."""
        return {start: Counter(self._buckets[start]) for start in sorted(self._buckets)}


class Latencies:
    """Latencies from a request's Kafka timestamp to its answer's."""

    def __init__(self) -> None:
        self._requests = RecentRequests[int](WAITING)
        # The answer's topic may be read first.
        self._answers = RecentRequests[int](WAITING)
        self.newest: deque[tuple[int, float]] = deque(maxlen=LATENCIES)
        """Answer times, in milliseconds since the epoch, with latencies in seconds."""

    def asked(self, key: bytes | None, at: int) -> None:
        """Add a request."""
        if key:
            self._pair(digest(key), at, self._requests, self._answers)

    def answered(self, key: bytes | None, at: int) -> None:
        """Add an answer."""
        if key:
            self._pair(digest(key), at, self._answers, self._requests)

    def _pair(self, key: bytes, at: int, mine: RecentRequests[int], others: RecentRequests[int]) -> None:
        other = others.pop(key, None)
        if other is None:
            mine.keep(key, at)
            return
        asked, answered = (other, at) if mine is self._answers else (at, other)
        self.newest.append((answered, max(answered - asked, 0) / 1000))


@dataclass
class Counters:
    """Counters of decisions and dead letters."""

    decisions: int = 0
    first: datetime | None = None
    """The time of the oldest counted decision."""
    last: datetime | None = None
    by_minute: Mix = field(default_factory=lambda: Mix(timedelta(minutes=1), MINUTES))
    by_hour: Mix = field(default_factory=lambda: Mix(timedelta(hours=1), HOURS))
    actions: Counter[str] = field(default_factory=Counter)
    lines: Counter[tuple[Revision, str]] = field(default_factory=Counter)
    """By revision and determination."""
    under: Counter[Revision] = field(default_factory=Counter)
    """Decisions by revision; one with lines under two revisions counts for both."""
    asked: Counter[str] = field(default_factory=Counter)
    """Decisions that request a fact, by fact."""
    letters: Counter[str] = field(default_factory=Counter)
    """Dead letters by reason."""
    latencies: Latencies = field(default_factory=Latencies)
    places: RecentRequests[DecisionPosition] = field(default_factory=lambda: RecentRequests(POINTERS))
    """The positions of the newest decisions and dead letters, by digest of request id."""

    def decided(self, decision: dict[str, Any], at: datetime, place: DecisionPosition) -> None:
        """Count a decision's data, with its time and position; ignore invalid data."""
        action, key = str(decision["action"]), digest(decision["request_id"].encode())
        lines = [
            ((str(line["policy"]["number"]), str(line["policy"].get("revision", NONE))), str(line["determination"]))
            for line in decision["lines"]
        ]
        asked = {str(missing_fact["fact"]) for line in decision["lines"] for missing_fact in line["missing"]}
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
        self.places.keep(key, place)

    def put_aside(self, letter: dict[str, Any], place: DecisionPosition) -> None:
        """Count one dead letter's data, with its position."""
        request_id = letter.get("request_id")
        key = digest(request_id.encode()) if request_id is not None else None
        self.letters[str(letter["reason"])] += 1
        # A decision that there is says more: a repeated request may be refused after it.
        if key is not None and key not in self.places:
            self.places.keep(key, place)

    def place_of(self, reference: str) -> DecisionPosition | None:
        """The position of the newest decision on a request, or of its dead letter; named by its id's digest, in hex."""
        try:
            return self.places.get(bytes.fromhex(reference))
        except ValueError:
            return None
