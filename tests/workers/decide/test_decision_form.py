"""The form of a decision: nothing twice, nothing empty, and every name and sentence is the policy document's."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from events.decode import decode
from policy_core.history.library import Library
from policy_core.loading.check import cited_parts, places
from tests.support import generator
from tests.support.packaged import packaged_library
from tests.support.places import ROOT
from tests.support.requests import record
from workers.configuration.settings import read
from workers.decide.handler import DecisionHandler, decide

Json = dict[str, Any]

SIZED = 5_000
LARGEST_AVERAGE = 3_250
"""Bytes of a record's value. Decisions are kept for seven years, so their size is most of what is kept."""
ALWAYS_PRESENT = {"reasons", "missing"}
OWN_VALUES = {"value"}
"""A fact of the request: an empty list there means that none applies."""
RESERVED_OF_A_DECISION = {"supersedes_decision"}
RESERVED_OF_A_LINE = {"authorized", "review"}


@cache
def library() -> Library:
    return packaged_library()


@cache
def decisions() -> list[Json]:
    made = (decode(generator.encode(item), bare_allowed=True) for item in generator.requests(71, 2_000))
    return [json.loads(decide(received, library()).to_json()) for received in made]


def empty_lists(value: Any, name: str = "") -> Iterator[str]:
    """The names of lists, objects and texts that are empty."""
    if value in ([], {}, ""):
        yield name
    parts = (
        value.items() if isinstance(value, dict) else [(name, one) for one in value] if isinstance(value, list) else []
    )
    for inner, part in parts:
        yield from empty_lists(part, inner)


def sentences(value: Any) -> Iterator[str]:
    """Every sentence that is cited anywhere in a decision."""
    if isinstance(value, dict):
        yield from value.get("cites", ())
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from sentences(part)


def cites_of_the_document() -> dict[str, list[str]]:
    document = library()["L.2.03.402"].document
    return {part.id: [f"{one.section} {one.ordinal}" for one in part.cites] for _, part in cited_parts(document)}


def test_only_reasons_and_missing_are_ever_empty() -> None:
    found = {name for decision in decisions() for name in empty_lists(decision)}

    assert found == ALWAYS_PRESENT | OWN_VALUES
    assert all(line.keys() >= ALWAYS_PRESENT for decision in decisions() for line in decision["lines"])


def test_references_are_the_parts_that_lines_name() -> None:
    """Each reference is named by a line, and each part that a line names has one reference."""
    for decision in decisions():
        named = {name for line in decision["lines"] for part in ("rests_on", "guidance") for name in line.get(part, ())}
        references = [reference["id"] for reference in decision.get("references", ())]

        assert sorted(references) == sorted(named)


def test_references_have_the_words_and_sentences_of_the_document() -> None:
    parts = {part.id: part for _, part in cited_parts(library()["L.2.03.402"].document)}
    cites = cites_of_the_document()
    seen = {json.dumps(one) for decision in decisions() for one in decision.get("references", ())}

    assert len(seen) > 10
    for reference in map(json.loads, seen):
        assert reference["says"] == parts[reference["id"]].says
        assert reference.get("cites", []) == cites[reference["id"]]


def test_each_cited_sentence_exists_in_the_document() -> None:
    in_document = {f"{place.section} {place.ordinal}" for place in places(library()["L.2.03.402"].document)}
    cited = {sentence for decision in decisions() for sentence in sentences(decision)}

    assert len(cited) > 10
    assert cited <= in_document


def test_traced_statements_cite_what_the_document_cites() -> None:
    cites = cites_of_the_document()
    traced = {
        (statement["id"], tuple(statement.get("cites", ())))
        for decision in decisions()
        for edition in decision.get("trace", {}).get("editions", ())
        for statement in edition["statements"]
    }

    assert {name for name, _ in traced} >= {"S1", "S2", "S3", "S4", "S1-relapsed"}
    assert traced == {(name, tuple(cites[name])) for name, _ in traced}


def test_a_trace_is_there_if_clinical_statements_were_evaluated() -> None:
    for decision in decisions():
        editions = {line["edition"] for line in decision["lines"] if "edition" in line}
        traced = {edition["since"] for edition in decision.get("trace", {}).get("editions", ())}

        assert traced == editions
        assert ("trace" in decision) == any(line["step"] == "clinical_statements" for line in decision["lines"])
    assert {"trace" in decision for decision in decisions()} == {True, False}


def test_each_policy_of_a_line_is_identified_once() -> None:
    policy = library()["L.2.03.402"]
    identified = {"number": policy.number, "sha256": policy.sha256, "known_through": policy.known_through}
    for decision in decisions():
        assert {line["policy"]["number"] for line in decision["lines"]} == {policy.number}
        assert decision["policies"] == [identified]


def test_approvals_alone_have_a_last_day() -> None:
    """Every approval has a last day, and nothing else has one: only commercial members are approved."""
    lines = [line for decision in decisions() for line in decision["lines"]]

    assert [line for line in lines if (line["action"] == "A1") != ("valid_through" in line)] == []
    assert {line["action"] for line in lines} >= {"A1", "A4"}


def test_what_is_reserved_for_verdicts_is_not_written() -> None:
    for decision in decisions():
        assert decision.keys() & RESERVED_OF_A_DECISION == set()
        assert [line for line in decision["lines"] if line.keys() & RESERVED_OF_A_LINE] == []


@pytest.mark.parametrize("stage", ["recommendation", "open", "final"])
def test_the_stage_says_whom_pended_lines_wait_for(stage: str) -> None:
    reviewers = {"physician_reviewer", "medical_policy_reviewer", "case_management"}
    found = [decision for decision in decisions() if decision["stage"] == stage]

    assert found
    for decision in found:
        waiting = {line["acts_next"] for line in decision["lines"] if line["action"] == "A4"}
        expected = "recommendation" if waiting & reviewers else "open" if "provider" in waiting else "final"
        assert expected == stage
        assert (stage == "final") == (decision["action"] != "A4")


def test_a_decisions_record_is_small() -> None:
    """A decision's record has fewer bytes on average than its bound, and as many as its page says."""
    handler = DecisionHandler(library(), read(topic_prefix="t.", mode="structured"))
    requests = [generator.encode(item) for item in generator.requests(72, SIZED)]

    answers = [one for at, value in enumerate(requests) for one in handler([record(value, at)])]

    sizes = [len(one.value) for one in answers if one.topic == "t.authorization.decisions"]
    average = sum(sizes) / len(sizes)
    assert len(sizes) == SIZED
    assert average <= LARGEST_AVERAGE
    (page,) = re.findall(r"has ([0-9,]+) bytes on average", (ROOT / "events" / "README.md").read_text("utf-8"))
    assert page == f"{round(average, -2):,.0f}"
