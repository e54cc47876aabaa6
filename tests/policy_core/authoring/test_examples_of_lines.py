"""Examples with attributes of the request and the line, and with facts that belong to the line."""

import json
from random import Random
from typing import Any

from policy_core.authoring.examples import run
from tests.support import random_policies as made


def problems(*examples: dict[str, Any]) -> list[str]:
    drawn = made.document(Random(1), made.LEAVES)
    drawn["rules"] = [drawn["rules"][0], drawn["rules"][-1]]
    drawn["rules"][0]["when"] = {
        "all": [
            {"fact": "line.device", "is": "new"},
            {"line": "units", "at_most": 2},
            {"line": "place_of_service", "is": "22"},
            {"years_between": ["birth_date", "service_date"], "at_least": 18},
        ]
    }
    drawn["rules"][0]["outcomes"] = [{"since": "2020-01-01", "determination": "medically_necessary"}]
    drawn["examples"] = [
        {"id": f"e{at}", "says": "An example.", "day": "2024-06-10", **one} for at, one in enumerate(examples)
    ]
    return [
        f"{'.'.join(map(str, one.path))}: {one.message}"
        for one in run(made.policy(json.loads(json.dumps(drawn)))).problems
    ]


GROWN = {"facts": {"line.device": "new"}, "birth_date": "2006-06-10", "place_of_service": "22"}


def test_attributes_and_facts_of_the_line_are_as_in_a_request() -> None:
    assert (
        problems(
            GROWN | {"determination": "medically_necessary", "units": 2},
            GROWN | {"determination": "criteria_not_met", "units": 3},
            GROWN | {"determination": "criteria_not_met", "birth_date": "2006-06-11"},
        )
        == []
    )


def test_what_is_asked_of_a_line_can_be_expected() -> None:
    asked = ["line.place_of_service", "member.birth_date"]

    assert problems({"facts": GROWN["facts"], "determination": "information_needed", "missing": asked}) == []


def test_a_wrong_fact_of_the_line_is_named() -> None:
    [found] = problems({"facts": {"line.device": "stolen"}, "determination": "criteria_not_met"})

    assert found.startswith("examples.0.facts.line.device: should be 'new' or 'used'")
