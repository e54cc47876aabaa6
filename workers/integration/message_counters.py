"""Adds committed batches of the integration agents to the metrics."""

from collections.abc import Sequence

from events.adapters.submission import Format
from workers.accounts.tally import tallied
from workers.kafka.records import OutgoingRecord
from workers.process import metrics


def count_messages(form: Format, outputs: Sequence[OutgoingRecord]) -> None:
    """What became of the messages of a format."""
    for outcome, count in tallied(outputs).items():
        metrics.MESSAGES.labels(form, outcome).inc(count)


def count_submissions(outputs: Sequence[OutgoingRecord]) -> None:
    """What became of submissions."""
    for outcome, count in tallied(outputs).items():
        metrics.SUBMISSIONS.labels(outcome).inc(count)


def count_answers(outputs: Sequence[OutgoingRecord]) -> None:
    """What became of the events of platforms' requests."""
    for outcome, count in tallied(outputs).items():
        metrics.PLATFORM_ANSWERS.labels(outcome).inc(count)
