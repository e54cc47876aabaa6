"""What an archive says of itself: its topics and ranges, and each of its files with count and digest."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from workers import files
from workers.replay.formats import Block
from workers.replay.log import Format, ReplayError

NAME = "manifest.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class KeptPartition(_Part):
    """The range of one partition that is kept."""

    topic: str
    partition: int
    first: int
    end: int
    """The offset behind the last one."""
    whole: bool
    """Whether the range begins with the partition's very first offset."""
    to_end: bool
    """Whether it ended where the partition did."""


class Segment(_Part):
    """One file."""

    topic: str
    partition: int
    file: str
    """Its path in the archive."""
    records: int
    first: int
    last: int
    """The offsets of its first and last record."""
    bytes: int
    sha256: str
    """Of the file."""
    content: str
    """BLAKE2b of its records, the same in every format."""
    blocks: tuple[Block, ...]
    """Each as its first and last offset, number of records, beginning and length; see `workers.replay.formats`."""


class Manifest(_Part):
    """An archive's table of contents."""

    version: int = 1
    format: Format
    prefix: str
    """What stands before every topic's name."""
    partitions: tuple[KeptPartition, ...]
    segments: tuple[Segment, ...] = ()
    complete: bool = False

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


def load(folder: Path) -> Manifest | None:
    """The manifest of an archive; None where there is none.

    Raises:
        ReplayError: It cannot be read as one.
    """
    try:
        text = (folder / NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ReplayError(f"{folder / NAME}: {error.strerror}") from None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError:
        raise ReplayError(f"{folder / NAME}: is no manifest of an archive that this version reads") from None


def save(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the last one: whole, or not at all."""
    text = manifest.model_dump_json(indent=1) + "\n"
    beside = folder / f"{NAME}.new"
    with files.opened(beside, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(folder / NAME)
