"""Requests that wait for somebody, as far as the topic of decisions can tell.

A decision that pends has a due date and says who acts next. Whether that person has acted is known where the request is
kept, not here: the final answer does not come back over Kafka. So this counts decisions, with a clock, outside of the
path where decisions are made:

* a request is pended from its newest decision on, until a later request supersedes it or `kept` has passed;
* it is overdue when its due date has passed meanwhile, and nobody superseded it: somebody may have answered in time.

What is kept is bounded: digests of request ids with a due date, the ones taken first going first.
"""

from collections import Counter, OrderedDict
from datetime import datetime, timedelta
from hashlib import blake2b
from threading import Lock
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

KEPT = timedelta(days=14)
"""How long a pended decision is counted."""
MOST = 200_000
"""Pended requests that are kept at most."""
STATES = ("running", "waiting_for_information", "no_clock")
PENDS = "A4"


class Waiting(NamedTuple):
    """One pended request."""

    state: str
    due_at: datetime | None
    decided_at: datetime


class Pended:
    """The requests that wait, fed with decisions in the order of their partitions; safe to use from two threads."""

    def __init__(self, kept: timedelta = KEPT, most: int = MOST) -> None:
        self.kept = kept
        self._most = most
        self._waiting: OrderedDict[bytes, Waiting] = OrderedDict()
        # Of two requests in two partitions, the one that supersedes may be read first.
        self._superseded: OrderedDict[bytes, datetime] = OrderedDict()
        self._lock = Lock()

    def take(self, decision: dict[str, Any], decided_at: datetime) -> None:
        """Note one decision's data, made at that time.

        Raises:
            ValueError: It is no decision; nothing is noted of it.
        """
        key, before, waiting = _read(decision, decided_at)
        with self._lock:
            self._waiting.pop(key, None)
            if before is not None:
                self._waiting.pop(before, None)
                _keep(self._superseded, before, decided_at, self._most)
            superseded = self._superseded.get(key)
            if waiting is not None and (superseded is None or superseded < decided_at):
                _keep(self._waiting, key, waiting, self._most)

    def count(self, now: datetime) -> tuple[Counter[str], int]:
        """How many wait, by their clock's state, and how many of them are overdue."""
        with self._lock:
            for key in [key for key, one in self._waiting.items() if one.decided_at < now - self.kept]:
                del self._waiting[key]
            states = Counter(dict.fromkeys(STATES, 0))
            states.update(one.state for one in self._waiting.values())
            overdue = sum(1 for one in self._waiting.values() if one.due_at is not None and one.due_at < now)
        return states, overdue


def _read(decision: dict[str, Any], decided_at: datetime) -> tuple[bytes, bytes | None, Waiting | None]:
    """The digests of the request and of the one it supersedes, and what waits, if anything does."""
    try:
        key = _digest(decision["request_id"])
        before = _digest(decision["supersedes"]) if decision.get("supersedes") is not None else None
        state, action, due = decision["clock"]["state"], decision["action"], decision.get("due_at")
        at = datetime.fromisoformat(due) if due is not None else None
        pends = action == PENDS and state in STATES
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"no decision: {type(error).__name__}") from None
    if at is not None and at.tzinfo is None:
        raise ValueError("no decision: a due date without its offset")
    return key, before, Waiting(state, at, decided_at) if pends else None


def _keep(kept: OrderedDict[bytes, T], key: bytes, value: T, most: int) -> None:
    kept[key] = value
    if len(kept) > most:
        kept.popitem(last=False)


def _digest(request_id: str) -> bytes:
    return blake2b(request_id.encode(), digest_size=16).digest()
