"""Which part of a log is meant: by offsets, by time, by partition."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from events.topics import ANSWERED, DEAD_LETTERS, DECISIONS, REQUESTS, TOPICS
from workers.event_log.kafka_log import KafkaSource, reader, unreachable
from workers.event_log.source import Extent, ReplayError

ANSWERED_WITHIN = timedelta(hours=24)
"""How long after the last request of a range its answers are looked for."""

ANSWERS = (DECISIONS, DEAD_LETTERS, ANSWERED)
"""Topics whose records lie in their requests' partitions, as old as they or somewhat younger. Others are kept whole."""

Bound = int | datetime | None


@dataclass(frozen=True)
class Asked:
    """A part of the requests; what answers them belongs to it."""

    start: Bound = None
    """The first offset or instant; None for all that is kept."""
    end: Bound = None
    """The first offset or instant behind it; None for all there is now."""
    partitions: tuple[int, ...] = ()
    """None of them means all."""
    behind: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """Begin here instead, by topic's full name and partition: where another archive ended."""

    def began(self, where: TopicPartition) -> int | None:
        """Where a partition is to begin; None where that is not said."""
        return self.behind.get((where.topic, where.partition))

    @property
    def bounded(self) -> bool:
        """Whether a person said where to begin or to end."""
        return self.start is not None or self.end is not None


def declared(topics: Sequence[str]) -> tuple[str, ...]:
    """The topics that a person names, each once.

    Raises:
        ReplayError: One is not declared.
    """
    known = [one.name for one in TOPICS]
    strange = [name for name in topics if name not in known]
    if strange:
        raise ReplayError(f"--topic {strange[0]}: no declared topic; there are {', '.join(known)}")
    return tuple(dict.fromkeys(topics))


def asked_for(start: str | None, end: str | None, partitions: Sequence[int] = ()) -> Asked:
    """The part that `--from`, `--to` and `--partition` name.

    Raises:
        ReplayError: A bound is none, or nothing lies between them.
    """
    asked = Asked(bound(start, "--from"), bound(end, "--to"), tuple(sorted(set(partitions))))
    first, behind = asked.start, asked.end
    alike = (isinstance(first, int) and isinstance(behind, int)) or (
        isinstance(first, datetime) and isinstance(behind, datetime)
    )
    if alike and first >= behind:  # type: ignore[operator]  # both are of one kind
        raise ReplayError(f"--from {start} --to {end}: nothing lies between; --to is the first one behind the range")
    return asked


def bound(text: str | None, flag: str) -> Bound:
    """An offset or an instant as it stands on the command line.

    Raises:
        ReplayError: It is neither.
    """
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ReplayError(f"{flag} {text}: neither an offset nor an instant as 2025-06-02T00:00:00Z") from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def on_kafka(
    bootstrap: str, prefix: str, topics: Sequence[str], asked: Asked, needed: Sequence[str] = ()
) -> KafkaSource:
    """The part of topics that is asked for, as it is on a cluster now.

    Args:
        bootstrap: Where the cluster answers.
        prefix: What stands before every topic's name.
        topics: The declared topics' names.
        asked: Applied to requests; of other topics what is as old, and a day beyond the end.
        needed: Topics that must be there; others are left out where they are not.

    Raises:
        ReplayError: The cluster does not answer, or lacks a topic, a partition, or all of the range.
    """
    try:
        extents = asyncio.run(_extents(bootstrap, prefix, tuple(dict.fromkeys(topics)), asked, needed))
    except (KafkaError, OSError) as error:
        raise unreachable(bootstrap, error) from None
    return KafkaSource(bootstrap, prefix, extents)


