"""A policy's rules as one decision table, for the engines that read such: the first row whose tests hold decides.

A condition with alternatives becomes a row for each of them; a rule whose outcome differs between editions becomes rows
that test the edition too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import product
from typing import NamedTuple

from policy_core.diagrams.editions import in_force
from policy_core.document.conditions import (
    AllOf,
    AnyOf,
    Condition,
    FactIn,
    FactIncludes,
    FactIs,
    IndicationsOf,
    Named,
    Not,
)
from policy_core.document.models import FactKind, PolicyDocument, Rule

Value = str | bool


class Column(NamedTuple):
    """What rows test."""

    path: str
    """Where the input has it."""
    element: str | None = None
    """For a set: tested is whether it contains this."""


EDITION = Column("edition")

Tests = Mapping[Column, frozenset[Value]]
"""The values that each column may have; a column left out may have any."""
_Frozen = tuple[tuple[Column, frozenset[Value]], ...]
"""The same as a key; a condition's tests come in the same order in every edition."""


class Row(NamedTuple):
    """One row of the table."""

    tests: Tests
    determination: str
    reason: str | None
    rule: str
    """The id of the rule that it comes from."""


class DecisionTable(NamedTuple):
    """The rows in the order in which they decide."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def decision_table(document: PolicyDocument) -> DecisionTable:
    """The rules of all editions on record."""
    days = [edition.since for edition in document.editions if edition.on_record]
    rows = [row for rule in document.rules for row in _rows(document, rule, days)]
    columns = dict.fromkeys([EDITION, *(column for row in rows for column in row.tests)])
    return DecisionTable(tuple(columns), tuple(rows))


def _rows(document: PolicyDocument, rule: Rule, days: Sequence[date]) -> Iterator[Row]:
    """One for each alternative and outcome; the edition is tested where not all of them have it."""
    editions: dict[tuple[_Frozen, str, str | None], set[str]] = {}
    for day in days:
        outcome = in_force(rule.outcomes, day)
        if outcome is None:
            continue
        for tests in _Alternatives(document, day).of(rule.when):
            row = (tuple(tests.items()), outcome.determination.value, outcome.reason)
            editions.setdefault(row, set()).add(day.isoformat())
    for (frozen, determination, reason), having in editions.items():
        edition: Tests = {} if len(having) == len(days) else {EDITION: frozenset(having)}
        yield Row({**edition, **dict(frozen)}, determination, reason, rule.id)


class _Alternatives:
    """Conditions as alternatives, of which one must hold, in the edition that begins on a day."""

    def __init__(self, document: PolicyDocument, day: date) -> None:
        self._document = document
        self._day = day
        self._named = {named.id: named.when for named in document.conditions}
        self._values = {
            fact.path: frozenset[Value]((False, True) if fact.kind is FactKind.BOOLEAN else fact.values)
            for fact in document.facts
        }

    # One case per shape of condition, as in policy_core's compiler.
    def of(self, condition: Condition, *, holds: bool = True) -> list[Tests]:  # noqa: PLR0911
        """The alternatives under which the condition holds, or under which it does not."""
        match condition:
            case FactIs(fact=fact, is_=value):
                return self._among(fact, [value], holds=holds)
            case FactIn(fact=fact, in_=values):
                return self._among(fact, values, holds=holds)
            case FactIncludes(fact=fact, includes=element):
                return [{Column(fact, element): frozenset({holds})}]
            case AllOf(all=parts):
                return self._parts(parts, every=holds, holds=holds)
            case AnyOf(any=parts):
                return self._parts(parts, every=not holds, holds=holds)
            case Not(not_=part):
                return self.of(part, holds=not holds)
            case Named(condition=name):
                return self.of(self._named[name], holds=holds)
            case IndicationsOf(indications_of=statement):
                return self._parts(self._indications(statement), every=not holds, holds=holds)
        return [{}] if holds else []

    def _among(self, fact: str, values: Iterable[Value], *, holds: bool) -> list[Tests]:
        named = frozenset(values)
        return [{Column(fact): named if holds else self._values[fact] - named}]

    def _parts(self, parts: Iterable[Condition], *, every: bool, holds: bool) -> list[Tests]:
        alternatives = [self.of(part, holds=holds) for part in parts]
        if not every:
            return [tests for one in alternatives for tests in one]
        merged = (_merged(chosen) for chosen in product(*alternatives))
        return [tests for tests in merged if all(tests.values())]

    def _indications(self, statement: str) -> list[Condition]:
        return [one.when for one in self._document.indications if one.statement == statement and one.on(self._day)]


def _merged(chosen: Iterable[Tests]) -> Tests:
    """All of the tests; a column without values is one that cannot hold."""
    merged: dict[Column, frozenset[Value]] = {}
    for tests in chosen:
        for column, values in tests.items():
            merged[column] = merged.get(column, values) & values
    return merged
