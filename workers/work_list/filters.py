"""Which open cases a view shows, and in what order.

A filter has one form as text, the parameters of a page's address, so that a view can be sent to a colleague; the
command line has an option for each of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, tzinfo
from typing import Literal, get_args

from events.decision import Determination
from events.request import LineOfBusiness, Urgency
from workers.console.errors import DliError
from workers.console.moments import moment_of
from workers.work_list.open_cases import ACTORS, OpenCase

Due = Literal["overdue", "today", "unknown"]
"""`today`: later today. `unknown`: it has no deadline yet."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "acts_next": ACTORS,
    "due": get_args(Due),
    "urgency": get_args(Urgency),
    "line_of_business": get_args(LineOfBusiness),
    "determination": get_args(Determination),
    "state": ("recommended", "waiting"),
}
"""The values of each part of a filter that has few."""


class FilterError(DliError):
    """A filter cannot be read; the message names its part and what it may be."""


@dataclass(frozen=True)
class Filter:
    """What a case has to be; None: whatever it is."""

    acts_next: str | None = None
    due: str | None = None
    due_before: datetime | None = None
    urgency: str | None = None
    line_of_business: str | None = None
    determination: str | None = None
    """Of one pended line at least."""
    state: str | None = None

    def matches(self, case: OpenCase, now: datetime, zone: tzinfo = UTC) -> bool:
        """Whether a case is all that at a moment; `zone` says when today ends."""
        return (
            (self.acts_next is None or self.acts_next in case.acts_next)
            and self._has_due(case, now, zone)
            and (self.due_before is None or (case.due is not None and case.due < self.due_before))
            and self.urgency in {None, case.urgency}
            and self.line_of_business in {None, case.line_of_business}
            and (self.determination is None or self.determination in case.determinations)
            and self.state in {None, case.state}
        )

    def _has_due(self, case: OpenCase, now: datetime, zone: tzinfo) -> bool:
        match self.due:
            case "overdue":
                return case.is_overdue(now)
            case "today":
                return case.is_due_on_day(now, zone)
            case "unknown":
                return case.due is None
            case _:
                return True

    def as_parameters(self) -> dict[str, str]:
        """Its parts as text, as `filter_of` reads them; without those that let everything through."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in parts.items()
            if value is not None
        }


def filter_of(parameters: Mapping[str, str | None]) -> Filter:
    """The filter with these parts; an absent or empty one lets everything through.

    Raises:
        FilterError: There is no such part, or it cannot have such a value.
    """
    given = {name: value for name, value in parameters.items() if value}
    for name, value in given.items():
        if name != "due_before" and value not in CHOICES.get(name, ()):
            raise FilterError(_wrong(name, value))
    before = given.pop("due_before", None)
    try:
        return Filter(**given, due_before=moment_of(before) if before else None)
    except ValueError as error:
        raise FilterError(f"due_before: {error}") from None


def _wrong(name: str, value: str) -> str:
    if name not in CHOICES:
        return f"there is no filter {name}; there is {', '.join(part.name for part in fields(Filter))}"
    return f"{name} is never {value}; it is one of {', '.join(CHOICES[name])}"


def chosen(cases: Iterable[OpenCase], wanted: Filter, now: datetime, zone: tzinfo = UTC) -> list[OpenCase]:
    """The cases that a filter lets through: overdue ones first, then by when they are due, then the oldest."""
    return sorted((case for case in cases if wanted.matches(case, now, zone)), key=_order)


def _order(case: OpenCase) -> tuple[bool, float, datetime, str]:
    due = case.due.timestamp() if case.due is not None else 0.0
    return case.due is None, due, case.first_submitted, case.request_id
