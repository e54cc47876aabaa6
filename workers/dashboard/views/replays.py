"""The page *Replays*: the reports in a folder, as `dli replay` wrote them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from workers.console.printable import words
from workers.dashboard.views.times import Level, moment

LONGEST = 1_000_000
"""Bytes read of a summary."""
MOST = 200
"""The number of newest reports shown."""
FORMS = (".html", ".jsonl")


class ReportRow(NamedTuple):
    """One report."""

    name: str
    written: str
    kind: str
    headline: str
    level: Level
    figures: tuple[tuple[str, str], ...]
    is_page: bool
    """Whether it is an HTML page."""


def reports(folder: Path) -> list[ReportRow]:
    """The reports of a folder, newest first; none if the folder does not exist."""
    try:
        found = [
            entry for entry in folder.iterdir() if entry.suffix in FORMS and entry.is_file() and not entry.is_symlink()
        ]
        dated = sorted(((path.stat().st_mtime, path) for path in found), reverse=True)
    except OSError:
        return []
    return [_row(file, datetime.fromtimestamp(at, UTC)) for at, file in dated[:MOST]]


def page_of(folder: Path, name: str) -> bytes | None:
    """An HTML report by name, if the folder has it."""
    pages = {report.name for report in reports(folder) if report.is_page}
    return (folder / name).read_bytes() if name in pages else None


def _row(file: Path, at: datetime) -> ReportRow:
    written = moment(at)
    if file.suffix == ".html":
        return ReportRow(file.name, written, "page", "What a document would change", "good", (), is_page=True)
    summary = _summary(file)
    if summary is None:
        why = "Not a report of `dli replay … -o jsonl`"
        return ReportRow(file.name, written, "unknown", why, "unknown", (), is_page=False)
    kind, headline, level = _judged(summary)
    return ReportRow(file.name, written, kind, headline, level, tuple(_figures(summary)), is_page=False)


def _summary(file: Path) -> dict[str, Any] | None:
    try:
        with file.open("rb") as stream:
            first = json.loads(stream.readline(LONGEST))
        summary = first["summary"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return summary if isinstance(summary, dict) else None


def _judged(summary: dict[str, Any]) -> tuple[str, str, Level]:
    if "identical" in summary:
        return "verify", *_verified(summary)
    if "lines" in summary:
        return "what if", *_compared(summary)
    return "unknown", "A summary of a kind that this version does not know", "unknown"


def _verified(summary: dict[str, Any]) -> tuple[str, Level]:
    identical, requests = summary["identical"].get("all", 0), summary.get("requests", 0)
    found = {name: summary[name] for name in (*WRONG, UNTOLD) if summary.get(name)}
    sentence = "; ".join(
        [
            f"{identical:,} answers to {requests:,} requests are identical",
            *(f"{count:,} {words(name)}" for name, count in found.items()),
        ]
    )
    if found.keys() & set(WRONG):
        return sentence, "bad"
    if not summary.get("complete"):
        return f"Interrupted; so far {sentence}", "waiting"
    return sentence, "waiting" if found else "good"


WRONG = (
    "different",
    "missing_decision",
    "second_decision",
    "unasked_decision",
    "missing_dead_letter",
    "unexpected_dead_letter",
    "damaged",
)
"""The findings of `dli replay verify`, by name."""
UNTOLD = "not_replayable"


def _compared(summary: dict[str, Any]) -> tuple[str, Level]:
    changed = sum(count for kind, count in summary["lines"].items() if kind != "unchanged")
    sentence = f"{changed:,} lines would be answered otherwise, of {summary.get('requests_read', 0):,} requests"
    return (sentence, "good") if summary.get("complete") else (f"Interrupted: {sentence} so far", "waiting")


def _figures(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in summary.items():
        if isinstance(value, bool):
            yield words(name), "yes" if value else "no"
        elif isinstance(value, int):
            yield words(name), f"{value:,}"
        elif isinstance(value, dict) and all(isinstance(item, int) for item in value.values()):
            yield words(name), ", ".join(f"{count:,} {words(key)}" for key, count in value.items()) or "-"
