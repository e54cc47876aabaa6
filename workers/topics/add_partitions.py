"""More partitions, without forgetting anything: every topic that must be alike grows, and keyed state goes along.

A request's id leads to a partition by its key, and so to what is remembered of it. With more partitions the same key
leads elsewhere. Whatever hash a platform uses, it takes the rest of a division by the number of partitions; so if the
new number is a multiple of the old one, a key of the old partition p leads to one of p, p + old, p + 2 * old and so on.

    beside its source   what is remembered in p is copied to each of those: more than is needed, and never less
    by its key          each record is copied to the one partition that its key names now

Topics of keyed state grow and are filled first, requests last: until then topics are uneven, and no worker starts.
Interrupted, the same command does it all again, which changes nothing that is done. Records that are copied are as
young as their copies, and so are remembered longer, never shorter.
"""

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from events.topics import ANSWERED, REQUESTS, TOPICS, Topic
from workers.console import CommandError
from workers.decide.duplicates import unpacked
from workers.kafka import connect
from workers.kafka.reader import Span, records, spans
from workers.ledger.pointers import partition_of
from workers.settings import Settings
from workers.topics import apply_topics

VISIBLE_S = 60.0
"""How long new partitions may take until the brokers tell of them."""


class ScaleError(CommandError):
    """Partitions cannot be added now, or not so many; the message says why and what to do."""


class Step(NamedTuple):
    """What is done with one topic."""

    topic: str
    """Its full name."""
    now: int
    """Its partitions."""
    then: int
    copies: int | None
    """Records that are read, each to be copied; None where none is."""


class Plan(NamedTuple):
    """All that is to be done."""

    before: int
    """The number of partitions that keyed state is placed by now."""
    after: int
    steps: Sequence[Step]
    """In their order."""


def plan(settings: Settings, after: int, before: int | None = None) -> Plan:
    """What `dli topics scale` does.

    Args:
        settings: Where, and whose topics.
        after: The number of partitions that there are to be.
        before: The number by which requests were placed so far; the least that any of the topics has, when absent.

    Raises:
        ScaleError: Not so, or not now.
        TopicsError: The cluster does not answer.
    """
    with apply_topics.admin(settings) as client:
        counts = apply_topics.counts(client, settings)
        absent = [settings.topic(one.name) for one in _alike() if settings.topic(one.name) not in counts]
        if absent:
            raise ScaleError(f"{', '.join(absent)}: not there; run `dli topics apply` first")
        was = before if before is not None else min(counts.values())
        _see_numbers(counts, settings, was, after)
        _see_nobody(client, settings)
        _see_settled(client, settings)
        # Once topics are uneven no worker can start to decide what waits: it is told at the end.
        waiting = _waiting(client, settings) if len(set(counts.values())) == 1 else None
        if waiting is not None:
            raise ScaleError(
                f"{waiting.topic}/{waiting.partition}: the request at offset {waiting.offset} is still to be decided, "
                f"and maybe others: stop the platforms, let workers decide all, stop them, then try again"
            )
        steps = [
            Step(name, counts[name], after, _waiting_to_be_copied(client, name, was) if topic.state else None)
            for topic in _in_order()
            for name in [settings.topic(topic.name)]
        ]
    return Plan(was, after, steps)


def execute(settings: Settings, made: Plan, told: Callable[[Step, int], None]) -> None:
    """Do it; `told` hears of each topic once it is done, and how many records were written to it.

    Raises:
        ScaleError: Somebody works on the topics meanwhile.
        TopicsError: The cluster does not answer.
    """
    with apply_topics.admin(settings) as client:
        for step, topic in zip(made.steps, _in_order(), strict=True):
            if step.now < step.then:
                client.create_partitions({step.topic: step.then})
                _await(client, settings, step)
            # Topics are uneven from the first on: whoever is not here by now cannot start any more.
            _see_nobody(client, settings)
            told(step, _fill(client, settings, topic, made) if topic.state is not None else 0)
        came = _waiting(client, settings)
    if came is not None:
        raise ScaleError(
            f"{came.topic}/{came.partition}: the request at offset {came.offset} came while partitions were added, "
            f"from a platform that was not stopped, and its answer would not be known under the new number. "
            f"Partitions are added. Stop the platforms, start workers, let them decide all, stop them, and run "
            f"`dli topics scale {made.after} --from {made.before} --execute`"
        )


def _alike() -> list[Topic]:
    return [one for one in TOPICS if one.alike]


def _in_order() -> list[Topic]:
    """Keyed state first, requests last."""
    return sorted(_alike(), key=lambda one: (one.name == REQUESTS, one.state is None))


