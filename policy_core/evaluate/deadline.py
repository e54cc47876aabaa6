"""When a decision is due: a named clock applied to the request's own times."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from policy_core.document.models import Clock, ClockStart, Length


class ClockState(StrEnum):
    """The state of a decision's clock."""

    RUNNING = "running"
    WAITING_FOR_INFORMATION = "waiting_for_information"
    ANSWERED = "answered"
    """Nobody has to act any more; `due_at` is the deadline that applied."""
    NO_CLOCK = "no_clock"
    """The document assigns no clock to this line of business."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a decision is due, and by which clock."""

    clock: Clock | None
    state: ClockState
    due_at: datetime | None


def deadline(
    clock: Clock | None, urgency: str, submitted_at: datetime, *, information_needed: bool, answered: bool
) -> Deadline:
    """The deadline of a request, computed in elapsed time and given in the request's own offset."""
    if clock is None:
        return Deadline(None, ClockState.NO_CLOCK, None)
    if information_needed and clock.starts is ClockStart.NECESSARY_INFORMATION:
        return Deadline(clock, ClockState.WAITING_FOR_INFORMATION, None)
    length = clock.expedited if urgency == "expedited" else clock.standard
    state = ClockState.ANSWERED if answered else ClockState.RUNNING
    return Deadline(clock, state, submitted_at + _elapsed(length))


def _elapsed(length: Length) -> timedelta:
    return timedelta(days=length.days, hours=length.hours)
