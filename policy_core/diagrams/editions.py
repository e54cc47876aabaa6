"""Editions as diagrams: for each interval of service dates, the rules' answers to every possible case.

Each edition on record becomes a decision diagram whose answers are the deciding rules, and a second one whose answers
are determinations. For a case with missing facts, both are restricted to the known facts. The answers left in the first
are the rules that may decide. If the second is a single answer, all completions agree; otherwise the variables that it
still tests are exactly the facts that can change the determination.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache, partial
from hashlib import sha256
from typing import NamedTuple, TypeVar, cast

from policy_core.determinations import Determination
from policy_core.diagrams.diagram import Assignment, Diagrams, Node, answers, support
from policy_core.diagrams.variable_order import orders
from policy_core.diagrams.variables import Test, holding, more_than, tested_path, variables
from policy_core.document.conditions import (
    AllOf,
    AnyOf,
    AtLeastOf,
    Condition,
    IndicationsOf,
    Named,
    Not,
    Otherwise,
)
from policy_core.document.models import Dated, Edition, Outcome, PolicyDocument, Rule
from policy_core.document.part import OF_LINE
from policy_core.work_limit import MOST, TooComplexError, Work, allowed

SomeDated = TypeVar("SomeDated", bound=Dated)

OPEN = -1
"""The answer if no rule applies; a checked document has no such case."""
IMPOSSIBLE = -2
"""In place of an answer to what no case can be."""
MORE_UNITS = "more_units_than_authorized"
"""The reason of a line that a rule would certify, had it not more units than the outcome authorizes."""

REMEMBERED = 1 << 16
"""Cached findings per edition: a finding takes a few hundred bytes, and a log has far fewer fact patterns."""

REMEMBERED_ORDERS = 256
"""Cached orders of facts: a few kilobytes each, of documents that need one."""

REMEMBERED_STATUSES = 1 << 12
"""Of one statement: it tests few facts."""


class Status(StrEnum):
    """Whether a statement applies to a case."""

    APPLIES = "applies"
    DOES_NOT_APPLY = "does_not_apply"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Row:
    """A rule with its outcome in one edition."""

    rule: Rule
    outcome: Outcome


@dataclass(frozen=True)
class Finding:
    """What the clinical statements of one edition say about one pattern of facts."""

    determination: Determination
    reasons: tuple[str, ...]
    """The reasons of all completions, in the order of the rules; empty when information is needed."""
    rows: tuple[Row, ...]
    """The rules that decide some completion."""
    missing: tuple[int, ...]
    """The variables that can still change the determination, in the document's order."""
    statuses: Mapping[str, Status]
    """For each statement and indication on record in the edition, by id."""


class DrawnEdition:
    """An edition with its diagrams."""

    def __init__(self, edition: Edition, rows: Sequence[Row], drawing: "EditionCompiler") -> None:
        self.since = edition.since
        self.edition = edition
        self.rows = (*rows, *_over_authorized(rows))
        """The rules, and behind them, for each that limits units, what it says of a line with more."""
        self._diagrams = drawing.diagrams
        self.nevers = drawing.nevers(edition.since)
        self.impossible = drawing.diagrams.any_of(self.nevers)
        self.conditions, self.by_rule = drawing.rules(rows, edition.since)
        self.by_determination = self._diagrams.apply(self._answer_of, self.by_rule)
        self.spoken = drawing.spoken(edition.since)
        self._statuses = [self._statement(name, node) for name, node in self.spoken.items()]
        self.find = lru_cache(maxsize=REMEMBERED)(self._find)

    def impossible_cases(self) -> int:
        """The number of complete cases that cannot be."""
        return self._diagrams.count(self.impossible).get(True, 0)

    def takers(self, index: int) -> frozenset[int]:
        """The rules that decide the cases matched by the rule at `index`."""
        found = self._diagrams.apply(lambda meant, rule: rule if meant else None, self.conditions[index], self.by_rule)
        return cast("frozenset[int]", answers(found) - {None, IMPOSSIBLE})

    def _answer_of(self, row: int) -> Hashable:
        """What must be alike for two rules to answer alike."""
        if row < 0:
            return row
        outcome = self.rows[row].outcome
        return outcome.determination if outcome.months is None else (outcome.determination, outcome.months)

    def _find(self, pattern: tuple[int, ...]) -> Finding:
        """The finding for a pattern, which has the index of each variable's value, or UNKNOWN."""
        rules = sorted(cast("frozenset[int]", self._diagrams.left(self.by_rule, pattern) - {IMPOSSIBLE}))
        rows = tuple([self.rows[index] for index in rules])
        statuses = {name: status(tuple([pattern[at] for at in tested])) for name, tested, status in self._statuses}
        if not rules:
            # Of what cannot be, that which the case is; or several together.
            said = [node for node in self.nevers if self._diagrams.left(node, pattern) == {True}]
            missing = frozenset().union(*map(support, said or [self.impossible]))
            return Finding(Determination.INFORMATION_NEEDED, (), rows, tuple(sorted(missing)), statuses)
        if len({self._answer_of(index) for index in rules}) > 1:
            left = self._diagrams.restrict(self.by_determination, pattern)
            missing = self._diagrams.deciding(left, IMPOSSIBLE) if IMPOSSIBLE in answers(left) else support(left)
            return Finding(Determination.INFORMATION_NEEDED, (), rows, tuple(sorted(missing)), statuses)
        reasons = dict.fromkeys(row.outcome.reason for row in rows if row.outcome.reason is not None)
        return Finding(rows[0].outcome.determination, tuple(reasons), rows, (), statuses)

    def _statement(self, name: str, node: Node) -> tuple[str, tuple[int, ...], Callable[[tuple[int, ...]], Status]]:
        """A statement's id, the variables that it tests, and its status by their values; few of these are different."""
        possible = self._diagrams.choice(self.impossible, self._diagrams.terminal(IMPOSSIBLE), node)
        tested = tuple(sorted(support(possible)))

        def status(values: tuple[int, ...]) -> Status:
            left = self._diagrams.left(possible, dict(zip(tested, values, strict=True))) - {IMPOSSIBLE}
            if len(left) != 1:
                return Status.UNKNOWN
            return Status.APPLIES if True in left else Status.DOES_NOT_APPLY

        return name, tested, lru_cache(maxsize=REMEMBERED_STATUSES)(status)


