"""Compare two results line by line: stricter, looser, reclassified, other evidence, or unchanged.

Determinations are ordered by who acts next, that is, by their distance from a certification:

    certified (nobody) < the provider < case management < a medical-policy reviewer < a physician reviewer

A line that moves right is stricter, left looser. It is reclassified if the determination changes but who acts next
does not, or if it moves to or from an outcome outside this order: another program, a cancellation, or no decision. If
only the explanation of the same determination changes, the evidence differs.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from policy_core.determinations import CONSEQUENCES, Action, ActsNext, Determination
from policy_core.evaluate.deadline import Deadline
from policy_core.evaluate.plan import LineOutcome, Memory, PlannedResult, Statuses

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
    """Compares results of the same requests under two plans; remembers what it compared.

    A plan's equal outcomes are one object, so an object stands for its content.
    """

    def __init__(self) -> None:
        self._lines: Memory[tuple[LineOutcome, LineOutcome], LineChange] = Memory()
        self._same_statuses: Memory[tuple[Statuses, Statuses], bool] = Memory()

    def lines(self, before: PlannedResult, after: PlannedResult) -> list[LineChange]:
        """The change of each line, in the order of the request."""
        pairs = zip(before.outcome.lines, after.outcome.lines, strict=True)
        return [self._lines.get(pair) or self._lines.remember(pair, _change(*pair)) for pair in pairs]

    def evidence(self, before: PlannedResult, after: PlannedResult) -> bool:
        """Whether facts, statements or the deadline differ."""
        if _reads(before.deadline) != _reads(after.deadline) or len(before.findings) != len(after.findings):
            return True
        if not before.findings:
            return False
        pairs = zip(before.findings, after.findings, strict=True)
        return not all(self._same(old.statuses, new.statuses) for old, new in pairs) or before.facts != after.facts

    def _same(self, old: Statuses, new: Statuses) -> bool:
        found = self._same_statuses.get((old, new))
        if found is None:
            same = old.since == new.since and old.statuses == new.statuses
            found = self._same_statuses.remember((old, new), same)
        return found


def undecided(before: PlannedResult | None, after: PlannedResult | None, lines: int) -> list[LineChange]:
    """The changes of each line if one or both policies cannot decide the case because their facts differ."""
    changes = []
    for index in range(lines):
        old = before.outcome.lines[index].answer.determination.value if before is not None else UNDECIDED
        new = after.outcome.lines[index].answer.determination.value if after is not None else UNDECIDED
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


def _change(old: LineOutcome, new: LineOutcome) -> LineChange:
    before, after = old.answer, new.answer
    kind = kind_of(before.determination, after.determination)
    same = before == after and old.guidance == new.guidance and old.valid_through == new.valid_through
    if kind is Kind.UNCHANGED and not same:
        kind = Kind.EVIDENCE
    return LineChange(kind, before.determination.value, after.determination.value, _decided_by(old), _decided_by(new))


def _decided_by(line: LineOutcome) -> tuple[str, ...]:
    return line.answer.rules or (line.answer.step.value,)
