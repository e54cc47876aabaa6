"""What conditions test, as finite variables: each has the classes that some condition of the document tells apart.

A `choice` takes one of its values, a `boolean` false or true. A `set` is also one variable: its values are the subsets
of the elements that conditions test, so that untested elements do not distinguish cases. A number, a time between two
days and a count of entries lie in one of the intervals between the thresholds that conditions name. An attribute of the
request or of a line has one of the values that conditions name, or another.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Any

from policy_core.diagrams.diagram import UNKNOWN
from policy_core.diagrams.entries import entry_holds, written
from policy_core.diagrams.intervals import Intervals, decimal
from policy_core.document.code_listings import CodeIndex
from policy_core.document.conditions import (
    DATE_ENDS,
    AllOf,
    AnyOf,
    AtLeastOf,
    AttributeTest,
    Condition,
    Count,
    Cut,
    FactBetween,
    FactIn,
    FactIncludes,
    FactIs,
    Interval,
    LineTest,
    Not,
    RequestTest,
    TimeBetween,
)
from policy_core.document.models import FactDeclaration, FactKind, PolicyDocument
from policy_core.document.part import OF_LINE

Value = str | bool | tuple[str, ...]
"""A value: of a set, its elements in the document's order; of a number, its text; of a list, each entry's JSON."""

OTHER = "another"
"""The class of an attribute's values that no condition names."""


class Scope(StrEnum):
    """On what a variable's value depends; each on what is before it too."""

    FACTS = "facts"
    REQUEST = "request"
    LINE = "line"


class Tested(StrEnum):
    """How the classes of a variable are told apart."""

    VALUES = "values"
    SET = "set"
    INTERVALS = "intervals"
    PRESENCE = "presence"
    """Not at all: whether it is known is all that matters."""


@dataclass(frozen=True)
class Variable:
    """One deciding fact, time, count or attribute."""

    path: str
    """A fact's path, or what else is tested, in words that no path has."""
    question: str
    domain: tuple[Value, ...]
    """All classes of values that conditions tell apart, by index."""
    samples: tuple[Value, ...]
    """A value of each class, as a request states it."""
    classify: Callable[[Value], int]
    """The index of the class of a stated value; `UNKNOWN` if what is stated does not say it."""
    asks: tuple[str, ...]
    """What has to be known: facts by path, and attributes."""
    tested: Tested = Tested.VALUES
    scope: Scope = Scope.FACTS
    declaration: FactDeclaration | None = None
    """Of the fact that it is, or whose entries it counts."""
    time: TimeBetween | None = None
    """The condition whose time it is; conditions that test other intervals of the same time share the variable."""
    cuts: tuple[Cut, ...] = ()
    """Where its intervals begin."""

    @property
    def kind(self) -> FactKind | None:
        """The kind of the fact that it is; None of what is no fact, such as a count of its entries."""
        is_fact = self.declaration is not None and self.declaration.path == self.path
        return self.declaration.kind if is_fact and self.declaration is not None else None

    @property
    def asked(self) -> tuple[str, ...]:
        """For a set, the elements that some condition tests: those of its largest value."""
        last = self.domain[-1]
        return last if isinstance(last, tuple) else ()

    def index(self, value: Value) -> int:
        """The index in the domain of a value stated in a request."""
        return self.classify(value)


# --- conditions ----------------------------------------------------------------------------------------------------


def leaves(condition: Condition) -> Iterator[Condition]:
    """The parts of a condition that contain no other conditions."""
    if isinstance(condition, AllOf):
        parts: Sequence[Condition] = condition.all
    elif isinstance(condition, AnyOf):
        parts = condition.any
    elif isinstance(condition, AtLeastOf):
        parts = condition.of
    elif isinstance(condition, Not):
        parts = (condition.not_,)
    else:
        yield condition
        return
    for part in parts:
        yield from leaves(part)


def conditions(document: PolicyDocument) -> Iterator[Condition]:
    """All conditions in the document."""
    yield from (named.when for named in document.conditions)
    yield from (impossible.when for impossible in document.never)
    yield from (indication.when for indication in document.indications)
    yield from (rule.when for rule in document.rules)
    yield from (statement.applies_when for statement in document.statements)


FactTest = FactIs | FactIn | FactIncludes | FactBetween
Test = FactTest | TimeBetween | Count | AttributeTest
"""A condition that tests something itself."""


