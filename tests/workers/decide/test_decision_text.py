"""A decision as text: the words and digests of sentences are the document's, where the document is known."""

import json
from collections.abc import Iterable
from functools import cache

import pytest
from rich.console import Console

from events.decision import Decision
from policy_core.document.models import PolicyDocument
from policy_core.history.library import Library
from policy_core.loading.check import cited_parts
from tests.support.every_decision import EXAMPLES
from tests.support.packaged import packaged_library
from workers.decide.commands import explained
from workers.decide.decision_text import explanation, sections

NAMES = sorted(file.stem for file in (EXAMPLES / "authorization.decided.v1" / "valid").iterdir())


@cache
def library() -> Library:
    return packaged_library()


def document() -> PolicyDocument:
    return library()["L.2.03.402"].document


def example(name: str) -> Decision:
    file = EXAMPLES / "authorization.decided.v1" / "valid" / f"{name}.json"
    return Decision.model_validate_json(json.dumps(json.loads(file.read_bytes())["data"]))


def rows(decision: Decision, known: PolicyDocument | None) -> dict[str, list[tuple[str, str]]]:
    return {title: list(some) for title, some in sections(decision, known)}


def printed(decision: Decision, known: PolicyDocument | None) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(explanation(decision, known))
    return captured.get()


def words_of(some: Iterable[tuple[str, str]]) -> set[str]:
    return {words for _, words in some}


def test_statements_have_the_words_of_the_document() -> None:
    says = {part.id: part.says for _, part in cited_parts(document())}

    found = rows(example("everything-stated"), document())["Why, statement by statement"]

    stated = {left.split(":")[0]: words for left, words in found if ": " in left}
    assert {"S1", "S2", "S3", "S4"} <= set(stated)
    assert stated == {name: says[name] for name in stated}


def test_statements_of_an_unknown_document_have_their_sentences() -> None:
    decision = example("everything-stated")
    named = {reference.id for reference in decision.references}
    assert decision.trace is not None
    cites = {one.id: ", ".join(one.cites) for edition in decision.trace.editions for one in edition.statements}

    found = rows(decision, None)["Why, statement by statement"]

    stated = {left.split(":")[0]: words for left, words in found if ": " in left}
    assert stated.keys() == cites.keys()
    assert {name: words for name, words in stated.items() if name not in named} == {
        name: f"see {sentences}" for name, sentences in cites.items() if name not in named
    }


@pytest.mark.parametrize("name", NAMES)
def test_sentences_have_the_digests_of_the_document(name: str) -> None:
    decision, title = example(name), "Sentences of the published text it rests on"
    digests = {
        (part.id, f"{one.section} {one.ordinal}"): f"sha256 {one.sha256}"
        for _, part in cited_parts(document())
        for one in part.cites
    }

    known, unknown = rows(decision, document())[title], rows(decision, None)[title]

    assert [left for left, _ in known] == [left for left, _ in unknown]
    assert words_of(unknown) <= {"the policy document has its digest"}
    assert known == [(left, digests[tuple(left.split(": ", 1))]) for left, _ in known]  # type: ignore[index]  # two parts


@pytest.mark.parametrize("name", NAMES)
def test_what_a_line_names_has_its_words_without_the_document(name: str) -> None:
    """Guidance and what a determination rests on have their words in the decision itself."""
    decision = example(name)

    assert rows(decision, None)["Said beside it"] == rows(decision, document())["Said beside it"]
    for reference in decision.references:
        if any(reference.id in line.guidance for line in decision.lines):
            assert reference.says in words_of(rows(decision, None)["Said beside it"])


def test_an_approval_says_until_when_it_holds() -> None:
    (line,) = example("policy-named").lines

    assert line.valid_through is not None
    assert f"line 1  approved through {line.valid_through}" in printed(example("policy-named"), None)
    assert "approved through" not in printed(example("modified-leukocytes"), document())


@pytest.mark.parametrize("name", NAMES)
def test_a_decision_names_its_document_and_is_printed_whole(name: str) -> None:
    decision = example(name)
    for text in (printed(decision, document()), printed(decision, None)):
        assert f"sha256 {decision.policies[0].sha256}" in text
        assert f"sha256 {decision.policies[0].known_through}" in text
        assert decision.decision_id in text


def test_explain_reads_the_document_of_the_decisions_policy() -> None:
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(explained(example("everything-stated"), library()))

    assert captured.get() == printed(example("everything-stated"), document())


def test_a_decision_after_review_says_who_said_what() -> None:
    file = EXAMPLES / "authorization.decided.v1" / "after-review" / "modified-leukocytes.json"
    decision = Decision.model_validate_json(json.dumps(json.loads(file.read_bytes())["data"]))

    found = rows(decision, document())["What the reviewers said"]

    assert found == [
        ("replaces", f"decision {decision.supersedes_decision}"),
        ("line 1", "A3 not certified, 2025-06-12T04:58:00-05:00"),
        ("", "physician, licensed in MS, hematology, NPI 1234567893; verdict RV-2025-0001"),
        ("", "reason 0V: The records show no indication that the policy covers."),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_decision_on_a_request_says_nothing_of_reviewers(name: str) -> None:
    assert rows(example(name), document())["What the reviewers said"] == []
