"""A batch's counters: counted while it is decided, published only once Kafka has its answers."""

from collections import Counter
from datetime import date

from policy_core.evaluate.plan import RequestOutcome
from workers.kafka.records import OutgoingRecord
from workers.process import metrics

NONE = "none"
"""Instead of a revision's date, if none was in force."""


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
        self._outcomes: Counter[tuple[RequestOutcome, str]] = Counter()

    def count(self, outcome: RequestOutcome, policy: str) -> None:
        """Count one decision under a policy."""
        self._outcomes[outcome, policy] += 1

    def sum_up(self) -> None:
        """Add what was counted by outcome to the counters above: few outcomes cover all requests of a batch."""
        for (outcome, policy), count in self._outcomes.items():
            self._add(outcome, policy, count)
        self._outcomes.clear()

    def _add(self, outcome: RequestOutcome, policy: str, count: int) -> None:
        self.actions[outcome.action] += count
        revisions: set[date | None] = set()
        for line in outcome.lines:
            revision = line.revision.revision.date if line.revision else None
            self.lines[line.answer.determination, line.action, policy, revision] += count
            revisions.add(revision)
        for started in revisions:
            self.under[policy, started.isoformat() if started else NONE] += count
        for path in {missing_fact.path for line in outcome.lines for missing_fact in line.answer.missing}:
            self.asked[path] += count

    def publish(self) -> None:
        """Add the counters to the metrics."""
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
