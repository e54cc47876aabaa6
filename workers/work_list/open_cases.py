"""The open cases, as `authorization.cases` has them up to an offset of each partition.

Whoever counts pended or overdue requests counts them here, so that all numbers at the same offsets are equal. What is
open, who acts next and when it is due are defined by `events.case`; here it is only kept, without decisions, and
closed cases are dropped.

Memory is bounded: beyond `most` open cases, others are left out, and `left_out` says so.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple

from events.case import PENDED, Case, State, case_of, is_past
from workers.state.request_digests import digest

MOST = 500_000
"""The maximum number of open cases: about 0.4 kB each."""
CLOCK_STATES = ("running", "waiting_for_information", "no_clock")
"""The states of an open case's clock."""
ACTORS = ("provider", "physician_reviewer", "medical_policy_reviewer", "case_management")
"""Who may have to act, in display order."""
DUE = ("overdue", "in_time", "not_due")
"""How a case stands with its deadline; `not_due`: its clock does not run."""


class OpenCase(NamedTuple):
    """What a work list needs to know of an open case."""

    request_id: str
    state: State
    acts_next: tuple[str, ...]
    """Each once, in the order of the lines."""
    due: datetime | None
    """None while its clock does not run."""
    clock_state: str
    first_submitted: datetime
    """When the first request of its chain was submitted."""
    urgency: str
    line_of_business: str
    certification: str
    determinations: tuple[str, ...]
    """Of the pended lines, each once, in their order."""
    partition: int
    """Where its record is."""

    def is_overdue(self, now: datetime) -> bool:
        """Whether its deadline has passed."""
        return is_past(self.due, now)

    def is_due_on_day(self, now: datetime, zone: tzinfo) -> bool:
        """Whether it is due later on the day of `now` in a time zone."""
        return (
            self.due is not None
            and not self.is_overdue(now)
            and self.due.astimezone(zone).date() == now.astimezone(zone).date()
        )

    @property
    def reference(self) -> str:
        """Names the case without its request's id: the digest of the id."""
        return digest(self.request_id.encode()).hex()


class Counts(NamedTuple):
    """How many cases are open at a moment; a case that waits for two counts once for each in `…_by_actor`."""

    by_clock_state: Mapping[str, int]
    by_actor: Mapping[str, int]
    overdue: int
    overdue_by_actor: Mapping[str, int]
    due_today: int
    """Due later today."""
    due_today_by_actor: Mapping[str, int]

    @property
    def total(self) -> int:
        """All open cases."""
        return sum(self.by_clock_state.values())


class OpenCases:
    """The open cases, fed with the records of `authorization.cases` in the order of each partition."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._cases: dict[bytes, OpenCase] = {}
        self._offsets: dict[int, int] = {}
        self.left_out = 0
        """Records of open cases that found no room: above 0, there are more than are counted."""

    # --- reading ---

    def take(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take the next record of a partition; one that was taken before changes nothing.

        Raises:
            ValueError: It is no case's; it counts as read.
        """
        if offset < self._offsets.get(partition, 0):
            return
        self._offsets[partition] = offset + 1
        if not key:
            raise ValueError("has no key")
        if value is None:
            self._cases.pop(digest(key), None)
            return
        case = case_of(value)
        if case.request_id.encode() != key:
            raise ValueError("has another request's key")
        self._keep(digest(key), case, partition)

    def _keep(self, key: bytes, case: Case, partition: int) -> None:
        if not case.is_open:
            self._cases.pop(key, None)
        elif key in self._cases or len(self._cases) < self._most:
            self._cases[key] = _open(case, partition)
        else:
            self.left_out += 1

    def reached(self, partition: int, offset: int) -> None:
        """Everything before an offset is read: the marks of transactions are no records."""
        self._offsets[partition] = max(offset, self._offsets.get(partition, 0))

    @property
    def offsets(self) -> dict[int, int]:
        """The next offset to read, by partition."""
        return dict(self._offsets)

    # --- questions ---

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[OpenCase]:
        return iter(self._cases.values())

    def find(self, reference: str) -> OpenCase | None:
        """The open case with a reference."""
        try:
            return self._cases.get(bytes.fromhex(reference))
        except ValueError:
            return None

    def counts(self, now: datetime, zone: tzinfo = UTC) -> Counts:
        """The numbers at a moment; `zone` says when today ends."""
        states = Counter(dict.fromkeys(CLOCK_STATES, 0))
        actors, overdue_by, today_by = (Counter(dict.fromkeys(ACTORS, 0)) for _ in range(3))
        overdue = due_today = 0
        for case in self:
            states[case.clock_state] += 1
            actors.update(case.acts_next)
            if case.is_overdue(now):
                overdue += 1
                overdue_by.update(case.acts_next)
            elif case.is_due_on_day(now, zone):
                due_today += 1
                today_by.update(case.acts_next)
        return Counts(states, actors, overdue, overdue_by, due_today, today_by)

    def by_actor_and_due(self, now: datetime) -> Counter[tuple[str, str]]:
        """The number of cases by who acts next and how they stand with their deadline, one of `DUE`."""
        found = Counter({(actor, due): 0 for actor in ACTORS for due in DUE})
        for case in self:
            due = "not_due" if case.due is None else "overdue" if case.is_overdue(now) else "in_time"
            found.update((actor, due) for actor in case.acts_next)
        return found


def _open(case: Case, partition: int) -> OpenCase:
    return OpenCase(
        case.request_id,
        case.state,
        _each(case.acts_next),
        case.due,
        sys.intern(case.clock_state),
        case.first_submitted,
        sys.intern(case.urgency),
        sys.intern(case.line_of_business),
        sys.intern(case.certification),
        _each(tuple(dict.fromkeys(line.determination for line in case.lines if line.action == PENDED))),
        partition,
    )


@lru_cache(maxsize=4096)
def _each(words: tuple[str, ...]) -> tuple[str, ...]:
    """The same words in one place: they recur in many cases."""
    return words
