"""When a decision is due, and how long an approval holds: the document's rules applied to the request's own times."""

from calendar import monthrange
from datetime import MAXYEAR, date, datetime
from enum import StrEnum
from typing import NamedTuple

from policy_core.document.models import Clock, ClockStart


class ClockState(StrEnum):
    """The state of a decision's clock."""

    RUNNING = "running"
    WAITING_FOR_INFORMATION = "waiting_for_information"
    ANSWERED = "answered"
    """Nobody has to act any more; `due_at` is the deadline that applied."""
    NO_CLOCK = "no_clock"
    """The document assigns no clock to this line of business."""


class Deadline(NamedTuple):
    """When a decision is due, and by which clock."""

    clock: Clock | None
    state: ClockState
    due_at: datetime | None


class Submission(NamedTuple):
    """When a request was submitted, and when the first of its chain was."""

    at: datetime
    first_at: datetime


def deadline(
    clock: Clock | None, urgency: str, submission: Submission, *, information_needed: bool, answered: bool
) -> Deadline:
    """The deadline of a request, computed in elapsed time and given in the offset of the submission that starts it.

    A clock from submission runs from the chain's first; one from necessary information from the request that has it.
    """
    if clock is None:
        return Deadline(None, ClockState.NO_CLOCK, None)
    if information_needed and clock.starts is ClockStart.NECESSARY_INFORMATION:
        return Deadline(clock, ClockState.WAITING_FOR_INFORMATION, None)
    length = clock.expedited if urgency == "expedited" else clock.standard
    state = ClockState.ANSWERED if answered else ClockState.RUNNING
    start = submission.first_at if clock.starts is ClockStart.SUBMISSION else submission.at
    return Deadline(clock, state, start + length.elapsed)


def months_after(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day if it is shorter; at most the last day that there is."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > MAXYEAR:
        return date.max
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
