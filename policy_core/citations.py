"""Sentences of a published policy text, and whether a document's citations still meet them.

A policy document never repeats its publisher's words: it cites them, each sentence by its section,
its ordinal in that section and the SHA-256 of its text. This module says what a sentence is, so that
anyone with the text in hand can compute the same digests and find a changed letter.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from hashlib import sha256
from typing import NamedTuple

# A sentence ends at a full stop, question or exclamation mark with any closing quotes or brackets, before white
# space and whatever can open another sentence; a full stop after one of these belongs to the word instead.
_ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "vs.", "No.", "Dr.", "St.", "U.S.")
_CLOSING, _OPENING = "\"'\u201d\u2019)\\]", "\"'\u201c\u2018(\\["
_BOUNDARY = re.compile(rf"[.?!][{_CLOSING}]*(?=\s+[{_OPENING}]?[A-Z0-9])")
# "A. consistent with …" is an item's mark, not a sentence of one letter.
_ITEM_MARK = re.compile(r"(?:[A-Za-z]|\d{1,2})\.")


class Sentence(NamedTuple):
    """One sentence of a published text."""

    line: int
    """The line of the text it stands in, counted from 1."""
    text: str
    sha256: str


class SentencePlace(NamedTuple):
    """One citation of a document: the place it names, the digest it expects, and the element that claims it."""

    section: str
    ordinal: int
    sha256: str
    claimed_by: str


@dataclass(frozen=True)
class SourceReport:
    """What a document's citations and a published text make of each other."""

    sentences: int
    without_home: tuple[Sentence, ...]
    """Sentences of the text that no element of the document claims."""
    without_sentence: tuple[SentencePlace, ...]
    """Citations of the document that no sentence of the text meets at their place."""

    @property
    def agrees(self) -> bool:
        """Whether every sentence has a home and every citation a sentence."""
        return not self.without_home and not self.without_sentence


def digest(sentence: str) -> str:
    """The SHA-256, in hexadecimal, of a sentence's UTF-8 with every run of white space as one space."""
    return sha256(" ".join(sentence.split()).encode()).hexdigest()


def sentences(text: str) -> tuple[Sentence, ...]:
    """Every sentence of `text`, in order; a line break always ends one, an empty line is none."""
    return tuple(
        Sentence(number, sentence, digest(sentence))
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1)
        for sentence in _split(" ".join(line.split()))
    )


def verify(cited: Iterable[SentencePlace], section_order: Sequence[str], text: str) -> SourceReport:
    """Hold a document's citations against a text, in the text's order.

    Args:
        cited: Every citation of the document; one sentence may be claimed by several elements.
        section_order: The sections in the order in which the text has them.
        text: The published text.
    """
    rank = {section: index for index, section in enumerate(section_order)}
    places: dict[tuple[int, int, str], list[SentencePlace]] = {}
    for place in cited:
        places.setdefault((rank[place.section], place.ordinal, place.sha256), []).append(place)
    expected = sorted(places)
    found = sentences(text)
    # In order, so that a sentence that moved or stands twice is seen and not only one that changed.
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
    """Of the places that meet every sentence of a text, those that do not carry their number in their section."""
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
