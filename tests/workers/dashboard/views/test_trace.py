"""A trace on a page: the case on top, the whole chain, every answer; due only while it still is."""

import json
from typing import Any

import pytest

from events.decision import PolicyDocumentReference
from events.origin_headers import RecordPosition
from policy_core.document.models import PolicyDocument
from tests.support.case_records import NOW, board_of, case, written
from tests.support.every_decision import EXAMPLES
from tests.support.packaged import packaged_library
from workers.configuration.settings import read
from workers.dashboard.data.consumer import Reader
from workers.dashboard.views.trace import Section, Standing, TracePage, trace_page
from workers.ledger.trace import Answer, Event, Trace, Traced

NUMBER = "L.2.03.402"
NOT_OPEN = Standing(known=True)


def example(kind: str, name: str) -> Any:
    return json.loads((EXAMPLES / kind / "valid" / f"{name}.json").read_bytes())["data"]


def event(data: Any, topic: str = "authorization.decisions", offset: int = 1) -> Event:
    return Event(RecordPosition(topic, 0, offset), data, round(NOW.timestamp() * 1000))


def decided(name: str = "everything-stated") -> Answer:
    request = event(example("authorization.requested.v1", name), "authorization.requests")
    return Answer("decision", 0, event(example("authorization.decided.v1", name)), request)


def traced(*answers: Answer, request_id: str = "R-1", **changes: Any) -> Traced:
    fields: dict[str, Any] = {"newest": True, "supersedes": None, "refused": False}
    return Traced(request_id, answers=answers, **(fields | changes))


def no_document(_named: PolicyDocumentReference) -> PolicyDocument | None:
    return None


def shown(*chain: Traced, standing: Standing = NOT_OPEN, documents: Any = no_document) -> TracePage:
    return trace_page(Trace("R-1", chain, ()), documents, standing, NOW)


def part(page: TracePage, title: str) -> Section:
    return next(section for section in page.sections if section.title.startswith(title))


def test_a_reader_knows_the_documents_of_every_revision() -> None:
    reader, library = Reader(read()), packaged_library()

    for one in library.chain(NUMBER):
        named = PolicyDocumentReference(number=NUMBER, sha256=one.sha256, known_through=one.digest)
        assert reader.document(named) == one.document
    unknown = PolicyDocumentReference(number=NUMBER, sha256="0" * 64, known_through="0" * 64)
    other = named.model_copy(update={"number": "EV-12"})
    assert (reader.document(unknown), reader.document(other)) == (None, None)


def test_a_decision_has_the_words_of_its_document_if_known() -> None:
    known = shown(traced(decided()), documents=Reader(read()).document)
    unknown = shown(traced(decided()))
    why, sentences = "Why, statement by statement", "Sentences of the published text it rests on"

    assert all(text.startswith("sha256 ") for _, text in part(known, sentences).rows)
    assert not any(text.startswith("see ") for _, text in part(known, why).rows)
    assert {text for _, text in part(unknown, sentences).rows} == {"the policy document has its digest"}
    assert any(text.startswith("see ") for _, text in part(unknown, why).rows)


def test_the_case_comes_first_with_what_was_asked() -> None:
    page = shown(traced(decided()))
    request = example("authorization.requested.v1", "everything-stated")
    rows = dict(page.sections[0].rows)

    assert page.sections[0].title == "The case"
    assert rows["received"] == "2026-03-02T12:00:00.000Z"
    assert (rows["urgency"], rows["plan"]) == (request["urgency"], request["member"]["line_of_business"])
    assert set(rows["service dates"].split(", ")) == {one["service_date"] for one in request["service_lines"]}
    assert all(one["code"] in rows["diagnoses"] for one in request["diagnoses"])
    assert request["member"]["member_id"] not in str(page)


def test_facts_are_shown_by_name() -> None:
    names = [name for name, _ in part(shown(traced(decided())), "The facts").rows]

    assert {"malignancy", "transplant type", "disease status"} <= set(names)
    assert not any("clinical" in name for name in names)


