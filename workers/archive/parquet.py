"""Archive files in Parquet, one row group per block."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate, repeat
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from workers.archive import parquet_pages
from workers.archive.blocks import (
    MOST_BYTES,
    MOST_HEADERS,
    Block,
    LogPartition,
    UnsoundError,
    in_order,
    lost,
    read_name,
    written_name,
)
from workers.archive.parquet_footer import DICTIONARIES, FOOTER_BYTES, OF_HEADERS, Footer
from workers.event_log.source import Chunk, Piece
from workers.kafka.records import Headers, Record
from workers.process import private_files

LEVEL = 3


def _schema(name: pa.DataType, value: pa.DataType) -> pa.Schema:
    header = pa.struct([pa.field("name", name, nullable=False), pa.field("value", value)])
    return pa.schema(
        [
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("timestamp", pa.timestamp("ms", tz="UTC"), nullable=False),
            pa.field("timestamp_type", pa.int8(), nullable=False),
            pa.field("key", pa.binary()),
            pa.field("headers", pa.list_(header), nullable=False),
            pa.field("value", pa.binary()),
        ]
    )


_SCHEMA = _schema(pa.string(), pa.binary())
_READ = _schema(pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int32(), pa.binary()))
"""Keeps headers dictionary-encoded: decoded, a few bytes may become gigabytes."""

_NOT_SOUND = (OSError, ValueError, LookupError, TypeError, OverflowError, MemoryError, pa.ArrowException)
"""The exceptions of Arrow and of the conversion to Python for invalid bytes."""


class ParquetWriter:
    """Writes a Parquet file."""

    def __init__(self, file: Path) -> None:
        self._stream = private_files.opened(file, "xb")
        self._writer = pq.ParquetWriter(
            self._stream,
            _SCHEMA,
            compression="zstd",
            compression_level=LEVEL,
            use_dictionary=list(DICTIONARIES),
            write_statistics=["offset", "timestamp"],
            write_page_checksum=True,
        )
        self._groups = 0

    def add(self, chunk: Chunk) -> Block:
        """Write a block."""
        records = chunk.records
        headers = [
            [{"name": written_name(name), "value": value} for name, value in record.headers] for record in records
        ]
        columns = [
            pa.array([record.offset for record in records], pa.int64()),
            pa.array([record.timestamp for record in records], pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
            pa.array(chunk.types, pa.int8()),
            pa.array([record.key for record in records], pa.binary()),
            pa.array(headers, _SCHEMA.field("headers").type),
            pa.array([record.value for record in records], pa.binary()),
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=_SCHEMA), row_group_size=len(records))
        self._groups += 1
        return Block(records[0].offset, records[-1].offset, len(records), self._groups - 1, 0)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
        self._stream.close()


class _File:
    """A file whose footer was read by our parser, then by Arrow."""

    def __init__(self, stream: BinaryIO) -> None:
        """Read the footer.

        Raises:
            UnsoundError: It is not a file of ours.
        """
        self._stream = stream
        self._footer = Footer(stream)
        stream.seek(0)
        self._arrow = pq.ParquetFile(
            stream,
            memory_map=False,
            pre_buffer=False,
            page_checksum_verification=True,
            read_dictionary=list(OF_HEADERS),
            thrift_string_size_limit=FOOTER_BYTES,
            thrift_container_size_limit=FOOTER_BYTES,
        )
        if not self._arrow.schema_arrow.equals(_READ):
            raise UnsoundError("it has other columns")

    def table(self, block: Block, names: Sequence[str]) -> pa.Table:
        """Some columns of a row group.

        Raises:
            UnsoundError: It differs from what we write, or is too large.
        """
        group = self._footer.row_group(block.at)
        if group.records != block.records:
            raise UnsoundError(f"it has {group.records:,} records, and not {block.records:,}")
        total = 0
        for column in group.columns:
            if column.name not in names:
                continue
            if column.path not in OF_HEADERS and column.values != block.records:
                raise UnsoundError(f"its column {column.path} has {column.values:,} values")
            total += parquet_pages.check(self._stream, column)
        if total > MOST_BYTES:
            raise UnsoundError(f"it would decompress to {total:,} bytes, and a block has {MOST_BYTES:,} at most")
        # No threads: processes run in parallel already.
        return self._arrow.read_row_group(block.at, list(names), use_threads=False)


def _tables(
    stream: BinaryIO, blocks: Sequence[Block], names: Sequence[str]
) -> Iterator[tuple[Block, pa.Table | UnsoundError]]:
    """Each block's table, or its error."""
    opened: _File | None = None
    wrong = UnsoundError("")
    try:
        opened = _File(stream)
    except _NOT_SOUND as error:
        wrong = _unsound(error, "its footer cannot be read")
    for block in blocks:
        table: pa.Table | UnsoundError = wrong
        if opened is not None:
            try:
                table = opened.table(block, names)
            except _NOT_SOUND as error:
                table = _unsound(error, "it cannot be read")
        yield block, table
    # Arrow keeps freed memory for the next file, which another process may read.
    pa.default_memory_pool().release_unused()


