"""The files of an archive: newline-delimited JSON, plain or compressed, and Parquet. Exact in all of them.

A file holds blocks of records, each readable without the others, so that a reader begins where it wants to and a
damaged block costs no more than itself.

A line of JSON has `offset`, `timestamp` (milliseconds), `timestamp_type` (0 the producer's, 1 the broker's), `key`,
`headers` (pairs) and `value`. Bytes that are UTF-8 stand as text, others as `{"base64": …}`, and null is null.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from pydantic_core import from_json

from workers import files
from workers.records import Headers, Record, name_bytes
from workers.replay.log import Chunk, Damage, Format, Piece

BLOCK_RECORDS = 4_000
"""Records of one block at most: of decisions, some 17 MB before compression."""
LEVEL = 3


class Block(NamedTuple):
    """One block of a file."""

    first: int
    last: int
    """The offsets of its first and last record."""
    records: int
    at: int
    """Where it begins: a byte of a file of JSON, a row group of a Parquet file."""
    length: int
    """Bytes; 0 for a row group."""


class Place(NamedTuple):
    """Whose records a file holds."""

    topic: str
    partition: int


class Digest:
    """The digest of records, whatever file they are in."""

    _FRAME = Struct(">qqbqqq")

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=32)
        self.records = 0

    def add(self, chunk: Chunk) -> None:
        """Take records in."""
        for record, kind in zip(chunk.records, chunk.types, strict=True):
            sizes = (_size(record.key), _size(record.value), len(record.headers))
            self._hash.update(self._FRAME.pack(record.offset, record.timestamp, kind, *sizes))
            self._hash.update((record.key or b"") + (record.value or b""))
            for name, value in record.headers:
                named = name_bytes(name)
                self._hash.update(b"%d,%d;" % (len(named), _size(value)) + named + (value or b""))
        self.records += len(chunk.records)

    def hex(self) -> str:
        """The digest of all that was taken in."""
        return self._hash.hexdigest()


def _size(raw: bytes | None) -> int:
    return -1 if raw is None else len(raw)


class Writer(Protocol):
    """Writes one file."""

    def add(self, chunk: Chunk) -> Block:
        """Write a block."""

    def close(self) -> None:
        """No more blocks."""


def writer(form: Format, file: Path) -> Writer:
    """A writer of a new file."""
    return ParquetWriter(file) if form is Format.PARQUET else JsonWriter(file, compressed=form is Format.JSONL_ZSTD)


def read(form: Format, file: Path, place: Place, blocks: Sequence[Block]) -> Iterator[Piece]:
    """Records of some of a file's blocks.

    Raises:
        OSError: The file is not there.
    """
    reader = _read_parquet if form is Format.PARQUET else _read_json
    yield from reader(form, file, place, blocks)


def read_keys(form: Format, file: Path, place: Place, blocks: Sequence[Block]) -> Iterator[Sequence[bytes | None]]:
    """The keys of a file's records, as far as they can be read.

    Raises:
        OSError: The file is not there.
    """
    if form is Format.PARQUET:
        for _, table in _row_groups(file, blocks, ["key"]):
            if table is not None:
                yield table.column("key").to_pylist()
        return
    for piece in _read_json(form, file, place, blocks):
        if piece.chunk is not None:
            yield [record.key for record in piece.chunk.records]


def _lost(place: Place, block: Block, why: str) -> Piece:
    return Piece(damage=Damage(place.topic, place.partition, block.first, block.last, why))


# --- JSON ----------------------------------------------------------------------------------------------------------


class JsonWriter:
    """Writes lines of JSON; compressed, each block is a frame of its own."""

    def __init__(self, file: Path, *, compressed: bool) -> None:
        self._stream: BinaryIO = files.opened(file, "wb")
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True) if compressed else None

    def add(self, chunk: Chunk) -> Block:
        """Write a block."""
        text = "".join([_line(record, kind) for record, kind in zip(chunk.records, chunk.types, strict=True)]).encode()
        raw = self._compressor.compress(text) if self._compressor is not None else text
        at = self._stream.tell()
        self._stream.write(raw)
        return Block(chunk.records[0].offset, chunk.records[-1].offset, len(chunk.records), at, len(raw))

    def close(self) -> None:
        """No more blocks."""
        self._stream.close()


def _line(record: Record, kind: int) -> str:
    fields = {
        "offset": record.offset,
        "timestamp": record.timestamp,
        "timestamp_type": kind,
        "key": _as_json(record.key),
        "headers": [[written_name(name), _as_json(value)] for name, value in record.headers],
        "value": _as_json(record.value),
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"


_NAME_IN_BASE64 = "\0base64:"


def written_name(name: str) -> str:
    """A header's name as files have it: one that is not UTF-8, or looks like one written so, in base64."""
    raw = name_bytes(name)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return _NAME_IN_BASE64 + b64encode(raw).decode()
    return _NAME_IN_BASE64 + b64encode(raw).decode() if name.startswith(_NAME_IN_BASE64) else name


