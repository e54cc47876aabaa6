"""Adds partitions without losing state: grows all topics that must be alike, and copies keyed state.

A request's id determines its partition, and so its state. With more partitions the same key maps to another one.
Platforms' partitioners take a hash modulo the number of partitions; so if the new number is a multiple of the old one,
a key of the old partition p maps to one of p, p + old, p + 2 * old and so on.

    beside its source   p's state is copied to each of those: more than needed, never less
    by its key          each record is copied to its key's new partition

Cases stay where they are: verdicts and links reach them by the ledger's pointers, wherever an id leads now. What is on
its way to a case, on the ledger, is not copied: everything of that kind is processed before.

Topics of keyed state are grown and filled first, requests last: until then topics are uneven, and no worker starts.
After an interruption the same command repeats everything, idempotently. Copied records get new timestamps, and so are
kept longer, never shorter.
"""

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from events.topics import (
    ANSWERED,
    CASE_EVENTS,
    INTEGRATION_EVENTS,
    LEDGER,
    PAS_REQUESTS,
    REQUESTS,
    SUBMISSIONS,
    TOPICS,
    VERDICTS,
    X12_REQUESTS,
    Topic,
)
from workers.cases.route import is_on_its_way
from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.decide.duplicates import unpacked
from workers.kafka import clients
from workers.kafka.clients import KafkaAdminClient
from workers.kafka.errors import explained, topic_errors
from workers.kafka.reader import Span, records, spans
from workers.state.request_digests import partition_of
from workers.topics import apply_topics

VISIBLE_S = 60.0
"""How long new partitions may take to become visible."""


class ScaleError(DliError):
    """Partitions cannot be added now or in this number; the message says why and what to do."""

    is_refusal = True


class Step(NamedTuple):
    """The change of one topic."""

    topic: str
    """Its full name."""
    now: int
    """Its current number of partitions."""
    then: int
    copies: int | None
    """The number of records to copy; None if none are."""


class Plan(NamedTuple):
    """All changes."""

    before: int
    """The number of partitions by which keyed state is currently placed."""
    after: int
    steps: Sequence[Step]
    """In order."""


def plan(settings: Settings, after: int, before: int | None = None) -> Plan:
    """The plan of `dli topics scale`.

    Args:
        settings: The cluster and the topics.
        after: The new number of partitions.
        before: The number by which requests were placed so far; by default the smallest of any topic.

    Raises:
        ScaleError: It is not possible, or not now.
        TopicsError: The cluster does not answer.
    """
    with apply_topics.admin(settings) as client:
        counts = apply_topics.counts(client, settings)
        absent = [settings.topic(topic.name) for topic in _alike() if settings.topic(topic.name) not in counts]
        if absent:
            raise ScaleError(f"{', '.join(absent)}: not there; run `dli topics apply` first")
        was = before if before is not None else min(counts.values())
        _check_numbers(counts, settings, was, after)
        _check_no_members(client, settings)
        _check_no_transactions(client, settings)
        # Once topics are uneven no worker can start to decide waiting requests: they are reported at the end.
        even = len(set(counts.values())) == 1
        waiting = next(filter(None, (_waiting(client, settings, name) for name in DONE_BEFORE)), None) if even else None
        if waiting is not None:
            what = "request" if waiting.topic == settings.topic(REQUESTS) else "record"
            raise ScaleError(
                f"{waiting.topic}/{waiting.partition}: the {what} at offset {waiting.offset} is still to be decided, "
                f"and maybe others: stop the platforms, let workers decide all, stop them, then try again"
            )
        steps = [
            Step(name, counts[name], after, _waiting_to_be_copied(client, name, was) if topic.state else None)
            for topic in _in_order()
            for name in [settings.topic(topic.name)]
        ]
    return Plan(was, after, steps)


def execute(settings: Settings, made: Plan, report: Callable[[Step, int], None]) -> None:
    """Execute a plan; calls `report` with each finished topic and its number of records written.

    Raises:
        ScaleError: The topics are in use meanwhile.
        TopicsError: The cluster does not answer.
    """
    with apply_topics.admin(settings) as client:
        for step, topic in zip(made.steps, _in_order(), strict=True):
            if step.now < step.then:
                client.create_partitions({step.topic: step.then})
                _await(client, settings, step)
            # Topics are uneven from the first step on: no other worker can start now.
            _check_no_members(client, settings)
            report(step, _fill(client, settings, topic, made) if topic.state is not None else 0)
        came = _waiting(client, settings, REQUESTS)
    if came is not None:
        raise ScaleError(
            f"{came.topic}/{came.partition}: the request at offset {came.offset} came while partitions were added, "
            f"from a platform that was not stopped, and its answer would not be known under the new number. "
            f"Partitions are added. Stop the platforms, start workers, let them decide all, stop them, and run "
            f"`dli topics scale {made.after} --from {made.before} --execute`"
        )


def _alike() -> list[Topic]:
    return [topic for topic in TOPICS if topic.alike]


def _in_order() -> list[Topic]:
    """Keyed state first, requests last."""
    return sorted(_alike(), key=lambda topic: (topic.name == REQUESTS, topic.state is None))


# --- preconditions ----------------------------------------------------------------------------------------


def _check_numbers(counts: dict[str, int], settings: Settings, before: int, after: int) -> None:
    if after % before:
        raise ScaleError(
            f"{after} is no multiple of {before}, the number of partitions that requests are placed by: then an id "
            f"of one partition could lead to any other, and what was answered would have to be copied to all; take "
            f"{after - after % before + before} or another multiple"
        )
    more = {name: count for name, count in counts.items() if count > after}
    if more:
        named = ", ".join(f"{name} has {count}" for name, count in more.items())
        raise ScaleError(f"{named}: partitions can be added and never taken away; name that number, or a multiple")
    requests = settings.topic(REQUESTS)
    if counts[requests] not in {before, after}:
        raise ScaleError(f"{requests} has {counts[requests]} partitions, neither {before} (--from) nor {after}")
    if after == before:
        raise ScaleError(
            f"{requests} has {after} partitions already; where somebody else added them, "
            f"`--from` with the number before puts what is remembered where it will be looked for"
        )


