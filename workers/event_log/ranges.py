"""Finds on Kafka the part of a log that is asked for."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from events.topics import ANSWERED, DEAD_LETTERS, DECISIONS, REQUESTS, TOPICS
from workers.event_log.asked import Asked, Bound, numbers
from workers.event_log.kafka_log import KafkaSource, reader, unreachable
from workers.event_log.source import Extent, ReplayError
from workers.kafka.clients import AIOKafkaConsumer

ANSWERED_WITHIN = timedelta(hours=24)
"""How long after the last request of a range its answers are searched."""

ANSWERS = (DECISIONS, DEAD_LETTERS, ANSWERED)
"""Topics whose records are in their requests' partitions, soon after them. Other topics are taken whole."""


def on_kafka(
    bootstrap: str, prefix: str, topics: Sequence[str], asked: Asked, needed: Sequence[str] = ()
) -> KafkaSource:
    """The requested range on a cluster, as of now.

    Args:
        bootstrap: The cluster's address.
        prefix: The prefix of every topic name.
        topics: The declared topics' names.
        asked: The range of requests; other topics get the same times, and a day more at the end.
        needed: Topics that must exist; others are skipped if missing.

    Raises:
        ReplayError: The cluster does not respond, or lacks a topic, a partition or the whole range.
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
    # Answers are in their requests' partitions: the requests' range determines theirs.
    by_requests = any(name == REQUESTS or name in ANSWERS for name in names)
    if not by_requests and (asked.bounded or asked.partitions):
        raise ReplayError(
            f"--from, --to and --partition are of requests and what answers them; {', '.join(names)} is kept whole"
        )
    # Two consumers: one that reads a topic forgets the others.
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
        # Before the requests' ends, so that no answer is included without its request.
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
        there = sorted(prefix + topic.name for topic in TOPICS if prefix + topic.name in present)
        raise ReplayError(
            f"no topic {', '.join(absent)} at {bootstrap}; of those declared there are {', '.join(there)}"
        )


async def _some(consumer: AIOKafkaConsumer, topic: str, extents: Mapping[int, Extent]) -> None:
    """Refuse a range that is empty in every partition."""
    if any(extent.first < extent.end for extent in extents.values()):
        return
    kept = {number: await _kept(consumer, TopicPartition(topic, number)) for number in extents}
    there = "; ".join(f"{topic}/{number}: {_offsets(*span)}" for number, span in sorted(kept.items()))
    raise ReplayError(f"--from and --to: no request lies between them. Kafka keeps {there}")


def _offsets(first: int, end: int) -> str:
    return f"offsets {first} to {end - 1}" if first < end else "none"


async def _learn(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> None:
    """Load the topics' partitions: listing all topics does not cache them."""
    if topics:
        consumer.subscribe(topics)
    while any(consumer.partitions_for_topic(topic) is None for topic in topics):  # noqa: ASYNC110 - no event for it
        await asyncio.sleep(0.05)


def _known(wanted: Sequence[int], there: Sequence[int], topic: str) -> None:
    strange = sorted(set(wanted) - set(there))
    if strange:
        raise ReplayError(f"{topic} has no partition {strange[0]}; it has {numbers(there)}")


async def _kept(consumer: AIOKafkaConsumer, where: TopicPartition) -> tuple[int, int]:
    first = (await consumer.beginning_offsets([where]))[where]
    end = (await consumer.end_offsets([where]))[where]
    return int(first), int(end)


async def _of_requests(consumer: AIOKafkaConsumer, where: TopicPartition, asked: Asked) -> Extent:
    kept, last = await _kept(consumer, where)
    began = asked.began(*where)
    first = await _offset(consumer, where, asked.start, kept, last) if began is None else began
    end = await _offset(consumer, where, asked.end, last, last)
    first = max(kept, first)
    # Without its beginning, a log may repeat requests that were answered before.
    return Extent(first, max(first, min(last, end)), whole=first == 0, to_end=end >= last)


async def _ends(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> dict[TopicPartition, int]:
    places = [
        TopicPartition(topic, number) for topic in topics for number in consumer.partitions_for_topic(topic) or ()
    ]
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
    """The range, extended by later answers to requests in the previous archive."""
    began = asked.began(*where)
    if began is None:
        return found
    kept = int((await consumer.beginning_offsets([where]))[where])
    first = max(kept, min(found.first, began))
    return Extent(first, max(first, found.end), whole=first == 0, to_end=found.to_end)


async def _offset(consumer: AIOKafkaConsumer, where: TopicPartition, bound: Bound, absent: int, last: int) -> int:
    if bound is None:
        return absent
    return bound if isinstance(bound, int) else await _at(consumer, where, _milliseconds(bound), last)


async def _at(consumer: AIOKafkaConsumer, where: TopicPartition, milliseconds: int, last: int) -> int:
    """The first offset not older than an instant; the end if all are older."""
    found = (await consumer.offsets_for_times({where: milliseconds}))[where]
    return int(found.offset) if found is not None else last


def _milliseconds(instant: datetime) -> int:
    return max(0, int(instant.timestamp() * 1000))  # Kafka knows no time before 1970


async def _span(
    consumer: AIOKafkaConsumer, where: TopicPartition, extent: Extent, asked: Asked
) -> tuple[int | None, int | None]:
    """The time range of the answers to a range of requests, in milliseconds; None for an open end."""
    from_the_beginning = asked.start is None and asked.began(*where) is None
    since = None if from_the_beginning else await _time(consumer, where, extent.first, extent.end)
    until = None
    if asked.end is not None:
        last = await _time(consumer, where, extent.end - 1, extent.end)
        until = last + int(ANSWERED_WITHIN.total_seconds() * 1000) if last is not None else None
    return since, until


async def _time(consumer: AIOKafkaConsumer, where: TopicPartition, offset: int, end: int) -> int | None:
    """The timestamp of the first record from an offset; None if there is none."""
    if not 0 <= offset < end:
        return None
    consumer.assign([where])
    consumer.seek(where, offset)
    found = await consumer.getmany(where, timeout_ms=2_000, max_records=1)
    return next((int(record.timestamp) for records in found.values() for record in records), None)
