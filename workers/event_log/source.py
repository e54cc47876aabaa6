"""A replayable log: records by topic, partition and offset, from any storage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from workers.console.errors import DliError
from workers.kafka.records import Record


class ReplayError(DliError):
    """Replay cannot continue; the message says what is wrong and what to do."""

    is_refusal = True


class Format(StrEnum):
    """The file format of an archive."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    JSONL_ZSTD = "jsonl.zst"


class Chunk(NamedTuple):
    """Records of one partition, in offset order."""

    records: Sequence[Record]
    types: Sequence[int]
    """Each record's timestamp type: 0 for the producer's, 1 for the broker's."""


class Damage(NamedTuple):
    """A range of a partition that cannot be read or trusted; what follows it can."""

    topic: str
    partition: int
    first: int
    last: int
    """The offsets of the first and the last affected record."""
    why: str
    lost: bool = True
    """Whether records may be lost; otherwise all were read, but differ from what was stored."""

    def __str__(self) -> str:
        where = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        return f"{self.topic}/{self.partition}, offset {where}: {self.why}"


class Piece(NamedTuple):
    """One reading result: the next records, or an unreadable range."""

    chunk: Chunk | None = None
    damage: Damage | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """The range of one partition."""

    first: int
    """The first offset requested."""
    end: int
    """The offset after the last one."""
    whole: bool
    """Whether it starts at the partition's very first offset, so that nothing was answered before."""
    to_end: bool
    """Whether it reaches the partition's end at the time of the request, so that no answer lies after it."""
    records: int | None = None
    """The number of records, if known in advance."""


class Source(Protocol):
    """A log. It is copied to other processes, so it holds no open files or connections."""

    @property
    def identity(self) -> str:
        """Identifies the records, so that an interrupted run can be resumed."""

    def ends(self) -> Mapping[str, int]:
        """The ends of growing partitions when this source was created; empty if nothing grows."""

    def ending(self, ends: Mapping[str, int]) -> "Source":
        """The same source with the ends of an earlier attempt."""

    def topic(self, name: str) -> str:
        """The full name of a declared topic in this log."""

    def partitions(self, topic: str) -> Sequence[int]:
        """The topic's partitions in this log; none if it lacks the topic."""

    def extent(self, topic: str, partition: int) -> Extent:
        """The range of a partition."""

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        """Records from an offset, or the first one after it, to the end of the range.

        Raises:
            ReplayError: Nothing can be read.
        """

    def keys(self, topic: str, partition: int) -> Iterator[Sequence[bytes | None]]:
        """The keys of all readable records of a partition."""
