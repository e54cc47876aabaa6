"""The records to send for a batch of case events, with what they count as."""

from collections import Counter
from collections.abc import Mapping, Sequence

from events.case import Case
from workers.accounts.tally import tallied
from workers.kafka.records import OutgoingRecord

OUTCOMES = ("final", "partial", "extended", "duplicate", "refused")
"""What becomes of a verdict or an extension."""


class CaseCounters:
    """The counters of one batch."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        """Of verdicts and extensions, by what became of them."""
        self.opened = 0
        self.closed = 0
        self.announced: Counter[str] = Counter()
        """Deadlines, by kind."""
        self.defects: Counter[str] = Counter()

    def became(self, outcome: str) -> None:
        """Count what became of a verdict or an extension; other outcomes are not counted here."""
        if outcome in OUTCOMES:
            self.outcomes[outcome] += 1

    def moved(self, before: Case | None, after: Case) -> None:
        """Count a case that a change opens or closes, and what it announces."""
        if before is None:
            self.opened += 1
        if not after.is_open and (before is None or before.is_open):
            self.closed += 1
        for kind in set(after.announced).difference(before.announced if before is not None else ()):
            self.announced[kind] += 1


class CaseChanges(list[OutgoingRecord]):
    """The records to send for a batch, with its counters."""

    def __init__(self) -> None:
        super().__init__()
        self.counters = CaseCounters()


def case_counts(outputs: Sequence[OutgoingRecord]) -> Mapping[str, int]:
    """What became of a batch's verdicts and extensions, and how many cases it opened and closed."""
    if not isinstance(outputs, CaseChanges):
        return {}
    counters = outputs.counters
    return {**counters.outcomes, "opened": counters.opened, "closed": counters.closed}


def cases_changed(outputs: Sequence[OutgoingRecord]) -> None:
    """Add a committed batch to the metrics."""
    # A replay, which makes decisions of verdicts too, starts sooner without the client of Prometheus.
    from workers.process import metrics  # noqa: PLC0415

    if isinstance(outputs, CaseChanges):
        counters = outputs.counters
        for outcome, count in counters.outcomes.items():
            metrics.REVIEWS.labels(outcome).inc(count)
        metrics.CASES_OPENED.inc(counters.opened)
        metrics.CASES_CLOSED.inc(counters.closed)
        for kind, count in counters.announced.items():
            metrics.DEADLINES.labels(kind).inc(count)
        for error, count in counters.defects.items():
            metrics.ERRORS.labels("evaluate", error).inc(count)


def reviews_routed(outputs: Sequence[OutgoingRecord]) -> None:
    """Add a committed batch of the topic of verdicts to the metrics."""
    from workers.process import metrics  # noqa: PLC0415 (as above)

    metrics.REVIEWS.labels("refused").inc(tallied(outputs).get("refused", 0))
