"""JSON in the form of RFC 8785: equal for texts that differ in key order, white space and spelling alone."""

import re
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any, NamedTuple

import msgspec
import orjson
from jiter import from_json

from events.envelope import loads

_LARGEST_EXACT = 2**53
_MOST_DIGITS = 21
"""Before a point, without an exponent."""
_MOST_ZEROS = 6
"""Behind a point, without an exponent."""


_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_TWO_UNITS = re.compile(rb"[\xf0-\xf4]")
_NOT_WHOLE = re.compile(rb"[:,\[]-?[0-9]+[.eE]")


_compact = msgspec.json.format


class Parsed(NamedTuple):
    """A JSON text as it was read."""

    tree: Any
    digest: str
    """As `digest` gives it."""


def parsed(value: bytes) -> Parsed:
    """A JSON text, read as `events.envelope.loads` reads it, and its digest.

    No writer is shorter than orjson. So a text that is as long as what it makes of it, white space aside, has no key
    twice, for which a reader searches long. A number that is not whole is read so that orjson does not write it.

    Raises:
        ValueError: As `loads`.
    """
    tree = from_json(value, allow_inf_nan=False, float_mode="lossless-float")
    try:
        written = orjson.dumps(tree, option=_SORTED)
    except TypeError:  # a number that is not whole, or has more than 53 bits
        written = b""
    if len(written) != len(value) and len(written) != len(_compact(value, indent=-1)):
        tree = loads(value)
        return Parsed(tree, digest(tree))
    if _has_two_units(written):
        return Parsed(tree, digest(tree))
    return Parsed(tree, sha256(written).hexdigest())


def digest(tree: Any) -> str:
    """The SHA-256 of a parsed JSON text, in hexadecimal."""
    return sha256(canonical_bytes(tree)).hexdigest()


def canonical_bytes(tree: Any) -> bytes:
    """A parsed JSON text in canonical form, in UTF-8: by orjson, ten times as fast, where it writes the same."""
    try:
        written = orjson.dumps(tree, option=_SORTED)
    except TypeError:  # an integer of more than 53 bits
        return canonical(tree).encode()
    return canonical(tree).encode() if _may_differ(written) else written


def _may_differ(written: bytes) -> bool:
    """Whether orjson may sort or write otherwise: characters of two UTF-16 units, and numbers that are not whole."""
    if not written.startswith((b"{", b"[")):
        return True
    # Apart, because each alone is searched much faster.
    return _has_two_units(written) or _NOT_WHOLE.search(written) is not None


def _has_two_units(written: bytes) -> bool:
    return not written.isascii() and _TWO_UNITS.search(written) is not None


def canonical(tree: Any) -> str:
    """A parsed JSON text in canonical form."""
    parts: list[str] = []
    _write(tree, parts.append)
    return "".join(parts)


def _write(value: Any, put: Any) -> None:
    if isinstance(value, str):
        put(encode_basestring(value))
    elif isinstance(value, dict):
        before = "{"
        for name in sorted(value, key=None if _is_plain(value) else _utf16):
            put(before)
            put(encode_basestring(name))
            put(":")
            _write(value[name], put)
            before = ","
        put("}" if value else "{}")
    elif isinstance(value, list):
        before = "["
        for one in value:
            put(before)
            _write(one, put)
            before = ","
        put("]" if value else "[]")
    elif value is None:
        put("null")
    elif isinstance(value, bool):
        put("true" if value else "false")
    elif isinstance(value, int) and abs(value) <= _LARGEST_EXACT:
        put(str(value))
    else:
        put(number(value))


def _is_plain(names: dict[str, Any]) -> bool:
    # Among these characters UTF-16 sorts as code points do, and Python much faster.
    return all(map(str.isascii, names))


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def number(value: float) -> str:
    """A number as ECMAScript writes it; one beyond its range as it is."""
    try:
        double = float(value)
    except OverflowError:
        return str(value)
    if double == 0:
        return "0"
    sign, shown = "-" if double < 0 else "", repr(abs(double))
    return sign + (_positive(shown) if shown[0].isdigit() else shown)


def _positive(shown: str) -> str:
    """A number above zero, from the shortest digits that identify it, as Python has them."""
    mantissa, _, exponent = shown.partition("e")
    whole, _, fraction = mantissa.partition(".")
    written = whole + fraction
    digits = written.lstrip("0")
    # The value is 0.DIGITS times ten to the power of `point`.
    point = len(whole) + int(exponent or 0) - (len(written) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= _MOST_DIGITS:
        return digits + "0" * (point - len(digits))
    if 0 < point <= _MOST_DIGITS:
        return f"{digits[:point]}.{digits[point:]}"
    if -_MOST_ZEROS < point <= 0:
        return f"0.{'0' * -point}{digits}"
    significand = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{significand}e{'+' if point > 0 else '-'}{abs(point - 1)}"