class EditionCompiler:
    """Turns the conditions of one document into diagrams over its variables."""

    def __init__(self, document: PolicyDocument, work: Work | None = None, order: Sequence[int] | None = None) -> None:
        """Prepare to draw.

        Args:
            document: A document whose references are valid.
            work: The work limit; by default that of the largest document. Exceeding it raises `TooComplexError`.
            order: The variables in the order in which they are tested; by default, the document's.
        """
        self.document = document
        self.variables = variables(document)
        self.diagrams = Diagrams([len(variable.domain) for variable in self.variables], work, order)
        self.work = self.diagrams.work
        self._index = {variable.path: index for index, variable in enumerate(self.variables)}
        self._drawn: dict[tuple[str, date], Node] = {}

    def editions(self) -> tuple[DrawnEdition, ...]:
        """Every edition whose statements are on record, by its first day."""
        drawn = tuple(self._edition(edition) for edition in self.document.editions if edition.on_record)
        self.diagrams.forget()
        return drawn

    def _edition(self, edition: Edition) -> DrawnEdition:
        # In order: a named condition may only refer to earlier ones.
        for at, named in enumerate(self.document.conditions):
            with self.work.on("conditions", at):
                self._drawn[named.id, edition.since] = self.draw(named.when, edition.since)
        return DrawnEdition(edition, rows_of(self.document, edition.since), self)

    def rules(self, rows: Sequence[Row], day: date) -> tuple[list[Node], Node]:
        """Each row's condition, and the deciding row by index: the first whose condition holds."""
        places = {rule.id: at for at, rule in enumerate(self.document.rules)}
        conditions = []
        for row in rows:
            with self.work.on("rules", places[row.rule.id]):
                conditions.append(self.draw(row.rule.when, day))
        decides = self.diagrams.terminal(OPEN)
        over = len(rows) + sum(_units(row) is not None for row in rows)
        for index in reversed(range(len(rows))):
            with self.work.on("rules", places[rows[index].rule.id]):
                then = self.diagrams.terminal(index)
                if (units := _units(rows[index])) is not None:
                    over -= 1
                    then = self.diagrams.choice(self._among(more_than(units)), self.diagrams.terminal(over), then)
                decides = self.diagrams.choice(conditions[index], then, decides)
        return conditions, self.diagrams.choice(
            self.diagrams.any_of(self.nevers(day)), self.diagrams.terminal(IMPOSSIBLE), decides
        )

    def contradictions(self) -> tuple[tuple[Callable[[Assignment], bool], tuple[str, ...]], ...]:
        """For each thing that cannot be: whether a pattern says it, and the facts that do."""
        drawn = [edition.since for edition in self.document.editions if edition.on_record]
        found = []
        # What cannot be has no dates: any edition that is drawn has it.
        for impossible in self.document.never if drawn else ():
            node = self.draw(impossible.when, drawn[-1])
            tested = [self.variables[at] for at in sorted(support(node))]
            facts = {path: None for one in tested for path in one.asks if one.declaration or one.time}
            of_request = [one.path for one in self.document.facts if not one.path.startswith(OF_LINE)]
            found.append((partial(self._says, node), tuple(path for path in of_request if path in facts)))
        return tuple(found)

    def _says(self, node: Node, pattern: Assignment) -> bool:
        return self.diagrams.left(node, pattern) == {True}

    def nevers(self, day: date) -> list[Node]:
        """What no case can be, in the edition that begins on `day`."""
        drawn = []
        for at, impossible in enumerate(self.document.never):
            with self.work.on("never", at):
                drawn.append(self.draw(impossible.when, day))
        return drawn

    def spoken(self, day: date) -> dict[str, Node]:
        """The cases to which each statement and indication on record applies, by id."""
        drawn: dict[str, Node] = {}
        for at, statement in enumerate(self.document.statements):
            if statement.on(day):
                with self.work.on("statements", at):
                    drawn[statement.id] = self.draw(statement.applies_when, day)
        for at, indication in enumerate(self.document.indications):
            if indication.on(day):
                with self.work.on("indications", at):
                    drawn[indication.id] = self.draw(indication.when, day)
        return drawn

    # One case per shape of condition: a table would not be clearer.
    def draw(self, condition: Condition, day: date) -> Node:  # noqa: PLR0911
        """The cases in which the condition holds, in the edition that begins on `day`."""
        self.work.step()
        match condition:
            case AllOf(all=parts):
                return self.diagrams.all_of([self.draw(part, day) for part in parts])
            case AnyOf(any=parts):
                return self.diagrams.any_of([self.draw(part, day) for part in parts])
            case AtLeastOf(at_least=count, of=parts):
                return self.diagrams.at_least(count, [self.draw(part, day) for part in parts])
            case Not(not_=part):
                return self.diagrams.negation(self.draw(part, day))
            case Named(condition=name):
                return self._drawn[name, day]
            case IndicationsOf(indications_of=statement):
                self.work.step(len(self.document.indications))
                return self.diagrams.any_of(
                    [
                        self.draw(indication.when, day)
                        for indication in self.document.indications
                        if indication.statement == statement and indication.on(day)
                    ]
                )
            case Otherwise():
                return self.diagrams.terminal(True)
        return self._among(condition)

    def _among(self, test: Test) -> Node:
        """The cases in which what is tested is in one of the classes of which the test holds."""
        index = self._index[tested_path(test)]
        return self.diagrams.member(index, holding(test, self.variables[index]))