async def _extents(
    bootstrap: str, prefix: str, names: Sequence[str], asked: Asked, needed: Sequence[str]
) -> Mapping[tuple[str, int], Extent]:
    requests = prefix + REQUESTS
    topics = [prefix + name for name in names]
    # What answers requests lies where they lie: its part is known by theirs, also where they are not kept themselves.
    by_requests = any(name == REQUESTS or name in ANSWERS for name in names)
    if not by_requests and (asked.bounded or asked.partitions):
        raise ReplayError(
            f"--from, --to and --partition are of requests and what answers them; {', '.join(names)} is kept whole"
        )
    # One asks and one reads: a consumer that reads one topic knows no other any more.
    async with reader(bootstrap) as consumer, reader(bootstrap) as looker:
        present = await consumer.topics()
        wanted = sorted({*topics, requests} if by_requests else topics)
        if by_requests and requests not in present:
            raise ReplayError(f"no topic {requests} at {bootstrap}; is --topic-prefix right?")
        _all_there([prefix + name for name in needed], present, prefix, bootstrap)
        await _learn(consumer, sorted(set(wanted) & present))
        answers = {prefix + name for name in ANSWERS}
        found: dict[tuple[str, int], Extent] = {}
        spans: dict[int, tuple[int | None, int | None]] = {}
        # Before the requests' ends are asked for: so no answer is kept whose request is not.
        ends = await _ends(consumer, [topic for topic in topics if topic in present])
        if by_requests:
            extents = await _all_requests(consumer, requests, asked)
            spans = {
                number: await _span(looker, TopicPartition(requests, number), extent, asked)
                for number, extent in extents.items()
            }
            if requests in topics:
                found |= {(requests, number): extent for number, extent in extents.items()}
        for where, last in ends.items():
            if where.topic != requests and where.topic not in answers:
                found[where.topic, where.partition] = await _of_answers(consumer, where, last, (None, None))
            elif where.topic in answers and where.partition in spans:
                answers_of = await _of_answers(consumer, where, last, spans[where.partition])
                found[where.topic, where.partition] = await _going_on(consumer, where, answers_of, asked)
        return found


async def _all_requests(consumer: AIOKafkaConsumer, topic: str, asked: Asked) -> dict[int, Extent]:
    there = sorted(consumer.partitions_for_topic(topic) or ())
    _known(asked.partitions, there, topic)
    chosen = [number for number in there if not asked.partitions or number in asked.partitions]
    extents = {number: await _of_requests(consumer, TopicPartition(topic, number), asked) for number in chosen}
    if asked.bounded:
        await _some(consumer, topic, extents)
    return extents


def _all_there(needed: Sequence[str], present: set[str], prefix: str, bootstrap: str) -> None:
    absent = [topic for topic in needed if topic not in present]
    if absent:
        there = sorted(prefix + one.name for one in TOPICS if prefix + one.name in present)
        raise ReplayError(
            f"no topic {', '.join(absent)} at {bootstrap}; of those declared there are {', '.join(there)}"
        )


async def _some(consumer: AIOKafkaConsumer, topic: str, extents: Mapping[int, Extent]) -> None:
    """Refuse a range that no partition has anything of."""
    if any(one.first < one.end for one in extents.values()):
        return
    kept = {number: await _kept(consumer, TopicPartition(topic, number)) for number in extents}
    there = "; ".join(f"{topic}/{number}: {_offsets(*span)}" for number, span in sorted(kept.items()))
    raise ReplayError(f"--from and --to: no request lies between them. Kafka keeps {there}")


def _offsets(first: int, end: int) -> str:
    return f"offsets {first} to {end - 1}" if first < end else "none"


