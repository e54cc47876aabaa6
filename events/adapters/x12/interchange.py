"""Finds the transaction sets of an interchange. Whatever a sender does differently without a loss of meaning is let be.

    ISA*00*          *00*          *ZZ*DELTAHOSP      *ZZ*MAGNOLIA       *250602*1405*^*00501*000000101*0*T*:~
       |                                                                             |                      ||
       element separator                                           repetition separator                     ||
                                                                                         component separator |
                                                                                          segment terminator |

A byte order mark and blanks before ISA, line breaks anywhere, indentation, collapsed padding, wrong counts and control
numbers, and other versions in the envelope are accepted.
"""

import re
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from msgspec import Struct

Segment = list[str]
"""A segment's name and its elements: `segment[3]` is its third element."""

MOST_SETS = 1_000
"""Transaction sets of a record, each of which has its own answer."""
MOST_INTERCHANGES = 100
_LONGEST_HEADER = 1_000
_HEADER_ELEMENTS = 16
_BLANKS = " \t\r\n\x0b\x0c\x00\x1a\ufeff"
_LINE_BREAKS = re.compile("[\r\n]+")


class Delimiters(NamedTuple):
    """What separates the parts of an interchange."""

    element: str
    component: str
    """Empty if there is none, as is `repetition`."""
    repetition: str
    segment: str


USUAL = Delimiters("*", ":", "^", "~")


class TransactionSet(Struct, gc=False):
    """One transaction set, from ST up to SE."""

    delimiters: Delimiters
    charset: str
    """As Python names it."""
    isa: str
    gs: str
    """Empty if there is none."""
    st: Segment
    written: list[str]
    """The segments behind ST, without the blanks around them."""
    is_ended: bool
    """Whether something follows its last segment: otherwise the record is cut off."""

    @property
    def digest(self) -> str:
        """Identifies the message: SHA-256 of what stands from BHT up to SE, with the usual delimiters.

        What would then read as a delimiter is escaped, so that different messages have different digests.
        """
        start = next((index for index, text in enumerate(self.written) if text.startswith("BHT")), 0)
        body = self.delimiters.segment.join(self.written[start:])
        if self.delimiters != USUAL or "\\" in body:
            body = body.translate(_normalised(self.delimiters))
        return sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=64)
def _normalised(delimiters: Delimiters) -> dict[int, str]:
    escaped = {ord(usual): f"\\{usual}" for usual in (*USUAL, "\\")}
    own = {ord(own): usual for own, usual in zip(delimiters, USUAL, strict=True) if own}
    return escaped | own


class UnreadableError(ValueError):
    """A record without an interchange; the message says what is missing, and repeats nothing."""


class Found(NamedTuple):
    """The transaction sets of a record."""

    sets: list[TransactionSet]
    unreadable: str | None
    """Why a later interchange could not be read, if one could not."""


def transaction_sets(value: bytes) -> Found:
    """The transaction sets of a record.

    Raises:
        UnreadableError: It has no ISA at its beginning, no delimiters, no transaction set, or too many.
    """
    text, charset = _decoded(value)
    at = len(text) - len(text.lstrip(_BLANKS))
    if not text.startswith("ISA", at):
        raise UnreadableError("should begin with ISA")
    sets: list[TransactionSet] = []
    for _ in range(MOST_INTERCHANGES):
        header = _header(text, at)
        if header is None:
            if not sets:
                raise UnreadableError(_NO_DELIMITERS)
            return Found(sets, _NO_DELIMITERS)
        following = _interchange(text, header, charset, sets)
        if following is None:
            break
        at = following
    else:
        raise UnreadableError(f"has more than {MOST_INTERCHANGES} interchanges")
    if not sets:
        raise UnreadableError("has no transaction set (ST)")
    return Found(sets, None)


_NO_DELIMITERS = "should have its delimiters in ISA"


