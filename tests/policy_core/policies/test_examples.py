"""Real kinds of policies as data: each is right, says what its examples say, and means what a naive reading finds."""

from collections.abc import Sequence
from functools import cache
from random import Random

import pytest

from policy_core.authoring.coverage import coverage
from policy_core.authoring.examples import run
from policy_core.determinations import Determination
from policy_core.evaluate.determine import LineResult, Policy
from policy_core.evaluate.plan import Plan
from policy_core.history.library import PACKAGED, load_library
from policy_core.loading.load import load
from tests.support.cases import in_parts
from tests.support.document_requests import Requests, as_case
from tests.support.naive_language import Complete, decide, impossible

FOLDER = PACKAGED / "examples"
FILES = sorted(FOLDER.glob("*.yaml"))
NAMES = [file.stem for file in FILES]
KINDS = 7
COMPLETIONS = 20
"""Of each request with missing facts."""


@cache
def policy(name: str) -> Policy:
    return Policy(load(FOLDER / f"{name}.yaml"))


def said(line: LineResult) -> tuple[str, tuple[str, ...], int | None]:
    return line.answer.determination.value, line.answer.reasons, line.answer.months


def wanted(asked: Complete, of: Policy) -> tuple[str, tuple[str, ...], int | None]:
    word, reason, months = decide(asked, of.document)
    return word, (reason,) if reason else (), months


def test_every_kind_is_there() -> None:
    assert len(FILES) == KINDS


def test_they_are_served_beside_the_packaged_policy() -> None:
    library = load_library([PACKAGED, FOLDER], "L.2.03.402")

    assert set(library.numbers) == {"L.2.03.402", *(policy(name).document.number for name in NAMES)}


@pytest.mark.parametrize("name", NAMES)
def test_its_examples_hold_and_reach_every_rule_and_indication(name: str) -> None:
    trial = run(policy(name))

    assert len(policy(name).document.examples) >= 8
    assert trial.problems == ()
    assert coverage(policy(name), trial.tried).complete


# --- complete requests ---------------------------------------------------------------------------------------------


def rules_reached(name: str, seed: str, count: int) -> set[str]:
    """The rules that decide some random requests, each decided as a naive reading says, and by a plan alike."""
    rng, of = Random(f"{name} {seed}"), policy(name)
    requests, plan = Requests(of.document), Plan(of)
    decided: set[str] = set()

    for _ in range(count):
        asked = requests.complete(rng)
        found = of.determine(as_case(asked))
        [line] = found.lines
        assert said(line) == wanted(asked, of), asked
        assert plan.decide(in_parts(as_case(asked))).result() == found
        decided.update(line.answer.rules)
    return decided


def rules(name: str) -> set[str]:
    """All of a policy; requests that do not reach them would say nothing of what is left."""
    return {rule.id for rule in policy(name).document.rules}


@pytest.mark.parametrize("name", NAMES)
def test_complete_requests_are_decided_as_the_words_say(name: str) -> None:
    assert rules_reached(name, "complete", 500) == rules(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_million_requests_are_decided_as_the_words_say(name: str) -> None:
    assert rules_reached(name, "million", 1_000_000) == rules(name)


# --- facts missing -------------------------------------------------------------------------------------------------


def completions(rng: Random, requests: Requests, asked: Complete, unstated: Sequence[str]) -> list[Complete]:
    """Some requests that the one with missing facts could become, and the one that it was."""
    drawn = [requests.again(rng, asked, unstated) for _ in range(COMPLETIONS)]
    return [asked, *(one for one in drawn if not impossible(one, requests.document))]


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_that_of_every_completion(name: str) -> None:
    rng, of = Random(f"{name} partial"), policy(name)
    requests, plan = Requests(of.document), Plan(of)
    asking = 0

    for _ in range(150):
        asked = requests.complete(rng)
        unstated = rng.sample(requests.statable(), rng.choice([1, 2, 4, 8]))
        found = of.determine(as_case(asked, unstated))
        [line] = found.lines
        assert plan.decide(in_parts(as_case(asked, unstated))).result() == found
        missing = {fact.path for fact in line.answer.missing}
        assert missing <= set(unstated)
        assert bool(missing) == (line.answer.determination is Determination.INFORMATION_NEEDED)
        asking += bool(missing)
        if not missing:
            for one in completions(rng, requests, asked, unstated):
                word, reasons, months = wanted(one, of)
                assert (word, months) == (line.answer.determination.value, line.answer.months)
                assert set(reasons) <= set(line.answer.reasons)
    assert 0 < asking < 150


@pytest.mark.parametrize("name", NAMES)
def test_who_answers_what_is_asked_is_decided_alike(name: str) -> None:
    """From nothing but what every request states, question after question."""
    rng, of = Random(f"{name} asked"), policy(name)
    requests = Requests(of.document)

    for _ in range(40):
        asked = requests.complete(rng)
        unstated = list(requests.statable())
        [line] = of.determine(as_case(asked, unstated)).lines
        while line.answer.missing:
            unstated = [path for path in unstated if path not in {fact.path for fact in line.answer.missing}]
            [line] = of.determine(as_case(asked, unstated)).lines
        word, reasons, months = wanted(asked, of)
        assert (line.answer.determination.value, line.answer.months) == (word, months)
        assert set(reasons) <= set(line.answer.reasons)
