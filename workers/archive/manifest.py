"""An archive's manifest: its topics and ranges, and each file with count and digest.

It is untrusted input that controls what is read next. So its consistency is checked first: files only below the folder
and listed once, plausible numbers, blocks and ranges in order.
"""

import os
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workers.archive import plain_files
from workers.archive.blocks import MOST_BYTES, MOST_RECORDS, Block
from workers.event_log.source import Format, ReplayError
from workers.process import private_files

NAME = "manifest.json"
MOST = 8_000_000
"""Maximum size of a manifest in bytes, enough for about 200 million records."""
MOST_OF_A_FILE = 8_000_000_000

Offset = Annotated[int, Field(ge=0, lt=1 << 63)]
Number = Annotated[int, Field(ge=0, lt=1 << 31)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,349}$")]
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class KeptPartition(_Part):
    """The archived range of one partition."""

    topic: Topic
    partition: Number
    first: Offset
    end: Offset
    """The offset after the last one."""
    whole: bool
    """Whether the range begins with the partition's first offset."""
    to_end: bool
    """Whether it ended where the partition ended."""


class Segment(_Part):
    """One file."""

    topic: Topic
    partition: Number
    file: Annotated[str, Field(max_length=1_000)]
    """Its path in the archive."""
    records: Annotated[int, Field(ge=1)]
    first: Offset
    last: Offset
    """The offsets of its first and last record."""
    bytes: Annotated[int, Field(ge=1, le=MOST_OF_A_FILE)]
    sha256: Hex
    """The digest of the file."""
    content: Hex
    """BLAKE2b of its records, independent of the format."""
    blocks: Annotated[tuple[Block, ...], Field(min_length=1)]
    """Each with first and last offset, number of records, position and length; see `workers.archive.blocks`."""

    @model_validator(mode="after")
    def _agrees(self) -> "Segment":
        _must(plain_files.is_below(self.file), f"the file {self.file!r} is not below the archive's folder")
        for block in self.blocks:
            spans = 0 < block.records <= min(MOST_RECORDS, block.last - block.first + 1)
            lies = 0 <= block.at < MOST_OF_A_FILE and 0 <= block.length <= MOST_BYTES
            _must(spans and lies, f"{self.file}: a block that cannot be")
        _must(
            all(block.last < other.first for block, other in pairwise(self.blocks)), f"{self.file}: blocks out of order"
        )
        ends = (self.blocks[0].first, self.blocks[-1].last, sum(block.records for block in self.blocks))
        _must(ends == (self.first, self.last, self.records), f"{self.file}: its blocks are not its records")
        return self


class Manifest(_Part):
    """An archive's manifest."""

    version: int = 1
    format: Format
    prefix: str
    """The prefix of every topic name."""
    partitions: tuple[KeptPartition, ...]
    segments: tuple[Segment, ...] = ()
    complete: bool = False

    @model_validator(mode="after")
    def _agrees(self) -> "Manifest":
        ranges = {(kept.topic, kept.partition): kept for kept in self.partitions}
        _must(len(ranges) == len(self.partitions), "a partition is named twice")
        _must(all(kept.first <= kept.end for kept in self.partitions), "a range ends before it begins")
        _must(len({segment.file for segment in self.segments}) == len(self.segments), "a file is named twice")
        reached: dict[tuple[str, int], int] = {}
        for segment in sorted(self.segments, key=lambda segment: segment.first):
            where = (segment.topic, segment.partition)
            kept = ranges.get(where)
            _must(
                kept is not None and kept.first <= segment.first and segment.last < kept.end,
                f"{segment.file}: not in its range",
            )
            _must(reached.get(where, -1) < segment.first, f"{segment.file}: has offsets that another file has")
            reached[where] = segment.last
        return self

    def of(self, topic: str, partition: int) -> list[Segment]:
        """A partition's files in offset order."""
        return sorted(
            (segment for segment in self.segments if (segment.topic, segment.partition) == (topic, partition)),
            key=lambda segment: segment.first,
        )

    def numbers(self, topic: str) -> list[int]:
        """The archived partitions of a topic; none if it lacks the topic."""
        return sorted(kept.partition for kept in self.partitions if kept.topic == topic)

    def range(self, topic: str, partition: int) -> KeptPartition | None:
        """The archived range of a partition."""
        return next((kept for kept in self.partitions if (kept.topic, kept.partition) == (topic, partition)), None)


def _must(holds: bool, why: str) -> None:
    if not holds:
        raise ValueError(why)


def load(folder: Path) -> Manifest | None:
    """The manifest of an archive, if any.

    Raises:
        ReplayError: It is invalid.
    """
    raw = written(folder)
    return None if raw is None else parsed(folder, raw)


def written(folder: Path, name: str = NAME, most: int = MOST) -> bytes | None:
    """The content of a file of the archive; None if it is missing.

    Raises:
        ReplayError: It cannot be read, or is too large.
    """
    try:
        with plain_files.opened(folder, name) as stream:
            raw = stream.read(most + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ReplayError(f"{folder / name}: {error.strerror}") from None
    if len(raw) > most:
        raise ReplayError(f"{folder / name}: is larger than the {most:,} bytes that it may have")
    return raw


def parsed(folder: Path, raw: bytes) -> Manifest:
    """Parse a manifest.

    Raises:
        ReplayError: It is invalid.
    """
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        why = "; ".join(sorted(set(_reasons(error))))
        raise ReplayError(
            f"{folder / NAME}: is no manifest of an archive that this version reads{why and ': '}{why}"
        ) from None


def _reasons(error: ValidationError) -> Iterable[str]:
    """The failed consistency checks; format errors are not detailed."""
    for problem in error.errors(include_url=False, include_input=False)[:3]:
        if problem["type"] == "value_error":
            yield problem["msg"].removeprefix("Value error, ")


def text(manifest: Manifest) -> bytes:
    """The bytes of a manifest; not laid out, as most of them are numbers of blocks."""
    return (manifest.model_dump_json() + "\n").encode()


def save(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest atomically.

    Raises:
        ReplayError: It is larger than the limit for reading.
    """
    raw = text(manifest)
    if len(raw) > MOST:
        raise ReplayError(f"{folder}: more files than a manifest may name; make several archives of shorter ranges")
    beside = folder / f"{NAME}.new"
    with private_files.opened(beside, "wb") as stream:
        stream.write(raw)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(folder / NAME)
