"""The page *Cases*: the work list."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from workers.console.printable import counted
from workers.work_list.columns import named, row
from workers.work_list.filters import CHOICES, Filter, chosen
from workers.work_list.open_cases import OpenCase
from workers.work_list.read_cases import Reading

MOST = 500
"""The number of cases shown; a file has all."""
NAMES = {
    "acts_next": "Acts next",
    "due": "Due",
    "urgency": "Urgency",
    "line_of_business": "Line of business",
    "determination": "Determination",
    "state": "State",
}
"""The filters that are chosen from a list."""
DETERMINATIONS = (
    "information_needed",
    "investigational",
    "criteria_not_met",
    "not_medically_necessary",
    "not_addressed",
    "policy_not_on_record",
    "no_prior_authorization",
    "invalid_code",
)
"""Those of pended lines."""


class CaseRow(NamedTuple):
    """One case as the page shows it."""

    cells: dict[str, str]
    """By the names of `work_list.columns.COLUMNS`."""
    reference: str
    """For the link to its trace."""
    overdue: bool


class CasesPage(NamedTuple):
    """The whole page."""

    headline: str
    rows: tuple[CaseRow, ...]
    left: str
    """What is not shown, or empty."""


def cases_page(cases: Sequence[OpenCase], wanted: Filter, now: datetime, zone: tzinfo) -> CasesPage:
    """The cases that a filter lets through, the most urgent first."""
    found = chosen(cases, wanted, now, zone)
    of = f" of {len(cases):,}" if len(found) != len(cases) else ""
    overdue = sum(case.is_overdue(now) for case in found)
    return CasesPage(
        f"{counted(len(found), 'open case')}{of}; {overdue:,} overdue",
        tuple(CaseRow(row(case, now), case.reference, case.is_overdue(now)) for case in found[:MOST]),
        f"The first {MOST:,} are shown; the file has all." if len(found) > MOST else "",
    )


def options(name: str, value: str) -> dict[str, str]:
    """The values of a filter with their words, among them the one that it has."""
    values = DETERMINATIONS if name == "determination" else CHOICES[name]
    return {one: named(one) for one in (*values, value) if one}


def problems(reading: Reading) -> tuple[str, ...]:
    """Why the open cases are not known, if they are not."""
    return (reading.error,) if reading.error is not None else ()