def tested_path(test: Test) -> str:
    """The path of the variable that a condition tests."""
    if isinstance(test, TimeBetween):
        return f"{test.unit} from {test.days[0]} to {test.days[1]}"
    if isinstance(test, Count):
        return f"entries of {test.count}" + (f" where {written(test.where)}" if test.where is not None else "")
    return test.attribute if isinstance(test, LineTest | RequestTest) else _fact(test)


def _fact(test: FactTest | AttributeTest) -> str:
    if isinstance(test, AttributeTest):
        raise TypeError("an attribute is of a line or of the request")
    return test.fact


def tests(document: PolicyDocument) -> Iterator[Test]:
    """All conditions of the document that test something themselves, and those that its outcomes imply."""
    for condition in conditions(document):
        yield from (leaf for leaf in leaves(condition) if isinstance(leaf, Test))
    for limit in authorized_units(document):
        yield more_than(limit)


def authorized_units(document: PolicyDocument) -> Iterator[int]:
    """The numbers of units up to which an outcome certifies."""
    for rule in document.rules:
        for outcome in rule.outcomes:
            if outcome.authorizes is not None and outcome.authorizes.units is not None:
                yield outcome.authorizes.units


def more_than(units: int) -> LineTest:
    """The condition that a line has more units."""
    return LineTest(line="units", at_least=str(units + 1))


def tested_elements(document: PolicyDocument) -> dict[str, set[str]]:
    """The facts that conditions test and, for sets, the elements tested."""
    tested: dict[str, set[str]] = {}
    for test in tests(document):
        for fact in facts_of(test):
            tested.setdefault(fact, set())
        if isinstance(test, FactIncludes):
            tested[test.fact].add(test.includes)
    return tested


def facts_of(test: Test) -> tuple[str, ...]:
    """The facts that a condition tests."""
    if isinstance(test, TimeBetween):
        return tuple(end for end in test.days if end not in DATE_ENDS)
    if isinstance(test, Count):
        return (test.count,)
    return () if isinstance(test, AttributeTest) else (test.fact,)


# --- variables -----------------------------------------------------------------------------------------------------


def variables(document: PolicyDocument) -> tuple[Variable, ...]:
    """What conditions test: attributes, then facts in the document's order with the counts of lists, then times."""
    by_path: dict[str, list[Test]] = {}
    for test in tests(document):
        by_path.setdefault(tested_path(test), []).append(test)
    elements = tested_elements(document)
    facts: list[Variable] = []
    for fact in document.facts:
        if fact.path in elements:
            facts.append(_fact_variable(fact, elements[fact.path], by_path.get(fact.path, ())))
            counts = [
                path for path, some in by_path.items() if isinstance(some[0], Count) and some[0].count == fact.path
            ]
            facts += [_count(fact, path, by_path[path]) for path in counts]
    times = [_time(path, some, document) for path, some in by_path.items() if isinstance(some[0], TimeBetween)]
    attributes = [_attribute(name, by_path[name], document) for name in ATTRIBUTES if name in by_path]
    born = [_presence(BORN, ATTRIBUTES[BORN].question)] if any(BORN in one.asks for one in times) else []
    return (*attributes, *born, *facts, *times)


def _scope(fact: FactDeclaration) -> Scope:
    return Scope.LINE if fact.path.startswith(OF_LINE) else Scope.FACTS


def _fact_variable(fact: FactDeclaration, elements: set[str], some: Iterable[Test]) -> Variable:
    if fact.kind in (FactKind.DATE, FactKind.LIST):
        return _presence(fact.path, fact.question, fact)
    if fact.kind is FactKind.NUMBER:
        intervals = _intervals(some)
        factors = {other.unit: Fraction(other.times) for other in fact.units}

        def interval(value: Value) -> int:
            number, _, unit = str(value).partition(" ")
            return intervals.index(Fraction(number) * factors.get(unit, 1))

        return _number(
            fact.path, fact.question, intervals, interval, (fact.path,), scope=_scope(fact), declaration=fact
        )
    domain = _domain(fact, elements)
    is_set = fact.kind is FactKind.SET
    classify = _subset_of(domain) if is_set else domain.index
    tested = Tested.SET if is_set else Tested.VALUES
    return Variable(
        fact.path, fact.question, domain, domain, classify, (fact.path,), tested, _scope(fact), declaration=fact
    )


def _number(
    path: str,
    question: str,
    intervals: Intervals,
    classify: Callable[[Value], int],
    asks: tuple[str, ...],
    *,
    scope: Scope = Scope.FACTS,
    declaration: FactDeclaration | None = None,
    time: TimeBetween | None = None,
) -> Variable:
    samples = tuple(map(decimal, intervals.samples))
    kind, cuts = Tested.INTERVALS, intervals.cuts
    return Variable(path, question, intervals.labels, samples, classify, asks, kind, scope, declaration, time, cuts)