def test_it_is_due_only_while_its_case_is_open() -> None:
    """A due date is that of the open case; a request whose case is closed is not due any more."""
    [still] = board_of([written(case())])
    pended = decided("autologous-transplant")
    assert pended.event.data is not None
    assert pended.event.data["due_at"]

    is_open = shown(traced(pended), standing=Standing(True, still))
    closed = shown(traced(pended))
    unknown = shown(traced(pended), standing=Standing(known=False))

    assert ", due 2026-03-02T13:00:00+00:00" in is_open.headline
    assert dict(is_open.sections[0].rows)["acts next"] == "a physician"
    assert [", due " in page.headline or "due" in dict(page.sections[0].rows) for page in (closed, unknown)] == [
        False
    ] * 2
    assert [dict(page.sections[0].rows)["stands"][:9] for page in (closed, unknown)] == ["not open:", "not known"]


def test_the_whole_chain_is_shown_with_refused_links() -> None:
    first = traced(decided(), request_id="R-0", newest=False)
    last = traced(request_id="R-2", newest=False, supersedes="R-1", refused=True)
    page = shown(first, traced(decided(), supersedes="R-0"), last)

    chain = part(page, "The chain")
    assert [line[:2] for line in chain.lines] == [("R-0", ""), ("R-1", "R-0"), ("R-2", "R-1")]
    assert [line[3] for line in chain.lines] == ["", "newest", ""]
    assert dict(part(page, "Of its links").rows) == {"R-2": "its link to R-1 is refused: it would close a circle"}


@pytest.mark.parametrize("name", ["npi-wrong-check-digit", "truncated-json", "unknown-policy"])
def test_a_dead_letter_says_why_nothing_was_decided(name: str) -> None:
    letter = example("authorization.dead_lettered.v1", name)
    page = shown(traced(Answer("dead_letter", 0, event(letter), None)))

    assert page.headline == f"Request R-1: not decided, {letter['reason'].replace('_', ' ')}"
    rows = part(page, "The answer").rows
    assert rows[0] == ("why", letter["message"])
    assert {error["message"] for error in letter["errors"]} <= {text for _, text in rows}


def test_verdicts_and_deadlines_are_part_of_the_story() -> None:
    reviewed = example("authorization.reviewed.v1", "everything-stated")
    announced = example("authorization.deadline.v1", "modified-leukocytes") | {"kind": "due_soon"}
    final = Answer("decision", 0, decided().event, None, event(reviewed))
    deadlines = [announced, announced | {"kind": "overdue"}, None, {"kind": "late"}]
    page = shown(traced(decided(), final, deadlines=tuple(map(event, deadlines))))

    sent = dict(part(page, "What the review system sent").rows)
    assert (sent["verdict"], sent["on decision"]) == (reviewed["verdict_id"], reviewed["decision_id"])
    texts = [text for _, text in part(page, "What was announced of its deadlines").rows]
    assert [text.split(":")[0] for text in texts] == [
        "due soon",
        "overdue",
        "no longer kept there",
        "of a shape that this version does not know",
    ]
    assert dict(page.sections[0].rows)["received"] != "", "of the request, not of the verdict"


def test_of_an_invalid_verdict_nothing_is_shown() -> None:
    invalid = event({"verdict_id": "John Doe", "decided_at": "at noon"})
    page = shown(traced(Answer("dead_letter", 0, event({}), None, invalid)))

    assert "John Doe" not in str(page)
    assert ("", "is no valid verdict or extension") in part(page, "What the review system sent").rows


def test_all_answers_are_shown_and_what_is_gone_says_so() -> None:
    gone = Answer("decision", 0, event(None), event(None))
    strange = Answer("decision", 0, event({"action": "A9"}), None)
    page = shown(traced(gone, strange, decided()))

    titles = [section.title for section in page.sections if section.title.startswith("Answer ")]
    assert [title[:12] for title in titles] == ["Answer 1 of 3", "Answer 2 of 3", "Answer 3 of 3"] or len(titles) == 3
    assert ("", "no longer kept there") in part(page, "Answer 1").rows
    assert ("", "of a shape that this version does not know") in part(page, "Answer 2").rows
