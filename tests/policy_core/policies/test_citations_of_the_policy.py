"""The packaged policy's citations: each part names the sentence that says it, by the text's own order."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby

import pytest

from policy_core.document.models import Citation, Revision, RevisionKind
from policy_core.loading.check import citations
from tests.support.cases import packaged
from tests.support.places import POLICIES

DOCUMENT = packaged().document
EVERY = [(claimed_by, citation) for _, claimed_by, citation in citations(DOCUMENT)]
SENTENCES = POLICIES / "L.2.03.402.sentences.txt"
"""The digest of each sentence of the published text, in its order: taken from the text, and never from the document."""


def published() -> list[str]:
    lines = SENTENCES.read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def places(cited: Iterable[Citation]) -> list[tuple[str, int]]:
    return [(one.section, one.ordinal) for one in cited]


def in_the_texts_order() -> list[tuple[str, int]]:
    found = set(places(citation for _, citation in EVERY))
    return sorted(found, key=lambda one: (DOCUMENT.source.sections.index(one[0]), one[1]))


# --- all of the text -----------------------------------------------------------------------------------------------


def test_every_sentence_of_a_section_is_claimed_by_its_number() -> None:
    """The sentences of each section are cited from the first on, and no number is left out."""
    for section, found in groupby(in_the_texts_order(), key=lambda one: one[0]):
        numbers = [number for _, number in found]
        assert numbers == list(range(1, len(numbers) + 1)), f"{section}: a sentence is not claimed, or misnumbered"


def test_each_citation_has_the_digest_of_the_sentence_there() -> None:
    """What stands at a place of the published text has the digest that every part citing the place expects."""
    claimed, found = in_the_texts_order(), published()
    assert len(claimed) == len(found), "the document claims more or fewer sentences than were published"
    expected = dict(zip(claimed, found, strict=True))

    wrong = [
        f"{claimed_by} cites {one.section} {one.ordinal}, whose digest is another: the sentence reads otherwise"
        for claimed_by, one in EVERY
        if one.sha256 != expected[one.section, one.ordinal]
    ]
    assert wrong == []


# --- the statements ------------------------------------------------------------------------------------------------


def test_the_statements_are_the_policys_sentences_in_order() -> None:
    """Prior authorization is the policy's first sentence, and each statement is one of those behind it, in order."""
    required = DOCUMENT.prior_authorization
    assert required is not None
    cited = [places(one.cites) for one in (required, *DOCUMENT.statements)]

    assert cited == [[("policy", number)] for number in range(1, len(DOCUMENT.statements) + 2)]


@pytest.mark.parametrize("indication", DOCUMENT.indications, ids=lambda one: one.id)
def test_an_indication_cites_the_sentence_of_its_statement(indication: object) -> None:
    """An indication stands in its statement's sentence, and what else it cites is a guideline."""
    one = next(one for one in DOCUMENT.indications if one is indication)
    [statement] = [other for other in DOCUMENT.statements if other.id == one.statement]
    first, *more = one.cites

    assert (first,) == statement.cites, f"{one.id} cites another sentence than {statement.id}"
    assert {other.section for other in more} <= {"guidelines"}


# --- the history ---------------------------------------------------------------------------------------------------


def test_revisions_cite_the_history_from_first_to_last() -> None:
    """The history's sentences belong to the revisions in order, each to one, so none is of another revision's day."""
    cited = [place for revision in DOCUMENT.revisions for place in places(revision.cites)]

    assert all(revision.cites for revision in DOCUMENT.revisions)
    assert cited == [("history", number) for number in range(1, len(cited) + 1)]


def test_codes_that_history_tells_of_cite_revisions_of_codes() -> None:
    """A code that the list no longer shows cites the entries that listed, noted or removed it, the last one's too."""
    revisions = {place: one for one in DOCUMENT.revisions for place in places(one.cites)}
    for code in DOCUMENT.codes.listed:
        told = [revisions[place] for place in places(code.cites) if place[0] == "history"]
        assert bool(told) == (code.listed.until is not None), f"{code.code} is or is not on today's list"
        assert all(RevisionKind.CODE in one.kinds for one in told), f"{code.code} cites an entry that is of no code"
        assert {one.date for one in told} >= {code.listed.until} - {None}, f"{code.code} does not cite its removal"


WORDS: dict[RevisionKind, tuple[str, ...]] = {
    RevisionKind.APPROVAL: ("approved by",),
    RevisionKind.STATEMENT: ("statement on", "statement revised", "revised to agree"),
    RevisionKind.GUIDELINE: ("guidelines",),
    RevisionKind.DEFINITION: ("definition", "terms"),
    RevisionKind.DESCRIPTION: ("described", "description brought"),
    RevisionKind.CODE: ("codes", "cpt", "icd"),
    RevisionKind.NUMBER: ("number",),
    RevisionKind.TITLE: ("title", "renamed"),
    RevisionKind.EXCEPTION: ("exceptions",),
    RevisionKind.EDITORIAL: ("place of service",),
    RevisionKind.REVIEW: ("reviewed", "statements unchanged"),
}
"""How an entry of the history says what it is; each as it stands in no entry of another kind."""


def kinds_told(revision: Revision) -> set[RevisionKind]:
    """What an entry's own sentence says that the revision did."""
    says = revision.says.lower()
    says = says.replace("the description of 38242", "")
    return {kind for kind, words in WORDS.items() if any(word in says for word in words)}


@pytest.mark.parametrize("revision", DOCUMENT.revisions, ids=lambda one: str(one.date))
def test_a_revision_is_of_the_kinds_that_its_entry_tells(revision: Revision) -> None:
    """A revision's kinds are what its sentence says was done, no more and no fewer."""
    assert set(revision.kinds) == kinds_told(revision)


def test_what_changes_on_a_day_is_told_by_that_days_revision() -> None:
    """Statements, codes, exceptions and numbers begin or end with a revision that says it did just that."""
    began: dict[RevisionKind, set[object]] = defaultdict(set)
    first = DOCUMENT.revisions[0].date
    began[RevisionKind.STATEMENT] = {one.since for one in DOCUMENT.editions if one.on_record}
    began[RevisionKind.CODE] = {day for one in DOCUMENT.codes.listed for day in (one.listed.since, one.listed.until)}
    began[RevisionKind.EXCEPTION] = {one.since for other in DOCUMENT.exceptions for one in other.outcomes}
    began[RevisionKind.NUMBER] = {one.date for one in DOCUMENT.revisions if one.number is not None}
    for kind, days in began.items():
        told = {one.date for one in DOCUMENT.revisions if kind in one.kinds}
        assert days - {first, None} <= told, f"something of the kind {kind} changes on a day that tells of none"
    assert began[RevisionKind.NUMBER] == {one.date for one in DOCUMENT.revisions if RevisionKind.NUMBER in one.kinds}