def _units(row: Row) -> int | None:
    """The most units that a rule's outcome certifies, if it says so."""
    return row.outcome.authorizes.units if row.outcome.authorizes is not None else None


def _over_authorized(rows: Sequence[Row]) -> Iterator[Row]:
    """For each rule that limits units, its outcome for a line with more: a physician reviewer may certify in part."""
    for row in rows:
        if _units(row) is not None:
            more = {"determination": Determination.CRITERIA_NOT_MET, "reason": MORE_UNITS, "authorizes": None}
            yield Row(row.rule, row.outcome.model_copy(update=more))


class Drawn(NamedTuple):
    """A document's diagrams."""

    drawing: EditionCompiler
    editions: tuple[DrawnEdition, ...]


_fitting: dict[str, tuple[int, ...]] = {}
"""For documents that do not fit in their own order: the order that does, by digest. It is no part of the document."""


def drawn(document: PolicyDocument, *, accepted: bool = False) -> Drawn:
    """The document's editions, in the first order of its facts that fits its work limit.

    Args:
        document: A document whose references are valid.
        accepted: Whether it was accepted before, maybe as a part of a larger one: if no order fits its own limit, it is
            drawn within that of the largest document.

    Raises:
        TooComplexError: No order fits; of the last one that was tried.
    """
    canonical = document.canonical()
    digest = sha256(canonical).hexdigest()
    limit = allowed(len(canonical))
    paths = [variable.path for variable in variables(document)]
    remembered = _fitting.get(digest)
    for order in [remembered] if remembered else orders(document, paths):
        try:
            found = _drawn(document, limit, order)
        except TooComplexError as error:
            refused = error.with_traceback(None)  # which would keep all nodes
            continue
        if order != tuple(range(len(paths))):
            _remember(digest, order)
        return found
    if accepted and limit < MOST:
        return _drawn(document, MOST, range(len(paths)))
    raise refused


def _drawn(document: PolicyDocument, limit: int, order: Sequence[int]) -> Drawn:
    drawing = EditionCompiler(document, Work(limit), order)
    return Drawn(drawing, drawing.editions())


def _remember(digest: str, order: tuple[int, ...]) -> None:
    if digest not in _fitting and len(_fitting) >= REMEMBERED_ORDERS:
        del _fitting[next(iter(_fitting))]
    _fitting[digest] = order


def in_force(parts: Sequence[SomeDated], day: date) -> SomeDated | None:
    """The part that holds on `day`, if any; a checked document has at most one."""
    return next((part for part in parts if part.on(day)), None)


def rows_of(document: PolicyDocument, day: date) -> list[Row]:
    """The rules with an outcome on `day`, in order."""
    found = [(rule, in_force(rule.outcomes, day)) for rule in document.rules]
    return [Row(rule, outcome) for rule, outcome in found if outcome is not None]
