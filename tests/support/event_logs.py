"""Logs to replay: kept in memory, with what the decision agent answers to them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from events.topics import ANSWERED, CASE_EVENTS, DEAD_LETTERS, DECISIONS, POLICY_REVISIONS, REQUESTS
from policy_core.history.library import Library
from policy_core.publications.publication import Publication
from workers.archive import archive_source as archive
from workers.archive import manifest
from workers.archive.archive_source import Kept
from workers.configuration.settings import read
from workers.decide.duplicates import Entry, unpacked
from workers.decide.handler import DecisionHandler
from workers.decide.writers import WRITERS, Writers
from workers.event_log.process_pool import run
from workers.event_log.source import Chunk, Extent, Format, Piece
from workers.kafka.records import Record
from workers.policies.revision_events import as_record as as_revision
from workers.state.request_digests import digest
from workers.traffic.commands import as_record

CHUNK = 700


@dataclass(frozen=True)
class MemorySource:
    """A log in memory, with offsets as its records have them."""

    records: Mapping[tuple[str, int], Sequence[Record]]
    prefix: str = "t."
    first: int = 0
    """The offset of requests from which on it has them; what was answered is there whole."""
    begins: Mapping[str, int] = field(default_factory=dict)
    """The offsets of other topics from which on it has them."""

    @property
    def identity(self) -> str:
        return f"in memory {id(self.records)}"

    def ends(self) -> Mapping[str, int]:
        return {}

    def ending(self, ends: Mapping[str, int]) -> "MemorySource":  # noqa: ARG002 (nothing grows here)
        return self

    def topic(self, name: str) -> str:
        return self.prefix + name

    def partitions(self, topic: str) -> Sequence[int]:
        return sorted(partition for name, partition in self.records if name == topic)

    def extent(self, topic: str, partition: int) -> Extent:
        mine = self._kept(topic, partition)
        first = self._first(topic)
        end = mine[-1].offset + 1 if mine else first
        return Extent(first, end, whole=first == 0, to_end=True, records=len(mine))

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        mine = [one for one in self._kept(topic, partition) if one.offset >= start]
        for at in range(0, len(mine), CHUNK):
            records = mine[at : at + CHUNK]
            yield Piece(Chunk(records, [0] * len(records)))

    def keys(self, topic: str, partition: int) -> Iterator[Sequence[bytes | None]]:
        yield [one.key for one in self._kept(topic, partition)]

    def _first(self, topic: str) -> int:
        return self.first if topic == self.topic(REQUESTS) else self.begins.get(topic, 0)

    def _kept(self, topic: str, partition: int) -> Sequence[Record]:
        return [one for one in self.records[topic, partition] if one.offset >= self._first(topic)]


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


class Remembered:
    """What was answered, in memory; looking up one of `failing` fails the first time, as a defect of ours would."""

    def __init__(self, failing: Collection[str] = ()) -> None:
        self.entries: dict[tuple[int, bytes], Entry] = {}
        self._failing = {digest(name.encode()) for name in failing}

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:  # noqa: ARG002 (nothing is forgotten)
        if key in self._failing:
            self._failing.remove(key)
            raise LookupError("injected")
        return self.entries.get((partition, key))


FIRST = 1_790_000_000_000


def recorded(
    lines: Sequence[bytes],
    library: Library,
    partitions: int = 2,
    batch: int = 300,
    failing: Collection[str] = (),
    writers: Writers = WRITERS,
    **flags: Any,
) -> MemorySource:
    """A log of these lines as a platform publishes them, with all that the decision agent answers.

    It fails on the requests of the ids `failing`, the first time that they come.
    """
    found = read(topic_prefix="t.", **flags)
    memory = Remembered(failing)
    handler = DecisionHandler(library, found, memory, writers=writers)
    topics = [found.topic(name) for name in (REQUESTS, DECISIONS, DEAD_LETTERS)]
    log: dict[tuple[str, int], list[Record]] = {(topic, one): [] for topic in topics for one in range(partitions)}
    for number, line in enumerate(lines):
        sent = as_record(line, topics[0])
        # As a platform would: what shows no id goes anywhere.
        partition = (crc32(sent.key) if sent.key else number) % partitions
        mine = log[topics[0], partition]
        mine.append(Record(topics[0], partition, len(mine), FIRST + number, sent.key or None, sent.value, sent.headers))
    for partition in range(partitions):
        requests = log[topics[0], partition]
        for at in range(0, len(requests), batch):
            for one in handler(requests[at : at + batch]):
                if one.topic == found.topic(CASE_EVENTS):
                    continue  # an agent's own
                if one.topic == found.topic(ANSWERED):
                    memory.entries[partition, one.key] = unpacked(one.value)
                if one.topic in (found.topic(ANSWERED), found.topic(CASE_EVENTS)):
                    continue
                there = log[one.topic, partition]
                # A transaction's end takes an offset of its own.
                offset = there[-1].offset + 1 + (len(there) % batch == 0) if there else 0
                there.append(Record(one.topic, partition, offset, FIRST + at, one.key, one.value, one.headers))
    return MemorySource(log)


def publishing(source: MemorySource, published: Iterable[Publication]) -> MemorySource:
    """The log with a topic of revisions."""
    topic = source.topic(POLICY_REVISIONS)
    made = [as_revision(one, topic, "/dli-authorization", "structured") for one in published]
    records = [Record(topic, 0, at, FIRST, one.key, one.value, one.headers) for at, one in enumerate(made)]
    return replace(source, records={**source.records, (topic, 0): records})


def changed(source: MemorySource, topic: str, partition: int, records: Sequence[Record]) -> MemorySource:
    """The log with other records in one partition of a topic."""
    return replace(source, records={**source.records, (source.topic(topic), partition): list(records)})
