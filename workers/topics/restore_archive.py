"""Restores archives to Kafka, with their original timestamps.

Topics use the broker's time, to be independent of producers' clocks. A restore needs producers' times, or all records
would be dated today: a topic is created with producers' times, filled, verified against the archive, and only then
given the broker's time and its retention. No worker starts before that.

Kafka assigns new offsets. So an answer's header `dli-cause`, the position of its request or verdict, is rewritten to
the new position, or removed if the archives do not have that record. Everything else is restored byte for byte.
"""

import asyncio
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from kafka.admin import OffsetSpec

from events.origin_headers import CAUSE, RecordPosition, place_of
from events.topics import (
    ANSWERED,
    BROKERS_CLOCK,
    CASES,
    LARGEST_RECORD,
    MESSAGES,
    PRODUCERS_CLOCK,
    REQUESTS,
    TIME,
    TOPICS,
    VERDICTS,
    Topic,
)
from workers.archive import archive_source as archive
from workers.archive.archive_source import ArchiveSource
from workers.configuration.settings import Settings
from workers.event_log.kafka_log import KafkaSource, UnreachableLogError
from workers.event_log.source import Extent, ReplayError, Source
from workers.kafka import clients, connect
from workers.kafka.clients import KafkaAdminClient
from workers.kafka.reader import partitions_of
from workers.kafka.records import Headers, Record
from workers.topics import apply_topics

BATCH_BYTES = 1_000_000
RETENTION = "retention.ms"
FOR_EVER = "-1"
ASKING = (REQUESTS, VERDICTS)
"""The topics whose records' positions answers contain."""
UNDER_WAY = 8
"""Batches of a partition in flight at once."""


class Restored(NamedTuple):
    """One restored topic."""

    topic: Topic
    name: str
    """Its full name."""
    partitions: int
    records: int


@dataclass
class Archives:
    """Archives of one log, in order; records in several of them count once."""

    sources: Sequence[ArchiveSource]
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        prefixes = {source.manifest.prefix for source in self.sources}
        if len(prefixes) > 1:
            raise ReplayError(f"these are archives of different deployments: {', '.join(sorted(map(repr, prefixes)))}")
        self.prefix = prefixes.pop()

    def topics(self) -> set[str]:
        """The declared names of all archived topics.

        Raises:
            ReplayError: One is not declared.
        """
        names = {
            partition.topic.removeprefix(self.prefix)
            for source in self.sources
            for partition in source.manifest.partitions
        }
        strange = names - {topic.name for topic in TOPICS}
        if strange:
            raise ReplayError(f"{', '.join(sorted(strange))}: is archived, and no topic of this version")
        return names

    def partitions(self, name: str) -> list[int]:
        """The archived partitions of a topic."""
        return sorted({number for source in self.sources for number in source.partitions(self.prefix + name)})

    def read(self, name: str, partition: int) -> Iterator[Record]:
        """The records of one partition.

        Raises:
            ReplayError: Some are unreadable.
        """
        last = -1
        for source in self.sources:
            for piece in source.read(self.prefix + name, partition, last + 1):
                if piece.damage is not None:
                    raise ReplayError(str(piece.damage))
                if piece.chunk is not None:
                    yield from piece.chunk.records
                    last = piece.chunk.records[-1].offset


def opened(folders: Sequence[Path], report: Callable[[str], None], keys: Path | None = None) -> Archives:
    """Open archives and verify every file's digest.

    Args:
        folders: Their folders, in the order they were made.
        report: Called with each archive's status.
        keys: The folder of public keys, one of which must have signed each; None accepts any archive.

    Raises:
        ReplayError: One is invalid, unfinished, altered, not signed as required, or does not follow the previous one.
    """
    found = Archives([ArchiveSource(folder, keys_in=keys) for folder in folders])
    for before, source in pairwise(found.sources):
        goes_on_from = source.standing.previous
        if goes_on_from not in {None, before.digest}:
            raise ReplayError(
                f"{source.folder}: was signed as what goes on from another archive than {before.folder}: name the "
                "one that is missing between them, or an older one is in its place"
            )
    for source in found.sources:
        report(f"{source.folder}: {source.standing}; reading every file")
        for segment, problem in archive.check(source):
            if problem is not None:
                raise ReplayError(
                    f"{source.folder}: {segment.file}: damaged or altered: {problem}; nothing is restored from it"
                )
    return found


