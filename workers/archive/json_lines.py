"""Archive files in newline-delimited JSON, plain or compressed with zstd, one frame per block.

A line has `offset`, `timestamp` (milliseconds), `timestamp_type` (0 for the producer's, 1 for the broker's), `key`,
`headers` (pairs) and `value`. UTF-8 bytes are strings, other bytes `{"base64": …}`, and null is null.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import zstandard
from pydantic_core import from_json

from workers.archive.blocks import (
    MOST_BYTES,
    MOST_HEADERS,
    Block,
    LogPartition,
    UnsoundError,
    fits,
    lost,
    read_name,
    written_name,
)
from workers.event_log.source import Chunk, Damage, Format, Piece
from workers.kafka.records import Record
from workers.process import private_files

LEVEL = 3
LONG = 1_000_000
"""From this size in bytes, a line must have exactly our format: other JSON may expand in memory."""

_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
_BYTES = rb'(?:null|%b|\{"base64":%b\})' % (_TEXT, _TEXT)
_PAIR = rb"\[%b,%b\]" % (_TEXT, _BYTES)
_WRITTEN = re.compile(
    rb'\{"offset":\d{1,19},"timestamp":-?\d{1,19},"timestamp_type":-?\d{1,3},"key":%b,'
    rb'"headers":\[(?:%b(?:,%b)*+)?+\],"value":%b\}\n?' % (_BYTES, _PAIR, _PAIR, _BYTES)
)


class JsonWriter:
    """Writes JSON lines."""

    def __init__(self, file: Path, *, compressed: bool) -> None:
        self._stream: BinaryIO = private_files.opened(file, "xb")
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True) if compressed else None

    def add(self, chunk: Chunk) -> Block:
        """Write a block."""
        text = _text(chunk)
        if len(text) > MOST_BYTES:
            text = _text(chunk, plain=False)  # escaped control characters take six times the space
        raw = self._compressor.compress(text) if self._compressor is not None else text
        at = self._stream.tell()
        self._stream.write(raw)
        return Block(chunk.records[0].offset, chunk.records[-1].offset, len(chunk.records), at, len(raw))

    def close(self) -> None:
        """Finish the file."""
        self._stream.close()


def _text(chunk: Chunk, *, plain: bool = True) -> bytes:
    pairs = zip(chunk.records, chunk.types, strict=True)
    return "".join([_line(record, kind, plain=plain) for record, kind in pairs]).encode()


def _line(record: Record, kind: int, *, plain: bool) -> str:
    fields = {
        "offset": record.offset,
        "timestamp": record.timestamp,
        "timestamp_type": kind,
        "key": _as_json(record.key, plain=plain),
        "headers": [[written_name(name), _as_json(value, plain=plain)] for name, value in record.headers],
        "value": _as_json(record.value, plain=plain),
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"


def _as_json(raw: bytes | None, *, plain: bool) -> str | dict[str, str] | None:
    if raw is None:
        return None
    if plain:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            pass
    return {"base64": b64encode(raw).decode()}


def _from_json(written: Any) -> bytes | None:
    if isinstance(written, str):
        return written.encode()
    return None if written is None else b64decode(written["base64"], validate=True)


def read(form: Format, stream: BinaryIO, name: str, place: LogPartition, blocks: Sequence[Block]) -> Iterator[Piece]:
    """The records of some blocks."""
    size = stream.seek(0, 2)
    for block in blocks:
        try:
            text = _block(form, stream, size, block)
        except (UnsoundError, OSError) as error:
            why = error if isinstance(error, UnsoundError) else error.strerror
            yield lost(place, block, f"{name} is damaged at byte {block.at}: {why}")
            continue
        yield from _lines(text, name, place, block)


def _block(form: Format, stream: BinaryIO, size: int, block: Block) -> bytes:
    """The lines of a block.

    Raises:
        OSError: They cannot be read.
        UnsoundError: They are missing or incomplete.
    """
    if block.at + block.length > size:
        raise UnsoundError("the file ends before it does")
    stream.seek(block.at)
    raw = stream.read(block.length)
    return _decompressed(raw) if form is Format.JSONL_ZSTD else raw


def _decompressed(raw: bytes) -> bytes:
    """Decompress a block's frame; it must state its size, within the limit.

    Raises:
        UnsoundError: It is not such a frame.
    """
    try:
        size = zstandard.frame_content_size(raw)
        if not 0 <= size <= MOST_BYTES:
            says = f"{size:,} bytes" if size >= 0 else "nothing of its size"
            raise UnsoundError(f"its frame says {says}, and a block has {MOST_BYTES:,} bytes at most")
        return zstandard.ZstdDecompressor().decompress(raw, allow_extra_data=False)
    except zstandard.ZstdError:
        raise UnsoundError("it does not decompress") from None


def _lines(text: bytes, name: str, place: LogPartition, block: Block) -> Iterator[Piece]:
    records: list[Record] = []
    types: list[int] = []
    damaged: list[Damage] = []
    following = block.first
    unread = headers = number = 0
    # Limited to the expected number: a block of line feeds would be millions of lines.
    for number, line in enumerate(BytesIO(text), start=1):
        found = _record(line, place, following, block) if headers <= MOST_HEADERS else None
        if found is None:
            unread = unread or number
            if number > 2 * block.records:
                break
            continue
        record, kind = found
        if unread:
            damaged.append(_gap(name, place, following, record.offset - 1, block, unread))
            unread = 0
        records.append(record)
        types.append(kind)
        headers += len(record.headers)
        following = record.offset + 1
    if unread:
        damaged.append(_gap(name, place, following, block.last, block, unread))
    if records:
        yield Piece(Chunk(records, types))
    for damage in damaged:
        yield Piece(damage=damage)
    if len(records) < block.records and not damaged:
        yield lost(place, block, f"{name} lacks {block.records - len(records)} lines behind byte {block.at}")


def _gap(name: str, place: LogPartition, first: int, last: int, block: Block, line: int) -> Damage:
    why = f"{name}: line {line} behind byte {block.at} is no record"
    return Damage(*place, first, max(first, last), f"{why}; a sound copy of the file has it")


def _record(line: bytes, place: LogPartition, following: int, block: Block) -> tuple[Record, int] | None:
    """The record of a line and its timestamp type; None if it is not a valid record there."""
    if len(line) > LONG and (line.count(b"],[") > MOST_HEADERS or not _WRITTEN.fullmatch(line)):
        return None
    try:
        tree = from_json(line)
        headers = tuple([(read_name(str(name)), _from_json(value)) for name, value in tree["headers"]])
        key, value = _from_json(tree["key"]), _from_json(tree["value"])
        offset, timestamp, kind = tree["offset"], tree["timestamp"], tree["timestamp_type"]
        record = Record(place.topic, place.partition, offset, timestamp, key, value, headers)
        return (record, kind) if fits(record, kind, following, block) else None
    except (ValueError, LookupError, TypeError):
        return None
