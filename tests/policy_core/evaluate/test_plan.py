"""A plan decides as `Policy.determine` does: every complete case, partial ones, and whole requests."""

import random
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any

import pytest

from events.decode import RejectedError, decode
from events.request_parts import parts_of
from policy_core.determinations import Determination
from policy_core.diagrams.variables import Value
from policy_core.evaluate import plan as planning
from policy_core.evaluate.case import Case
from policy_core.evaluate.determine import CaseResult, Policy
from policy_core.evaluate.facts import ClinicalViolationError
from policy_core.evaluate.plan import Plan
from tests.support import generator
from tests.support.case_of_request import case_of
from tests.support.cases import case, icd10, in_parts, line, other, packaged
from tests.support.mutated_events import events


@cache
def plan() -> Plan:
    return Plan(packaged())


Outcome = CaseResult | list[str]


def by_policy(policy: Policy, asked: Case) -> Outcome:
    try:
        return policy.determine(asked)
    except ClinicalViolationError as refused:
        return [f"{violation.path}: {violation.message}" for violation in refused.violations]


def by_plan(planned: Plan, asked: Any) -> Outcome:
    try:
        return planned.decide(asked).result()
    except ClinicalViolationError as refused:
        return [f"{violation.path}: {violation.message}" for violation in refused.violations]


def clinical(values: Mapping[str, Value]) -> dict[str, Any]:
    """The clinical object that states these facts."""
    made: dict[str, Any] = {}
    for path, value in values.items():
        *above, name = path.split(".")[1:]
        holder = made
        for key in above:
            holder = holder.setdefault(key, {})
        holder[name] = list(value) if isinstance(value, tuple) else value
    return made


def stated(policy: Policy, choices: Iterable[int]) -> dict[str, Any]:
    """A clinical object with the value of each variable at an index; nothing is stated behind the last."""
    pairs = zip(policy.variables, choices, strict=True)
    return clinical({variable.path: variable.domain[at] for variable, at in pairs if at < len(variable.domain)})


@pytest.mark.parametrize("day", ["2011-08-11", "2024-06-10"], ids=["edition of 2011", "edition of 2016"])
def test_every_complete_case_is_decided_alike(day: str) -> None:
    """All 46,656 of each edition; a plan has one answer for each value, `determine` may have several objects."""
    policy, cases = packaged(), 0
    for choices in product(*(range(len(variable.domain)) for variable in policy.variables)):
        asked = case(line(day), clinical=stated(policy, choices), has_prior_authorization=True)
        assert by_plan(plan(), in_parts(asked)) == by_policy(policy, asked)
        cases += 1
    assert cases == 46_656


@pytest.mark.parametrize("policy", [packaged, other], ids=["packaged", "another insurer's"])
def test_partial_cases_are_decided_alike(policy: Any) -> None:
    """Any facts unknown, some implied or contradicted by codes, several lines of several editions and kinds."""
    compiled: Policy = policy()
    planned, seeded = Plan(compiled), random.Random("partial cases of plans")
    for _ in range(5_000):
        asked = _any_case(compiled, seeded)
        assert by_plan(planned, in_parts(asked)) == by_policy(compiled, asked)


def _any_case(policy: Policy, rng: random.Random) -> Case:
    choices = [rng.randint(0, len(variable.domain)) for variable in policy.variables]
    listed = [(code.system, code.code) for code in policy.document.codes.listed]
    lines = []
    for number in range(1, rng.randint(1, 3) + 1):
        system, code = rng.choice([*listed, ("cpt", "99213"), ("hcpcs", "x1")])
        day = rng.choice(["1990-01-01", "2011-08-11", "2015-10-01", "2019-01-01", "2023-04-01", "2024-06-10"])
        lines.append(line(day, code, system, rng.choice(["member", "donor"]))._replace(line=number))
    businesses = ["commercial", "fep", "marketplace", "medicaid", "another"]
    return case(
        *lines,
        clinical=stated(policy, choices),
        diagnoses=icd10(*rng.sample(["C92.02", "C92.01", "C50.911", "D45", "E10.9", "E11.9", "O24.410", "Z79.4"], 2)),
        line_of_business=rng.choice(businesses),
        certification=rng.choice(["initial", "cancellation", "reconsideration"]),
        urgency=rng.choice(["standard", "expedited"]),
        has_prior_authorization=rng.random() < 0.5,
    )


def requests(seed: int, count: int) -> Iterator[Any]:
    """Mutated, respelt and refused requests that are read."""
    for sent in events(seed, count):
        try:
            yield decode(sent.value, sent.headers).request
        except RejectedError:
            continue


def differing(seed: int, count: int) -> list[Any]:
    return [
        request.content()
        for request in requests(seed, count)
        if by_plan(plan(), parts_of(request)) != by_policy(packaged(), case_of(request))
    ]


def test_mutated_requests_are_decided_alike() -> None:
    assert differing(21, 10_000) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(22, 32))
def test_a_million_mutated_requests_are_decided_alike(seed: int) -> None:
    assert differing(seed, 100_000) == []


def test_equal_outcomes_are_one_object() -> None:
    results = [
        plan().decide(parts_of(decode(generator.encode(generator.request(3, n)), bare_allowed=True).request))
        for n in range(300)
    ]
    lines = {id(found): found for result in results for found in result.outcome.lines}.values()
    values = {
        (found.answer, found.revision and found.revision.revision.date, found.guidance, found.valid_through)
        for found in lines
    }

    assert len(lines) == len(values)
    assert {found.answer.determination for found in lines} > {
        Determination.MEDICALLY_NECESSARY,
        Determination.INFORMATION_NEEDED,
    }


def test_a_plan_that_forgets_decides_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "REMEMBERED", 2)
    forgetful, seeded = Plan(packaged()), random.Random("forgetful plans")
    for _ in range(300):
        asked = _any_case(packaged(), seeded)
        assert by_plan(forgetful, in_parts(asked)) == by_policy(packaged(), asked)


def test_a_memory_never_has_more_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "REMEMBERED", 3)
    memory: planning.Memory[int, int] = planning.Memory()

    assert [len(memory) for number in range(7) if memory.remember(number, number) == number] == [1, 2, 3, 1, 2, 3, 1]


def test_a_long_part_is_decided_and_not_remembered() -> None:
    forgetful, asked = Plan(packaged()), case(diagnoses=icd10(*["C92.02"] * 90))
    for _ in range(2):
        assert by_plan(forgetful, in_parts(asked)) == by_policy(packaged(), asked)

    assert list(forgetful._diagnoses) == []  # noqa: SLF001 (what it remembers)


def test_a_refused_clinical_object_is_refused_again() -> None:
    """What was refused is not remembered as decided, nor the other way round."""
    refused, decided = case(clinical={"unheard_of": None}), case(clinical={})
    for _ in range(2):
        assert isinstance(by_plan(plan(), in_parts(refused)), list)
        assert isinstance(by_plan(plan(), in_parts(decided)), CaseResult)


def test_a_number_beyond_every_float_is_not_taken_for_null() -> None:
    """A reader makes infinity of it, which JSON writers write as null."""
    for written, refused in ((b"null", False), (b"1e999", True), (b"null", False)):
        value = generator.encode(generator.request(3, 1) | {"clinical": {"malignancy": 0}})
        request = decode(value.replace(b'"malignancy": 0', b'"malignancy": ' + written), bare_allowed=True).request
        assert isinstance(by_plan(plan(), parts_of(request)), list) == refused
