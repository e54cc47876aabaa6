"""Validates the pages of a Parquet file before any is decompressed.

A page's header states its size and number of values, and Arrow allocates accordingly. So the headers are read first,
and a row group that exceeds a block's limits never reaches Arrow. Nor does an encoding that we do not write: with some,
a few bytes become millions of values.

Source: parquet.thrift of the Apache Parquet format.
"""

from typing import BinaryIO

from workers.archive import thrift
from workers.archive.blocks import MOST_BYTES, MOST_HEADERS, UnsoundError
from workers.archive.parquet_footer import MAGIC, Column
from workers.archive.thrift import I32, STRUCT, Struct

MOST_PAGES = 4_096
"""Maximum pages of a column in a row group."""
_HEAD_BYTES = 1_024

_DATA, _DICTIONARY = 0, 2
_PLAIN, _PLAIN_DICTIONARY, _RLE, _RLE_DICTIONARY = 0, 2, 3, 8


def check(stream: BinaryIO, column: Column) -> int:
    """Check the headers of a column's pages; return their total decompressed size.

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
        head, length = thrift.read(stream.read(min(_HEAD_BYTES, end - at)))
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


def _values(head: Struct, column: Column, *, first: bool) -> int:
    """How many values a page adds."""
    kind = head.get((1, I32))
    if kind == _DICTIONARY and first and column.dictionary:
        header = _struct_of(head, 7)
        if _number(header, 1) > MOST_HEADERS or header.get((2, I32)) not in {_PLAIN, _PLAIN_DICTIONARY}:
            raise UnsoundError("its dictionary is not as ours are")
        return 0
    header = _struct_of(head, 5)
    ours = {_PLAIN, _PLAIN_DICTIONARY, _RLE_DICTIONARY} if column.dictionary else {_PLAIN}
    if kind != _DATA or header.get((2, I32)) not in ours or {header.get((3, I32)), header.get((4, I32))} != {_RLE}:
        raise UnsoundError("it has a page that is not as ours are")
    return _number(header, 1)


def _struct_of(head: Struct, number: int) -> Struct:
    found: Struct | None = head.get((number, STRUCT))
    if found is None:
        raise UnsoundError("a page's head lacks a part")
    return found


def _number(head: Struct, number: int) -> int:
    found: int | None = head.get((number, I32))
    if found is None or found < 0:
        raise UnsoundError("a page's head lacks a number, or has a negative one")
    return found
