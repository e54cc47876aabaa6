"""The files of an archive: newline-delimited JSON, plain or compressed, and Parquet. Exact in all of them.

A file holds blocks of records, each readable without the others, so that a reader begins where it wants to and a
damaged block costs no more than itself.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from workers.archive import json_lines, parquet
from workers.archive.blocks import Block, LogPartition
from workers.event_log.source import Chunk, Format, Piece


class Writer(Protocol):
    """Writes one file."""

    def add(self, chunk: Chunk) -> Block:
        """Write a block."""

    def close(self) -> None:
        """No more blocks."""


def writer(form: Format, file: Path) -> Writer:
    """A writer of a file that is not there yet.

    Raises:
        OSError: It is, or cannot be made.
    """
    if form is Format.PARQUET:
        return parquet.ParquetWriter(file)
    return json_lines.JsonWriter(file, compressed=form is Format.JSONL_ZSTD)


def read(form: Format, stream: BinaryIO, name: str, place: LogPartition, blocks: Sequence[Block]) -> Iterator[Piece]:
    """Records of some of a file's blocks; what is not as it should be is told, whatever it is.

    Args:
        form: How the file is written.
        stream: The file.
        name: What it is called when something of it is told.
        place: Whose records it has.
        blocks: Which blocks.
    """
    if form is Format.PARQUET:
        yield from parquet.read(stream, name, place, blocks)
    else:
        yield from json_lines.read(form, stream, name, place, blocks)


def read_keys(
    form: Format, stream: BinaryIO, place: LogPartition, blocks: Sequence[Block]
) -> Iterator[Sequence[bytes | None]]:
    """The keys of a file's records, as far as they can be read."""
    if form is Format.PARQUET:
        yield from parquet.read_keys(stream, blocks)
        return
    for piece in json_lines.read(form, stream, "", place, blocks):
        if piece.chunk is not None:
            yield [record.key for record in piece.chunk.records]
