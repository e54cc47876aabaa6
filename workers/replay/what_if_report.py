"""The report of `dli replay what-if`: what the partitions found, summed."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from policy_core.compare.strictness import Kind
from policy_core.evaluate.determine import Policy
from workers.event_log.source import ReplayError
from workers.replay.documents import Named, documents_of, name_of
from workers.replay.partition_replay import Plan
from workers.replay.runs import Done
from workers.replay.what_if import OR, ChangeCounts, draft_of

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


class Compared(NamedTuple):
    """The policies of a comparison."""

    before: Mapping[str, Policy]
    """The newest of each number."""
    after: Policy


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


def policies_of(plan: Plan) -> Compared:
    """The policies that a plan's log is compared under.

    Raises:
        ReplayError: The log or the document cannot be read, or the document's policy is unknown.
    """
    current = documents_of(plan.source, plan.settings, plan.earlier).current()
    after = draft_of(plan)
    if after.number not in current:
        raise ReplayError(f"the document is of policy {after.number}, which this deployment does not have")
    return Compared(current, after)


def examples(done: Done) -> dict[tuple[str, str, str], list[str]]:
    """The first few lines of each pair, by position, and by request id if allowed."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for line in done.findings():
        change = json.loads(line)
        if "from" not in change:
            continue
        mine = found.setdefault((change["kind"], change["from"], change["to"]), [])
        if len(mine) < EXAMPLES:
            place = f"{change['partition']}/{change['offset']} line {change['line']}"
            mine.append(f"{change['request_id']} ({place})" if "request_id" in change else place)
    return found
