"""The report of `dli replay what-if`: on a terminal, as JSON lines, and as an HTML page."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import typer
from rich.table import Table

from events.topics import REQUESTS
from policy_core.compare.strictness import Kind
from policy_core.evaluate.determine import Policy
from workers.console.exit_codes import Exit
from workers.console.printing import Output, err, out, write_line
from workers.event_log.source import ReplayError
from workers.process import private_files
from workers.replay import runs
from workers.replay.documents import Named, documents_of, name_of
from workers.replay.partition_replay import Plan
from workers.replay.publish_decisions import make, own_topic
from workers.replay.runs import Done
from workers.replay.what_if import OR, ChangeCounts, draft_of, what_if

CHANGED = (Kind.STRICTER, Kind.LOOSER, Kind.RECLASSIFIED, Kind.EVIDENCE)
"""In display order: the weightiest first."""
SAYS = {
    Kind.STRICTER: "further from a certification",
    Kind.LOOSER: "nearer to a certification",
    Kind.RECLASSIFIED: "another determination, equally far",
    Kind.EVIDENCE: "the same determination, otherwise explained",
    Kind.UNCHANGED: "the same in every way",
}
EXAMPLES = 5
RULES_SHOWN = 5


class Rules(NamedTuple):
    """The deciding rules before and after, with the number of lines."""

    before: str
    after: str
    lines: int


class PairRow(NamedTuple):
    """One pair of determinations."""

    kind: str
    before: str
    after: str
    lines: int
    requests: int
    rules: tuple[Rules, ...]
    """The deciding rules, the most frequent first."""


def responsible(row: PairRow) -> list[tuple[str, int]]:
    """The rules responsible for a pair's lines, with the number of lines.

    These are the rules that decide only now; otherwise those that no longer decide; otherwise the same rules, which now
    give another result or rest on other statements.
    """
    found: Counter[str] = Counter()
    for rules in row.rules:
        before, after = rules.before.split(OR), rules.after.split(OR)
        new = ", ".join(rule for rule in after if rule not in before)
        gone = ", ".join(rule for rule in before if rule not in after)
        same = f"as before by {', '.join(after)}"
        found[f"now by {new}" if new else f"no longer by {gone}" if gone else same] += rules.lines
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))


@dataclass(frozen=True)
class Report:
    """The result of a what-if."""

    complete: bool
    read: int
    """Requests read from the log."""
    before: tuple[Named, ...]
    """The deployment's documents; the log's decisions may name others."""
    after: Named
    counts: ChangeCounts

    @property
    def changes(self) -> int:
        """Lines that changed in any way."""
        return sum(count for (kind, _, _), count in self.counts.lines.items() if kind != Kind.UNCHANGED)

    @property
    def differs(self) -> bool:
        """Whether anything changes."""
        return any(self.counts.requests[kind] for kind in CHANGED)

    def lines(self, kind: Kind) -> int:
        """Lines of a kind of change."""
        return sum(count for pair, count in self.counts.lines.items() if pair[0] == kind)

    def pairs(self) -> list[PairRow]:
        """Every changed pair, the weightiest first."""
        order = {kind.value: at for at, kind in enumerate(CHANGED)}
        changed = [(pair, count) for pair, count in self.counts.lines.items() if pair[0] in order]
        return [
            PairRow(*pair, count, self.counts.of_requests[pair], self._rules(pair))
            for pair, count in sorted(changed, key=lambda item: (order[item[0][0]], -item[1], item[0]))
        ]

    def _rules(self, pair: tuple[str, str, str]) -> tuple[Rules, ...]:
        found = [Rules(*key[3:], count) for key, count in self.counts.rules.items() if key[:3] == pair]
        return tuple(sorted(found, key=lambda rules: (-rules.lines, rules.before, rules.after)))

    def as_json(self) -> dict[str, Any]:
        """The report; deterministic for a log and a document."""
        return {
            "complete": self.complete,
            "requests_read": self.read,
            "before": [row._asdict() for row in self.before],
            "after": self.after._asdict(),
            "requests": {kind.value: self.counts.requests[kind] for kind in Kind},
            "lines": {kind.value: self.lines(kind) for kind in Kind},
            "pairs": [{**row._asdict(), "rules": [rules._asdict() for rules in row.rules]} for row in self.pairs()],
            "by_month": _nested(self.counts.months.items()),
            "by_line_of_business": _nested(self.counts.businesses.items()),
            "beside": dict(sorted(self.counts.beside.items())),
        }


def _nested(rows: Any) -> dict[str, dict[str, int]]:
    made: dict[str, dict[str, int]] = {}
    for (name, kind), count in sorted(rows):
        made.setdefault(name, {})[kind] = count
    return made


def report_of(done: Done, before: Sequence[Policy], after: Policy) -> Report:
    """The sum over all partitions."""
    counts = ChangeCounts()
    for state in done.states.values():
        counts.add(ChangeCounts.of(state["judge"]["tally"]))
    return Report(done.finished, done.requests, tuple(map(name_of, before)), name_of(after), counts)


def run(plan: Plan, processes: int, output: Output, page: Path | None) -> None:
    """Compare a log with its decisions under another document, and print the report.

    Raises:
        ReplayError: The log cannot be read, the document's policy is unknown, or the page cannot be written.
        typer.Exit: It was interrupted, or something changes.
    """
    documents = documents_of(plan.source, plan.settings, plan.earlier)
    after = draft_of(plan)
    if after.number not in documents.current():
        raise ReplayError(f"the document is of policy {after.number}, which this deployment does not have")
    if page is not None and page.exists():
        raise ReplayError(f"{page}: is there already, and is not written over")
    topic = _topic(plan) if plan.publish is not None else None
    done = runs.over(plan, what_if, processes)
    report = report_of(done, list(documents.current().values()), after)
    if output is Output.JSONL:
        for line in _lines(report, done):
            write_line(line)
    else:
        show(report, done)
    if page is not None:
        _write(page, report, done, documents.current()[after.number], after)
    if topic is not None:
        sent = sum(state["judge"]["published"] for state in done.states.values())
        err.print(f"{sent:,} decisions under that document on {topic}, marked as a replay's", markup=False)
    if not done.finished:
        err.print(f"interrupted; the same command goes on, from {plan.folder}", markup=False)
        raise typer.Exit(Exit.INTERRUPTED)
    runs.forget(plan.folder)
    if report.differs:
        raise typer.Exit(Exit.DIFFERENT)


def _topic(plan: Plan) -> str:
    """The replay's topic, created unless an interrupted run is resumed."""
    topic = own_topic(plan.settings, plan.publish or "")
    if not runs.interrupted(plan.folder):
        make(plan.settings, topic, 1 + max(plan.source.partitions(plan.source.topic(REQUESTS)), default=0))
    return topic


