"""A batch's counters: counted while it is decided, published only once Kafka has its answers."""

from collections import Counter
from datetime import date
from functools import lru_cache

from policy_core.evaluate.plan import RequestOutcome
from workers.kafka.records import OutgoingRecord

NONE = "none"
"""Instead of a revision's date, if none was in force."""


class Counted:
    """What decisions count as that count alike; one object for each value, compared by identity."""

    __slots__ = ("action", "asked", "lines", "revisions")

    def __init__(self, action: str, lines: tuple[tuple[str, str, date | None], ...], asked: frozenset[str]) -> None:
        self.action = action
        self.lines = lines
        """Determination, action and revision of each."""
        self.asked = asked
        """The missing facts."""
        self.revisions = {revision for _, _, revision in lines}


# Many outcomes differ only in what is not counted, such as their rules.
_counted_as = lru_cache(maxsize=1 << 14)(Counted)


@lru_cache(maxsize=1 << 16)
def counted(outcome: RequestOutcome) -> Counted:
    """What an outcome counts as."""
    lines = [
        (line.answer.determination, line.action, line.revision.revision.date if line.revision else None)
        for line in outcome.lines
    ]
    asked = frozenset([missing.path for line in outcome.lines for missing in line.answer.missing])
    return _counted_as(outcome.action, tuple(lines), asked)


class BatchCounters:
    """The counters of one batch."""

    def __init__(self) -> None:
        self.duplicates = 0
        self.actions: Counter[str] = Counter()
        self.lines: Counter[tuple[str, str, str, date | None]] = Counter()
        """By determination, action, policy, and the policy's revision in force."""
        self.under: Counter[tuple[str, str]] = Counter()
        """Decisions by policy and revision; one with lines under two revisions counts for both."""
        self.asked: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.defects: Counter[str] = Counter()
        self.oversized: Counter[str] = Counter()
        """Records whose answer was too large for Kafka, by output topic."""
        self.shadow: Counter[str] = Counter()
        """Decisions by their outcome under the draft."""
        self.shadow_lines: Counter[tuple[str, str, str]] = Counter()
        """Lines that the draft would change, by kind, determination, and the draft's determination."""
        self._decisions: Counter[tuple[Counted, str]] = Counter()

    def count(self, outcome: RequestOutcome, policy: str) -> None:
        """Count one decision under a policy."""
        self._decisions[counted(outcome), policy] += 1

    def sum_up(self) -> None:
        """Add the decisions to the counters above: few kinds of them cover all requests of a batch."""
        for (kind, policy), count in self._decisions.items():
            self.actions[kind.action] += count
            for determination, action, revision in kind.lines:
                self.lines[determination, action, policy, revision] += count
            for started in kind.revisions:
                self.under[policy, started.isoformat() if started else NONE] += count
            for path in kind.asked:
                self.asked[path] += count
        self._decisions.clear()

    def publish(self) -> None:
        """Add the counters to the metrics."""
        # Whoever decides without a worker, such as a replay, starts sooner without the client of Prometheus.
        from workers.process import metrics  # noqa: PLC0415

        metrics.DUPLICATES.inc(self.duplicates)
        for action, count in self.actions.items():
            metrics.DECISIONS.labels(action).inc(count)
        for (determination, action, policy, revision), count in self.lines.items():
            metrics.DECIDED_LINES.labels(determination, action, policy, str(revision or "none")).inc(count)
        for fact, count in self.asked.items():
            metrics.INFORMATION_REQUESTS.labels(fact).inc(count)
        for reason, count in self.rejected.items():
            metrics.DEAD_LETTERS.labels(reason).inc(count)
        for error, count in self.defects.items():
            metrics.ERRORS.labels("evaluate", error).inc(count)
        for topic, count in self.oversized.items():
            metrics.OVERSIZED.labels(topic).inc(count)
        for outcome, count in self.shadow.items():
            metrics.SHADOW_REQUESTS.labels(outcome).inc(count)
        for (kind, determination, draft), count in self.shadow_lines.items():
            metrics.SHADOW_LINES.labels(kind, determination, draft).inc(count)


class Answers(list[OutgoingRecord]):
    """The records to send for a batch, with its counters."""

    def __init__(self) -> None:
        super().__init__()
        self.counters = BatchCounters()
