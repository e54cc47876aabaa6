"""Validates the footer of a Parquet file before Arrow reads it.

Arrow may crash the process, without an exception, on a footer that is not valid Parquet, such as one with an unknown
codec. So the row groups are parsed here first, and Arrow reads only row groups in the form that we write.

Source: parquet.thrift of the Apache Parquet format.
"""

from typing import Any, BinaryIO, NamedTuple

from workers.archive import thrift
from workers.archive.blocks import UnsoundError
from workers.archive.thrift import BINARY, I32, I64, LIST, STRUCT, List, Struct

MAGIC = b"PAR1"
FOOTER_BYTES = 1_000_000
_TAIL = 8
"""Bytes after the footer: its length and the magic number."""

_INT32, _INT64, _BYTE_ARRAY = 1, 2, 6
_ZSTD = 6
_DICTIONARY_PAGE = 11
"""The field with its position."""
_OF_CHUNKS = {2, 3, 4, 5, 6, 7}
"""Allowed fields of a chunk: no external file, no encryption."""
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
"""The value types by path, in order."""
OF_HEADERS = tuple(path for path in _COLUMNS if path.startswith(_HEADERS))
DICTIONARIES = ("timestamp_type", *OF_HEADERS)
"""Columns with few distinct values; keys and values of a log are all different."""


class Column(NamedTuple):
    """One column of a row group."""

    path: str
    at: int
    """The position of its first page."""
    length: int
    """The size of its pages with headers, in bytes."""
    values: int

    @property
    def name(self) -> str:
        """The top-level column of the record."""
        return self.path.partition(".")[0]

    @property
    def dictionary(self) -> bool:
        """Whether it is written with a dictionary."""
        return self.path in DICTIONARIES


class RowGroup(NamedTuple):
    """A row group: records by column."""

    records: int
    columns: tuple[Column, ...]


class Footer:
    """The row groups of a file."""

    def __init__(self, stream: BinaryIO) -> None:
        """Read the footer.

        Raises:
            UnsoundError: The file is not Parquet, or its footer is too large or invalid.
        """
        self._groups = _structs(thrift.read(_raw(stream))[0], 4)

    def row_group(self, number: int) -> RowGroup:
        """A row group by number.

        Raises:
            UnsoundError: It does not exist, or differs from what we write.
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
    metadata: Struct = chunk.get((3, STRUCT), {})
    ours = (
        {number for number, _ in chunk} <= _OF_CHUNKS
        and metadata.get((3, LIST)) == (BINARY, [part.encode() for part in path.split(".")])
        and metadata.get((1, I32)) == _COLUMNS[path]
        and metadata.get((4, I32)) == _ZSTD
    )
    if not ours:
        raise UnsoundError(f"its column {path} is not as ours are")
    first = data = _count(metadata, 9)
    if path in DICTIONARIES and (_DICTIONARY_PAGE, I64) in metadata:
        first = _count(metadata, _DICTIONARY_PAGE)
    if first > data or (first == data and any(number == _DICTIONARY_PAGE for number, _ in metadata)):
        raise UnsoundError(f"its column {path} begins elsewhere than ours do")
    return Column(path, first, _count(metadata, 7), _count(metadata, 5))


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
