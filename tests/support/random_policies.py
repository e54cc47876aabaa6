"""Policies of random conditions over every construct of the language, and random requests under them."""

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from policy_core.document.models import PolicyDocument
from policy_core.evaluate.case import Case, ServiceLine
from policy_core.evaluate.determine import Policy
from policy_core.loading.check import check
from policy_core.loading.load import parse
from tests.support.cases import case
from tests.support.naive_language import Complete

FACTS: list[dict[str, Any]] = [
    {"path": "clinical.side", "kind": "choice", "values": ["left", "right", "both"], "question": "Which side?"},
    {"path": "clinical.smoker", "kind": "boolean", "question": "Does the member smoke?"},
    {"path": "clinical.needs", "kind": "set", "values": ["work", "school", "home"], "question": "For what?"},
    {
        "path": "clinical.bmi",
        "kind": "number",
        "unit": "kg/m2",
        "units": [{"unit": "lb/in2", "times": "703.07"}],
        "question": "What is the body mass index?",
    },
    {"path": "clinical.score", "kind": "number", "question": "How many points?"},
    {"path": "clinical.tested_on", "kind": "date", "question": "When was it tested?"},
    {"path": "clinical.began_on", "kind": "date", "question": "When did it begin?"},
    {
        "path": "clinical.trials",
        "kind": "list",
        "question": "Which drugs were tried?",
        "fields": [
            {"name": "drug", "kind": "choice", "values": ["a", "b"]},
            {"name": "days", "kind": "number", "unit": "d"},
            {"name": "failed", "kind": "boolean"},
        ],
    },
]
OF_LINES: list[dict[str, Any]] = [
    {"path": "line.device", "kind": "choice", "values": ["new", "used"], "question": "Which device is it?"},
    {"path": "line.hours", "kind": "number", "unit": "h", "question": "How many hours is it used?"},
    {"path": "line.lost_on", "kind": "date", "question": "When was the last one lost?"},
]
Leaves = list[Callable[[Random], dict[str, Any]]]
CODES = ["38242", "43644", "64561"]
ENDS = ["service_date", "submitted_on", "birth_date", "clinical.tested_on", "clinical.began_on", "line.lost_on"]
SERVICE_DAY = date(2024, 6, 10)


def _limits(rng: Random, pool: list[Any]) -> dict[str, Any]:
    low, high = sorted(rng.sample(range(len(pool)), 2))
    begins, ends = rng.choice(["at_least", "above"]), rng.choice(["below", "at_most"])
    if begins == "above":
        ends = "at_most"  # above 2 and below 3 is no whole number
    return rng.choice([{begins: pool[low]}, {ends: pool[high]}, {begins: pool[low], ends: pool[high]}])


def _entry(rng: Random, depth: int = 1) -> dict[str, Any]:
    shape = rng.randrange(6 if depth else 3)
    if shape < 3:
        return [
            {"field": "drug", "is": rng.choice("ab")},
            {"field": "days", **_limits(rng, [14, 28, "60.5"])},
            {"field": "failed", "is": rng.random() < 0.5},
        ][shape]
    if shape == 3:
        return {"not": _entry(rng, 0)}
    return {rng.choice(["all", "any"]): [_entry(rng, 0), _entry(rng, 0)]}


