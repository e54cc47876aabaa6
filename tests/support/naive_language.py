"""What every condition of the language says of a request, read off its words: no variables, classes or diagrams."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest

from policy_core.document.conditions import (
    AllOf,
    AnyField,
    AnyOf,
    AtLeastOf,
    Condition,
    Count,
    EntryCondition,
    EveryField,
    FactBetween,
    FactIn,
    FactIncludes,
    FactIs,
    IndicationsOf,
    Limits,
    LineTest,
    Named,
    Not,
    NotField,
    Otherwise,
    RequestTest,
    TimeBetween,
)
from policy_core.document.models import PolicyDocument, Rule


@dataclass(frozen=True)
class Complete:
    """A request of which everything is known."""

    facts: Mapping[str, Any]
    """By path, as a request states them."""
    line: Mapping[str, Any]
    """Its attributes, its own facts by name, and `service_date`."""
    request: Mapping[str, Any]
    """Its attributes, `submitted_on` and `birth_date`."""


# A case for each construct: to split them would hide that all are there.
def holds(condition: Condition, asked: Complete, document: PolicyDocument) -> bool:  # noqa: C901, PLR0912
    """Whether a condition holds: what its words say, and no more."""
    facts = every_fact(asked)

    def each(parts: tuple[Condition, ...]) -> list[bool]:
        return [holds(part, asked, document) for part in parts]

    found: bool
    match condition:
        case FactIs(fact=fact, is_=value):
            found = facts[fact] == value
        case FactIn(fact=fact, in_=values):
            found = facts[fact] in values
        case FactIncludes(fact=fact, includes=element):
            found = element in facts[fact]
        case FactBetween(fact=fact):
            found = between(number(facts[fact], fact, document), condition)
        case TimeBetween():
            first, second = (_day(end, asked) for end in condition.days)
            found = between(Fraction(counted(condition.unit, first, second)), condition)
        case LineTest():
            found = attribute(condition, asked.line[condition.line])
        case RequestTest():
            found = attribute(condition, asked.request[condition.request])
        case Count(count=fact, where=where):
            fitting = [entry for entry in facts[fact] if where is None or of_entry(where, entry)]
            found = between(Fraction(len(fitting)), condition)
        case AllOf(all=parts):
            found = all(each(parts))
        case AnyOf(any=parts):
            found = any(each(parts))
        case AtLeastOf(at_least=least, of=parts):
            found = sum(each(parts)) >= least
        case Not(not_=part):
            found = not holds(part, asked, document)
        case Named(condition=name):
            [named] = [one for one in document.conditions if one.id == name]
            found = holds(named.when, asked, document)
        case IndicationsOf(indications_of=name):
            found = any(each(tuple(one.when for one in document.indications if one.statement == name)))
        case Otherwise():
            found = True
    return found


def every_fact(asked: Complete) -> dict[str, Any]:
    """The request's facts and the line's."""
    return {**asked.facts, **{f"line.{name}": value for name, value in asked.line.items()}}


def between(value: Fraction, limits: Limits) -> bool:
    if limits.at_least is not None and value < Fraction(limits.at_least):
        return False
    if limits.above is not None and value <= Fraction(limits.above):
        return False
    if limits.at_most is not None and value > Fraction(limits.at_most):
        return False
    return limits.below is None or value < Fraction(limits.below)


def number(stated: Any, path: str, document: PolicyDocument) -> Fraction:
    [fact] = [one for one in document.facts if one.path == path]
    if isinstance(stated, dict):
        times = {fact.unit: Fraction(1)} | {other.unit: Fraction(other.times) for other in fact.units}
        return Fraction(str(stated["value"])) * times[stated.get("unit", fact.unit)]
    return Fraction(str(stated))


def attribute(test: LineTest | RequestTest, value: Any) -> bool:
    if test.includes is not None:
        return bool(test.includes in value)
    return value in test.values if test.values else between(Fraction(value), test)


def of_entry(where: EntryCondition, entry: Mapping[str, Any]) -> bool:
    match where:
        case EveryField(all=parts):
            return all(of_entry(part, entry) for part in parts)
        case AnyField(any=parts):
            return any(of_entry(part, entry) for part in parts)
        case NotField(not_=part):
            return not of_entry(part, entry)
    stated = entry[where.field]
    return stated in where.values if where.values else between(Fraction(str(stated)), where)


def _day(end: str, asked: Complete) -> date:
    known = {**asked.request, **asked.line}
    found: date = known[end] if end in known else date.fromisoformat(every_fact(asked)[end])
    return found


def counted(unit: str, first: date, second: date) -> int:
    """Days, or full months or years, counted one by one."""
    if unit == "days":
        return (second - first).days
    months = 12 if unit == "years" else 1
    full = 0
    while _later(first, months * (full + 1)) <= second:
        full += 1
    while _later(first, months * full) > second:
        full -= 1
    return full


def _later(day: date, months: int) -> date:
    """The same day of another month, or its last."""
    year, month = day.year, day.month + months
    while month > 12:
        year, month = year + 1, month - 12
    while month < 1:
        year, month = year - 1, month + 12
    found = date(year, month, 1)
    while found.day < day.day and (found + timedelta(days=1)).month == month:
        found += timedelta(days=1)
    return found


def impossible(asked: Complete, document: PolicyDocument) -> bool:
    return any(holds(one.when, asked, document) for one in document.never)


def decide(asked: Complete, document: PolicyDocument) -> tuple[str, str | None, int | None]:
    """The determination, its reason, and the months that are certified, of a document with one edition."""
    for rule in document.rules:
        if holds(rule.when, asked, document):
            return _of(rule, asked)
    pytest.fail("no rule answers")


def _of(rule: Rule, asked: Complete) -> tuple[str, str | None, int | None]:
    [outcome] = rule.outcomes
    authorized = outcome.authorizes
    if authorized is None:
        return outcome.determination, outcome.reason, None
    if authorized.units is not None and asked.line["units"] > authorized.units:
        return "criteria_not_met", "more_units_than_authorized", None
    return outcome.determination, outcome.reason, authorized.months
