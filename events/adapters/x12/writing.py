"""Writes an interchange with one transaction set: envelope, counts, delimiters, and text in X12's characters."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from hashlib import sha256
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from events.adapters.remembering import remembered
from events.adapters.x12.interchange import USUAL, Delimiters, Segment
from events.adapters.x12.loops import Level, element

GUIDE: Final = "005010X217"
LONGEST_MESSAGE: Final = 264
"""Of MSG01, in characters."""
_CANDIDATES = "*:^~|>!<{}\x1c\x1d\x1e\x1f"
_UNSAFE = frozenset("-.,/ ")
"""What our own numbers, dates and words have."""
_VERSIONS = ("00401", "00501")


class Envelope(NamedTuple):
    """What an answer's envelope repeats of its request's: sender and receiver still as the request has them."""

    delimiters: Delimiters
    """Of the answer."""
    charset: str
    isa: Sequence[str]
    """ISA and its sixteen elements."""
    gs: Segment
    zone: ZoneInfo


class Kept(NamedTuple):
    """What was kept of a request for its answer."""

    envelope: Envelope
    bht: str
    """BHT03."""
    levels: Sequence[Level]
    """In the answer's delimiters."""


def kept(echo: Mapping[str, JsonValue]) -> Kept:
    """What `received` kept; of a record that could not be read, an envelope to nobody in particular."""
    zone = ZoneInfo(str(echo.get("zone") or "UTC"))
    stated = echo.get("delimiters")
    if not isinstance(stated, list):
        payer = plain(str(echo.get("payer") or ""), USUAL) or _UNKNOWN
        isa = f"ISA*00**00**ZZ*{_UNKNOWN}*ZZ*{payer}***^*00501**0*P*:".split("*")
        return Kept(Envelope(USUAL, "ascii", isa, ["GS", "HI", _UNKNOWN, payer], zone), "", ())
    sender = Delimiters(*map(str, stated))
    text = str(echo.get("levels"))
    version = str(echo.get("isa")).split(sender.element)[12].strip()
    own = _usable(sender, text + str(echo.get("bht")), has_repetition=version != _WITHOUT_REPETITION)
    translated, single = _tables(sender, own)
    isa = str(echo.get("isa")).translate(single).split(sender.element)
    gs = str(echo.get("gs")).translate(single).split(sender.element)
    is_clean = own == sender and (text.isprintable() or not _odd(sender).search(text))
    is_tight = text.isprintable() and not any(blank in text for blank in _around(sender))
    levels: list[Level] = []
    for written in text.split(sender.segment) if text else ():
        segment = written.split(sender.element)
        if not is_tight:
            segment = [part.strip() for part in segment]
        if not is_clean:
            segment = [part.translate(translated) for part in segment]
        if segment[0] == "HL":
            levels.append(Level(element(segment, 3), []))
        levels[-1].segments.append(segment)
    envelope = Envelope(own, str(echo.get("charset")), isa, gs, zone)
    return Kept(envelope, str(echo.get("bht")).translate(single), levels)


_UNKNOWN = "UNKNOWN"
_WITHOUT_REPETITION = "00401"


def _usable(asked: Delimiters, text: str, *, has_repetition: bool) -> Delimiters:
    """The sender's delimiters; in place of one that our own values could contain, another that no value does."""
    safe = asked
    if not all(asked) or not _UNSAFE.isdisjoint(asked):
        free = iter([one for one in _CANDIDATES if one not in text and one not in asked] or _CANDIDATES)
        safe = Delimiters(*[one if one and one not in _UNSAFE else next(free) for one in asked])
    return safe if has_repetition else safe._replace(repetition="")


@lru_cache(maxsize=64)
def _odd(delimiters: Delimiters) -> re.Pattern[str]:
    """Finds a control character that is no delimiter."""
    controls = {chr(code) for code in (*range(0x20), 0x7F)} - set(delimiters)
    return re.compile(f"[{re.escape(''.join(sorted(controls)))}]")


@lru_cache(maxsize=64)
def _around(delimiters: Delimiters) -> Sequence[str]:
    """What a printable text has where there is a blank at the beginning or the end of an element."""
    marks = (delimiters.element, delimiters.segment)
    return [*[f" {mark}" for mark in marks], *[f"{mark} " for mark in marks]]


@lru_cache(maxsize=64)
def _tables(sender: Delimiters, own: Delimiters) -> tuple[Mapping[int, str], Mapping[int, str]]:
    """For levels and for the rest of a message: what lets no value contain a delimiter or a control character.

    In levels the sender's components and repetitions become ours. ISA, GS and BHT have no composites, but perhaps a
    value with what is a delimiter further down.
    """
    table = {code: " " for code in (*range(0x20), 0x7F) if chr(code) != sender.element}
    table |= {ord(one): " " for one in own if one and one != sender.element}
    for theirs, ours in ((sender.component, own.component), (sender.repetition, own.repetition)):
        if theirs:
            table[ord(theirs)] = ours
    return table, table | {ord(one): " " for one in (*sender, *own) if one and one != sender.element}


