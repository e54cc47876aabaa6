"""A figure's value as people read it, and as a spreadsheet does."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from workers.console.printable import printable, words
from workers.figures.definitions import PARTS, Definition
from workers.figures.figures import PublicFigures, Value
from workers.figures.read_cases import Extent

NONE = "none in this year"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
COLUMNS = ("policy", "year", "figure", "name", "measure", "value", "definition")


def lines(figure: Definition, value: Value) -> list[str]:
    """A figure's value in lines of text."""
    return list(_LINES[figure.kind](value))


def _share(value: Value) -> Iterator[str]:
    yield _part(value)
    yield f"determined by the software: {_part(value['machine'])}"
    yield f"determined by reviewers: {_part(value['reviewer'])}"


def _part(value: Value) -> str:
    return NONE if not value["of"] else f"{value['percent']} % ({value['count']:,} of {value['of']:,})"


def _appeals(value: Value) -> Iterator[str]:
    yield _part(value)
    if value["of"]:
        apart = ("in_part", "certified in part"), ("modified", "modified"), ("denied", "denied again")
        yield ", ".join(f"{says}: {value[name]:,}" for name, says in apart)


def _extended(value: Value) -> Iterator[str]:
    yield _part(value)
    yield f"extended at all: {value['extended']:,}"


def _times(value: Value) -> Iterator[str]:
    yield _average(value)
    yield f"determined by the software: {_average(value['machine'])}"
    yield f"determined by reviewers: {_average(value['reviewer'])}"


def _average(value: Value) -> str:
    if not value["count"]:
        return NONE
    average, median = duration(value["average_seconds"]), duration(value["median_seconds"])
    return f"average {average}, median {median} ({value['count']:,})"


def duration(seconds: float) -> str:
    """A time in days, hours and minutes, to the nearest minute; a short one in seconds."""
    if abs(seconds) < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(abs(seconds) / _MINUTE) * _MINUTE
    parts = (whole // _DAY, "d"), (whole % _DAY // _HOUR, "h"), (whole % _HOUR // _MINUTE, "min")
    return ("-" if seconds < 0 else "") + " ".join(f"{number} {unit}" for number, unit in parts if number)


def _count(value: Value) -> Iterator[str]:
    yield f"{value['count']:,}"
    parts = {**value.get("by_channel", {}), **{name: value[name] for name in ("in_part", "modified") if name in value}}
    if parts:
        yield ", ".join(f"{words(name)}: {number:,}" for name, number in parts.items())


def _services(value: Value) -> Iterator[str]:
    for service in value["services"]:
        counted = f": {service['count']:,}" if "count" in service else ""
        yield f"{service['system'].upper()} {service['code']}{counted}"
    if not value["services"]:
        yield NONE


def _reasons(value: Value) -> Iterator[str]:
    yield from (f"{reason['code']}: {reason['count']:,}" for reason in value["reasons"])
    if not value["reasons"]:
        yield NONE


def _rest(value: Value) -> Iterator[str]:
    yield from (f"{words(name)}: {number:,}" for name, number in value.items())


_LINES = {
    "services": _services,
    "share": _share,
    "appeals": _appeals,
    "extended": _extended,
    "times": _times,
    "count": _count,
    "ranked services": _services,
    "ranked reasons": _reasons,
    "rest": _rest,
}


def as_json(found: PublicFigures, extent: Extent) -> dict[str, Any]:
    """The whole report as plain data."""
    return {
        "policy": found.policy,
        "title": found.title,
        "policy_known_through": found.known_through.isoformat(),
        "year": found.year,
        "time_zone": found.time_zone,
        "cases": found.cases,
        "made_from": extent._asdict(),
        "figures": [
            {"id": figure.id, "name": figure.name, "definition": figure.says, "value": found.values[figure.id]}
            for part in PARTS
            for figure in part.figures
        ],
    }


def as_csv(found: PublicFigures, extent: Extent) -> str:
    """One row for each number, below a row of names and what the report was made of."""
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(COLUMNS)
    made_of = {
        "policy_known_through": found.known_through.isoformat(),
        "time_zone": found.time_zone,
        "cases": found.cases,
        "made_from": extent.says,
    }
    for measure, what in made_of.items():
        writer.writerow([_cell(cell) for cell in (found.policy, found.year, "", "This report", measure, what, "")])
    for part in PARTS:
        for figure in part.figures:
            for measure, value in _measures(found.values[figure.id]):
                row = (found.policy, found.year, figure.id, figure.name, measure, value, figure.says)
                writer.writerow([_cell(cell) for cell in row])
    return made.getvalue()


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    text = printable(value) if isinstance(value, str) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(("=", "+", "-", "@")) else text


def _measures(value: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, object]]:
    for name, found in value.items():
        if isinstance(found, Mapping):
            yield from _measures(found, f"{within}{name}.")
        elif isinstance(found, list):
            for number, entry in enumerate(found, start=1):
                named = " ".join(str(part) for key, part in entry.items() if key != "count")
                yield f"{within}{number}: {named}", entry.get("count", "")
        else:
            yield f"{within}{name}", "" if found is None else json.dumps(found)
