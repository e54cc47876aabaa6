r"""Data as it is shown: no character of it does anything to a terminal or a page.

Whatever is not to be seen is escaped: controls (C0, C1, DEL), marks that turn the direction of writing, separators of
lines, characters of no width, lone surrogates. `printable` is for people, and writes `\x1b`; `printable_json` is for
JSON, and writes `\u001b`, so that the value is the same. Both leave what they made as it is.
"""

from collections.abc import Callable
from unicodedata import category

_SPACES = "Zs"


def printable(text: str, keep: str = "") -> str:
    """A text of data, to be shown; `keep` are controls that are ours, such as the line breaks of a table."""
    return _escaped(text, keep, _for_people)


def printable_json(text: str) -> str:
    """A JSON text, to be shown: the same value. Line breaks, which only stand between its parts, stay."""
    return _escaped(text, "\n", _for_json)


def counted(number: int, noun: str) -> str:
    """How many there are of something, as a person says it: `1 dead letter`, `1,200 dead letters`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _escaped(text: str, keep: str, escape: Callable[[int], str]) -> str:
    if text.isprintable():
        return text
    return "".join(one if one in keep or _seen(one) else escape(ord(one)) for one in text)


def _seen(one: str) -> bool:
    return one.isprintable() or category(one) == _SPACES


def _for_people(code: int) -> str:
    if code <= 0xFF:  # noqa: PLR2004 (two digits, as Python has them)
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 (four digits, and eight)


def _for_json(code: int) -> str:
    if code <= 0xFFFF:  # noqa: PLR2004 (JSON has four digits; beyond them, two surrogates)
        return f"\\u{code:04x}"
    beyond = code - 0x10000
    return f"\\u{0xD800 + (beyond >> 10):04x}\\u{0xDC00 + (beyond & 0x3FF):04x}"