LEAVES: Leaves = [
    lambda rng: {"fact": "clinical.side", "in": rng.sample(["left", "right", "both"], 2)},
    lambda rng: {"fact": "clinical.smoker", "is": rng.random() < 0.5},
    lambda rng: {"fact": "clinical.needs", "includes": rng.choice(["work", "school"])},
    lambda rng: {"fact": "clinical.bmi", **_limits(rng, [30, "35.5", 40])},
    lambda rng: {"fact": "clinical.score", **_limits(rng, [-1, 0, "2.25"])},
    lambda rng: {
        rng.choice(["days_between", "months_between", "years_between"]): rng.sample(ENDS, 2),
        **_limits(rng, [-30, 0, 2, 3, 18, 90]),
    },
    lambda rng: {"count": "clinical.trials", "where": _entry(rng), **_limits(rng, [1, 2, 3])},
    lambda rng: {"count": "clinical.trials", "at_least": rng.choice([1, 2])},
    lambda rng: {"line": "code", "in": [f"cpt {code}" for code in rng.sample(CODES, rng.choice([1, 2]))]},
    lambda rng: {"line": "units", **_limits(rng, [2, 3, 10])},
    lambda _: {"line": "performed_on", "is": "donor"},
    lambda rng: {"line": "place_of_service", "in": rng.sample(["11", "22", "12"], 2)},
    lambda rng: {"line": "modifiers", "includes": rng.choice(["50", "RT"])},
    lambda rng: {"request": "certification", "is": rng.choice(["initial", "extension"])},
    lambda _: {"request": "line_of_business", "is": "commercial"},
    lambda _: {"request": "sex", "is": "female"},
    lambda _: {"request": "provider_specialty", "is": "207RH0003X"},
    lambda rng: {"fact": "line.device", "is": rng.choice(["new", "used"])},
    lambda rng: {"fact": "line.hours", **_limits(rng, [4, "20.5"])},
]
INDEPENDENT = [LEAVES[at] for at in (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)]
"""Tests of which none says anything of another: a fact, or an attribute, for each."""


def condition(rng: Random, depth: int, leaves: Leaves) -> dict[str, Any]:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(leaves)(rng)
    parts = [condition(rng, depth - 1, leaves) for _ in range(rng.choice([2, 3]))]
    shape = rng.choice(["all", "any", "not", "of"])
    if shape == "not":
        return {"not": parts[0]}
    return {"at_least": rng.randint(1, len(parts)), "of": parts} if shape == "of" else {shape: parts}


def document(rng: Random, leaves: Leaves, *, never: bool = False) -> dict[str, Any]:
    since = "2020-01-01"
    words = ["medically_necessary", "investigational", "not_medically_necessary"]
    rules: list[dict[str, Any]] = []
    for number in range(rng.randint(2, 4)):
        outcome: dict[str, Any] = {"since": since, "determination": rng.choice(words)}
        if outcome["determination"] == "medically_necessary" and rng.random() < 0.5:
            outcome["authorizes"] = rng.choice([{"months": 6}, {"months": 12, "units": 2}, {"units": 4}])
        when = condition(rng, 2, leaves)
        rules.append({"id": f"r{number}", "says": "A rule.", "when": when, "outcomes": [outcome]})
    last = {"since": since, "determination": "criteria_not_met", "reason": "none_met"}
    rules.append({"id": "last", "says": "None.", "when": {"otherwise": True}, "outcomes": [last]})
    cannot = {"id": "n", "says": "Cannot be.", "when": {"all": [rng.choice(leaves)(rng), rng.choice(leaves)(rng)]}}
    return {
        "format": 1,
        "number": "RANDOM-1",
        "title": "Random",
        "source": {"publisher": "Nobody", "sections": ["text"]},
        "facts": [*FACTS, *OF_LINES],
        **({"never": [cannot]} if never else {}),
        "editions": [{"since": since, "on_record": True, "says": "The only one."}],
        "rules": rules,
        "codes": {
            "id": "codes",
            "says": "Codes.",
            "systems": [{"system": "cpt", "says": "CPT."}],
            "listed": [{"system": "cpt", "code": code} for code in CODES],
        },
        "revisions": [{"date": since, "kinds": ["approval"], "says": "Approved."}],
    }


def policy(made: Mapping[str, Any]) -> Policy:
    return Policy(parse(json.dumps(made).encode(), "random.json"))


def random_policy(rng: Random, leaves: Leaves, *, never: bool = False) -> Policy:
    """A policy of random rules; those that can never apply are left out."""
    while True:
        drawn = document(rng, leaves, never=never)
        idle = {problem.path[1] for problem in check(PolicyDocument.model_validate(drawn, strict=False))}
        drawn["rules"] = [rule for at, rule in enumerate(drawn["rules"]) if at not in idle]
        if not check(PolicyDocument.model_validate(drawn, strict=False)):
            return policy(drawn)


# --- requests ------------------------------------------------------------------------------------------------------


