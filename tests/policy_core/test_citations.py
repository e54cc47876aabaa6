"""A published text and the citations of it: what a sentence is, and what is seen when the two part ways."""

from hashlib import sha256
from pathlib import Path

import pytest

from policy_core.citations import SentencePlace, SourceReport, digest, sentences, verify
from policy_core.document.models import PolicyDocument
from policy_core.loading.check import places
from policy_core.loading.load import load
from tests.support.cases import OTHER_TEXT, other
from tests.support.places import POLICIES
from tests.support.published_texts import pairs

PUBLISHED = OTHER_TEXT.read_text("utf-8")


def held_against(text: str, document: PolicyDocument | None = None) -> SourceReport:
    document = document or other().document
    return verify(places(document), document.source.sections, text)


def homeless(report: SourceReport) -> list[tuple[int, str]]:
    return [(sentence.line, sentence.text) for sentence in report.without_home]


def lost(report: SourceReport) -> list[tuple[str, int, str]]:
    return [(place.section, place.ordinal, place.claimed_by) for place in report.without_sentence]


# --- sentences -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("One. Two? Three! Four", ["One.", "Two?", "Three!", "Four"]),
        ("As e.g. Basal, i.e. Long-acting, vs. None.", ["As e.g. Basal, i.e. Long-acting, vs. None."]),
        ("See No. 7 of Dr. Who in St. Louis, U.S. Code.", ["See No. 7 of Dr. Who in St. Louis, U.S. Code."]),
        ("A. Consistent with it; and", ["A. Consistent with it; and"]),
        ("12. Appropriate.", ["12. Appropriate."]),
        ("As follows. A. Consistent. B. Safe.", ["As follows.", "A. Consistent.", "B. Safe."]),
        ("Type A. Then type B.", ["Type A.", "Then type B."]),
        ('It is "good." Next.', ['It is "good."', "Next."]),
        ("It is “good.” Next (see there.) Last.", ["It is “good.”", "Next (see there.)", "Last."]),
        ("It ends. “Another” begins. (So does this.)", ["It ends.", "“Another” begins.", "(So does this.)"]),
        ("From 2.5 to 99.09 and 2.03.03 on.", ["From 2.5 to 99.09 and 2.03.03 on."]),
        ("It ends. but goes on.", ["It ends. but goes on."]),
        ("1/1/2018: Approved.", ["1/1/2018: Approved."]),
        ("99.09 | of A. B. | or C", ["99.09 | of A.", "B. | or C"]),
        ("E2103 | listed in 2022", ["E2103 | listed in 2022"]),
        ("  Runs \t of   white\u00a0space. ", ["Runs of white space."]),
        ("", []),
    ],
)
def test_a_sentence_ends_where_the_rules_say(line: str, expected: list[str]) -> None:
    assert expected == [sentence.text for sentence in sentences(line)]


def test_a_line_break_always_ends_a_sentence() -> None:
    """A line break always ends a sentence, and lines are counted from one."""
    found = sentences("A heading\n\nOne. Two\nthree.")

    expected = [(1, "A heading"), (3, "One."), (3, "Two"), (4, "three.")]
    assert expected == [(sentence.line, sentence.text) for sentence in found]


@pytest.mark.parametrize("written", ["\ufeffOne. Two.\nThree.", "One. Two.\r\nThree.\r\n", "One.  Two.\n\nThree."])
def test_marks_of_an_editor_change_no_sentence(written: str) -> None:
    plain = [sentence.sha256 for sentence in sentences("One. Two.\nThree.")]

    assert plain == [sentence.sha256 for sentence in sentences(written)]


def test_a_digest_is_the_sha256_of_the_normalized_sentence() -> None:
    """A digest is the SHA-256 of the sentence in UTF-8 with single spaces."""
    expected = sha256("“Good” care.".encode()).hexdigest()

    assert expected == digest("“Good”  care.")
    assert expected == digest(" “Good”\n care. ")
    assert expected != digest("“good” care.")


# --- a document against its text -------------------------------------------------------------------


def test_the_text_a_document_was_written_from_agrees_with_it() -> None:
    report = held_against(PUBLISHED)

    assert SourceReport(17, (), ()) == report
    assert report.agrees


