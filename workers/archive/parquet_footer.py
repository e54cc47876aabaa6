"""The footer of a Parquet file, read before Arrow reads it.

Some of Arrow's own properties end the process, without an exception, where a footer says what Parquet does not know, an
unknown codec for one. So we read ourselves where the columns of a row group are, and Arrow gets only row groups whose
columns are as we write them.

Source: parquet.thrift of the Apache Parquet format.
"""

from typing import Any, BinaryIO, NamedTuple

from workers.archive import thrift
from workers.archive.blocks import UnsoundError
from workers.archive.thrift import BINARY, I32, I64, LIST, STRUCT, List, Struct

MAGIC = b"PAR1"
FOOTER_BYTES = 1_000_000
_TAIL = 8
"""Bytes behind the footer: its length, and the magic number."""

_INT32, _INT64, _BYTE_ARRAY = 1, 2, 6
_ZSTD = 6
_DICTIONARY_PAGE = 11
"""The field that says where it is."""
_OF_CHUNKS = {2, 3, 4, 5, 6, 7}
"""Fields of a chunk: no name of another file, and nothing of encryption."""
_HEADERS = "headers.list.element."
_COLUMNS = {
    "offset": _INT64,
    "timestamp": _INT64,
    "timestamp_type": _INT32,
    "key": _BYTE_ARRAY,
    f"{_HEADERS}name": _BYTE_ARRAY,
    f"{_HEADERS}value": _BYTE_ARRAY,
    "value": _BYTE_ARRAY,
}
"""By path, in order: the type of their values."""
OF_HEADERS = tuple(path for path in _COLUMNS if path.startswith(_HEADERS))
DICTIONARIES = ("timestamp_type", *OF_HEADERS)
"""Of few different values only; keys and values of a log are all different."""


class Column(NamedTuple):
    """One column of a row group."""

    path: str
    at: int
    """Where its first page begins."""
    length: int
    """Bytes of its pages, with their heads."""
    values: int

    @property
    def name(self) -> str:
        """Of the column of records that it is, or is a part of."""
        return self.path.partition(".")[0]

    @property
    def dictionary(self) -> bool:
        """Whether we write it with a dictionary."""
        return self.path in DICTIONARIES


class RowGroup(NamedTuple):
    """Some records, column by column."""

    records: int
    columns: tuple[Column, ...]


class Footer:
    """Where the row groups of a file are."""

    def __init__(self, stream: BinaryIO) -> None:
        """Read it.

        Raises:
            UnsoundError: The file is no Parquet file, or its footer is too large, or none.
        """
        self._groups = _structs(thrift.read(_raw(stream))[0], 4)

    def row_group(self, number: int) -> RowGroup:
        """One of the row groups.

        Raises:
            UnsoundError: There is none of this number, or it is not as ours are.
        """
        if not 0 <= number < len(self._groups):
            raise UnsoundError(f"it has {len(self._groups):,} row groups")
        group = self._groups[number]
        chunks = _structs(group, 1)
        if len(chunks) != len(_COLUMNS):
            raise UnsoundError(f"it has {len(chunks):,} columns")
        return RowGroup(_count(group, 3), tuple(map(_column, chunks, _COLUMNS)))


def _raw(stream: BinaryIO) -> bytes:
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
    stream.seek(size - _TAIL - length)
    return stream.read(length)


def _column(chunk: Struct, path: str) -> Column:
    said: Struct = chunk.get((3, STRUCT), {})
    ours = (
        {number for number, _ in chunk} <= _OF_CHUNKS
        and said.get((3, LIST)) == (BINARY, [part.encode() for part in path.split(".")])
        and said.get((1, I32)) == _COLUMNS[path]
        and said.get((4, I32)) == _ZSTD
    )
    if not ours:
        raise UnsoundError(f"its column {path} is not as ours are")
    first = data = _count(said, 9)
    if path in DICTIONARIES and (_DICTIONARY_PAGE, I64) in said:
        first = _count(said, _DICTIONARY_PAGE)
    if first > data or (first == data and any(number == _DICTIONARY_PAGE for number, _ in said)):
        raise UnsoundError(f"its column {path} begins elsewhere than ours do")
    return Column(path, first, _count(said, 7), _count(said, 5))


def _structs(of: Struct, number: int) -> list[Struct]:
    found: List | None = of.get((number, LIST))
    if found is None or (found.values and found.kind != STRUCT):
        raise UnsoundError("its footer lacks a list")
    return found.values


def _count(of: Struct, number: int) -> int:
    found: Any = of.get((number, I64))
    if found is None or found < 0:
        raise UnsoundError("its footer lacks a number, or has a negative one")
    return int(found)
