"""Every construct of the language means what a naive reading of its words says: complete and partial requests."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import product
from random import Random
from typing import Any

import pytest

from policy_core.diagrams import intervals, variables
from policy_core.evaluate import measures
from policy_core.evaluate.determine import LineResult, Policy
from policy_core.evaluate.measures import passed
from policy_core.evaluate.plan import Plan
from tests.support import random_policies as made
from tests.support.cases import in_parts
from tests.support.naive_language import Complete, decide, impossible


def said(found: LineResult) -> tuple[str, tuple[str, ...], int | None]:
    answer = found.answer
    return answer.determination.value, answer.reasons, answer.months


@pytest.mark.parametrize("seed", range(40))
def test_complete_requests_are_decided_as_their_words_say(seed: int) -> None:
    rng = Random(seed)
    policy = made.random_policy(rng, made.LEAVES)
    plan = Plan(policy)

    for _ in range(25):
        lines = [made.complete(rng) for _ in range(rng.randint(1, 3))]
        asked = [replace(one, facts=lines[0].facts, request=lines[0].request) for one in lines]
        case = made.as_case(*asked)
        result = policy.determine(case)
        determination = [decide(one, policy.document) for one in asked]
        wanted = [(word, (reason,) if reason else (), months) for word, reason, months in determination]
        assert [said(line) for line in result.lines] == wanted
        assert plan.decide(in_parts(case)).result() == result


# --- facts missing -------------------------------------------------------------------------------------------------

CANDIDATES: dict[str, list[Any]] = {
    "clinical.side": ["left", "right", "both"],
    "clinical.smoker": [True, False],
    "clinical.needs": [[], ["work"], ["school"], ["work", "school"]],
    "clinical.bmi": [29, 30, 31, "35.5", 36, 40, 41],
    "clinical.score": [-2, -1, "-0.5", 0, 1, "2.25", 3],
    "line.device": ["new", "used"],
    "line.hours": [1, 4, 5, "20.5", 21],
    "line.place_of_service": ["11", "22", "12", "31"],
    "request.sex": ["female", "male"],
    "request.provider_specialty": ["207RH0003X", "208800000X"],
}
"""A value of every class that the random conditions tell apart."""


def completions(asked: Complete, unstated: list[str]) -> Iterator[tuple[tuple[Any, ...], Complete]]:
    for values in product(*(CANDIDATES[path] for path in unstated)):
        facts, line, request = dict(asked.facts), dict(asked.line), dict(asked.request)
        for path, value in zip(unstated, values, strict=True):
            scope, _, name = path.partition(".")
            holder, key = {"line": (line, name), "request": (request, name)}.get(scope, (facts, path))
            holder[key] = value
        yield tuple(map(str, values)), Complete(facts, line, request)


@pytest.mark.parametrize("seed", range(60))
def test_exactly_what_can_change_the_answer_is_asked_for(seed: int) -> None:
    """A fact is missing where two completions that differ in it alone are answered differently."""
    rng = Random(f"partial {seed}")
    policy = made.random_policy(rng, made.INDEPENDENT)
    plan = Plan(policy)

    for _ in range(10):
        asked = made.complete(rng)
        unstated = sorted(rng.sample(sorted(CANDIDATES), rng.randint(1, 4)))
        case = made.as_case(asked, unstated=frozenset(unstated))
        [line] = policy.determine(case).lines
        answers = {values: decide(one, policy.document) for values, one in completions(asked, unstated)}
        kinds = {values: (word, months) for values, (word, _, months) in answers.items()}
        needed = {
            path
            for at, path in enumerate(unstated)
            if any(
                kinds[one] != kinds[(*one[:at], str(value), *one[at + 1 :])]
                for one in kinds
                for value in CANDIDATES[path]
            )
        }
        assert {one.path for one in line.answer.missing} == needed
        if not needed:
            [(word, months)] = set(kinds.values())
            reasons = {reason for _, reason, _ in answers.values() if reason}
            assert (line.answer.determination.value, line.answer.months) == (word, months)
            assert set(line.answer.reasons) == reasons
        assert plan.decide(in_parts(case)).result().lines == (line,)


@pytest.mark.parametrize("seed", range(60))
def test_where_cases_cannot_be_what_is_asked_settles_the_answer(seed: int) -> None:
    """Of what can be, and with none of the questions to spare; what cannot be makes its facts conflict."""
    rng = Random(f"never {seed}")
    policy = made.random_policy(rng, made.INDEPENDENT, never=True)
    plan = Plan(policy)

    for _ in range(10):
        asked = made.complete(rng)
        unstated = sorted(rng.sample(sorted(CANDIDATES), rng.randint(1, 4)))
        case = made.as_case(asked, unstated=frozenset(unstated))
        result = policy.determine(case)
        assert plan.decide(in_parts(case)).result() == result
        possible = {
            values: decide(one, policy.document)[::2]
            for values, one in completions(asked, unstated)
            if not impossible(one, policy.document)
        }
        [line] = result.lines
        missing = [one.path for one in line.answer.missing]
        conflicting = any(fact.origin == "conflicting" for fact in result.facts.values())
        if not possible:
            assert missing or conflicting
        elif not conflicting:
            assert bool(missing) == (len(set(possible.values())) > 1)
            assert _settles(possible, unstated, missing)
            assert not any(_settles(possible, unstated, [one for one in missing if one != spare]) for spare in missing)


@pytest.mark.parametrize(
    ("since", "until", "months"),
    [
        ("1990-02-28", "0001-01-01", -23_870),
        ("0001-01-01", "9999-12-31", 119_987),
        ("2024-01-31", "2024-02-29", 1),
        ("2023-01-31", "2023-02-27", 0),
        ("2024-02-29", "2024-01-31", -1),
        ("2024-03-31", "2024-02-29", -1),
        ("2024-02-29", "2025-02-28", 12),
    ],
)
def test_full_months_are_counted_between_any_two_days(since: str, until: str, months: int) -> None:
    first, second = date.fromisoformat(since), date.fromisoformat(until)

    assert passed("months", first, second) == months
    assert passed("years", first, second) == months // 12


def test_what_cannot_be_may_be_a_named_condition() -> None:
    drawn = made.document(Random(1), made.LEAVES)
    drawn["conditions"] = [{"id": "c", "says": "Smokes.", "when": {"fact": "clinical.smoker", "is": True}}]
    drawn["never"] = [{"id": "n", "says": "Nobody.", "when": {"condition": "c"}}]
    drawn["rules"] = [drawn["rules"][-1]]
    drawn["rules"][0]["outcomes"][0]["until"] = "2022-01-01"
    drawn["editions"].append({"since": "2022-01-01", "on_record": False, "says": "Not known."})
    drawn["revisions"].append({"date": "2022-01-01", "kinds": ["statement"], "says": "Changed."})

    assert made.policy(drawn).contradictable


def by_smoking(**changed: Any) -> Policy:
    """Certified is who does not smoke."""
    drawn = made.document(Random(1), made.LEAVES) | changed
    drawn["rules"] = [drawn["rules"][0], drawn["rules"][-1]]
    drawn["rules"][0]["when"] = {"fact": "clinical.smoker", "is": False}
    drawn["rules"][0]["outcomes"] = [{"since": "2020-01-01", "determination": "medically_necessary"}]
    return made.policy(drawn)


def test_what_is_presumed_yields_to_what_is_stated() -> None:
    """A presumption makes no stated fact conflict, however the document says what cannot be."""
    side = {"path": "clinical.side", "kind": "choice", "values": ["left", "right"], "question": "Which side?"}
    facts = [side | {"presumed": {"value": "left", "because": "Usual."}}, *made.FACTS[1:], *made.OF_LINES]
    both = {"all": [{"fact": "clinical.side", "is": "left"}, {"fact": "clinical.smoker", "is": False}]}
    policy = by_smoking(facts=facts, never=[{"id": "n", "says": "Not both.", "when": both}])
    asked = made.as_case(made.complete(Random(1)), unstated=frozenset({"clinical.side"}))
    asked.clinical["smoker"] = False  # type: ignore[index]

    result = policy.determine(asked)

    assert result.lines[0].answer.determination == "medically_necessary"
    assert result.facts["clinical.side"].origin == "not_stated"
    assert Plan(policy).decide(in_parts(asked)).result() == result


def test_a_line_that_cannot_be_asks_only_for_what_it_contradicts() -> None:
    lines = {"all": [{"fact": "line.device", "is": "new"}, {"line": "units", "at_least": 2}]}
    others = {"all": [{"fact": "clinical.needs", "includes": "work"}, {"fact": "clinical.score", "above": 3}]}
    nevers = [{"id": "n", "says": "Cannot be.", "when": lines}, {"id": "m", "says": "Neither.", "when": others}]
    asked = made.complete(Random(2))
    asked = replace(asked, line={**asked.line, "device": "new", "units": 3})
    case = made.as_case(asked, unstated=frozenset({"clinical.needs", "clinical.score"}))

    [line] = by_smoking(never=nevers).determine(case).lines

    assert [one.path for one in line.answer.missing] == ["line.units", "line.device"]


def test_what_cannot_be_is_no_case() -> None:
    drawn = made.document(Random(1), made.LEAVES)
    drawn["rules"] = [drawn["rules"][0], drawn["rules"][-1]]
    drawn["rules"][0]["when"] = {
        "any": [{"fact": "clinical.bmi", "at_least": 40}, {"fact": "clinical.score", "above": 3}]
    }
    drawn["rules"][0]["outcomes"] = [{"since": "2020-01-01", "determination": "medically_necessary"}]
    both = {"all": [{"fact": "clinical.bmi", "at_least": 40}, {"fact": "clinical.score", "above": 3}]}

    assert made.policy(drawn).cases() == 4
    assert made.policy(drawn | {"never": [{"id": "n", "says": "Not both.", "when": both}]}).cases() == 3


def _settles(possible: dict[tuple[Any, ...], Any], unstated: list[str], asked: list[str]) -> bool:
    """Whether the values of what is asked leave one answer."""
    places = [at for at, path in enumerate(unstated) if path in asked]
    found: dict[tuple[Any, ...], set[Any]] = {}
    for values, answer in possible.items():
        found.setdefault(tuple(values[at] for at in places), set()).add(answer)
    return all(len(answers) == 1 for answers in found.values())


@pytest.mark.parametrize(
    ("place", "name", "fault"),
    [
        (intervals, "bisect_right", bisect_left),
        (measures, "monthrange", lambda *_: (0, 1)),
        (variables, "entry_holds", lambda *_: False),
    ],
    ids=["thresholds do not fit", "months are too short", "no entry counts"],
)
def test_a_fault_in_the_engine_is_noticed(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, fault: Any) -> None:
    monkeypatch.setattr(place, name, fault)

    with pytest.raises(AssertionError):
        list(map(test_complete_requests_are_decided_as_their_words_say, range(40)))