def test_a_changed_letter_breaks_a_sentence_and_its_citations() -> None:
    """A changed letter leaves a sentence without a home and its citations without a sentence."""
    report = held_against(PUBLISHED.replace("For gestational diabetes", "for gestational diabetes"))

    assert homeless(report) == [(3, "for gestational diabetes a monitor is considered investigational.")]
    assert lost(report) == [("coverage", 4, "gestational")]
    assert not report.agrees


def test_every_claiming_element_misses_a_removed_sentence() -> None:
    """Every element that claims a removed sentence is reported as missing it."""
    report = held_against(PUBLISHED.replace("The member must be trained in its use, e.g. By a nurse.\n", ""))

    assert homeless(report) == []
    assert lost(report) == [("coverage", 5, "training"), ("coverage", 5, "presumption of clinical.trained")]


def test_an_added_sentence_has_no_home() -> None:
    report = held_against(PUBLISHED.replace("Its answer stands.", "Its answer stands. Ask early."))

    assert homeless(report) == [(7, "Ask early.")]
    assert lost(report) == []
    assert not report.agrees


def test_a_moved_sentence_is_seen() -> None:
    moved = "For gestational diabetes a monitor is considered investigational."
    report = held_against(PUBLISHED.replace(f"{moved}\n", "") + moved)

    assert homeless(report) == [(15, moved)]
    assert lost(report) == [("coverage", 4, "gestational")]


def test_a_sentence_that_stands_twice_needs_two_citations() -> None:
    twice = "E2103 | listed in January 2022\n"
    report = held_against(PUBLISHED.replace(twice, twice * 2))

    assert [text for _, text in homeless(report)] == [twice.strip()]
    assert lost(report) == []

    cited = [SentencePlace("only", ordinal, digest("Again."), "element") for ordinal in (1, 2)]
    assert verify(cited, ["only"], "Again. Again.").agrees
    assert not verify(cited, ["only"], "Again.").agrees


def test_two_elements_may_claim_one_sentence() -> None:
    cited = [SentencePlace("only", 1, digest("One."), element) for element in ("first", "second")]

    assert verify(cited, ["only"], "One.").agrees
    assert lost(verify(cited, ["only"], "Won.")) == [("only", 1, "first"), ("only", 1, "second")]


def test_sections_follow_the_order_of_the_source() -> None:
    """Sections stand in the order of the source and not in that of the document."""
    cited = [SentencePlace("later", 1, digest("Two."), "a"), SentencePlace("earlier", 1, digest("One."), "b")]

    assert verify(cited, ["earlier", "later"], "One. Two.").agrees
    assert not verify(cited, ["later", "earlier"], "One. Two.").agrees


def test_an_ordinal_that_skips_a_sentence_is_noticed() -> None:
    """An ordinal that skips a sentence is noticed although every digest fits."""
    cited = [SentencePlace("only", ordinal, digest(text), text) for ordinal, text in ((1, "One."), (3, "Two."))]

    assert lost(verify(cited, ["only"], "One. Two.")) == [("only", 3, "Two.")]


# --- documents against their texts -----------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A pair for the invented policy, and one for each packaged policy whose text `--published-texts` has."""
    if "document_and_text" in metafunc.fixturenames:
        found = pairs(metafunc.config)
        metafunc.parametrize("document_and_text", found, ids=[file.stem for file, _ in found])


def test_a_document_agrees_with_its_published_text(document_and_text: tuple[Path, Path]) -> None:
    file, text = document_and_text

    report = held_against(text.read_text("utf-8"), load(file))

    assert (homeless(report), lost(report)) == ([], [])
    assert report.sentences > 0


def test_recorded_digests_are_those_of_the_published_text(document_and_text: tuple[Path, Path]) -> None:
    """Where the digests of a published text are recorded beside the tests, they are that text's, in its order."""
    _, text = document_and_text
    recorded = POLICIES / text.name.replace(".source.txt", ".sentences.txt")
    lines = recorded.read_text("utf-8").splitlines() if recorded.exists() else None
    found = [one.sha256 for one in sentences(text.read_text("utf-8"))]

    assert lines is None or [line for line in lines if not line.startswith("#")] == found
    assert found