async def _learn(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> None:
    """Have the consumer know the topics' partitions: listing all topics it does not remember them."""
    if topics:
        consumer.subscribe(topics)
    while any(consumer.partitions_for_topic(topic) is None for topic in topics):  # noqa: ASYNC110 - it says so to nobody
        await asyncio.sleep(0.05)


def _known(wanted: Sequence[int], there: Sequence[int], topic: str) -> None:
    strange = sorted(set(wanted) - set(there))
    if strange:
        raise ReplayError(f"{topic} has no partition {strange[0]}; it has {numbers(there)}")


def numbers(there: Sequence[int]) -> str:
    """Partitions, as a person reads them."""
    gapless = len(there) > 1 and list(there) == list(range(there[0], there[-1] + 1))
    return f"{there[0]} to {there[-1]}" if gapless else ", ".join(map(str, there)) or "none"


async def _kept(consumer: AIOKafkaConsumer, where: TopicPartition) -> tuple[int, int]:
    first = (await consumer.beginning_offsets([where]))[where]
    end = (await consumer.end_offsets([where]))[where]
    return int(first), int(end)


async def _of_requests(consumer: AIOKafkaConsumer, where: TopicPartition, asked: Asked) -> Extent:
    kept, last = await _kept(consumer, where)
    began = asked.began(where)
    first = await _offset(consumer, where, asked.start, kept, last) if began is None else began
    end = await _offset(consumer, where, asked.end, last, last)
    first = max(kept, first)
    # A log whose beginning is no longer kept may have answered, before that, what comes again in it.
    return Extent(first, max(first, min(last, end)), whole=first == 0, to_end=end >= last)


async def _ends(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> dict[TopicPartition, int]:
    places = [TopicPartition(topic, one) for topic in topics for one in consumer.partitions_for_topic(topic) or ()]
    found: dict[TopicPartition, int] = await consumer.end_offsets(places)
    return found


async def _of_answers(
    consumer: AIOKafkaConsumer, where: TopicPartition, last: int, span: tuple[int | None, int | None]
) -> Extent:
    kept = int((await consumer.beginning_offsets([where]))[where])
    first = max(kept, await _at(consumer, where, span[0], last)) if span[0] is not None else kept
    end = min(last, await _at(consumer, where, span[1], last)) if span[1] is not None else last
    return Extent(first, max(first, end), whole=first == 0, to_end=True)


async def _going_on(consumer: AIOKafkaConsumer, where: TopicPartition, found: Extent, asked: Asked) -> Extent:
    """The extent, with the answers that came behind another archive's end to requests that it has."""
    began = asked.began(where)
    if began is None:
        return found
    kept = int((await consumer.beginning_offsets([where]))[where])
    first = max(kept, min(found.first, began))
    return Extent(first, max(first, found.end), whole=first == 0, to_end=found.to_end)


async def _offset(consumer: AIOKafkaConsumer, where: TopicPartition, one: Bound, absent: int, last: int) -> int:
    if one is None:
        return absent
    return one if isinstance(one, int) else await _at(consumer, where, _milliseconds(one), last)


async def _at(consumer: AIOKafkaConsumer, where: TopicPartition, milliseconds: int, last: int) -> int:
    """The first offset not older than an instant; the end where all are."""
    found = (await consumer.offsets_for_times({where: milliseconds}))[where]
    return int(found.offset) if found is not None else last


def _milliseconds(instant: datetime) -> int:
    return max(0, int(instant.timestamp() * 1000))  # Kafka knows no time before 1970


async def _span(
    consumer: AIOKafkaConsumer, where: TopicPartition, extent: Extent, asked: Asked
) -> tuple[int | None, int | None]:
    """Within which times the answers to a range of requests lie, in milliseconds; None for an open end."""
    from_the_beginning = asked.start is None and asked.began(where) is None
    since = None if from_the_beginning else await _time(consumer, where, extent.first, extent.end)
    until = None
    if asked.end is not None:
        last = await _time(consumer, where, extent.end - 1, extent.end)
        until = last + int(ANSWERED_WITHIN.total_seconds() * 1000) if last is not None else None
    return since, until


async def _time(consumer: AIOKafkaConsumer, where: TopicPartition, offset: int, end: int) -> int | None:
    """The timestamp of the first record from an offset on; None where there is none."""
    if not 0 <= offset < end:
        return None
    consumer.assign([where])
    consumer.seek(where, offset)
    found = await consumer.getmany(where, timeout_ms=2_000, max_records=1)
    return next((int(one.timestamp) for records in found.values() for one in records), None)
