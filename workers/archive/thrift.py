"""The subset of Thrift's compact protocol used by Parquet footers and page headers.

Fields are identified by number *and* kind: Arrow's reader skips a field of an unexpected kind, so this one must too.
Duplicate fields are refused, because readers differ in which they take.

Source: the compact protocol of Apache Thrift.
"""

from typing import Any, Final, NamedTuple

from workers.archive.blocks import UnsoundError

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
BOOLEAN: Final = {TRUE, FALSE}
MOST_DEPTH = 8
"""Maximum nesting depth; a footer has five levels."""

Field = tuple[int, int]
"""A field's number and kind."""
Struct = dict[Field, Any]
"""Values by field: numbers, bytes, lists, structures."""


class List(NamedTuple):
    """A list and the kind of its elements."""

    kind: int
    values: list[Any]


def read(raw: bytes) -> tuple[Struct, int]:
    """Parse the structure at the beginning of `raw`; return it with its length.

    Raises:
        UnsoundError: It is invalid.
    """
    try:
        return _struct(raw, 0, 0)
    except IndexError:
        raise UnsoundError("it ends before it is whole") from None


def _struct(raw: bytes, at: int, depth: int) -> tuple[Struct, int]:
    if depth > MOST_DEPTH:
        raise UnsoundError("it is too deep")
    found: Struct = {}
    numbers: set[int] = set()
    number = 0
    while (field := raw[at]) != 0:
        at += 1
        step, kind = field >> 4, field & 15
        if step:
            number += step
        else:
            number, at = _zigzag(raw, at)
        if number in numbers:
            raise UnsoundError("it has a field twice")
        numbers.add(number)
        if kind in BOOLEAN:
            found[number, TRUE] = kind == TRUE
        else:
            found[number, kind], at = _value(raw, at, kind, depth)
    return found, at + 1


def _value(raw: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in {I16, I32, I64}:
        return _zigzag(raw, at)
    if kind == BINARY:
        length, at = _varint(raw, at)
        end = at + length
        if end > len(raw):
            raise UnsoundError("it has a text without an end")
        return raw[at:end], end
    if kind == STRUCT:
        return _struct(raw, at, depth + 1)
    if kind in {LIST, SET}:
        return _list(raw, at, depth)
    if kind in {BYTE, *BOOLEAN}:  # includes booleans in a list
        return raw[at], at + 1
    if kind == DOUBLE:
        return raw[at : at + 8], at + 8
    raise UnsoundError("it has what none has")


def _list(raw: bytes, at: int, depth: int) -> tuple[List, int]:
    head = raw[at]
    count, kind, at = head >> 4, head & 15, at + 1
    if count == 15:  # noqa: PLR2004 (then the number follows)
        count, at = _varint(raw, at)
    if count > len(raw) - at:
        raise UnsoundError("it has a list without an end")
    found: list[Any] = []
    for _ in range(count):
        item, at = _value(raw, at, kind, depth + 1)
        found.append(item)
    return List(kind, found), at


def _zigzag(raw: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(raw, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    number = raw[at]
    if number < 128:  # noqa: PLR2004 (most have one byte only)
        return number, at + 1
    number = 0
    for place in range(10):
        byte = raw[at + place]
        number |= (byte & 127) << (7 * place)
        if byte < 128:  # noqa: PLR2004 (the last byte of a number)
            return number, at + place + 1
    raise UnsoundError("it has a number without an end")