def _domain(fact: FactDeclaration, elements: set[str]) -> tuple[Value, ...]:
    if fact.kind is FactKind.BOOLEAN:
        return (False, True)
    if fact.kind is FactKind.SET:
        return tuple(_subsets([value for value in fact.values if value in elements]))
    return fact.values


def _subsets(elements: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for mask in range(1 << len(elements)):
        yield tuple(element for bit, element in enumerate(elements) if mask >> bit & 1)


def _subset_of(domain: Sequence[Value]) -> Callable[[Value], int]:
    tested = domain[-1]

    def index(value: Value) -> int:
        if not isinstance(value, tuple) or not isinstance(tested, tuple):
            raise TypeError("a set is a tuple of its elements")
        return sum(1 << bit for bit, element in enumerate(tested) if element in value)

    return index


def _presence(path: str, question: str, fact: FactDeclaration | None = None) -> Variable:
    """Whether a date or a list is stated: one class, so that no condition tests it, and a pattern has it."""
    scope = _scope(fact) if fact is not None else Scope.REQUEST
    return Variable(path, question, ("stated",), ("stated",), _stated, (path,), Tested.PRESENCE, scope, fact)


def _stated(_value: Value) -> int:
    return 0


def _intervals(some: Iterable[Test], above: int | None = None) -> Intervals:
    cuts = {cut for test in some if isinstance(test, Interval | AttributeTest) for cut in test.cuts}
    return Intervals.between(cut for cut in cuts if above is None or cut.at > above)


def _whole(intervals: Intervals) -> Callable[[Value], int]:
    return lambda value: intervals.index(Fraction(str(value)))


def _count(fact: FactDeclaration, path: str, some: Sequence[Test]) -> Variable:
    first = some[0]
    where = first.where if isinstance(first, Count) else None
    intervals = _intervals(some, above=0)

    def index(value: Value) -> int:
        """The class of the count of entries; unknown if entries that do not say enough could change it."""
        if not isinstance(value, tuple):
            return intervals.index(Fraction(str(value)))
        found = [True if where is None else entry_holds(where, _entry(entry), fact) for entry in value]
        certain = intervals.index(Fraction(found.count(True)))
        return certain if certain == intervals.index(Fraction(len(found) - found.count(False))) else UNKNOWN

    return _number(path, fact.question, intervals, index, (fact.path,), scope=_scope(fact), declaration=fact)


@lru_cache(maxsize=1 << 12)
def _entry(text: str) -> Mapping[str, Any]:
    entry: Mapping[str, Any] = json.loads(text)
    return entry


def _time(path: str, some: Sequence[Test], document: PolicyDocument) -> Variable:
    time = next(test for test in some if isinstance(test, TimeBetween))
    intervals = _intervals(some)
    asks = tuple(end for end in (time.days[0], time.days[1]) if end not in ("service_date", "submitted_on"))
    asks = tuple(BORN if end == "birth_date" else end for end in asks)
    if any(end == "service_date" or end.startswith(OF_LINE) for end in time.days):
        scope = Scope.LINE
    else:
        scope = Scope.REQUEST if set(time.days) & set(DATE_ENDS) else Scope.FACTS
    questions = {fact.path: fact.question for fact in document.facts} | {BORN: ATTRIBUTES[BORN].question}
    question = " ".join(questions[asked] for asked in asks)
    return _number(path, question, intervals, _whole(intervals), asks, scope=scope, time=time)


# --- attributes ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attribute:
    """What a condition may test of a request or of a line."""

    question: str
    """What is asked if it is not known."""
    tests: tuple[str, ...]
    """How it may be tested: `is`, `includes` or `at_least`."""
    known: tuple[str, ...] = ()
    """Its values, if the list is closed."""
    scope: Scope = Scope.REQUEST


BORN = "member.birth_date"
ATTRIBUTES: Mapping[str, Attribute] = {
    "line.code": Attribute("Which service is requested?", ("is",), scope=Scope.LINE),
    "request.certification": Attribute(
        "Which kind of request is it?", ("is",), ("initial", "revision", "extension", "renewal", "reconsideration")
    ),
    "request.line_of_business": Attribute("Which line of business covers the member?", ("is",)),
    "request.sex": Attribute("What is the member's sex?", ("is",), ("female", "male", "other")),
    "request.provider_specialty": Attribute("What is the requesting provider's specialty?", ("is",)),
    "line.performed_on": Attribute("On whom is it performed?", ("is",), scope=Scope.LINE),
    "line.place_of_service": Attribute("In which place is the service given?", ("is",), scope=Scope.LINE),
    "line.modifiers": Attribute("Which modifiers has the code?", ("includes",), scope=Scope.LINE),
    "line.units": Attribute("How many units are requested?", ("at_least",), scope=Scope.LINE),
    BORN: Attribute("What is the member's date of birth?", ()),
}
"""In the order in which diagrams test them: codes first, so that the criteria of each stand by themselves."""


def _attribute(name: str, some: Sequence[Test], document: PolicyDocument) -> Variable:
    attribute = ATTRIBUTES[name]
    values = list(dict.fromkeys(value for test in some if isinstance(test, AttributeTest) for value in test.values))
    domain: tuple[Value, ...]
    samples: tuple[Value, ...]
    if attribute.tests == ("at_least",):
        intervals = _intervals(some, above=0)
        return _number(name, attribute.question, intervals, _whole(intervals), (name,), scope=attribute.scope)
    if attribute.tests == ("includes",):
        domain = tuple(_subsets(values))
        index = _subset_of(domain)
        return Variable(name, attribute.question, domain, domain, index, (name,), Tested.SET, attribute.scope)
    if name == "line.code":
        domain, samples, classify = _codes(values, some, document)
    else:
        domain, samples = attribute_classes(name, values)
        classify = _among(values)
    return Variable(name, attribute.question, domain, samples, classify, (name,), Tested.VALUES, attribute.scope)


def attribute_classes(name: str, values: Sequence[Value]) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    """The classes of an attribute of which conditions name some values, each with a sample."""
    rest = [value for value in ATTRIBUTES[name].known if value not in values]
    if rest or not ATTRIBUTES[name].known:
        return (*values, OTHER), (*values, rest[0] if rest else OTHER)
    return tuple(values), tuple(values)


def tested_values(document: PolicyDocument, attribute: str) -> tuple[str, ...]:
    """The values of an attribute that conditions name."""
    some = [test for test in tests(document) if isinstance(test, AttributeTest) and tested_path(test) == attribute]
    return tuple(dict.fromkeys(value for test in some for value in test.values))


def _among(values: Sequence[Value]) -> Callable[[Value], int]:
    places = {value: at for at, value in enumerate(values)}
    return lambda value: places.get(value, len(places))


def _codes(
    values: Sequence[str], some: Sequence[Test], document: PolicyDocument
) -> tuple[tuple[Value, ...], tuple[Value, ...], Callable[[Value], int]]:
    """Listed codes, those together that the same conditions name; the rest of the list is one class."""
    index = CodeIndex(document.codes)

    tests_of: dict[str, list[int]] = {}
    for at, test in enumerate(some):
        for value in test.values if isinstance(test, AttributeTest) else ():
            tests_of.setdefault(index.normal_named(value), []).append(at)
    groups: dict[tuple[int, ...], list[str]] = {}
    for value in dict.fromkeys(map(index.normal_named, values)):
        groups.setdefault(tuple(dict.fromkeys(tests_of[value])), []).append(value)
    places = {value: at for at, group in enumerate(groups.values()) for value in group}
    domain = (*(", ".join(group) for group in groups.values()), OTHER)
    samples = (*(group[0] for group in groups.values()), OTHER)
    return domain, samples, lambda value: places.get(index.normal_named(str(value)), len(groups))


# --- which classes a condition means -------------------------------------------------------------------------------


def holding(test: Test, variable: Variable) -> set[int]:
    """The classes of which a condition holds."""
    if isinstance(test, FactIncludes):
        return {at for at, value in enumerate(variable.domain) if isinstance(value, tuple) and test.includes in value}
    if isinstance(test, FactIs):
        return {variable.index(test.is_)}
    if isinstance(test, FactIn):
        return set(map(variable.index, test.in_))
    if isinstance(test, AttributeTest) and test.includes is not None:
        return {at for at, value in enumerate(variable.domain) if isinstance(value, tuple) and test.includes in value}
    if isinstance(test, AttributeTest) and test.values:
        return set(map(variable.index, test.values))
    begins, ends = test.begins, test.ends
    inside = (Cut(_sample(str(sample))) for sample in variable.samples)
    return {
        at for at, here in enumerate(inside) if (begins is None or begins <= here) and (ends is None or here < ends)
    }


@lru_cache(maxsize=1 << 14)
def _sample(text: str) -> Fraction:
    return Fraction(text)
