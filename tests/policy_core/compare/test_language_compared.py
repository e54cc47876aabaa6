"""Differences between policies with every construct of the language: what is claimed is what requests get."""

import json
from datetime import date
from random import Random
from typing import Any

import pytest

from policy_core.compare.answers import Change, Comparison, Where, compare
from policy_core.diagrams.diagram import UNKNOWN
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.measures import filled
from policy_core.loading.check import check
from tests.support import random_policies as made
from tests.support.naive_language import Complete, decide


def valid(drawn: dict[str, Any]) -> bool:
    return not check(PolicyDocument.model_validate(drawn, strict=False))


def two_policies(rng: Random) -> tuple[Policy, Policy]:
    """Two policies that differ in a rule, a threshold or an order."""
    while True:
        one = made.document(rng, made.LEAVES)
        another = json.loads(json.dumps(one))
        another["rules"][0] = made.document(rng, made.LEAVES)["rules"][0]
        if rng.random() < 0.3:
            one, another = another, one
        if valid(one) and valid(another):
            return made.policy(one), made.policy(another)


@pytest.mark.parametrize("seed", range(40))
def test_requests_change_exactly_where_a_change_is_claimed(seed: int) -> None:
    rng = Random(seed)
    old, new = two_policies(rng)
    found = compare(old, new)

    for _ in range(60):
        asked = made.complete(rng)
        before, after = decide(asked, old.document), decide(asked, new.document)
        classes = _Classes(found, asked)
        claimed = [change for change in found.changes if _concerns(change, classes, asked)]
        assert len(claimed) <= (before != after), (before, after)
        # Conditions that are too many to list do not cover all cases.
        assert claimed or before == after or not all(change.whole for change in found.changes)
        for change in claimed:
            assert [change.before.determination, change.before.months] == [before[0], before[2]]
            assert [change.after.determination, change.after.months] == [after[0], after[2]]


def _concerns(change: Change, classes: "_Classes", asked: Complete) -> bool:
    return any(_is_there(where, asked) for where in change.where) and any(
        all(classes[at] in some for at, some in cube.items()) for cube in change.conditions
    )


def _is_there(where: Where, asked: Complete) -> bool:
    business = asked.request["line_of_business"]
    named = business if business == "commercial" or business in where.lines_of_business else "any other"
    return (
        any(window.holds(asked.line["service_date"]) for window in where.days)
        and (not where.codes or asked.line["code"] in where.codes)
        and (not where.lines_of_business or named in where.lines_of_business)
    )


class _Classes(dict[int, int]):
    """A request's class of each joint variable, found when it is asked for."""

    def __init__(self, found: Comparison, asked: Complete) -> None:
        super().__init__()
        self._variables = found.variables
        self._patterns = [(policy, _pattern(policy, asked)) for policy in (found.old, found.new)]

    def __missing__(self, at: int) -> int:
        """The one class whose sample is, to both policies, as the request is."""
        variable = self._variables[at]
        fitting = [at for at, sample in enumerate(variable.samples) if self._is_alike(variable.path, sample)]
        [self[at]] = fitting
        return self[at]

    def _is_alike(self, path: str, sample: Any) -> bool:
        return all(
            variable.index(sample) == pattern[own]
            for policy, pattern in self._patterns
            for own, variable in enumerate(policy.variables)
            if variable.path == path
        )


def _pattern(policy: Policy, asked: Complete) -> tuple[int, ...]:
    case = made.as_case(asked)
    facts = policy.reader.read(case)
    pattern = filled(policy.pattern(facts, case), policy.measures.of_line(facts, case, case.service_lines[0]))
    assert UNKNOWN not in pattern
    return pattern


def test_a_moved_threshold_is_told_with_its_interval() -> None:
    def of(threshold: Any) -> Policy:
        drawn = made.document(Random(1), made.LEAVES)
        drawn["rules"] = [drawn["rules"][0], drawn["rules"][-1]]
        drawn["rules"][0]["when"] = {"fact": "clinical.bmi", "at_least": threshold}
        drawn["rules"][0]["outcomes"] = [{"since": "2020-01-01", "determination": "medically_necessary"}]
        return made.policy(drawn)

    found = compare(of(35), of("37.5"))

    [bmi] = found.variables
    [change] = found.changes
    assert bmi.domain == ("below 35", "35 to below 37.5", "37.5 or more")
    assert change.conditions == ({0: frozenset({1})},)
    assert change.where[0].days[0].since == date(2020, 1, 1)
    assert compare(of(35), of("35.0")).equivalent


def by_number_and_list() -> dict[str, Any]:
    drawn = made.document(Random(1), made.LEAVES)
    drawn["rules"] = [drawn["rules"][0], drawn["rules"][-1]]
    tried = {"count": "clinical.trials", "where": {"field": "drug", "is": "a"}, "at_least": 1}
    drawn["rules"][0]["when"] = {"all": [{"fact": "clinical.bmi", "at_least": 35}, tried]}
    drawn["rules"][0]["outcomes"] = [{"since": "2020-01-01", "determination": "medically_necessary"}]
    return drawn


@pytest.mark.parametrize(
    "changed",
    [
        {"unit": "lb/in2", "units": []},
        {"units": [{"unit": "lb/in2", "times": "703.06"}]},
        {"units": []},
    ],
)
def test_another_reading_of_a_number_is_no_equivalence(changed: dict[str, Any]) -> None:
    """A document that reads a unit otherwise decides some requests otherwise, though its rules are the same."""
    drawn = by_number_and_list()
    another = json.loads(json.dumps(drawn))
    [bmi] = [fact for fact in another["facts"] if fact["path"] == "clinical.bmi"]
    bmi.update(changed)

    found = compare(made.policy(drawn), made.policy(another))

    assert not found.equivalent
    assert compare(made.policy(drawn), made.policy(drawn)).equivalent


def test_other_fields_of_a_list_are_no_equivalence() -> None:
    drawn = by_number_and_list()
    another = json.loads(json.dumps(drawn))
    [trials] = [fact for fact in another["facts"] if fact["path"] == "clinical.trials"]
    trials["fields"][0]["values"].append("c")

    assert not compare(made.policy(drawn), made.policy(another)).equivalent


def test_fewer_months_are_a_change() -> None:
    drawn = made.document(Random(1), made.LEAVES)
    drawn["rules"] = [drawn["rules"][-1]]
    outcome = {"since": "2020-01-01", "determination": "medically_necessary"}

    def of(months: int) -> Policy:
        drawn["rules"][0]["outcomes"] = [outcome | {"authorizes": {"months": months}}]
        return made.policy(drawn)

    [change] = compare(of(12), of(6)).changes

    assert (change.before.months, change.after.months) == (12, 6)
