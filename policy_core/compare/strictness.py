"""Compare two results line by line: stricter, looser, reclassified, other evidence, or unchanged.

Determinations are ordered by who acts next, that is, by their distance from a certification:

    certified (nobody) < the provider < case management < a medical-policy reviewer < a physician reviewer

A line that moves right is stricter, left looser. It is reclassified if the determination changes but who acts next
does not, or if it moves to or from an outcome outside this order: another program, a cancellation, or no decision. If
only the explanation of the same determination changes, the evidence differs.
"""

from collections.abc import Hashable, Iterable, Mapping
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from policy_core.determinations import CONSEQUENCES, Action, ActsNext, Determination
from policy_core.diagrams.editions import Finding
from policy_core.evaluate.deadline import Deadline
from policy_core.evaluate.determine import CaseResult, LineResult

UNDECIDED = "dead_letter"
"""In place of a determination: this policy cannot decide the request."""

_DISTANCES = {
    ActsNext.NOBODY: 0,
    ActsNext.PROVIDER: 1,
    ActsNext.CASE_MANAGEMENT: 2,
    ActsNext.MEDICAL_POLICY_REVIEWER: 3,
    ActsNext.PHYSICIAN_REVIEWER: 4,
}
_OUTSIDE = frozenset({Action.CONTACT_PAYER, Action.CANCELLED})
_FACTS = ("facts",)
_REMEMBERED = 1 << 16


class Kind(StrEnum):
    """Kinds of change, lightest first; the heaviest one counts for a request."""

    UNCHANGED = "unchanged"
    EVIDENCE = "evidence"
    RECLASSIFIED = "reclassified"
    LOOSER = "looser"
    STRICTER = "stricter"


WEIGHT = {kind: weight for weight, kind in enumerate(Kind)}


class LineChange(NamedTuple):
    """How one line changes between two policies."""

    kind: Kind
    before: str
    after: str
    rules_before: tuple[str, ...]
    """What decided: the policy's rules, or the step if no rule was evaluated."""
    rules_after: tuple[str, ...]


def distance(determination: str) -> int | None:
    """Distance of a determination from a certification; None outside the order."""
    if determination == UNDECIDED:
        return None
    consequence = CONSEQUENCES[Determination(determination)]
    return None if consequence.action in _OUTSIDE else _DISTANCES[consequence.acts_next]


def kind_of(before: str, after: str) -> Kind:
    """The kind of change from one determination to another."""
    if before == after:
        return Kind.UNCHANGED
    near, far = distance(before), distance(after)
    if near is None or far is None or near == far:
        return Kind.RECLASSIFIED
    return Kind.STRICTER if far > near else Kind.LOOSER


class Comparer:
    """Compares results of the same requests under two policies; caches what it compared."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, tuple[LineChange, object]] = {}
        self._findings: dict[tuple[int, int], tuple[bool, object]] = {}

    def lines(self, before: CaseResult, after: CaseResult) -> list[LineChange]:
        """The change of each line, in the order of the request."""
        return [self._line(old, new) for old, new in zip(before.lines, after.lines, strict=True)]

    def _line(self, old: LineResult, new: LineResult) -> LineChange:
        # Equal answers are the same object, so identity represents content.
        key = (id(old.answer), id(new.answer), old.guidance, new.guidance, old.valid_through == new.valid_through)
        found = self._lines.get(key)
        if found is None:
            if len(self._lines) >= _REMEMBERED:
                self._lines.clear()
            found = self._lines[key] = (_change(old, new), (old.answer, new.answer))
        return found[0]

    def evidence(self, before: CaseResult, after: CaseResult) -> bool:
        """Whether facts, statements or the deadline differ."""
        if _reads(before.deadline) != _reads(after.deadline) or before.findings.keys() != after.findings.keys():
            return True
        if not before.findings:
            return False
        return not self._same(before.findings, after.findings) or before.facts != after.facts

    def _same(self, before: Mapping[date, Finding], after: Mapping[date, Finding]) -> bool:
        return all(self._same_finding(finding, after[since]) for since, finding in before.items())

    def _same_finding(self, old: Finding, new: Finding) -> bool:
        key = (id(old), id(new))
        found = self._findings.get(key)
        if found is None:
            if len(self._findings) >= _REMEMBERED:
                self._findings.clear()
            found = self._findings[key] = (old.statuses == new.statuses, (old, new))
        return found[0]


def undecided(before: CaseResult | None, after: CaseResult | None, lines: int) -> list[LineChange]:
    """The changes of each line if one or both policies cannot decide the case because their facts differ."""
    changes = []
    for index in range(lines):
        old = before.lines[index].answer.determination.value if before is not None else UNDECIDED
        new = after.lines[index].answer.determination.value if after is not None else UNDECIDED
        changes.append(LineChange(kind_of(old, new), old, new, _FACTS, _FACTS))
    return changes


def weightiest(changes: Iterable[LineChange], *, evidence: bool) -> Kind:
    """The heaviest kind among a request's line changes and its evidence."""
    kinds = [Kind.EVIDENCE if evidence else Kind.UNCHANGED, *(change.kind for change in changes)]
    return max(kinds, key=WEIGHT.__getitem__)


def _reads(deadline: Deadline) -> tuple[object, ...]:
    """The parts of a deadline that a decision shows."""
    clock = deadline.clock
    return deadline.due_at, deadline.state, clock and clock.id, clock and clock.rule


def _change(old: LineResult, new: LineResult) -> LineChange:
    before, after = old.answer, new.answer
    kind = kind_of(before.determination, after.determination)
    same = before == after and old.guidance == new.guidance and old.valid_through == new.valid_through
    if kind is Kind.UNCHANGED and not same:
        kind = Kind.EVIDENCE
    return LineChange(kind, before.determination.value, after.determination.value, _decided_by(old), _decided_by(new))


def _decided_by(line: LineResult) -> tuple[str, ...]:
    return line.answer.rules or (line.answer.step.value,)
