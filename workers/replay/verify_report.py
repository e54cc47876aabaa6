"""The report of `dli replay verify`."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import typer
from rich.table import Table

from workers.console.exit_codes import Exit
from workers.console.printing import Output, err, out, write_line
from workers.replay import runs
from workers.replay.partition_replay import Plan
from workers.replay.runs import Done
from workers.replay.verify import IDENTICAL, KINDS, verify

SHOWN = 20
"""Findings shown on a terminal; `-o jsonl` prints all."""


@dataclass(frozen=True)
class Report:
    """The result of a verification."""

    complete: bool
    """Whether the whole log was replayed."""
    requests: int
    identical: Counter[str]
    found: Counter[str]
    why: Counter[str]
    """The reasons for requests that cannot be replayed."""

    @property
    def differs(self) -> bool:
        """Whether anything is not identical."""
        return any(self.found.values())

    def as_json(self) -> dict[str, Any]:
        """The report; deterministic for a log."""
        return {
            "complete": self.complete,
            "requests": self.requests,
            "identical": {"all": self.identical.total()} | {name: self.identical[name] for name in IDENTICAL},
            **{name: self.found[name] for name in KINDS},
            "why_not_replayable": dict(sorted(self.why.items())),
        }


def report_of(done: Done) -> Report:
    """The sum over all partitions."""
    judged = [state["judge"] for state in done.states.values()]

    def total(name: str) -> Counter[str]:
        return sum((Counter(verdict[name]) for verdict in judged), Counter())

    return Report(done.finished, done.requests, total("identical"), total("found"), total("why"))


def run(plan: Plan, processes: int, output: Output) -> None:
    """Verify a log and print the report.

    Raises:
        ReplayError: It cannot be read.
        typer.Exit: It was interrupted, or something is not identical.
    """
    done = runs.over(plan, verify, processes)
    report = report_of(done)
    if output is Output.JSONL:
        for line in _lines(report, done):
            write_line(line)
    else:
        _print(report, done)
    if not done.finished:
        err.print(f"interrupted; the same command goes on, from {plan.folder}", markup=False)
        raise typer.Exit(Exit.INTERRUPTED)
    runs.forget(plan.folder)
    if report.differs:
        raise typer.Exit(Exit.DIFFERENT)


def _lines(report: Report, done: Done) -> Iterator[bytes]:
    yield json.dumps({"summary": report.as_json(), "run": done.about()}).encode()
    yield from done.findings()


def _print(report: Report, done: Done) -> None:
    table = Table(header_style="bold", box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    table.add_row("requests", f"{report.requests:,}", "" if report.complete else "so far: the run was interrupted")
    parts = ", ".join(f"{report.identical[name]:,} {name.replace('_', ' ')}s" for name in IDENTICAL)
    table.add_row("identical", f"{report.identical.total():,}", parts)
    for name, says in KINDS.items():
        table.add_row(name.replace("_", " "), f"{report.found[name]:,}", says if report.found[name] else "")
    for why, count in report.why.most_common():
        table.add_row("", f"{count:,}", why)
    out.print(table)
    for line in islice(done.findings(), SHOWN):
        out.print(_sentence(json.loads(line)), markup=False)
    left = report.found.total() - SHOWN
    if left > 0:
        out.print(f"… and {left:,} more; `-o jsonl` prints all")
    about = done.about()
    err.print(
        f"{about['requests']:,} requests in {done.seconds:,.1f} s, {about['requests_per_second']:,}/s"
        f" in {done.processes} processes, each {done.peak / 1e6:,.0f} MB at most"
    )


def _sentence(finding: dict[str, Any]) -> str:
    if finding["kind"] == "damaged":
        span = f"{finding['first']} to {finding['last']}"
        return f"damaged: {finding['topic']}/{finding['partition']}, offset {span}: {finding['why']}"
    where = finding.get("recorded", finding) if "offset" not in finding else finding
    parts = [f"{finding['kind'].replace('_', ' ')}: {where['topic']}/{where['partition']}, offset {where['offset']}"]
    if "recorded" in finding and where is finding:
        parts.append(f"recorded at {finding['recorded']['topic']} offset {finding['recorded']['offset']}")
    parts += [finding[name] for name in ("request_id", "why") if name in finding]
    text = "; ".join(parts)
    return f"{text}: {', '.join(finding['fields'])}" if finding.get("fields") else text
