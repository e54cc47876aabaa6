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


class TransactionSet(NamedTuple):
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


class _Header(NamedTuple):
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
    reading = _Sets(header, charset, sets)
    position = header.end
    for piece in text[header.end :].split(header.delimiters.segment):
        if reading.take(piece):
            return position + piece.index("ISA")
        position += len(piece) + 1
    reading.end(is_ended=False)
    return None


class _Sets:
    """The transaction sets of one interchange, as its segments come."""

    def __init__(self, header: _Header, charset: str, sets: list[TransactionSet]) -> None:
        self._header, self._charset, self._sets = header, charset, sets
        self._element = header.delimiters.element
        self._blanks = "".join(set(_BLANKS) - set(header.delimiters))
        self._gs = ""
        self._current: TransactionSet | None = None

    def take(self, piece: str) -> bool:
        """Takes what stands up to a terminator; whether another interchange begins there."""
        segment = piece.strip(self._blanks)
        if "\n" in segment or "\r" in segment:
            segment = "".join(line.strip(self._blanks) for line in _LINE_BREAKS.split(segment))
        name = segment.partition(self._element)[0]
        if segment.startswith("ISA") and not segment[3:4].isalnum():
            name = "ISA"  # whatever its separator
        if name in _ENDS:
            self.end(is_ended=True)
            if name == "ST":
                self._begin(segment.split(self._element))
            elif name == "GS":
                self._gs = segment
        elif self._current is not None and segment:
            self._current.written.append(segment)
        return name == "ISA"

    def _begin(self, st: Segment) -> None:
        if len(self._sets) >= MOST_SETS:
            raise UnreadableError(f"has more than {MOST_SETS:,} transaction sets")
        header = self._header
        self._current = TransactionSet(header.delimiters, self._charset, header.isa, self._gs, st, [], is_ended=False)

    def end(self, *, is_ended: bool) -> None:
        """Ends the transaction set that has begun, if one has."""
        if self._current is not None:
            self._sets.append(self._current._replace(is_ended=is_ended))
            self._current = None


_ENDS = {"ISA", "ST", "SE", "GS", "GE", "IEA"}
"""The segments that end a transaction set."""
