"""The file formats of an archive: newline-delimited JSON, plain or compressed, and Parquet; all lossless.

A file consists of independently readable blocks of records, so that a reader can start at any block, and damage is
limited to its block.
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
        """Finish the file."""


def writer(form: Format, file: Path) -> Writer:
    """A writer of a new file.

    Raises:
        OSError: It exists, or cannot be created.
    """
    if form is Format.PARQUET:
        return parquet.ParquetWriter(file)
    return json_lines.JsonWriter(file, compressed=form is Format.JSONL_ZSTD)


def read(form: Format, stream: BinaryIO, name: str, place: LogPartition, blocks: Sequence[Block]) -> Iterator[Piece]:
    """The records of some blocks; any damage is reported.

    Args:
        form: The file format.
        stream: The file.
        name: Its name in reports.
        place: The partition of its records.
        blocks: The blocks to read.
    """
    if form is Format.PARQUET:
        yield from parquet.read(stream, name, place, blocks)
    else:
        yield from json_lines.read(form, stream, name, place, blocks)


def read_keys(
    form: Format, stream: BinaryIO, place: LogPartition, blocks: Sequence[Block]
) -> Iterator[Sequence[bytes | None]]:
    """The readable keys of a file's records."""
    if form is Format.PARQUET:
        yield from parquet.read_keys(stream, blocks)
        return
    for piece in json_lines.read(form, stream, "", place, blocks):
        if piece.chunk is not None:
            yield [record.key for record in piece.chunk.records]