def _lines(report: Report, done: Done) -> Iterator[bytes]:
    yield json.dumps({"summary": report.as_json(), "run": done.about()}).encode()
    yield from done.findings()


def _write(page: Path, report: Report, done: Done, before: Policy, after: Policy) -> None:
    from workers.replay.what_if_page import html  # noqa: PLC0415 (charts are slow to load)

    text = html(report, examples(done), before, after)
    try:
        private_files.write(page, text)
    except OSError as error:
        raise ReplayError(f"{page}: {error.strerror}") from None
    err.print(f"written: {page}", markup=False)


def examples(done: Done) -> dict[tuple[str, str, str], list[str]]:
    """The first few lines of each pair, by position, and by request id if allowed."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for line in done.findings():
        one = json.loads(line)
        if "from" not in one:
            continue
        mine = found.setdefault((one["kind"], one["from"], one["to"]), [])
        if len(mine) < EXAMPLES:
            place = f"{one['partition']}/{one['offset']} line {one['line']}"
            mine.append(f"{one['request_id']} ({place})" if "request_id" in one else place)
    return found


def words(term: str) -> str:
    """A term in readable form."""
    return term.replace("_", " ")


def show(report: Report, done: Done) -> None:
    """Print a report."""
    out.print(f"Under {report.after}")
    counts = Table(header_style="bold", box=None)
    for column in ("", "requests", "lines"):
        counts.add_column(column, justify="left" if not column else "right")
    counts.add_column("")
    for kind in (*CHANGED, Kind.UNCHANGED):
        row = f"{report.counts.requests[kind]:,}", f"{report.lines(kind):,}"
        counts.add_row(words(kind), *row, SAYS[kind])
    out.print(counts)
    if report.pairs():
        pairs = Table(header_style="bold")
        for column in ("", "from", "to", "lines", "requests", "decided otherwise"):
            pairs.add_column(column, justify="right" if column in {"lines", "requests"} else "left", overflow="fold")
        for pair in report.pairs():
            due = responsible(pair)
            shown = [f"{rules}: {count:,}" for rules, count in due[:RULES_SHOWN]]
            more = [f"… {len(due) - RULES_SHOWN} more"] if len(due) > RULES_SHOWN else []
            numbers = f"{pair.lines:,}", f"{pair.requests:,}"
            pairs.add_row(words(pair.kind), words(pair.before), words(pair.after), *numbers, "\n".join(shown + more))
        out.print(pairs)
    for what, count in sorted(report.counts.beside.items()):
        out.print(f"{count:,} {what}", markup=False)
    if not report.complete:
        out.print(f"So far: the run was interrupted after {report.read:,} requests.")
    about = done.about()
    err.print(
        f"{about['requests']:,} requests in {done.seconds:,.1f} s, {about['requests_per_second']:,}/s"
        f" in {done.processes} processes, each {done.peak / 1e6:,.0f} MB at most"
    )
