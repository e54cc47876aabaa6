"""Split a published policy text into sentences, and check a document's citations against them.

A policy document never repeats its publisher's words. It cites each sentence by its section, its ordinal in that
section and the SHA-256 of its text. This module defines a sentence, so that anyone with the text can compute the same
digests and detect a changed letter.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from hashlib import sha256
from typing import NamedTuple

# A sentence ends at a full stop, question mark or exclamation mark, with any closing quotes or brackets, when white
# space and the start of another sentence follow. These abbreviations do not end one.
_ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "vs.", "No.", "Dr.", "St.", "U.S.")
_CLOSING, _OPENING = "\"'\u201d\u2019)\\]", "\"'\u201c\u2018(\\["
_BOUNDARY = re.compile(rf"[.?!][{_CLOSING}]*(?=\s+[{_OPENING}]?[A-Z0-9])")
# "A. consistent with …" starts a list item: "A." is not a sentence.
_ITEM_MARK = re.compile(r"(?:[A-Za-z]|\d{1,2})\.")


class Sentence(NamedTuple):
    """One sentence of a published text."""

    line: int
    """Line number in the text, from 1."""
    text: str
    sha256: str


class SentencePlace(NamedTuple):
    """One citation in a document: its place, the expected digest, and the element that cites it."""

    section: str
    ordinal: int
    sha256: str
    claimed_by: str


@dataclass(frozen=True)
class SourceReport:
    """The result of checking a document's citations against a published text."""

    sentences: int
    without_home: tuple[Sentence, ...]
    """Sentences of the text that no element cites."""
    without_sentence: tuple[SentencePlace, ...]
    """Citations that match no sentence at their place."""

    @property
    def agrees(self) -> bool:
        """Whether every sentence is cited and every citation matches a sentence."""
        return not self.without_home and not self.without_sentence


def digest(sentence: str) -> str:
    """The SHA-256, in hexadecimal, of a sentence in UTF-8, with runs of white space collapsed to one space."""
    return sha256(" ".join(sentence.split()).encode()).hexdigest()


def sentences(text: str) -> tuple[Sentence, ...]:
    """The sentences of `text`, in order. A line break always ends a sentence; empty lines are skipped."""
    return tuple(
        Sentence(number, sentence, digest(sentence))
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1)
        for sentence in _split(" ".join(line.split()))
    )


def verify(cited: Iterable[SentencePlace], section_order: Sequence[str], text: str) -> SourceReport:
    """Check a document's citations against a text, in order.

    Args:
        cited: All citations of the document; several elements may cite the same sentence.
        section_order: The sections, in the order of the text.
        text: The published text.
    """
    rank = {section: index for index, section in enumerate(section_order)}
    places: dict[tuple[int, int, str], list[SentencePlace]] = {}
    for place in cited:
        places.setdefault((rank[place.section], place.ordinal, place.sha256), []).append(place)
    expected = sorted(places)
    found = sentences(text)
    # Comparing in order also finds sentences that moved or appear twice.
    matcher = SequenceMatcher(
        None, [key[2] for key in expected], [sentence.sha256 for sentence in found], autojunk=False
    )
    lost: list[SentencePlace] = []
    homeless: list[Sentence] = []
    for tag, from_expected, to_expected, from_found, to_found in matcher.get_opcodes():
        if tag != "equal":
            lost.extend(place for key in expected[from_expected:to_expected] for place in places[key])
            homeless.extend(found[from_found:to_found])
    if not lost and not homeless:
        lost = [place for key in _misnumbered(expected) for place in places[key]]
    return SourceReport(len(found), tuple(homeless), tuple(lost))


def _misnumbered(keys: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """Citations with the wrong ordinal, among those that otherwise match every sentence."""
    counted: Counter[int] = Counter()
    for section, ordinal, sha in keys:
        counted[section] += 1
        if ordinal != counted[section]:
            yield section, ordinal, sha


def _split(line: str) -> Iterable[str]:
    start = 0
    for match in _BOUNDARY.finditer(line):
        candidate = line[start : match.end()].strip()
        if candidate.endswith(_ABBREVIATIONS) or _ITEM_MARK.fullmatch(candidate):
            continue
        yield candidate
        start = match.end()
    if rest := line[start:].strip():
        yield rest