def _check_no_members(client: KafkaAdminClient, settings: Settings) -> None:
    for group, processes in ((settings.app_id, "workers"), (settings.integration_id, "processes of `dli integration`")):
        members = client.describe_groups([group])[group].get("members") or ()
        if members:
            raise ScaleError(f"members of group {group}: {len(members)}; stop all {processes}, then try again")


def _check_no_transactions(client: KafkaAdminClient, settings: Settings) -> None:
    places = [where for topic in _alike() for where in _places(client, settings.topic(topic.name))]
    high = client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
    stable = spans(client, places)
    hanging = [where for where in places if stable[where].end < high[where].offset]
    if hanging:
        named = ", ".join(f"{partition.topic}/{partition.partition}" for partition in hanging[:3])
        raise ScaleError(
            f"{named}: a transaction is open there; wait until it ends, or see `kafka-transactions find-hanging`"
        )


_OF_INTEGRATION = (PAS_REQUESTS, X12_REQUESTS, SUBMISSIONS, INTEGRATION_EVENTS)
DONE_BEFORE = (*_OF_INTEGRATION, REQUESTS, VERDICTS, LEDGER, CASE_EVENTS)
"""What must be processed before: it concerns state by the old number of partitions."""


def _waiting(client: KafkaAdminClient, settings: Settings, name: str) -> ConsumerRecord | None:
    """An unprocessed record of a topic, if any; of the ledger, what is on its way to a case.

    The offsets after the last request may be transaction markers, so the records are read.
    """
    group = settings.integration_id if name in _OF_INTEGRATION else settings.app_id
    committed = client.list_group_offsets({group: None})[group]
    behind: dict[TopicPartition, Span] = {}
    for where, span in spans(client, _places(client, settings.topic(name))).items():
        done = committed[where].offset if where in committed else -1
        if max(done, span.beginning) < span.end:
            behind[where] = Span(max(done, span.beginning), span.end)
    found = records(settings, behind)
    return next((one for one in found if name != LEDGER or is_on_its_way(one.value)), None)


def _places(client: KafkaAdminClient, name: str) -> list[TopicPartition]:
    [described] = client.describe_topics([name])
    return [TopicPartition(name, partition["partition_index"]) for partition in described["partitions"]]


def _ends(client: KafkaAdminClient, name: str) -> dict[TopicPartition, int]:
    found = client.list_partition_offsets(dict.fromkeys(_places(client, name), OffsetSpec.LATEST))
    return {where: offset.offset for where, offset in found.items()}


# --- execution ------------------------------------------------------------------------------------------------------


def _await(client: KafkaAdminClient, settings: Settings, step: Step) -> None:
    """Wait until the brokers report the new partitions with their ends: then they have leaders."""
    deadline = time.monotonic() + VISIBLE_S
    while True:
        try:
            if len(_ends(client, step.topic)) == step.then:
                return
        except KafkaError:
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise ScaleError(f"{step.topic}: its new partitions do not show at {settings.bootstrap}; try again")
        time.sleep(0.1)


def _old(client: KafkaAdminClient, name: str, before: int) -> dict[TopicPartition, Span]:
    """The offsets kept in the old partitions."""
    return spans(client, [where for where in _places(client, name) if where.partition < before])


def _waiting_to_be_copied(client: KafkaAdminClient, name: str, before: int) -> int:
    return sum(span.end - span.beginning for span in _old(client, name, before).values())


def _fill(client: KafkaAdminClient, settings: Settings, topic: Topic, made: Plan) -> int:
    """Copy a topic's records to their new partitions; return the number written."""
    name = settings.topic(topic.name)
    written = 0
    failures: list[BaseException] = []
    with clients.producer(settings, topic_errors, linger_ms=20, batch_size=500_000) as producer:
        for record in records(settings, _old(client, name, made.before)):
            for partition, value in _copies(topic, record, made):
                sent = producer.send(name, key=record.key, value=value, headers=record.headers, partition=partition)
                sent.add_errback(failures.append)
                written += 1
            if failures:
                break
        producer.flush()
    if failures:
        raise ScaleError(f"{name}: {explained(settings, _as_kafka_error(failures[0]))}")
    return written


def _as_kafka_error(error: BaseException) -> KafkaError:
    return error if isinstance(error, KafkaError) else KafkaError(type(error).__name__)


def _copies(topic: Topic, record: ConsumerRecord, made: Plan) -> Iterator[tuple[int, bytes | None]]:
    """The partitions that a record is copied to, with its value there."""
    if topic.state == "by its key":
        if is_on_its_way(record.value):
            return  # it was delivered already, and would be once more
        partition = partition_of(record.key or b"", made.after)
        if partition != record.partition:
            yield partition, record.value
        return
    rewrite = REWRITTEN.get(topic.name)
    try:
        value = record.value if rewrite is None or record.value is None else rewrite(record.value)
    except struct.error:
        return  # an invalid entry holds no state
    for partition in range(record.partition + made.before, made.after, made.before):
        yield partition, value


def _read_elsewhere(value: bytes) -> bytes:
    return unpacked(value).elsewhere().packed()


REWRITTEN: dict[str, Callable[[bytes], bytes]] = {ANSWERED: _read_elsewhere}
"""Topics whose records contain an offset of their own partition, which copies must not contain."""
