r"""Escapes data for display, so that no character affects a terminal or a page.

Escaped are control characters (C0, C1, DEL), bidirectional marks, line separators, zero-width characters and lone
surrogates. `printable` is for people and writes `\x1b`; `printable_json` is for JSON and writes `\u001b`, which keeps
the value. Both are idempotent.
"""

from collections.abc import Callable
from unicodedata import category

_SPACES = "Zs"


def printable(text: str, keep: str = "") -> str:
    """Escape a text for display; `keep` has our own control characters, such as a table's line breaks."""
    return _escaped(text, keep, _for_people)


def printable_json(text: str) -> str:
    """Escape a JSON text for display without changing its value; line breaks between its parts stay."""
    return _escaped(text, "\n", _for_json)


def counted(number: int, noun: str) -> str:
    """A count with its noun: `1 dead letter`, `1,200 dead letters`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def words(term: str) -> str:
    """A term of ours in words: `not_covered` as `not covered`."""
    return term.replace("_", " ")


def _escaped(text: str, keep: str, escape: Callable[[int], str]) -> str:
    if text.isprintable():
        return text
    return "".join(character if character in keep or _seen(character) else escape(ord(character)) for character in text)


def _seen(character: str) -> bool:
    return character.isprintable() or category(character) == _SPACES


def _for_people(code: int) -> str:
    if code <= 0xFF:  # noqa: PLR2004 (two digits, as Python has them)
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 (four digits, and eight)


def _for_json(code: int) -> str:
    if code <= 0xFFFF:  # noqa: PLR2004 (JSON has four digits; beyond them, two surrogates)
        return f"\\u{code:04x}"
    beyond = code - 0x10000
    return f"\\u{0xD800 + (beyond >> 10):04x}\\u{0xDC00 + (beyond & 0x3FF):04x}"
