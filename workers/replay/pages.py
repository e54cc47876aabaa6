"""The pages of a Parquet file, looked at before any of them is decompressed.

A page's head says how many bytes and values it has, and Arrow makes room for as many. So heads are read first, from the
file itself, and a row group whose pages say more than a block may have is never given to Arrow. Nor is an encoding that
we do not write: of some, a few bytes are millions of values.

Source: parquet.thrift of the Apache Parquet format, and the compact protocol of Apache Thrift.
"""

from typing import Any, BinaryIO, NamedTuple

from workers.replay.blocks import MOST_BYTES, MOST_HEADERS, UnsoundError

MAGIC = b"PAR1"
FOOTER_BYTES = 1_000_000
_TAIL = 8
"""Bytes behind the footer: its length, and the magic number."""
MOST_PAGES = 4_096
"""Of one column in one row group."""
_HEAD_BYTES = 1_024
_DEPTH = 3

_DATA, _DICTIONARY = 0, 2
_PLAIN, _PLAIN_DICTIONARY, _RLE, _RLE_DICTIONARY = 0, 2, 3, 8


class Column(NamedTuple):
    """One column of a row group, as the footer has it."""

    at: int
    """Where its first page begins."""
    length: int
    """Bytes of its pages, with their heads."""
    values: int
    dictionary: bool
    """Whether we write it with a dictionary."""


def check_footer(stream: BinaryIO) -> None:
    """Make sure that a file may have its footer read.

    Raises:
        UnsoundError: It is no Parquet file, or its footer is too large.
    """
    size = stream.seek(0, 2)
    if size < len(MAGIC) + _TAIL:
        raise UnsoundError("it is too short")
    stream.seek(0)
    begins = stream.read(len(MAGIC))
    stream.seek(size - _TAIL)
    tail = stream.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if begins != MAGIC or tail[4:] != MAGIC:
        raise UnsoundError("it does not begin and end as Parquet does")
    if length > min(FOOTER_BYTES, size - len(MAGIC) - _TAIL):
        raise UnsoundError(f"its footer says {length:,} bytes, and has {FOOTER_BYTES:,} at most")


def check(stream: BinaryIO, column: Column) -> int:
    """Walk along the heads of a column's pages; how many bytes they hold once decompressed.

    Raises:
        UnsoundError: A head is none, is not as ours are, or says more than a block may have.
    """
    size = stream.seek(0, 2)
    end = column.at + column.length
    if not (len(MAGIC) <= column.at < end <= size and column.length <= MOST_BYTES):
        raise UnsoundError(f"its pages would be bytes {column.at} to {end - 1}, and the file has {size:,}")
    if not 0 <= column.values <= MOST_HEADERS:
        raise UnsoundError(f"it says {column.values:,} values")
    at, total, values = column.at, 0, 0
    for number in range(MOST_PAGES):
        stream.seek(at)
        head, length = _read(stream.read(min(_HEAD_BYTES, end - at)))
        expanded, packed = _number(head, 2), _number(head, 3)
        values += _values(head, column, first=number == 0)
        total += expanded
        at += length + packed
        if at > end or total > MOST_BYTES or values > column.values:
            raise UnsoundError(f"a page at byte {at - length - packed} says more than there may be")
        if at == end:
            if values != column.values:
                raise UnsoundError(f"its pages have {values:,} values, and not {column.values:,}")
            return total
    raise UnsoundError(f"it has more than {MOST_PAGES:,} pages")


def _values(head: dict[int, Any], column: Column, *, first: bool) -> int:
    """How many values a page adds."""
    kind = head.get(1)
    if kind == _DICTIONARY and first and column.dictionary:
        said = _struct_of(head, 7)
        if _number(said, 1) > MOST_HEADERS or said.get(2) not in {_PLAIN, _PLAIN_DICTIONARY}:
            raise UnsoundError("its dictionary is not as ours are")
        return 0
    said = _struct_of(head, 5)
    ours = {_PLAIN, _PLAIN_DICTIONARY, _RLE_DICTIONARY} if column.dictionary else {_PLAIN}
    if kind != _DATA or said.get(2) not in ours or {said.get(3), said.get(4)} != {_RLE}:
        raise UnsoundError("it has a page that is not as ours are")
    return _number(said, 1)


def _struct_of(head: dict[int, Any], name: int) -> dict[int, Any]:
    found = head.get(name)
    if not isinstance(found, dict):
        raise UnsoundError("a page's head lacks a part")
    return found


def _number(head: dict[int, Any], name: int) -> int:
    found = head.get(name)
    if not isinstance(found, int) or found < 0:
        raise UnsoundError("a page's head lacks a number, or has a negative one")
    return found


# --- Thrift's compact protocol -------------------------------------------------------------------------------------

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _BINARY, _STRUCT = 1, 2, 3, 4, 5, 6, 8, 12


def _read(raw: bytes) -> tuple[dict[int, Any], int]:
    """A page's head at the beginning of these bytes, and its length.

    Raises:
        UnsoundError: There is none.
    """
    try:
        return _struct(raw, 0, 0)
    except IndexError:
        raise UnsoundError("a page has no head") from None


def _struct(raw: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    if depth > _DEPTH:
        raise UnsoundError("a page's head is too deep")
    found: dict[int, Any] = {}
    name = 0
    while (field := raw[at]) != 0:
        at += 1
        step, kind = field >> 4, field & 15
        if step:
            name += step
        else:
            name, at = _zigzag(raw, at)
        found[name], at = _value(raw, at, kind, depth)
    return found, at + 1


def _value(raw: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in {_TRUE, _FALSE}:
        return kind == _TRUE, at
    if kind == _BYTE:
        return raw[at], at + 1
    if kind in {_I16, _I32, _I64}:
        return _zigzag(raw, at)
    if kind == _BINARY:
        length, at = _varint(raw, at)
        return None, at + length  # statistics: of no use here
    if kind == _STRUCT:
        return _struct(raw, at, depth + 1)
    raise UnsoundError("a page's head has what none has")


def _zigzag(raw: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(raw, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place in range(10):
        byte = raw[at + place]
        number |= (byte & 127) << (7 * place)
        if byte < 128:  # noqa: PLR2004 (the last byte of a number)
            return number, at + place + 1
    raise UnsoundError("a page's head has a number without an end")
