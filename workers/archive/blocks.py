"""What the files of an archive have in common: blocks of records, their bounds, their digest.

A bound is what a reader takes at most, whatever a file says of itself. A writer stays well below: what it writes can
always be read again.
"""

from base64 import b64decode, b64encode
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from workers.event_log.source import Chunk, Damage, Piece
from workers.records import Record, name_bytes

BLOCK_RECORDS = 4_000
"""Records of one block at most: of decisions, some 17 MB before compression."""
BLOCK_RAW = 32_000_000
"""Bytes of keys, values and headers at which a block ends earlier, unless a single record has more."""

MOST_BYTES = 128_000_000
"""Of one block, also once it is decompressed."""
MOST_RECORDS = 100_000
"""Of one block."""
MOST_HEADERS = 1_000_000
"""Of all records of one block."""
_HEADER = 32
"""What a header counts beside its bytes: so no block has more of them than are read."""


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


class LogPartition(NamedTuple):
    """Whose records a file holds."""

    topic: str
    partition: int


class UnsoundError(ValueError):
    """A block that is not as blocks are; the message says in what."""


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


_IN_BASE64 = "\0base64:"


def written_name(name: str) -> str:
    """A header's name as files have it: one that is not UTF-8, or looks like one written so, in base64."""
    raw = name_bytes(name)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return _IN_BASE64 + b64encode(raw).decode()
    return _IN_BASE64 + b64encode(raw).decode() if name.startswith(_IN_BASE64) else name


def read_name(written: str) -> str:
    """The name that was written so.

    Raises:
        ValueError: It is no base64.
    """
    if not written.startswith(_IN_BASE64):
        return written
    return b64decode(written.removeprefix(_IN_BASE64), validate=True).decode("utf-8", "surrogateescape")


def raw_size(record: Record) -> int:
    """How much of a block's bytes a record is."""
    headers = sum(_HEADER + len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def lost(place: LogPartition, block: Block, why: str) -> Piece:
    """A block that cannot be read."""
    return Piece(damage=Damage(*place, block.first, block.last, f"{why}; a sound copy of the file has them"))


def fits(record: Record, kind: object, following: int, block: Block) -> bool:
    """Whether a record is one that a block may have there.

    Args:
        record: What was read.
        kind: The type of its timestamp.
        following: The least offset that it may have.
        block: Where it was read.
    """
    return (
        following <= record.offset <= block.last
        and -_LIMIT <= record.timestamp < _LIMIT
        and isinstance(kind, int)
        and -128 <= kind < 128  # noqa: PLR2004 (a byte, as the digest takes it in)
    )


_LIMIT = 1 << 63


def all_fit(chunk: Chunk, block: Block) -> bool:
    """Whether records are those of a block, as far as can be told without their digest."""
    following = block.first
    for record, kind in zip(chunk.records, chunk.types, strict=True):
        if not fits(record, kind, following, block):
            return False
        following = record.offset + 1
    return len(chunk.records) == block.records
