"""Requests under policies with every construct of the language, from event to decision and back."""

import json
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any

import pytest

from events.decode import RejectedError, decode
from events.request_parts import parts_of
from policy_core.diagrams.variables import Scope
from policy_core.evaluate.deadline import months_after
from policy_core.evaluate.plan import Plan
from policy_core.history.library import Library
from tests.support import generator
from tests.support import random_policies as made
from tests.support.cases import packaged
from tests.support.naive_language import Complete, decide
from workers.decide.decision_text import sections
from workers.decide.encode_decision import DecisionEncoder
from workers.decide.handler import decide as decide_one


def event(asked: Complete, number: int) -> dict[str, Any]:
    """A request's event data under the random policy."""
    data: dict[str, Any] = json.loads(generator.encode(generator.request(1, number)))
    line, request = asked.line, asked.request
    system, code = line["code"].split(" ")
    stated = {
        "certification": request["certification"],
        "submitted_at": "2024-06-03T23:30:00-05:00",
        "prior_authorization_number": "A-1",
        "policy_number": "RANDOM-1",
        "member": {
            "member_id": "M-1",
            "line_of_business": "commercial",
            "birth_date": request["birth_date"].isoformat(),
            "sex": request["sex"],
        },
        "provider": data["provider"] | {"specialty": request["provider_specialty"]},
        "clinical": {path.removeprefix("clinical."): value for path, value in asked.facts.items()},
        "service_lines": [
            {
                "line": 1,
                "system": system,
                "code": code,
                "units": line["units"],
                "service_date": line["service_date"].isoformat(),
                "performed_on": line["performed_on"],
                "place_of_service": line["place_of_service"],
                "modifiers": line["modifiers"],
                "clinical": {name: line[name] for name in ("device", "hours", "lost_on")},
            }
        ],
    }
    return {"request_id": data["request_id"], "urgency": "standard"} | stated


@pytest.mark.parametrize("seed", range(12))
def test_an_event_is_decided_as_the_words_of_its_policy_say(seed: int) -> None:
    """From the event's bytes to a decision that its model encodes to the same bytes."""
    rng = Random(f"event {seed}")
    policy = made.random_policy(rng, made.LEAVES)
    library = Library([packaged(), policy], packaged().number)
    encoder = DecisionEncoder(policy)

    for number in range(20):
        asked = _commercial(made.complete(rng))
        data = json.dumps(event(asked, number)).encode()
        request = parts_of(decode(data, bare_allowed=True).request)
        decision = decide_one(decode(data, bare_allowed=True), library)
        [line] = decision.lines
        word, reason, months = decide(asked, policy.document)
        assert (line.determination, line.reasons) == (word, (reason,) if reason else ())
        assert line.valid_through == (months_after(date(2024, 6, 3), months) if months else None)
        assert decision.to_json() == encoder.encode(request, Plan(policy).decide(request)).data
        assert {one.name for one in line.tested} == {
            one.path for one in policy.variables if one.scope is not Scope.FACTS and one.path != "member.birth_date"
        } | {one.path for one in policy.variables if one.time is not None}


def _commercial(asked: Complete) -> Complete:
    return replace(asked, request={**asked.request, "line_of_business": "commercial"})


def test_explain_says_what_was_tested_of_each_line() -> None:
    """Times and attributes stand beside the facts; what cannot be told of all lines says of which."""
    drawn = made.document(Random(2), made.LEAVES)
    drawn["rules"] = [drawn["rules"][0], drawn["rules"][-1]]
    drawn["rules"][0]["when"] = {"all": [{"line": "units", "at_least": 2}, {"request": "sex", "is": "female"}]}
    asked = event(_commercial(made.complete(Random(3))), 1)
    asked["service_lines"][0]["units"] = 3
    del asked["member"]["sex"]
    decision = decide_one(decode(json.dumps(asked).encode(), bare_allowed=True), Library([made.policy(drawn)], None))

    said = {title: list(rows) for title, rows in sections(decision, None)}

    assert ("line 1: line.units", "3") in said["The facts, and where they come from"]
    assert ("line 1: request.sex", "not stated") in said["The facts, and where they come from"]
    assert ("", "as on record from 2020-01-01 on, of line 1") in said["Why, statement by statement"]
    assert ("request.sex", "What is the member's sex?") in said["What is missing"]


def test_a_fact_that_no_line_has_is_refused_with_its_place() -> None:
    """What a line states and its policy does not know is refused, and nothing of it is said."""
    rng = Random(1)
    policy = made.random_policy(rng, made.LEAVES)
    asked = event(_commercial(made.complete(rng)), 1)
    asked["service_lines"][0]["clinical"] = {"secret": "word", "device": "stolen"}

    with pytest.raises(RejectedError) as refused:
        decide_one(decode(json.dumps(asked).encode(), bare_allowed=True), Library([policy], policy.number))

    assert [error.path for error in refused.value.errors] == [
        "service_lines.0.clinical.device",
        "service_lines.0.clinical.?",
    ]
    assert "secret" not in str(refused.value.errors)
    assert "stolen" not in str(refused.value.errors)