def interchange(envelope: Envelope, body: Iterable[Segment], at: int, identity: str) -> bytes:
    """An interchange with one transaction set, from its receiver to its sender.

    Args:
        envelope: The request's.
        body: What stands between ST and SE.
        at: When it is written, in milliseconds since the epoch.
        identity: Identifies the answer, and so gives its control numbers.
    """
    own, isa, gs = envelope.delimiters, envelope.isa, envelope.gs
    number = int(sha256(identity.encode()).hexdigest()[:12], 16) % 999_999_999 + 1
    date, time = clock(at, envelope.zone)
    version = isa[12].strip() if isa[12].strip() in _VERSIONS else "00501"
    header = [
        "ISA", "00", " " * 10, "00", " " * 10, _fixed(isa[7], 2), _fixed(isa[8], 15), _fixed(isa[5], 2),
        _fixed(isa[6], 15), date[2:], time, own.repetition or "U", version, f"{number:09}", "0",
        "T" if isa[15].strip() == "T" else "P", own.component,
    ]  # fmt: skip
    sender = element(gs, 3) or isa[8].strip() or _UNKNOWN
    receiver = element(gs, 2) or isa[6].strip() or _UNKNOWN
    segments = [trimmed for segment in body if len(trimmed := _trimmed(segment)) > 1]
    every = [
        header,
        ["GS", "HI", sender, receiver, date, time, str(number), "X", GUIDE],
        ["ST", "278", "0001", GUIDE],
        *segments,
        ["SE", str(len(segments) + 2), "0001"],
        ["GE", "1", str(number)],
        ["IEA", "1", f"{number:09}"],
    ]
    text = own.segment.join([own.element.join(segment) for segment in every]) + own.segment
    return text.encode(envelope.charset, "replace")


def clock(at: int, zone: ZoneInfo) -> tuple[str, str]:
    """The date and time of a zone's clock, CCYYMMDD and HHMM."""
    return _clock(min(max(at, 0), _LATEST) // 1_000, zone)


@lru_cache(maxsize=1 << 10)
def _clock(seconds: int, zone: ZoneInfo) -> tuple[str, str]:
    local = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone)
    return f"{local.year:04}{local:%m%d}", f"{local:%H%M}"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_370_764_800_000


def _fixed(text: str, width: int) -> str:
    shown = _CONTROLS.sub(" ", text).strip()[:width]
    return f"{shown or (_UNKNOWN if width > len('ZZ') else 'ZZ'):<{width}}"


def _trimmed(segment: Segment) -> Segment:
    """A segment without empty elements at its end."""
    if segment[-1]:
        return segment
    last = len(segment)
    while last > 1 and not segment[last - 1]:
        last -= 1
    return segment[:last]


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CHARACTERS = re.compile(r"""[^A-Za-z0-9 !"&'()*+,\-./:;?=%@\[\]_{}\\|<>~^`#$]""")
_SPELLED = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2022": "-",
        "\u2265": ">=",
        "\u2264": "<=",
        "\u00d7": "x",
        "\u00a7": "Sec. ",
    }
)


def plain(text: str, delimiters: Delimiters) -> str:
    """A text in X12's extended character set, without delimiters, in one line."""
    if not text.isascii():
        spelled = unicodedata.normalize("NFKD", text.translate(_SPELLED))
        text = "".join(one for one in spelled if not unicodedata.combining(one))
    own = _CHARACTERS.sub(" ", text)
    for one in delimiters:
        own = own.replace(one, " ") if one else own
    return " ".join(own.split())


def messages(text: str, delimiters: Delimiters) -> Sequence[str]:
    """A text in the parts in which MSG segments have it, broken between words."""
    return _writer(delimiters)(text)


@lru_cache(maxsize=8)
def _writer(delimiters: Delimiters) -> Callable[[str], Sequence[str]]:
    return remembered(partial(_broken, delimiters))


def _broken(delimiters: Delimiters, text: str) -> Sequence[str]:
    parts = []
    rest = plain(text, delimiters)
    while len(rest) > LONGEST_MESSAGE:
        cut = rest.rfind(" ", 1, LONGEST_MESSAGE + 1)
        cut = cut if cut > 0 else LONGEST_MESSAGE
        parts.append(rest[:cut])
        rest = rest[cut:].lstrip()
    return [*parts, rest] if rest else parts
