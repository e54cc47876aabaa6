"""Counts pending requests, as far as the topic of decisions shows.

A pending decision has a due date and says who acts next. Whether that person has acted is not known here: the final
answer does not return over Kafka. So this counts decisions by time, separately from the decision path:

* a request is pending from its newest decision, until a later request supersedes it or `kept` has passed;
* it is overdue when its due date has passed without being superseded, though it may have been answered elsewhere.

Memory is bounded: digests of request ids with due dates, the oldest dropped first.
"""

from collections import Counter
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple

from workers.state.recent_requests import RecentRequests
from workers.state.request_digests import digest

KEPT = timedelta(days=14)
"""How long a pending decision is counted."""
MOST = 200_000
"""The maximum number of pending requests."""
STATES = ("running", "waiting_for_information", "no_clock")
PENDS = "A4"


class Waiting(NamedTuple):
    """One pending request."""

    state: str
    due_at: datetime | None
    decided_at: datetime


class Pended:
    """The pending requests, updated with decisions in partition order; thread-safe."""

    def __init__(self, kept: timedelta = KEPT, most: int = MOST) -> None:
        self.kept = kept
        self._waiting = RecentRequests[Waiting](most)
        # A superseding request in another partition may be read first.
        self._superseded = RecentRequests[datetime](most)
        self._lock = Lock()

    def take(self, decision: dict[str, Any], decided_at: datetime) -> None:
        """Add one decision's data, with its time.

        Raises:
            ValueError: It is not a decision; nothing is added.
        """
        key, before, waiting = _read(decision, decided_at)
        with self._lock:
            self._waiting.pop(key, None)
            if before is not None:
                self._waiting.pop(before, None)
                self._superseded.keep(before, decided_at)
            superseded = self._superseded.get(key)
            if waiting is not None and (superseded is None or superseded < decided_at):
                self._waiting.keep(key, waiting)

    def count(self, now: datetime) -> tuple[Counter[str], int]:
        """The number of pending requests by clock state, and of overdue ones."""
        with self._lock:
            for key in [key for key, waiting in self._waiting.items() if waiting.decided_at < now - self.kept]:
                del self._waiting[key]
            states = Counter(dict.fromkeys(STATES, 0))
            states.update(waiting.state for waiting in self._waiting.values())
            overdue = sum(
                1 for waiting in self._waiting.values() if waiting.due_at is not None and waiting.due_at < now
            )
        return states, overdue


def _read(decision: dict[str, Any], decided_at: datetime) -> tuple[bytes, bytes | None, Waiting | None]:
    """The digests of the request and the superseded one, and the pending entry, if any."""
    try:
        key = digest(decision["request_id"].encode())
        before = digest(decision["supersedes"].encode()) if decision.get("supersedes") is not None else None
        state, action, due = decision["clock"]["state"], decision["action"], decision.get("due_at")
        at = datetime.fromisoformat(due) if due is not None else None
        pends = action == PENDS and state in STATES
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"no decision: {type(error).__name__}") from None
    if at is not None and at.tzinfo is None:
        raise ValueError("no decision: a due date without its offset")
    return key, before, Waiting(state, at, decided_at) if pends else None
