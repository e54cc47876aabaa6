"""A case as a row: of the command's table, of the page, and of files."""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from workers.console.printable import printable, words
from workers.work_list.open_cases import OpenCase

COLUMNS: Mapping[str, str] = {
    "request_id": "Request",
    "acts_next": "Acts next",
    "due": "Due",
    "age": "Age",
    "urgency": "Urgency",
    "line_of_business": "Line of business",
    "determinations": "Determinations",
    "state": "State",
}
"""The names of a row's parts."""
ACTORS_IN_WORDS = {
    "provider": "the provider",
    "physician_reviewer": "a physician",
    "medical_policy_reviewer": "a medical-policy reviewer",
    "case_management": "case management",
}
FIELDS = (
    "request_id",
    "acts_next",
    "due_at",
    "overdue",
    "clock",
    "first_submitted_at",
    "age_seconds",
    "certification",
    "urgency",
    "line_of_business",
    "determinations",
    "state",
)
"""Of a case for programs, in order."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With these a cell begins that a spreadsheet would compute."""


def named(actor: str) -> str:
    """Who acts next, in words."""
    return ACTORS_IN_WORDS.get(actor, words(actor))


def row(case: OpenCase, now: datetime) -> dict[str, str]:
    """A case for people, with a text for each of `COLUMNS`."""
    return {
        "request_id": case.request_id,
        "acts_next": ", ".join(map(named, case.acts_next)),
        "due": _due(case, now),
        "age": lasting(now - case.first_submitted),
        "urgency": case.urgency,
        "line_of_business": words(case.line_of_business),
        "determinations": ", ".join(map(words, case.determinations)),
        "state": case.state,
    }


def _due(case: OpenCase, now: datetime) -> str:
    if case.due is None:
        return words(case.clock_state)
    at = case.due.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{at}, overdue by {lasting(now - case.due)}" if case.is_overdue(now) else at


def lasting(passed: timedelta) -> str:
    """A duration in its largest whole unit, `3 days`; never negative."""
    minutes = max(int(passed.total_seconds() // 60), 0)
    for length, unit in ((1440, "day"), (60, "hour")):
        if minutes >= length:
            return f"{minutes // length:,} {unit}{'' if minutes // length == 1 else 's'}"
    return f"{minutes} min"


def as_json(case: OpenCase, now: datetime) -> dict[str, Any]:
    """A case for programs."""
    values = (
        case.request_id,
        list(case.acts_next),
        case.due.isoformat() if case.due is not None else None,
        case.is_overdue(now),
        case.clock_state,
        case.first_submitted.isoformat(),
        max(int((now - case.first_submitted).total_seconds()), 0),
        case.certification,
        case.urgency,
        case.line_of_business,
        list(case.determinations),
        case.state,
    )
    return dict(zip(FIELDS, values, strict=True))


def as_csv(cases: Iterable[OpenCase], now: datetime) -> str:
    """Cases as CSV (RFC 4180) with a line of names; no cell is a formula for a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(FIELDS)
    for case in cases:
        writer.writerow(map(_cell, as_json(case, now).values()))
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(value) if isinstance(value, list) else printable(str(value)) if value is not None else ""
    return f"'{text}" if text.startswith(_FORMULA) else text
