"""The stream processor's promises, kept by whole workers on a broker."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from tests.support import repeater
from tests.support.places import ROOT
from tests.support.repeater import PARTITIONS, Place
from workers.configuration.settings import Delivery
from workers.dev_brokers import KafkaBroker
from workers.kafka import offset_metadata
from workers.stream import EXIT_PROCESSOR_LOST


@pytest.fixture
def place(bootstrap: str, prefix: str) -> Place:
    chosen = Place(bootstrap, f"{prefix}processor")
    asyncio.run(_create(chosen))
    return chosen


async def _create(place: Place) -> None:
    topics = [place.requests, place.decisions, place.repeats, place.policies, f"{place.app_id}-known-changelog"]
    admin = AIOKafkaAdminClient(bootstrap_servers=place.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics])
    finally:
        await admin.close()


def publish(place: Place, topic: str, numbers: Sequence[int]) -> None:
    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=place.bootstrap) as producer:
            sent = [await producer.send(topic, b"%d" % number, key=b"k%d" % number) for number in numbers]
            await asyncio.gather(*sent)

    asyncio.run(send())


class Seen(NamedTuple):
    """What a topic holds for readers of committed records, and how far the group has come."""

    records: list[tuple[int, bytes]]
    committed: int

    @property
    def numbers(self) -> Counter[int]:
        return Counter(int(value) for _, value in self.records)


def look(place: Place, topic: str) -> Seen:
    async def read() -> Seen:
        async with AIOKafkaConsumer(
            bootstrap_servers=place.bootstrap,
            group_id=place.app_id,
            isolation_level="read_committed",
            enable_auto_commit=False,
        ) as consumer:
            inputs = [TopicPartition(place.requests, partition) for partition in range(PARTITIONS)]
            committed = [await consumer.committed(tp) or 0 for tp in inputs]
            tps = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
            return Seen(await _all_of(consumer, tps), sum(committed))

    return asyncio.run(read())


async def _all_of(consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> list[tuple[int, bytes]]:
    records: list[tuple[int, bytes]] = []
    ends = await consumer.end_offsets(tps)
    while any([await consumer.position(tp) < ends[tp] for tp in tps]):
        for tp, messages in (await consumer.getmany(timeout_ms=200)).items():
            records.extend((tp.partition, message.value) for message in messages)
    return records


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.3)


@contextmanager
def worker(
    place: Place, delivery: Delivery = Delivery.EXACTLY_ONCE, name: str = "w"
) -> Iterator[subprocess.Popen[bytes]]:
    process = _start(place, delivery, name)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _start(place: Place, delivery: Delivery, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", repeater.__name__, *place, delivery, name], cwd=ROOT)  # noqa: S603


@pytest.mark.broker
@pytest.mark.parametrize("delivery", Delivery)
def test_every_record_is_answered_once_in_place_and_in_order(place: Place, delivery: Delivery) -> None:
    """Every record is answered once, in its own partition and order."""
    publish(place, place.requests, range(3_000))
    with worker(place, delivery):
        wait_until(lambda: look(place, place.decisions).committed >= 3_000)
    asked, answered = look(place, place.requests), look(place, place.decisions)
    assert sorted(asked.records, key=lambda at: at[0]) == sorted(answered.records, key=lambda at: at[0])


@pytest.mark.kafka
def test_a_second_processor_takes_what_the_first_sends(place: Place) -> None:
    """A second processor takes what the first one sends and goes on where it was."""
    for round_ in (1, 2):
        publish(place, place.requests, range(1_000 * (round_ - 1), 1_000 * round_))
        with worker(place) as process:
            wait_until(lambda: look(place, place.repeats).numbers.total() >= 1_000 * round_)  # noqa: B023 (used at once)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
    repeats = look(place, place.repeats)
    assert Counter(range(2_000)) == repeats.numbers
    assert all(partition == int(value) % PARTITIONS for partition, value in repeats.records)


@pytest.mark.kafka
def test_agents_and_tables_go_on_beside_the_processor(place: Place) -> None:
    publish(place, place.policies, range(5))
    with worker(place):
        wait_until(lambda: len(look(place, f"{place.app_id}-known-changelog").records) >= 5)
    publish(place, place.requests, range(10))
    with worker(place):
        wait_until(lambda: look(place, place.decisions).committed >= 10)
    assert look(place, place.decisions).numbers == Counter(range(10))


@pytest.mark.kafka
@pytest.mark.broker
def test_sigterm_ends_the_current_batch_and_exits_with_success(place: Place) -> None:
    """SIGTERM ends the batch in progress and exits with success."""
    publish(place, place.requests, range(20_000))
    with worker(place) as process:
        wait_until(lambda: look(place, place.decisions).committed > 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    after = look(place, place.decisions)
    assert after.committed == len(after.records) == len(after.numbers)


@pytest.mark.broker
def test_a_handler_that_raises_ends_the_worker_and_skips_nothing(place: Place) -> None:
    publish(place, place.requests, [-1])
    with worker(place) as process:
        assert process.wait(timeout=60) == EXIT_PROCESSOR_LOST
    assert Seen([], 0) == look(place, place.decisions)


@pytest.mark.kafka
@pytest.mark.broker
def test_a_fenced_worker_exits_with_its_own_code(place: Place) -> None:
    """A fenced worker exits with its own code and leaves no trace."""
    with worker(place) as process:
        publish(place, place.requests, range(20))
        wait_until(lambda: look(place, place.decisions).committed >= 20)
        asyncio.run(_fence(place))
        publish(place, place.requests, range(20, 40))
        assert process.wait(timeout=60) == EXIT_PROCESSOR_LOST
    after = look(place, place.decisions)
    assert after.committed == len(after.numbers) == len(after.records)


async def _fence(place: Place) -> None:
    for partition in range(PARTITIONS):
        name = f"{place.app_id}-{place.requests}-{partition}"
        async with AIOKafkaProducer(bootstrap_servers=place.bootstrap, transactional_id=name):
            pass


@pytest.mark.kafka
def test_the_next_owner_aborts_a_transaction_left_hanging() -> None:
    # Kafka checks that a record's transaction was begun with the coordinator; one whose markers were dropped was.
    """A transaction that Kafka left hanging is aborted by the next owner."""
    with KafkaBroker(properties={"transaction.partition.verification.enable": "false"}) as broker:
        place = Place(broker.bootstrap, "hanging.processor")
        asyncio.run(_create(place))
        asyncio.run(_leave_hanging(place))
        with worker(place):
            publish(place, place.requests, range(40))
            wait_until(lambda: look(place, place.decisions).committed >= 40)
        assert look(place, place.decisions).numbers == Counter(range(40))


async def _leave_hanging(place: Place) -> None:
    for partition in range(PARTITIONS):
        name = f"{place.app_id}-{place.requests}-{partition}"
        async with AIOKafkaProducer(bootstrap_servers=place.bootstrap, transactional_id=name) as producer:
            await producer.begin_transaction()
            transactions = producer._txn_manager  # noqa: SLF001 (what Kafka does, done to it)
            transactions.maybe_add_partition_to_txn = lambda _place: None
            await producer.send_and_wait(place.decisions, b"1000", partition=partition)
            await producer.abort_transaction()  # of nothing that the coordinator knows of


@pytest.mark.kafka
@pytest.mark.slow
def test_ten_kills_of_two_workers_lose_and_duplicate_nothing(place: Place) -> None:
    """Ten kills of two workers lose nothing and duplicate nothing."""
    dice, total, kills = random.Random(20), 20_000, 10
    names = ("one", "two")
    workers = {name: _start(place, Delivery.EXACTLY_ONCE, name) for name in names}
    try:
        for round_ in range(kills):
            publish(place, place.requests, range(round_ * total // kills, (round_ + 1) * total // kills))
            time.sleep(dice.uniform(0.5, 5))
            name = dice.choice(names)
            workers[name].kill()
            workers[name].wait()
            workers[name] = _start(place, Delivery.EXACTLY_ONCE, name)
        wait_until(lambda: look(place, place.decisions).committed >= total, 120)
    finally:
        for process in workers.values():
            process.kill()
            process.wait()
    assert Counter(range(total)) == look(place, place.decisions).numbers


@pytest.mark.kafka
@pytest.mark.parametrize("delivery", Delivery)
def test_a_note_is_committed_with_its_offset_and_read_back(place: Place, delivery: Delivery) -> None:
    """A note is committed with its offset and is found by the next owner."""

    def all_of(numbers: int) -> bool:
        return look(place, place.decisions).committed >= numbers

    for upto in (700, 1_400, 2_100):
        publish(place, place.requests, range(upto - 700, upto))
        with worker(place, delivery):
            wait_until(partial(all_of, upto))
    found = asyncio.run(_committed(place))
    assert sum(offset for offset, _ in found) == 2_100
    assert [str(offset) for offset, _ in found] == [offset_metadata.read(note).text for _, note in found]


async def _committed(place: Place) -> list[tuple[int, str]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=place.bootstrap)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(place.app_id)
        inputs = [TopicPartition(place.requests, partition) for partition in range(PARTITIONS)]
        return [(found[tp].offset, found[tp].metadata) for tp in inputs]
    finally:
        await admin.close()