def sender(value: bytes) -> str | None:
    """Who sent a record, as a partner's `senders` have it: `ZZ:DELTAHOSP`; None if it has no readable ISA."""
    text, _ = _decoded(value[: 4 * _LONGEST_HEADER])
    header = _header(text, len(text) - len(text.lstrip(_BLANKS)))
    if header is None:
        return None
    elements = header.isa.split(header.delimiters.element)
    return f"{elements[5].strip()}:{elements[6].strip()}"


def _decoded(value: bytes) -> tuple[str, str]:
    try:
        return value.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return value.removeprefix(b"\xef\xbb\xbf").decode("latin-1"), "latin-1"


class _Header(Struct, frozen=True, gc=False):
    isa: str
    delimiters: Delimiters
    end: int


def _header(text: str, at: int) -> _Header | None:
    element = text[at + 3 : at + 4]
    if not text.startswith("ISA", at) or not _separates(element):
        return None
    parts = text[at : at + _LONGEST_HEADER].split(element, _HEADER_ELEMENTS)
    tail = parts[-1]
    if len(parts) <= _HEADER_ELEMENTS or len(tail) < len("SC"):
        return None
    component, segment = tail[0], tail[1]
    if tail[1:3] == "\r\n":
        segment = "\n"
    if segment == element or not (_separates(segment) or segment in "\r\n"):
        return None
    if component in (element, segment) or not _separates(component):
        component = ""
    repetition = parts[11].strip()
    if len(repetition) != 1 or repetition in (element, component, segment) or not _separates(repetition):
        repetition = ""
    isa = element.join([*parts[:-1], tail[0]])
    return _Header(isa, Delimiters(element, component, repetition, segment), at + len(isa) + 1)


def _separates(character: str) -> bool:
    """Whether it may stand between values: no letter, digit or blank, but perhaps a control character."""
    return bool(character) and not character.isalnum() and character not in _BLANKS


def _interchange(text: str, header: _Header, charset: str, sets: list[TransactionSet]) -> int | None:
    """Appends an interchange's transaction sets; where the next interchange begins, or None."""
    delimiters = header.delimiters
    blanks = _blanks(delimiters)
    has_line_breaks = "\n" in text or "\r" in text
    gs = ""
    current: TransactionSet | None = None
    pieces = text[header.end :].split(delimiters.segment)
    for index, piece in enumerate(pieces):
        segment = _joined(piece, blanks) if has_line_breaks else piece.strip(blanks)
        name = _end(segment, delimiters.element) if segment[:2] in _BEGIN_ENDS else ""
        if not name:
            if current is not None and segment:
                current.written.append(segment)
            continue
        if current is not None:
            sets.append(current)
            current = None
        if name == "ST":
            if len(sets) >= MOST_SETS:
                raise UnreadableError(f"has more than {MOST_SETS:,} transaction sets")
            st = segment.split(delimiters.element)
            current = TransactionSet(delimiters, charset, header.isa, gs, st, [], is_ended=True)
        elif name == "GS":
            gs = segment
        elif name == "ISA":
            return header.end + sum(len(before) + 1 for before in pieces[:index]) + piece.index("ISA")
    if current is not None:
        current.is_ended = False
        sets.append(current)
    return None


@lru_cache(maxsize=64)
def _blanks(delimiters: Delimiters) -> str:
    return "".join(set(_BLANKS) - set(delimiters))


def _joined(piece: str, blanks: str) -> str:
    """A segment without line breaks, and the blanks around them."""
    return "".join([line.strip(blanks) for line in _LINE_BREAKS.split(piece.strip(blanks))])


def _end(segment: str, element: str) -> str:
    """The name of a segment that ends a transaction set; empty of any other."""
    if segment.startswith("ISA") and not segment[3:4].isalnum():
        return "ISA"  # whatever its separator
    name = segment.partition(element)[0]
    return name if name in _ENDS else ""


_ENDS = {"ISA", "ST", "SE", "GS", "GE", "IEA"}
"""The segments that end a transaction set."""
_BEGIN_ENDS = {name[:2] for name in _ENDS}
