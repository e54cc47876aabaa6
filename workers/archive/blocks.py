"""What all archive formats share: blocks of records, their limits, their digest.

Readers enforce the limits whatever a file states; writers stay well below them.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import blake2b
from operator import lt
from struct import Struct
from typing import NamedTuple

from workers.event_log.source import Chunk, Damage, Piece
from workers.kafka.records import Record, name_bytes

BLOCK_RECORDS = 1_000
"""Maximum records of a written block: about 5 MB of decisions, which a reader's memory holds while it goes on."""
BLOCK_RAW = 32_000_000
"""Bytes of keys, values and headers at which a block ends early, unless a single record is larger."""

MOST_BYTES = 128_000_000
"""Limit per block, also decompressed."""
MOST_RECORDS = 100_000
"""Limit per block."""
MOST_HEADERS = 1_000_000
"""Limit for all records of a block."""
_HEADER = 32
"""Size of a header beyond its bytes, so that no block exceeds `MOST_HEADERS`."""


class Block(NamedTuple):
    """One block of a file."""

    first: int
    last: int
    """The offsets of its first and last record."""
    records: int
    at: int
    """Its position: a byte offset in JSON, a row group in Parquet."""
    length: int
    """Its size in bytes; 0 for a row group."""


class LogPartition(NamedTuple):
    """The partition of a file's records."""

    topic: str
    partition: int


class UnsoundError(ValueError):
    """An invalid block; the message says why."""


class Digest:
    """The digest of records, independent of the file format."""

    _FRAME = Struct(">qqbqqq")

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=32)
        self.records = 0

    def add(self, chunk: Chunk) -> None:
        """Add records."""
        for record, kind in zip(chunk.records, chunk.types, strict=True):
            sizes = (_size(record.key), _size(record.value), len(record.headers))
            self._hash.update(self._FRAME.pack(record.offset, record.timestamp, kind, *sizes))
            self._hash.update((record.key or b"") + (record.value or b""))
            for name, value in record.headers:
                named = name_bytes(name)
                self._hash.update(b"%d,%d;" % (len(named), _size(value)) + named + (value or b""))
        self.records += len(chunk.records)

    def hex(self) -> str:
        """The digest of all records added."""
        return self._hash.hexdigest()


def _size(raw: bytes | None) -> int:
    return -1 if raw is None else len(raw)


_IN_BASE64 = "\0base64:"


def written_name(name: str) -> str:
    """A header's name as written to files: in base64 if it is not UTF-8, or has the base64 prefix itself."""
    raw = name_bytes(name)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return _IN_BASE64 + b64encode(raw).decode()
    return _IN_BASE64 + b64encode(raw).decode() if name.startswith(_IN_BASE64) else name


def read_name(written: str) -> str:
    """The header name for a written name.

    Raises:
        ValueError: It is not base64.
    """
    if not written.startswith(_IN_BASE64):
        return written
    return b64decode(written.removeprefix(_IN_BASE64), validate=True).decode("utf-8", "surrogateescape")


def raw_size(record: Record) -> int:
    """A record's share of a block's bytes."""
    headers = sum(_HEADER + len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def lost(place: LogPartition, block: Block, why: str) -> Piece:
    """The damage report for an unreadable block."""
    return Piece(damage=Damage(*place, block.first, block.last, f"{why}; a sound copy of the file has them"))


def fits(record: Record, kind: object, following: int, block: Block) -> bool:
    """Whether a record is valid at its place in a block.

    Args:
        record: The record read.
        kind: Its timestamp type.
        following: Its minimum offset.
        block: Its block.
    """
    return (
        following <= record.offset <= block.last
        and -_LIMIT <= record.timestamp < _LIMIT
        and isinstance(kind, int)
        and -128 <= kind < 128  # noqa: PLR2004 (a byte in the digest)
    )


_LIMIT = 1 << 63


def in_order(offsets: Sequence[int], block: Block) -> bool:
    """Whether offsets can be those of a block's records, without checking the digest."""
    return (
        len(offsets) == block.records
        and block.first <= offsets[0]
        and offsets[-1] <= block.last
        and all(map(lt, offsets, offsets[1:]))
    )
