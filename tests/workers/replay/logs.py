"""Logs to replay: kept in memory, with what the decision agent answers to them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.records import Record
from workers.replay import archive, manifest
from workers.replay.archive import Kept
from workers.replay.crew import run
from workers.replay.log import Chunk, Extent, Format, Piece

CHUNK = 700


@dataclass(frozen=True)
class MemorySource:
    """A log in memory, with offsets as its records have them."""

    records: Mapping[tuple[str, int], Sequence[Record]]
    prefix: str = "t."

    @property
    def identity(self) -> str:
        return "in memory"

    def topic(self, name: str) -> str:
        return self.prefix + name

    def partitions(self, topic: str) -> Sequence[int]:
        return sorted(partition for name, partition in self.records if name == topic)

    def extent(self, topic: str, partition: int) -> Extent:
        mine = self.records[topic, partition]
        return Extent(0, mine[-1].offset + 1 if mine else 0, whole=True, records=len(mine))

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        mine = [one for one in self.records[topic, partition] if one.offset >= start]
        for at in range(0, len(mine), CHUNK):
            records = mine[at : at + CHUNK]
            yield Piece(Chunk(records, [0] * len(records)))

    def keys(self, topic: str, partition: int) -> Iterator[Sequence[bytes | None]]:
        yield [one.key for one in self.records[topic, partition]]


def archived(source: MemorySource, folder: Path, form: Format = Format.PARQUET, processes: int = 1) -> Path:
    """The log as an archive."""
    topics = sorted({topic.removeprefix(source.prefix) for topic, _ in source.records})
    made = archive.begin(folder, form, source, topics)
    segments = list(made.segments)

    def hear(news: Kept) -> None:
        if news.segment is not None:
            segments.append(news.segment)

    run(archive.tasks(made, folder, source), archive.keep, hear, processes)
    manifest.save(folder, made.model_copy(update={"segments": tuple(segments), "complete": True}))
    return folder
