"""The questionnaire that is published is the one whose answers are read: every fact and value comes back."""

import json
from collections.abc import Sequence
from typing import Any

import fhirkit
from hypothesis import given
from hypothesis import strategies as st

from events.adapters.pas.adapter import PAS
from events.adapters.pas.clinical_answers import SETS
from events.adapters.pas.questionnaire import Question, questionnaire
from tests.support.commands import dli
from tests.support.pas_answers import library
from tests.support.pas_bundles import PARTNER, QUESTIONNAIRE, RECEIVED, bundle, response
from workers.policies.policy_questionnaire import questions_of

QUESTIONS = questions_of(library()["L.2.03.402"].document)


def _values(question: Question) -> st.SearchStrategy[Any]:
    codes = [code for code, _ in question.options]
    return {
        "choice": st.sampled_from(codes or [""]),
        "boolean": st.booleans(),
        "date": st.dates().map(lambda day: day.isoformat()),
        "set": st.lists(st.sampled_from(codes or [""]), min_size=1, unique=True),
    }[question.kind]


FACTS = st.fixed_dictionaries({}, optional={one.path: _values(one) for one in QUESTIONS})


def _read(facts: dict[str, Any]) -> Any:
    answered = response(QUESTIONNAIRE + "|2025-03-28", facts)
    [found] = PAS.read(json.dumps(bundle(seed=1, answered=answered)).encode(), PARTNER, RECEIVED)
    assert found.refused is None
    return (found.request or {}).get("clinical", {})


def _stated(fields: dict[str, Any], before: Sequence[str] = ("clinical",)) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        path = (*before, name)
        found |= _stated(value, path) if isinstance(value, dict) else {".".join(path): value}
    return found


@given(FACTS)
def test_every_fact_and_value_comes_back(facts: dict[str, Any]) -> None:
    assert _stated(_read(facts)) == facts


def test_every_set_of_the_packaged_policy_is_read_as_one() -> None:
    assert {question.path for question in QUESTIONS if question.kind == "set"} == SETS


def test_it_is_good_r4_and_asks_for_every_fact() -> None:
    written = questionnaire("L.2.03.402", QUESTIONNAIRE, "2025-03-28", "Infusions", QUESTIONS)
    assert [str(issue.message) for issue in fhirkit.validate(written)] == []
    assert [item["linkId"] for item in written["item"]] == [question.path for question in QUESTIONS]
    listed = {
        item["linkId"]: [o["valueCoding"]["code"] for o in item.get("answerOption", ())] for item in written["item"]
    }
    assert listed == {question.path: [code for code, _ in question.options] for question in QUESTIONS}


def test_the_command_prints_it_at_a_revision_and_under_a_url() -> None:
    ran = dli("policy", "questionnaire", "L.2.03.402", "--revision", "2024-04-29", "--url", "https://payer.example/q")
    written = json.loads(ran.out)
    assert (ran.code, written["url"], written["version"]) == (0, "https://payer.example/q", "2024-04-29")
    assert len(written["item"]) == len(QUESTIONS)


def test_the_command_says_that_there_is_no_such_revision() -> None:
    ran = dli("policy", "questionnaire", "L.2.03.402", "--revision", "2024-04-30")
    assert ran.code != 0
    assert "no revision of 2024-04-30" in ran.err