def facts(rng: Random) -> dict[str, Any]:
    """All facts, as a request states them."""
    bmi = rng.choice([29, 30, "35.5", 35.5, "35.49", 40, 45.25])
    return {
        "clinical.side": rng.choice(["left", "right", "both"]),
        "clinical.smoker": rng.random() < 0.5,
        "clinical.needs": [one for one in ("work", "school", "home") if rng.random() < 0.5],
        "clinical.bmi": rng.choice([bmi, {"value": bmi, "unit": "kg/m2"}, {"value": "0.05", "unit": "lb/in2"}]),
        "clinical.score": rng.choice([-2, -1, "-0.5", 0, 2.25, "2.249999999999999", 7]),
        "clinical.tested_on": _day(rng),
        "clinical.began_on": _day(rng),
        "clinical.trials": [entry(rng) for _ in range(rng.randint(0, 4))],
    }


def entry(rng: Random) -> dict[str, Any]:
    days = rng.choice([13, 14, 28, "60.5", 60.49, 90])
    return {"drug": rng.choice("ab"), "days": days, "failed": rng.random() < 0.5}


def _day(rng: Random) -> str:
    return (SERVICE_DAY + timedelta(days=rng.choice([-8000, -800, -90, -89, -61, -60, -31, -1, 0, 1, 40]))).isoformat()


def attributes(rng: Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """All attributes of a line and of a request."""
    line = {
        "code": f"cpt {rng.choice(CODES)}",
        "units": rng.choice([1, 2, 3, 9, 10, 999]),
        "performed_on": rng.choice(["member", "donor"]),
        "place_of_service": rng.choice(["11", "22", "12", "31"]),
        "modifiers": [one for one in ("50", "RT", "LT") if rng.random() < 0.4],
        "service_date": SERVICE_DAY,
        "device": rng.choice(["new", "used"]),
        "hours": rng.choice([1, 4, "20.49", 20.5]),
        "lost_on": _day(rng),
    }
    request = {
        "certification": rng.choice(["initial", "revision", "extension", "renewal", "reconsideration"]),
        "line_of_business": rng.choice(["commercial", "medicare"]),
        "sex": rng.choice(["female", "male", "other"]),
        "provider_specialty": rng.choice(["207RH0003X", "208800000X"]),
        "submitted_on": date(2024, 6, 3),
        "birth_date": rng.choice([date(2006, 6, 10), date(2006, 6, 11), date(1950, 2, 28), date(2024, 2, 29)]),
    }
    return line, request


def complete(rng: Random) -> Complete:
    line, request = attributes(rng)
    return Complete(facts(rng), line, request)


UNSTATABLE = frozenset({"code", "units", "performed_on", "service_date", "modifiers"})
"""What every line has."""
ALWAYS = frozenset({"certification", "line_of_business", "submitted_on"})
"""What every request has."""


def as_case(asked: Complete, *others: Complete, unstated: frozenset[str] = frozenset()) -> Case:
    """The request without what is unstated, by path; the lines of others behind its own."""
    clinical = {path.removeprefix("clinical."): value for path, value in asked.facts.items() if path not in unstated}
    request = {name: None if f"request.{name}" in unstated else value for name, value in asked.request.items()}
    lines = [_line(at, one, unstated) for at, one in enumerate((asked, *others), start=1)]
    return case(
        *lines,
        clinical=clinical,
        certification=request["certification"],
        line_of_business=request["line_of_business"],
        sex=request["sex"],
        provider_specialty=request["provider_specialty"],
        birth_date=request["birth_date"],
        submitted_at=datetime.fromisoformat("2024-06-03T23:30:00-05:00"),
        has_prior_authorization=True,
    )


def _line(number: int, asked: Complete, unstated: frozenset[str]) -> ServiceLine:
    system, code = asked.line["code"].split(" ")
    return ServiceLine(
        number,
        system,
        code,
        asked.line["service_date"],
        asked.line["performed_on"],
        asked.line["units"],
        None if "line.place_of_service" in unstated else asked.line["place_of_service"],
        tuple(sorted(asked.line["modifiers"])) or None,
        {name: asked.line[name] for name in ("device", "hours", "lost_on") if f"line.{name}" not in unstated},
    )
