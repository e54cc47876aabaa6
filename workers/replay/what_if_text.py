"""The report of `dli replay what-if` as tables and sentences."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from policy_core.compare.strictness import Kind
from workers.console.printable import words
from workers.replay.what_if_report import CHANGED, SAYS, Report, responsible

RULES_SHOWN = 5


def what_if_text(report: Report) -> Iterator[RenderableType]:
    """The parts of a report, in order."""
    yield f"Under {report.after}"
    yield _counts(report)
    if report.pairs():
        yield _pairs(report)
    for what, count in sorted(report.counts.beside.items()):
        yield f"{count:,} {what}"
    if not report.complete:
        yield f"So far: the run was interrupted after {report.read:,} requests."


def _counts(report: Report) -> Table:
    table = Table(header_style="bold", box=None)
    for column in ("", "requests", "lines"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_column("")
    for kind in (*CHANGED, Kind.UNCHANGED):
        row = f"{report.counts.requests[kind]:,}", f"{report.lines(kind):,}"
        table.add_row(words(kind), *row, SAYS[kind])
    return table


def _pairs(report: Report) -> Table:
    table = Table(header_style="bold")
    for column in ("", "from", "to", "lines", "requests", "decided otherwise"):
        table.add_column(column, justify="right" if column in {"lines", "requests"} else "left", overflow="fold")
    for pair in report.pairs():
        due = responsible(pair)
        listed = [f"{rules}: {count:,}" for rules, count in due[:RULES_SHOWN]]
        more = [f"… {len(due) - RULES_SHOWN} more"] if len(due) > RULES_SHOWN else []
        numbers = f"{pair.lines:,}", f"{pair.requests:,}"
        table.add_row(words(pair.kind), words(pair.before), words(pair.after), *numbers, "\n".join(listed + more))
    return table