def plan(settings: Settings, archives: Archives, only: Sequence[str] = ()) -> list[Restored]:
    """The topics to restore: requests and verdicts first, because answers contain their positions.

    Raises:
        ReplayError: It is not allowed or not possible.
        TopicsError: The cluster does not answer.
    """
    chosen = to_restore(archives.topics(), only)
    wanted = sorted((topic for topic in TOPICS if topic.name in chosen), key=lambda topic: topic.name not in ASKING)
    made = [_restored(settings, archives, topic) for topic in wanted]
    with apply_topics.admin(settings) as client:
        wrong = [*_members(client, settings), *_in_use(client, made)]
    if wrong:
        raise ReplayError("\n".join(wrong))
    return made


def to_restore(there: set[str], only: Sequence[str] = ()) -> set[str]:
    """The topics to restore of those that archives have: all, or those that are named.

    Raises:
        ReplayError: One is not there, or workers would answer again what was answered.
    """
    absent = [name for name in only if name not in there]
    if absent:
        raise ReplayError(f"{', '.join(absent)}: not in these archives; there is {', '.join(sorted(there))}")
    if again := sorted(set(only) & set(MESSAGES)):
        raise ReplayError(
            f"{', '.join(again)}: platforms' messages are archived for `dli replay messages` and not restored: each "
            "would be answered again"
        )
    chosen = set(only) or there - set(MESSAGES)
    if REQUESTS in chosen and ANSWERED not in chosen:
        raise ReplayError(
            f"requests without {ANSWERED} would all be decided again; choose the others with --topic, or archive "
            f"that topic too"
        )
    if VERDICTS in chosen and CASES not in chosen:
        raise ReplayError(
            f"verdicts without {CASES} would all be refused: their requests would have no case; choose the others with "
            f"--topic, or archive that topic too"
        )
    return chosen


def _restored(settings: Settings, archives: Archives, topic: Topic) -> Restored:
    kept = archives.partitions(topic.name)
    number = apply_topics.partitions(topic, settings)
    if kept != list(range(number)):
        raise ReplayError(
            f"{topic.name}: archived are partitions {', '.join(map(str, kept))}, and there are to be {number}: an id's "
            f"partition would be another one. Set DLI_PARTITIONS to the number that the platforms wrote to, and use "
            f"archives of all partitions"
        )
    records = sum(
        source.extent(archives.prefix + topic.name, partition).records or 0
        for source in archives.sources
        for partition in kept
    )
    return Restored(topic, settings.topic(topic.name), number, records)


def _members(client: KafkaAdminClient, settings: Settings) -> Iterator[str]:
    members = client.describe_groups([settings.app_id])[settings.app_id].get("members") or ()
    if members:
        yield (
            f"members of group {settings.app_id}: {len(members)}; stop all workers first (one that was killed is a "
            f"member for {settings.session_timeout_seconds:g} s more)"
        )


def _in_use(client: KafkaAdminClient, made: Sequence[Restored]) -> Iterator[str]:
    present = set(client.list_topics())
    places = partitions_of(client, [restored.name for restored in made if restored.name in present])
    ends = client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST)) if places else {}
    used = sorted({where.topic for where, end in ends.items() if end.offset > 0})
    if used:
        yield (
            f"{', '.join(used)}: holds records, or held some that are gone by now; archives are put back on new topics "
            "only: delete what an interrupted run left, or choose another --topic-prefix"
        )


def execute(
    settings: Settings, archives: Archives, made: Sequence[Restored], report: Callable[[Restored, int], None]
) -> None:
    """Restore the archives; calls `report` with each verified topic and its number of records.

    Raises:
        ReplayError: Writing or verification failed; the topics stay as they are, and workers do not start on them.
        TopicsError: The cluster does not answer.
    """
    with apply_topics.admin(settings) as client:
        ends = _make(client, settings, made)
        asked = _Positions(archives, settings, {})
        for restored in made:
            if restored.topic.name in ASKING:
                asked.learn(restored.topic.name, restored.partitions)
            try:
                asyncio.run(_write(settings, restored, asked))
            except KafkaError as error:
                raise UnreachableLogError(f"{restored.name}: {type(error).__name__}; delete it and try again") from None
            report(restored, _compare(settings, restored, asked))
        for restored in made:
            apply_topics.set_on_topic(client, restored.name, ends[restored.name])


def _make(client: KafkaAdminClient, settings: Settings, made: Sequence[Restored]) -> dict[str, dict[str, str]]:
    """Prepare the topics for old records with their times; return the final configurations."""
    present = set(client.list_topics())
    missing = {
        restored.name: {
            "num_partitions": restored.partitions,
            "replication_factor": settings.replication_factor,
            "configs": restored.topic.settings(),
        }
        for restored in made
        if restored.name not in present
    }
    if missing:
        client.create_topics(missing, wait_for_metadata=True)
    ends = {}
    for restored in made:
        ends[restored.name] = {
            TIME: BROKERS_CLOCK,
            RETENTION: str(apply_topics.settings_there(client, restored.name)[RETENTION]),
        }
        apply_topics.set_on_topic(client, restored.name, {TIME: PRODUCERS_CLOCK, RETENTION: FOR_EVER})
    return ends