def read_name(written: str) -> str:
    """The name that was written so.

    Raises:
        ValueError: It is no base64.
    """
    if not written.startswith(_NAME_IN_BASE64):
        return written
    return b64decode(written.removeprefix(_NAME_IN_BASE64), validate=True).decode("utf-8", "surrogateescape")


def _as_json(raw: bytes | None) -> str | dict[str, str] | None:
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(raw).decode()}


def _from_json(written: Any) -> bytes | None:
    if isinstance(written, str):
        return written.encode()
    return None if written is None else b64decode(written["base64"], validate=True)


def _read_json(form: Format, file: Path, place: Place, blocks: Sequence[Block]) -> Iterator[Piece]:
    expander = zstandard.ZstdDecompressor() if form is Format.JSONL_ZSTD else None
    with file.open("rb") as stream:
        for block in blocks:
            stream.seek(block.at)
            raw = stream.read(block.length)
            try:
                text = expander.decompress(raw) if expander is not None else raw
            except zstandard.ZstdError:
                yield _lost(place, block, f"{file.name} is damaged at byte {block.at}: it does not decompress")
                continue
            yield from _lines(text, file, place, block)


def _lines(text: bytes, file: Path, place: Place, block: Block) -> Iterator[Piece]:
    records: list[Record] = []
    types: list[int] = []
    damaged: list[Damage] = []
    following = block.first
    unread = 0
    # Not splitlines: only a line feed ends a line here.
    for number, line in enumerate(text.split(b"\n")[:-1] if text.endswith(b"\n") else text.split(b"\n")):
        try:
            record, kind = _record(from_json(line), place)
        except (ValueError, KeyError, TypeError):
            unread = unread or number + 1
            continue
        if unread:
            damaged.append(_gap(file, place, following, record.offset - 1, block, unread))
            unread = 0
        records.append(record)
        types.append(kind)
        following = record.offset + 1
    if unread:
        damaged.append(_gap(file, place, following, block.last, block, unread))
    if records:
        yield Piece(Chunk(records, types))
    for one in damaged:
        yield Piece(damage=one)
    if len(records) < block.records and not damaged:
        yield _lost(place, block, f"{file.name} lacks {block.records - len(records)} lines behind byte {block.at}")


def _gap(file: Path, place: Place, first: int, last: int, block: Block, line: int) -> Damage:
    return Damage(*place, first, max(first, last), f"{file.name}: line {line} behind byte {block.at} is no record")


def _record(tree: Any, place: Place) -> tuple[Record, int]:
    headers = tuple([(read_name(str(name)), _from_json(value)) for name, value in tree["headers"]])
    key, value = _from_json(tree["key"]), _from_json(tree["value"])
    offset, timestamp, kind = tree["offset"], tree["timestamp"], tree["timestamp_type"]
    if not (isinstance(offset, int) and isinstance(timestamp, int) and isinstance(kind, int)):
        raise TypeError
    return Record(place.topic, place.partition, offset, timestamp, key, value, headers), kind


# --- Parquet -------------------------------------------------------------------------------------------------------

_SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("timestamp_type", pa.int8(), nullable=False),
        pa.field("key", pa.binary()),
        pa.field(
            "headers",
            pa.list_(pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.binary())])),
            nullable=False,
        ),
        pa.field("value", pa.binary()),
    ]
)


class ParquetWriter:
    """Writes a Parquet file; each block is a row group."""

    def __init__(self, file: Path) -> None:
        files.opened(file, "wb").close()  # Arrow opens it again by itself
        self._writer = pq.ParquetWriter(
            file,
            _SCHEMA,
            compression="zstd",
            compression_level=LEVEL,
            # Of few different values only; keys and values of a log are all different.
            use_dictionary=["timestamp_type", "headers.list.element.name", "headers.list.element.value"],
            write_statistics=["offset", "timestamp"],
            write_page_checksum=True,
        )
        self._groups = 0

    def add(self, chunk: Chunk) -> Block:
        """Write a block."""
        records = chunk.records
        headers = [[{"name": written_name(name), "value": value} for name, value in one.headers] for one in records]
        columns = [
            pa.array([one.offset for one in records], pa.int64()),
            pa.array([one.timestamp for one in records], pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
            pa.array(chunk.types, pa.int8()),
            pa.array([one.key for one in records], pa.binary()),
            pa.array(headers, _SCHEMA.field("headers").type),
            pa.array([one.value for one in records], pa.binary()),
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=_SCHEMA), row_group_size=len(records))
        self._groups += 1
        return Block(records[0].offset, records[-1].offset, len(records), self._groups - 1, 0)

    def close(self) -> None:
        """No more blocks."""
        self._writer.close()


def _row_groups(
    file: Path, blocks: Sequence[Block], columns: list[str] | None = None
) -> Iterator[tuple[Block, pa.Table | None]]:
    """Each block's table; None for one that is damaged."""
    if not file.is_file():
        raise FileNotFoundError(2, "No such file", str(file))
    opened: pq.ParquetFile | None
    try:
        opened = pq.ParquetFile(file, memory_map=False, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        opened = None
    for block in blocks:
        try:
            # Threads are for whoever has no other processes.
            table = opened.read_row_group(block.at, columns, use_threads=False) if opened is not None else None
        except (OSError, IndexError, pa.ArrowException):
            table = None
        yield block, table
    if opened is not None:
        opened.close()


def _read_parquet(_form: Format, file: Path, place: Place, blocks: Sequence[Block]) -> Iterator[Piece]:
    for block, table in _row_groups(file, blocks):
        try:
            chunk = _chunk(table, place) if table is not None else None
        except (ValueError, KeyError, pa.ArrowException):
            chunk = None
        if chunk is None or len(chunk.records) != block.records:
            yield _lost(place, block, f"{file.name} is damaged in row group {block.at}")
            continue
        yield Piece(chunk)


def _chunk(table: pa.Table, place: Place) -> Chunk:
    columns = {name: table.column(name).combine_chunks() for name in _SCHEMA.names}
    times = columns["timestamp"].cast(pa.int64()).to_pylist()
    rows = zip(
        columns["offset"].to_pylist(),
        times,
        columns["key"].to_pylist(),
        columns["value"].to_pylist(),
        _headers(columns["headers"]),
        strict=True,
    )
    topic, partition = place
    records = [
        Record(topic, partition, offset, time, key, value, headers) for offset, time, key, value, headers in rows
    ]
    return Chunk(records, columns["timestamp_type"].to_pylist())


def _headers(column: pa.ListArray) -> list[Headers]:
    """The headers of every record; of a log nearly all are alike, and made once."""
    entries = column.flatten()
    names, values = entries.field(0).to_pylist(), entries.field(1).to_pylist()
    ends = column.value_lengths().to_pylist()
    made: dict[Headers, Headers] = {}
    found: list[Headers] = []
    at = 0
    for length in ends:
        one = tuple(zip(map(read_name, names[at : at + length]), values[at : at + length], strict=True))
        found.append(made.setdefault(one, one))
        at += length
    return found
