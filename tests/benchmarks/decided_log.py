"""A log of generated requests with the decisions that our handler makes, archived without Kafka and in flat memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from events.topics import ANSWERED, DEAD_LETTERS, DECISIONS, REQUESTS
from policy_core.history.library import Library, load_library
from workers.archive import archive_source as archive
from workers.archive import manifest
from workers.archive.archive_source import Kept
from workers.configuration.settings import Settings
from workers.decide.duplicates import Entry, unpacked
from workers.decide.handler import DecisionHandler
from workers.event_log.process_pool import run
from workers.event_log.source import Chunk, Extent, Format, Piece, Source
from workers.kafka.records import Record
from workers.process import private_files
from workers.traffic.commands import as_record
from workers.traffic.generate import Generator

SEED = 7
DUPLICATES = 0.005
FIRST = 1_790_000_000_000
BATCH = 1_000
HEADERS = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)


class _Answered:
    """What was answered in one partition."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:  # noqa: ARG002 (nothing is forgotten)
        return self.entries.get(key)


@dataclass(frozen=True)
class GeneratedLog:
    """Requests in files, and the decisions on them, which are made whenever they are read."""

    folder: Path
    counts: tuple[int, ...]
    """Requests by partition."""
    settings: Settings
    library: Library

    identity = "generated"

    def ends(self) -> Mapping[str, int]:
        return {}

    def ending(self, ends: Mapping[str, int]) -> "GeneratedLog":  # noqa: ARG002 (nothing grows)
        return self

    def topic(self, name: str) -> str:
        return self.settings.topic(name)

    def partitions(self, topic: str) -> Sequence[int]:  # noqa: ARG002 (all topics alike)
        return range(len(self.counts))

    def extent(self, topic: str, partition: int) -> Extent:
        count = self.counts[partition]
        # A transaction's end takes an offset of its own.
        end = count if topic == self.topic(REQUESTS) else count + count // BATCH + 1
        return Extent(0, end, whole=True, to_end=True, records=None)

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        for records in self._requests(partition) if topic == self.topic(REQUESTS) else self._answers(topic, partition):
            mine = [record for record in records if record.offset >= start]
            if mine:
                yield Piece(Chunk(mine, [0] * len(mine)))

    def keys(self, topic: str, partition: int) -> Iterator[Sequence[bytes | None]]:
        for piece in self.read(topic, partition, 0):
            yield [record.key for record in piece.chunk.records] if piece.chunk is not None else []

    def _requests(self, partition: int) -> Iterator[list[Record]]:
        topic, made = self.topic(REQUESTS), []
        with (self.folder / f"requests-{partition}").open("rb") as lines:
            for offset, line in enumerate(lines):
                key, _, value = line.rstrip(b"\n").partition(b"\t")
                made.append(Record(topic, partition, offset, FIRST + offset, key, value, HEADERS))
                if len(made) == BATCH:
                    yield made
                    made = []
        if made:
            yield made

    def _answers(self, topic: str, partition: int) -> Iterator[list[Record]]:
        memory, offset = _Answered(), 0
        handler = DecisionHandler(self.library, self.settings, memory)
        answered = self.topic(ANSWERED)
        for requests in self._requests(partition):
            made = []
            for one in handler(requests):
                if one.topic == answered:
                    memory.entries[one.key] = unpacked(one.value)
                elif one.topic == topic:
                    made.append(Record(topic, partition, offset, FIRST + offset, one.key, one.value, one.headers))
                    offset += 1
            offset += 1
            yield made


def archived(folder: Path, settings: Settings, requests: int, partitions: int) -> Path:
    """An archive of so many generated requests and their decisions, in `folder`."""
    private_files.folder(folder)
    counts = [0] * partitions
    streams = [private_files.opened(folder / f"requests-{number}", "wb") for number in range(partitions)]
    for line in Generator(SEED, duplicates=DUPLICATES).lines(requests):
        sent = as_record(line, "")
        number = crc32(sent.key) % partitions
        streams[number].write(sent.key + b"\t" + sent.value + b"\n")
        counts[number] += 1
    for stream in streams:
        stream.close()
    library = load_library(settings.policies, settings.default_policy)
    log = GeneratedLog(folder, tuple(counts), settings, library)
    return as_format(log, folder / "archive", Format.PARQUET)


def as_format(source: Source, kept: Path, form: Format) -> Path:
    """An archive of a log's requests, decisions and dead letters."""
    made = archive.begin(kept, form, source, (REQUESTS, DECISIONS, DEAD_LETTERS))
    segments = []

    def hear(news: Kept) -> None:
        if news.segment is not None:
            segments.append(news.segment)

    run(archive.tasks(made, kept, source), archive.keep, hear, processes=1)
    manifest.save(kept, made.model_copy(update={"segments": tuple(segments), "complete": True}))
    return kept
