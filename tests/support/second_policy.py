"""How a policy decides, read off its rules without the engine."""

from collections.abc import Mapping
from datetime import date

import pytest

from policy_core.diagrams.variables import Value
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
from policy_core.document.models import PolicyDocument

Case = Mapping[str, Value]


def holds(condition: Condition, facts: Case, document: PolicyDocument, day: date) -> bool:
    """Whether a condition holds of a case with every fact known: what the document's words say, and no more."""

    def each(parts: tuple[Condition, ...]) -> list[bool]:
        return [holds(part, facts, document, day) for part in parts]

    match condition:
        case FactIs(fact=fact, is_=value):
            result = facts[fact] == value
        case FactIn(fact=fact, in_=choices):
            result = facts[fact] in choices
        case FactIncludes(fact=fact, includes=element):
            stated = facts[fact]
            result = isinstance(stated, tuple) and element in stated
        case AllOf(all=parts):
            result = all(each(parts))
        case AnyOf(any=parts):
            result = any(each(parts))
        case Not(not_=part):
            result = not each((part,))[0]
        case Named(condition=name):
            result = any(each(tuple(one.when for one in document.conditions if one.id == name)))
        case IndicationsOf(indications_of=name):
            named = [one for one in document.indications if one.statement == name and one.on(day)]
            result = any(each(tuple(one.when for one in named)))
        case _:
            result = True
    return result


def decide(facts: Case, document: PolicyDocument, day: date) -> tuple[str, str | None]:
    for rule in document.rules:
        for outcome in rule.outcomes:
            if outcome.on(day) and holds(rule.when, facts, document, day):
                return outcome.determination, outcome.reason
    pytest.fail(f"no rule answers {facts}")
