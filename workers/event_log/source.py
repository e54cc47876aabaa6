"""A log that can be replayed, wherever it is kept: records by topic, partition and offset."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from workers.errors import DliError
from workers.records import Record


class ReplayError(DliError):
    """Replay cannot go on; the message says what is wrong and what to do."""

    is_refusal = True


class Format(StrEnum):
    """How an archive's files are written."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    JSONL_ZSTD = "jsonl.zst"


class Chunk(NamedTuple):
    """Records of one partition, in the order of their offsets."""

    records: Sequence[Record]
    types: Sequence[int]
    """Each record's type of timestamp: 0 the producer's, 1 the broker's."""


class Damage(NamedTuple):
    """A stretch of a partition that cannot be read, or trusted; what lies behind it can."""

    topic: str
    partition: int
    first: int
    last: int
    """Offsets of the first and the last record concerned."""
    why: str
    lost: bool = True
    """Whether records may be lost; else all were read, but are not what was kept."""

    def __str__(self) -> str:
        where = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        return f"{self.topic}/{self.partition}, offset {where}: {self.why}"


class Piece(NamedTuple):
    """What comes of reading: the next records, or a stretch that cannot be read."""

    chunk: Chunk | None = None
    damage: Damage | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is of one partition."""

    first: int
    """The first offset asked for."""
    end: int
    """The offset behind the last one."""
    whole: bool
    """Whether this is the partition from its very first offset: nothing was answered before."""
    to_end: bool
    """Whether it goes on to what was the end when the answers' ends were known: no answer lies behind it."""
    records: int | None = None
    """How many, where it is known before they are read."""


class Source(Protocol):
    """A log. Processes get copies of it, so it holds no open file and no connection."""

    @property
    def identity(self) -> str:
        """The same for the same records: what an interrupted run is recognized by."""

    def ends(self) -> Mapping[str, int]:
        """Where what grows ended when this source was made; empty where nothing grows."""

    def ending(self, ends: Mapping[str, int]) -> "Source":
        """The same with the ends that an earlier attempt saw."""

    def topic(self, name: str) -> str:
        """The full name of a declared topic in this log."""

    def partitions(self, topic: str) -> Sequence[int]:
        """The partitions of a topic that the log has; none where it lacks the topic."""

    def extent(self, topic: str, partition: int) -> Extent:
        """What there is of a partition."""

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        """Records from an offset, or the first one behind it, to the extent's end.

        Raises:
            ReplayError: They cannot be read at all.
        """

    def keys(self, topic: str, partition: int) -> Iterator[Sequence[bytes | None]]:
        """The keys of all that can be read of a partition."""
