"""Mistakes in conditions on numbers, times, lists, lines and requests: each has a sentence with the remedy."""

import json
from random import Random
from typing import Any

import pytest

from policy_core.loading.load import parse, read
from tests.support import random_policies as made
from tests.support.cases import problems


def with_rule(when: dict[str, Any], **changed: Any) -> str:
    """A document whose first rule has this condition."""
    drawn = made.document(Random(1), made.LEAVES) | changed
    drawn["rules"] = [drawn["rules"][0], drawn["rules"][-1]]
    drawn["rules"][0]["when"] = when
    drawn["rules"][0]["outcomes"] = [{"since": "2020-01-01", "determination": "medically_necessary"}]
    return json.dumps(drawn)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "number tested as a choice": (
        {"fact": "clinical.bmi", "is": "35"},
        "`clinical.bmi` is a number; test it with {fact: clinical.bmi, at_least: …}",
    ),
    "choice tested as a number": (
        {"fact": "clinical.side", "at_least": 2},
        "`clinical.side` is a choice; test it with {fact: clinical.side, is: …}",
    ),
    "no limit": ({"count": "clinical.trials"}, "write `at_least: …` or `above: …` for where it begins"),
    "limits the wrong way round": (
        {"fact": "clinical.bmi", "at_least": 40, "below": 35},
        "it ends before it begins; no value can fit",
    ),
    "float": ({"fact": "clinical.bmi", "at_least": 7.5}, 'a number where text belongs; write it in quotes: "7.5"'),
    "time of a number": (
        {"days_between": ["clinical.bmi", "service_date"], "below": 30},
        "`clinical.bmi` is a number; test it with",
    ),
    "half a day": (
        {"days_between": ["clinical.tested_on", "service_date"], "below": "30.5"},
        "days, months and years are counted whole; write a whole number",
    ),
    "from a day to itself": (
        {"months_between": ["service_date", "service_date"], "below": 3},
        "both ends are the same day; name two",
    ),
    "unknown field of an entry": (
        {"count": "clinical.trials", "where": {"field": "dayz", "at_least": 3}, "at_least": 1},
        "`clinical.trials` has no field `dayz`; did you mean `days`?",
    ),
    "field tested otherwise": (
        {"count": "clinical.trials", "where": {"field": "days", "is": "x"}, "at_least": 1},
        "`days` is a number; test it with {field: days, at_least: …}",
    ),
    "no value of a field": (
        {"count": "clinical.trials", "where": {"any": [{"field": "drug", "is": "c"}]}, "at_least": 1},
        "'c' is no value of `drug`; write one of: a, b",
    ),
    "more than there are": (
        {"at_least": 3, "of": [{"line": "units", "at_least": 2}, {"fact": "clinical.smoker", "is": True}]},
        "of 2 conditions never 3 can hold",
    ),
    "code that is not listed": (
        {"line": "code", "is": "cpt 38243"},
        "no listed code `cpt 38243`: a code that is not listed never reaches the rules; did you mean `cpt 38242`?",
    ),
    "units tested as a word": ({"line": "units", "is": "2"}, "`units` cannot be tested with `is`; write {line: units"),
    "part of a unit": ({"line": "units", "above": "1.5"}, "units are counted whole; write a whole number"),
    "unknown sex": ({"request": "sex", "in": ["f"]}, "`f` is no sex; write one of: female, male, other"),
    "two tests at once": (
        {"line": "modifiers", "includes": "50", "is": "50"},
        "write one test: `is: …`, `in: […]`, `includes: …`, or limits, such as `at_least: …`",
    ),
    "fact of another name": (
        {"fact": "line.devise", "is": "new"},
        "no fact `line.devise`; did you mean `line.device`?",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_condition_has_its_remedy(name: str) -> None:
    when, remedy = MISTAKES[name]

    assert any(remedy in one for one in problems(with_rule(when)))
    assert problems(with_rule({"fact": "clinical.smoker", "is": True})) == []


def fact(**fields: Any) -> dict[str, Any]:
    return {"path": "clinical.other", "question": "Which?"} | fields


DECLARED: dict[str, tuple[dict[str, Any], str]] = {
    "unit of a choice": (fact(kind="choice", values=["a"], unit="kg"), "a choice has no `unit`"),
    "other units without a unit": (
        fact(kind="number", units=[{"unit": "lb", "times": "0.45359237"}]),
        "other `units` need the fact's own `unit`",
    ),
    "factor of nothing": (
        fact(kind="number", unit="kg", units=[{"unit": "lb", "times": 0}]),
        "a unit's factor is above 0",
    ),
    "list without fields": (fact(kind="list"), "a list, and nothing else, needs `fields`, each once"),
    "presumed number": (
        fact(kind="number", presumed={"value": "0", "because": "Rare."}),
        "a number can be neither derived nor presumed",
    ),
    "attribute's name": (
        fact(path="line.units", kind="number"),
        "every line has a `line.units`; give the fact another name",
    ),
    "derived of a line": (
        fact(
            path="line.side",
            kind="boolean",
            derived=[{"value": True, "system": "icd-10-cm", "codes": ["C81"]}],
        ),
        "codes say nothing of one line; derive a fact of the request",
    ),
}


@pytest.mark.parametrize("name", DECLARED)
def test_a_mistake_in_a_declaration_has_its_remedy(name: str) -> None:
    declared, remedy = DECLARED[name]

    found = problems(with_rule({"fact": "clinical.smoker", "is": True}, facts=[*made.FACTS, *made.OF_LINES, declared]))

    assert any(remedy in one for one in found), found


def test_as_many_modifiers_as_values_of_a_set_may_be_tested() -> None:
    def of(count: int) -> str:
        some = [{"line": "modifiers", "includes": f"{at:02d}"} for at in range(count)]
        return with_rule({"any": some})

    assert problems(of(10)) == []
    assert any("more than 10 modifiers" in one for one in problems(of(11)))


def test_too_many_counts_of_one_list_are_refused_before_drawing() -> None:
    def of(count: int) -> str:
        field = {"field": "days"}
        counts = [{"count": "clinical.trials", "where": field | {"at_least": at}, "at_least": 1} for at in range(count)]
        return with_rule({"at_least": 1, "of": counts})

    assert any("more than 150; test fewer" in one for one in problems(of(400)))


def test_what_leaves_no_case_is_no_policy() -> None:
    every = {"id": "n", "says": "Nothing can be.", "when": {"any": [{"otherwise": True}]}}

    found = problems(with_rule({"fact": "clinical.smoker", "is": True}, never=[every]))

    assert any("no case is left; correct what cannot be" in one for one in found)


def test_codes_that_share_rules_in_silence_are_named() -> None:
    """Until each says so, or a condition keeps them apart."""
    drawn = json.loads(with_rule({"fact": "clinical.smoker", "is": True}))
    silent = read(json.dumps(drawn).encode(), "p.json").warnings
    for code in drawn["codes"]["listed"]:
        code["shares_rules"] = True
    said = read(json.dumps(drawn).encode(), "p.json").warnings
    apart = json.loads(with_rule({"line": "code", "in": ["cpt 38242", "cpt 43644"]}))

    asked = "the same rules decide cpt 38242, cpt 43644, cpt 64561 and nothing says that they are meant to"
    assert any(asked in one.message for one in silent)
    assert not any("the same rules decide" in one.message for one in said)
    assert not any(
        "the same rules decide" in one.message for one in read(json.dumps(apart).encode(), "p.json").warnings
    )


def test_whether_codes_share_rules_is_no_part_of_the_digest() -> None:
    drawn = json.loads(with_rule({"fact": "clinical.smoker", "is": True}))
    without = parse(json.dumps(drawn).encode(), "p.json").digest()
    drawn["codes"]["listed"][0]["shares_rules"] = True

    assert parse(json.dumps(drawn).encode(), "p.json").digest() == without


def test_a_threshold_has_one_spelling_in_the_digest() -> None:
    written = [with_rule({"fact": "clinical.bmi", "at_least": one}) for one in (35, "35", "35.0", "35.000")]

    assert len({parse(one.encode(), "p.json").digest() for one in written}) == 1
