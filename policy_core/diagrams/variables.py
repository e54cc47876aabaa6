"""The deciding facts as finite variables: every fact that some condition of the document tests.

A `choice` takes one of its values, a `boolean` false or true. A `set` is also one variable: its values are the subsets
of the elements that conditions test, so that untested elements do not distinguish cases.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from policy_core.document.models import (
    AllOf,
    AnyOf,
    Condition,
    FactDeclaration,
    FactIn,
    FactIncludes,
    FactIs,
    FactKind,
    Not,
    PolicyDocument,
)

Value = str | bool | tuple[str, ...]
"""A fact's value; a set is a tuple of its elements in the document's order."""


@dataclass(frozen=True)
class Variable:
    """One deciding fact."""

    declaration: FactDeclaration
    domain: tuple[Value, ...]
    """All values that it can take, by index."""

    @property
    def path(self) -> str:
        """Its path in the request."""
        return self.declaration.path

    @property
    def asked(self) -> tuple[str, ...]:
        """For a set, the elements that some condition tests: those of its largest value."""
        last = self.domain[-1]
        return last if isinstance(last, tuple) else ()

    def index(self, value: Value) -> int:
        """The index in the domain of a value stated in a request."""
        if isinstance(value, tuple):
            return sum(1 << bit for bit, element in enumerate(self.asked) if element in value)
        return self.domain.index(value)


def leaves(condition: Condition) -> Iterator[Condition]:
    """The parts of a condition that contain no other conditions."""
    if isinstance(condition, AllOf):
        for part in condition.all:
            yield from leaves(part)
    elif isinstance(condition, AnyOf):
        for part in condition.any:
            yield from leaves(part)
    elif isinstance(condition, Not):
        yield from leaves(condition.not_)
    else:
        yield condition


def conditions(document: PolicyDocument) -> Iterator[Condition]:
    """All conditions in the document."""
    yield from (named.when for named in document.conditions)
    yield from (indication.when for indication in document.indications)
    yield from (rule.when for rule in document.rules)
    yield from (statement.applies_when for statement in document.statements)


def variables(document: PolicyDocument) -> tuple[Variable, ...]:
    """The deciding facts, in the document's order."""
    tested = tested_elements(document)
    return tuple(Variable(fact, _domain(fact, tested[fact.path])) for fact in document.facts if fact.path in tested)


def tested_elements(document: PolicyDocument) -> dict[str, set[str]]:
    """The facts that conditions test and, for sets, the elements tested."""
    tested: dict[str, set[str]] = {}
    for condition in conditions(document):
        for leaf in leaves(condition):
            if isinstance(leaf, FactIs | FactIn):
                tested.setdefault(leaf.fact, set())
            elif isinstance(leaf, FactIncludes):
                tested.setdefault(leaf.fact, set()).add(leaf.includes)
    return tested


def _domain(fact: FactDeclaration, elements: set[str]) -> tuple[Value, ...]:
    if fact.kind is FactKind.BOOLEAN:
        return (False, True)
    if fact.kind is FactKind.SET:
        return tuple(_subsets([value for value in fact.values if value in elements]))
    return fact.values


def _subsets(elements: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for mask in range(1 << len(elements)):
        yield tuple(element for bit, element in enumerate(elements) if mask >> bit & 1)