def _unsound(error: BaseException, otherwise: str) -> UnsoundError:
    # Arrow's messages may contain bytes of the file, which are health data.
    return error if isinstance(error, UnsoundError) else UnsoundError(otherwise)


def read_keys(stream: BinaryIO, blocks: Sequence[Block]) -> Iterator[Sequence[bytes | None]]:
    """The readable keys of a file's records."""
    for _, table in _tables(stream, blocks, ["key"]):
        if not isinstance(table, UnsoundError):
            yield table.column("key").to_pylist()


def read(stream: BinaryIO, name: str, place: LogPartition, blocks: Sequence[Block]) -> Iterator[Piece]:
    """The records of some row groups."""
    for block, table in _tables(stream, blocks, _SCHEMA.names):
        try:
            if isinstance(table, UnsoundError):
                raise table
            chunk = _chunk(table, place, block)
        except _NOT_SOUND as error:
            why = _unsound(error, "it holds no records")
            yield lost(place, block, f"{name} is damaged in row group {block.at}: {why}")
            continue
        yield Piece(chunk)


def _chunk(table: pa.Table, place: LogPartition, block: Block) -> Chunk:
    """The records of a row group, put together from its columns without a step of Python's for each record."""
    columns = {name: table.column(name) for name in _SCHEMA.names}
    offsets = columns["offset"].to_pylist()
    if not in_order(offsets, block):
        raise UnsoundError("its records are not those that were kept there")
    rows = zip(
        repeat(place.topic),
        repeat(place.partition),
        offsets,
        columns["timestamp"].cast(pa.int64()).to_pylist(),
        columns["key"].to_pylist(),
        columns["value"].to_pylist(),
        _headers(columns["headers"]),
        strict=False,  # the first two have no end; all columns have as many values as there are offsets
    )
    return Chunk(list(map(_RECORD, rows)), columns["timestamp_type"].to_pylist())


_RECORD: Callable[[Iterable[Any]], Record] = partial(tuple.__new__, Record)
"""As `Record._make`, which takes several times as long."""


def _headers(column: pa.ChunkedArray) -> list[Headers]:
    """The headers of every record; alike on all records, they are one object."""
    found: list[Headers] = []
    size = 0
    for part in column.chunks:
        entries = part.flatten()
        if len(entries) > MOST_HEADERS:
            raise UnsoundError(f"it has {len(entries):,} headers, and a block has {MOST_HEADERS:,} at most")
        names, of_names = _decoded(entries.field(0), read_name)
        values, of_values = _decoded(entries.field(1))
        size += of_names + of_values
        if size > MOST_BYTES:
            raise UnsoundError(f"its headers have {size:,} bytes, and a block has {MOST_BYTES:,} at most")
        pairs = list(zip(names, values, strict=True))
        ends = list(accumulate(part.value_lengths().to_pylist(), initial=0))
        found += map(tuple, map(pairs.__getitem__, map(slice, ends, ends[1:])))
    return found


def _as_it_is(value: Any) -> Any:
    return value


def _decoded(column: pa.DictionaryArray, read: Callable[[Any], Any] = _as_it_is) -> tuple[list[Any], int]:
    """A column's values, each decoded and read once, and their total size in bytes."""
    known = column.dictionary.to_pylist()
    places = column.indices.to_pylist()
    used = {place: None if place is None else known[place] for place in set(places)}
    sizes = {place: len(value or b"") for place, value in used.items()}
    values = {place: None if value is None else read(value) for place, value in used.items()}
    return list(map(values.__getitem__, places)), sum(map(sizes.__getitem__, places))
