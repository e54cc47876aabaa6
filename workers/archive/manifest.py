"""What an archive says of itself: its topics and ranges, and each of its files with count and digest.

It may come from anybody, and says what is read next. So it is held against itself first: files below the folder only,
each named once, numbers that can be, blocks and ranges in order.
"""

import os
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workers import private_files
from workers.archive import plain_files
from workers.archive.blocks import MOST_BYTES, MOST_RECORDS, Block
from workers.event_log.source import Format, ReplayError

NAME = "manifest.json"
MOST = 8_000_000
"""Bytes of a manifest: some 300 million records."""
MOST_OF_A_FILE = 8_000_000_000

Offset = Annotated[int, Field(ge=0, lt=1 << 63)]
Number = Annotated[int, Field(ge=0, lt=1 << 31)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,349}$")]
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class KeptPartition(_Part):
    """The range of one partition that is kept."""

    topic: Topic
    partition: Number
    first: Offset
    end: Offset
    """The offset behind the last one."""
    whole: bool
    """Whether the range begins with the partition's very first offset."""
    to_end: bool
    """Whether it ended where the partition did."""


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
    """Of the file."""
    content: Hex
    """BLAKE2b of its records, the same in every format."""
    blocks: Annotated[tuple[Block, ...], Field(min_length=1)]
    """Each as its first and last offset, number of records, beginning and length; see `workers.archive.blocks`."""

    @model_validator(mode="after")
    def _agrees(self) -> "Segment":
        _must(plain_files.is_below(self.file), f"the file {self.file!r} is not below the archive's folder")
        for one in self.blocks:
            spans = 0 < one.records <= min(MOST_RECORDS, one.last - one.first + 1)
            lies = 0 <= one.at < MOST_OF_A_FILE and 0 <= one.length <= MOST_BYTES
            _must(spans and lies, f"{self.file}: a block that cannot be")
        _must(all(one.last < other.first for one, other in pairwise(self.blocks)), f"{self.file}: blocks out of order")
        ends = (self.blocks[0].first, self.blocks[-1].last, sum(one.records for one in self.blocks))
        _must(ends == (self.first, self.last, self.records), f"{self.file}: its blocks are not its records")
        return self


class Manifest(_Part):
    """An archive's table of contents."""

    version: int = 1
    format: Format
    prefix: str
    """What stands before every topic's name."""
    partitions: tuple[KeptPartition, ...]
    segments: tuple[Segment, ...] = ()
    complete: bool = False

    @model_validator(mode="after")
    def _agrees(self) -> "Manifest":
        ranges = {(one.topic, one.partition): one for one in self.partitions}
        _must(len(ranges) == len(self.partitions), "a partition is named twice")
        _must(all(one.first <= one.end for one in self.partitions), "a range ends before it begins")
        _must(len({one.file for one in self.segments}) == len(self.segments), "a file is named twice")
        reached: dict[tuple[str, int], int] = {}
        for one in sorted(self.segments, key=lambda segment: segment.first):
            where = (one.topic, one.partition)
            kept = ranges.get(where)
            _must(kept is not None and kept.first <= one.first and one.last < kept.end, f"{one.file}: not in its range")
            _must(reached.get(where, -1) < one.first, f"{one.file}: has offsets that another file has")
            reached[where] = one.last
        return self

    def of(self, topic: str, partition: int) -> list[Segment]:
        """A partition's files, in the order of their offsets."""
        return sorted(
            (one for one in self.segments if (one.topic, one.partition) == (topic, partition)),
            key=lambda one: one.first,
        )

    def numbers(self, topic: str) -> list[int]:
        """The partitions of a topic that are kept; none where it lacks the topic."""
        return sorted(one.partition for one in self.partitions if one.topic == topic)

    def range(self, topic: str, partition: int) -> KeptPartition | None:
        """What is kept of a partition."""
        return next((one for one in self.partitions if (one.topic, one.partition) == (topic, partition)), None)


def _must(holds: bool, why: str) -> None:
    if not holds:
        raise ValueError(why)


def load(folder: Path) -> Manifest | None:
    """The manifest of an archive; None where there is none.

    Raises:
        ReplayError: It cannot be read as one.
    """
    raw = written(folder)
    return None if raw is None else parsed(folder, raw)


def written(folder: Path, name: str = NAME, most: int = MOST) -> bytes | None:
    """What a file beside the records says; None where there is none.

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
    """A manifest, of what is written.

    Raises:
        ReplayError: It is none.
    """
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        why = "; ".join(sorted(set(_reasons(error))))
        raise ReplayError(
            f"{folder / NAME}: is no manifest of an archive that this version reads{why and ': '}{why}"
        ) from None


def _reasons(error: ValidationError) -> Iterable[str]:
    """What does not agree; of what has not the form, that is all there is to say."""
    for one in error.errors(include_url=False, include_input=False)[:3]:
        if one["type"] == "value_error":
            yield one["msg"].removeprefix("Value error, ")


def text(manifest: Manifest) -> bytes:
    """A manifest as it is written."""
    return (manifest.model_dump_json(indent=1) + "\n").encode()


def save(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the last one: whole, or not at all.

    Raises:
        ReplayError: It is larger than can be read again.
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