# --- whether it can be done ----------------------------------------------------------------------------------------


def _see_numbers(counts: dict[str, int], settings: Settings, before: int, after: int) -> None:
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


def _see_nobody(client: KafkaAdminClient, settings: Settings) -> None:
    members = client.describe_groups([settings.app_id])[settings.app_id].get("members") or ()
    if members:
        raise ScaleError(f"members of group {settings.app_id}: {len(members)}; stop all workers, then try again")


def _see_settled(client: KafkaAdminClient, settings: Settings) -> None:
    places = [where for topic in _alike() for where in _places(client, settings.topic(topic.name))]
    high = client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
    stable = spans(client, places)
    hanging = [where for where in places if stable[where].end < high[where].offset]
    if hanging:
        named = ", ".join(f"{one.topic}/{one.partition}" for one in hanging[:3])
        raise ScaleError(
            f"{named}: a transaction is open there; wait until it ends, or see `kafka-transactions find-hanging`"
        )


def _waiting(client: KafkaAdminClient, settings: Settings) -> ConsumerRecord | None:
    """A request that no worker has done; None where all are.

    What lies behind the last request may be markers of transactions, which are nobody's to do: so it is read.
    """
    committed = client.list_group_offsets({settings.app_id: None})[settings.app_id]
    behind: dict[TopicPartition, Span] = {}
    for where, span in spans(client, _places(client, settings.topic(REQUESTS))).items():
        done = committed[where].offset if where in committed else -1
        if max(done, span.beginning) < span.end:
            behind[where] = Span(max(done, span.beginning), span.end)
    return next(records(settings, behind), None)


def _places(client: KafkaAdminClient, name: str) -> list[TopicPartition]:
    [described] = client.describe_topics([name])
    return [TopicPartition(name, one["partition_index"]) for one in described["partitions"]]


def _ends(client: KafkaAdminClient, name: str) -> dict[TopicPartition, int]:
    found = client.list_partition_offsets(dict.fromkeys(_places(client, name), OffsetSpec.LATEST))
    return {where: one.offset for where, one in found.items()}


# --- doing it ------------------------------------------------------------------------------------------------------


def _await(client: KafkaAdminClient, settings: Settings, step: Step) -> None:
    """Return once the brokers tell of the new partitions, with their ends: then they have leaders."""
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
    """What is kept of the partitions that there were before."""
    return spans(client, [where for where in _places(client, name) if where.partition < before])


def _waiting_to_be_copied(client: KafkaAdminClient, name: str, before: int) -> int:
    return sum(span.end - span.beginning for span in _old(client, name, before).values())


def _fill(client: KafkaAdminClient, settings: Settings, topic: Topic, made: Plan) -> int:
    """Copy a topic's records to where they will be looked for; how many were written."""
    name = settings.topic(topic.name)
    producer = KafkaProducer(
        **connect.client(settings), acks="all", enable_idempotence=True, linger_ms=20, batch_size=500_000
    )
    written = 0
    failures: list[BaseException] = []
    try:
        for one in records(settings, _old(client, name, made.before)):
            for partition, value in _copies(topic, one, made):
                sent = producer.send(name, key=one.key, value=value, headers=one.headers, partition=partition)
                sent.add_errback(failures.append)
                written += 1
            if failures:
                break
        producer.flush()
    finally:
        producer.close()
    if failures:
        raise ScaleError(f"{name}: {connect.explained(settings, _as_kafka_error(failures[0]))}")
    return written


def _as_kafka_error(error: BaseException) -> KafkaError:
    return error if isinstance(error, KafkaError) else KafkaError(type(error).__name__)


def _copies(topic: Topic, record: ConsumerRecord, made: Plan) -> Iterator[tuple[int, bytes | None]]:
    """To which other partitions a record is copied, and as what."""
    if topic.state == "by its key":
        partition = partition_of(record.key or b"", made.after)
        if partition != record.partition:
            yield partition, record.value
        return
    rewrite = REWRITTEN.get(topic.name)
    try:
        value = record.value if rewrite is None or record.value is None else rewrite(record.value)
    except struct.error:
        return  # what is no entry says nothing of any request
    for partition in range(record.partition + made.before, made.after, made.before):
        yield partition, value


def _read_elsewhere(value: bytes) -> bytes:
    return unpacked(value).elsewhere().packed()


REWRITTEN: dict[str, Callable[[bytes], bytes]] = {ANSWERED: _read_elsewhere}
"""Topics whose records say where in their own partition a request stood: a copy must not say so of another."""
