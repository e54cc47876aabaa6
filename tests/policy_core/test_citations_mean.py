"""A document's parts against the words of the sentences they cite: each says what the sentence says.

Held against the invented policy's text always, and against the packaged ones' where `--published-texts` has them.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from policy_core.citations import sentences
from policy_core.determinations import Determination
from policy_core.document.models import Citation, PolicyDocument
from policy_core.loading.load import load
from tests.support.published_texts import pairs

SAID = {
    Determination.MEDICALLY_NECESSARY: "may be medically necessary|may be considered medically necessary",
    Determination.INVESTIGATIONAL: "considered investigational",
}
WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "L.2.03.402": {
        "S1": ("medically necessary for the treatment of a hematologic", "relapsed or is refractory", "mixed to full"),
        "S2": ("considered investigational for the treatment of a hematologic",),
        "S3": ("nonhematologic", "allogeneic"),
        "S4": ("modification", "leukocytes"),
        "prior-authorization": ("no benefits", "prior authorization", "case management"),
        "federal-employee-program": ("federal employee program",),
        "state-and-school-employees": ("state and school employee", "utilization review vendor"),
        "benefit-plan-language": ("benefit plan language",),
        "donor-leukapheresis": ("leukapheresis", "recipient"),
        "stored-leukocytes": ("chronic myelogenous", "acute myelogenous", "stored"),
        "high-risk-settings": ("high risk", "depleted", "nonmyeloablative"),
        "medically-necessary": ("medically necessary is defined", "convenience", "prescribed"),
        "investigative": ("investigative is defined", "final approval"),
        "what-it-is": ("same donor",),
        "code-list": ("comprehensive list", "only medically necessary"),
    },
    "EV-12": {
        "covered": ("type 1", "hypoglycemia"),
        "gestational": ("gestational",),
        "training": ("trained",),
        "no-professionals": ("professional",),
    },
}
"""What must be in the sentences that a part cites: a few words each, as anybody would look for them."""


class Read:
    """A document beside its text."""

    def __init__(self, file: Path, text: Path) -> None:
        self.document: PolicyDocument = load(file)
        self._by_digest = {one.sha256: one.text for one in sentences(text.read_text("utf-8"))}

    def of(self, cites: Iterable[Citation]) -> list[str]:
        """The sentences that are cited; empty where the text has none of that digest."""
        return [self._by_digest.get(one.sha256, "") for one in cites]


@cache
def read_from(file: Path, text: Path) -> Read:
    return Read(file, text)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pair" in metafunc.fixturenames:
        found = pairs(metafunc.config)
        metafunc.parametrize("pair", found, ids=[file.stem for file, _ in found])


@pytest.fixture
def read(pair: tuple[Path, Path]) -> Read:
    return read_from(*pair)


def test_a_statement_cites_a_sentence_that_determines_so(read: Read) -> None:
    """The sentence behind each certifying or investigational outcome says just that of the infusion or device."""
    statements = {one.id: one for one in read.document.statements}
    seen = 0
    for rule in read.document.rules:
        for outcome in rule.outcomes:
            for name in outcome.rests_on if outcome.determination in SAID else ():
                said = " ".join(read.of(statements[name].cites)).lower()
                assert re.search(SAID[outcome.determination], said), f"{name} does not say {outcome.determination}"
                seen += 1
    assert seen > 1


def test_a_part_cites_the_sentence_that_has_its_words(read: Read) -> None:
    """Each part that decides, or is said beside a decision, cites sentences with the words that make it what it is."""
    document = read.document
    required = [document.prior_authorization] if document.prior_authorization is not None else []
    parts = [*document.statements, *document.exceptions, *document.guidance, *document.definitions]
    cited = {one.id: one.cites for one in [*parts, *document.description, *required, document.codes]}
    for name, words in WORDS[document.number].items():
        said = " ".join(read.of(cited[name])).lower()
        said = re.sub(r"[^a-z0-9]+", " ", said)
        missing = [word for word in words if re.sub(r"[^a-z0-9]+", " ", word) not in said]
        assert missing == [], f"{name} cites a sentence that says something else"


def test_a_revision_cites_the_entry_of_its_own_day(read: Read) -> None:
    """The first sentence that a revision cites is the history's entry of its date, and the others have no date."""
    for revision in read.document.revisions:
        first, *others = read.of(revision.cites)
        assert _dated(first) == revision.date, f"the revision of {revision.date} cites the entry of another day"
        assert [_dated(one) for one in others] == [None] * len(others)


def test_a_listed_code_cites_the_sentence_that_names_it(read: Read) -> None:
    """Whatever a listed code cites of the list names the code itself, and of the history at least one entry does."""
    for code in read.document.codes.listed:
        listed = read.of(one for one in code.cites if one.section == "codes")
        told = read.of(one for one in code.cites if one.section == "history")
        assert all(code.code in one for one in listed), f"{code.code} cites another code's line"
        assert not told or any(code.code in one for one in told), f"{code.code} is in no entry that it cites"


def test_an_entry_says_the_number_that_a_revision_gave(read: Read) -> None:
    """Where the text tells of a number, its revision is the one that gave it."""
    for revision in read.document.revisions:
        told = re.findall(r"policy number .*?([A-Z]\.\d[\d.]*\d)\W* ?(?:added|$)", " ".join(read.of(revision.cites)))
        told += re.findall(r'to "([A-Z]\.\d[\d.]*\d)', " ".join(read.of(revision.cites)))
        assert not told or revision.number in told, f"the revision of {revision.date} gave another number"


def _dated(sentence: str) -> date | None:
    """The date that an entry of the history begins with; the first of the month where it names no day."""
    found = re.match(r"(\d{1,2})/(?:(\d{1,2})/)?(\d{4}):", sentence)
    return date(int(found[3]), int(found[1]), int(found[2] or 1)) if found is not None else None