@dataclass
class _Positions:
    """Maps old positions of requests and verdicts to their new ones."""

    archives: Archives
    settings: Settings
    offsets: dict[tuple[str, int], "array[int]"]
    """Their old offsets by topic and partition, in the order of rewriting."""

    def learn(self, name: str, partitions: int) -> None:
        for number in range(partitions):
            self.offsets[name, number] = array("q", (record.offset for record in self.archives.read(name, number)))

    def records(self, name: str, partition: int) -> Iterator[Record]:
        """The records of a partition to be written to Kafka."""
        for offset, record in enumerate(self.archives.read(name, partition)):
            yield record._replace(offset=offset, headers=self._moved(record.headers))

    def _moved(self, headers: Headers) -> Headers:
        if all(name != CAUSE for name, _ in headers):
            return headers
        found = ((name, value if name != CAUSE else self._now(value)) for name, value in headers)
        return tuple((name, value) for name, value in found if name != CAUSE or value is not None)

    def _now(self, old: bytes | None) -> bytes | None:
        """The new position of a request or a verdict; None if it is not restored."""
        place = place_of((old or b"").decode("utf-8", "replace"))
        name = place.topic.removeprefix(self.archives.prefix) if place is not None else ""
        if place is None or name not in ASKING or place.topic != self.archives.prefix + name:
            return old
        known = self.offsets.get((name, place.partition), array("q"))
        at = bisect_left(known, place.offset)
        if at == len(known) or known[at] != place.offset:
            return None
        return str(RecordPosition(self.settings.topic(name), place.partition, at)).encode()


class _Name(str):
    """A header's name that is written as its original bytes."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return str.encode(self, "utf-8", "surrogateescape")


async def _write(settings: Settings, restored: Restored, asked: _Positions) -> None:
    sizes = {"max_batch_size": BATCH_BYTES, "max_request_size": 2 * LARGEST_RECORD}
    async with clients.async_producer(connect.client(settings), **sizes) as producer:
        for number in range(restored.partitions):
            under_way: deque[asyncio.Future[Any]] = deque()
            for batch in _batches(asked.records(restored.topic.name, number)):
                under_way.append(await producer.send_batch(batch, restored.name, partition=number))
                if len(under_way) > UNDER_WAY:
                    await under_way.popleft()
            for sent in under_way:
                await sent


def _batches(records: Iterator[Record]) -> Iterator[BatchBuilder]:
    batch = _Batch()
    for record in records:
        headers = [(_Name(name), value) for name, value in record.headers]
        fields = {"timestamp": record.timestamp, "key": record.key, "value": record.value, "headers": headers}
        if batch.append(**fields) is None:
            yield batch
            batch = _Batch()
            batch.append(**fields)  # an empty batch takes any record
    if batch.record_count():
        yield batch


class _Batch(BatchBuilder):  # type: ignore[misc]  # aiokafka ships no types
    """A batch encoded in Python, because the C encoder rejects header names that are not UTF-8."""

    def __init__(self) -> None:
        super().__init__(BATCH_BYTES, 0)
        self._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, BATCH_BYTES)

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._builder.set_producer_state(producer_id, producer_epoch, base_sequence)


def _compare(settings: Settings, restored: Restored, asked: _Positions) -> int:
    """Verify a topic against the archives; return its number of records.

    Raises:
        ReplayError: A record differs.
    """
    total = 0
    for number in range(restored.partitions):
        wanted = asked.records(restored.topic.name, number)
        for kept, there in zip_longest(wanted, _there(settings, restored.name, number)):
            if kept is None or there is None or kept[2:] != there[2:]:
                at = (kept or there).offset
                raise ReplayError(
                    f"{restored.name}/{number}: at offset {at} is not what the archives have. Whoever else writes "
                    f"there must not; delete the topics that are restored and begin again"
                )
            total += 1
    return total


def _there(settings: Settings, name: str, number: int) -> Iterator[Record]:
    with apply_topics.admin(settings) as client:
        [where] = [partition for partition in partitions_of(client, [name]) if partition.partition == number]
        end = client.list_partition_offsets({where: OffsetSpec.LATEST})[where].offset
    extents: Mapping[tuple[str, int], Extent] = {(name, number): Extent(0, end, whole=True, to_end=True)}
    source: Source = KafkaSource(settings.bootstrap, "", extents)
    for piece in source.read(name, number, 0):
        if piece.damage is not None:
            raise ReplayError(str(piece.damage))
        if piece.chunk is not None:
            yield from piece.chunk.records
