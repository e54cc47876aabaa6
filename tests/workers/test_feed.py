"""The feed's promises: its pure parts alone, its assumptions, and whole workers on a broker.

Run as a script, this file is such a worker: it repeats every record of `requests` to `decisions`.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata, TopicPartition

from workers.brokers import KafkaBroker
from workers.feed import EXIT_FEED_LOST, Feed, FeedLost, app_settings, feed
from workers.feed.courier import Courier, TransactionalCourier
from workers.feed.feed import BATCHES_AT_ONCE, Turns
from workers.feed.lane import Lane
from workers.feed.private import VERSIONS, Assumption, AssumptionError, check_assumptions, pace, packed
from workers.records import Companion, Delivery, Outgoing, Placing, Record

PARTITIONS = 4


# The pure parts


def test_assumptions_hold_for_the_versions_installed() -> None:
    check_assumptions()


def test_another_version_is_refused_with_a_sentence() -> None:
    with pytest.raises(AssumptionError, match=r"faust-streaming is 0\.15\.3, and the feed was written against 0\.16"):
        check_assumptions(versions={"faust-streaming": "0.16"})


def test_a_changed_private_part_is_refused_with_the_reason_it_matters() -> None:
    changed = Assumption(faust.App.on_stop, "words that are not there", "the last batch would be cut off")
    with pytest.raises(AssumptionError, match=r"App.on_stop no longer says .* the last batch would be cut off"):
        check_assumptions(VERSIONS, [changed])


def test_faust_takes_the_settings() -> None:
    app = faust.App("settings", broker="kafka://nowhere:1", store="memory://", web_enabled=False, **app_settings())
    assert app.conf.stream_wait_empty is False


def test_losing_the_feed_ends_a_process_with_its_own_exit_code() -> None:
    with pytest.raises(SystemExit) as ended:
        raise FeedLost("another worker has the partition")
    assert ended.value.code == EXIT_FEED_LOST == 70


class _Producer:
    """As much of a producer as packing and placing need."""

    def __init__(self, **partitions: int) -> None:
        self._partitions = partitions

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(1_000, 0, is_transactional=1)

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self._partitions[topic]))


def _outputs(count: int, size: int = 100) -> list[Outgoing]:
    return [Outgoing("decisions", b"%d" % number, b"x" * size) for number in range(count)]


@pytest.mark.parametrize(("size", "batches"), [(10, 1), (100, 4), (5_000, 30)])
def test_batches_hold_every_output_once_however_large_it_is(size: int, batches: int) -> None:
    made = list(packed(_Producer(), _outputs(30, size)))
    assert (30, batches) == (sum(batch.record_count() for batch in made), len(made))


def _placed(producer: _Producer, topic: str, key: bytes, place: Placing | None = None) -> int:
    owner = SimpleNamespace(place=place)
    courier = Courier(producer, owner, TopicPartition("requests", 3))
    return asyncio.run(courier._place(topic))(key)  # noqa: SLF001


def test_an_output_stays_in_its_partition_where_the_topics_have_equally_many() -> None:
    assert _placed(_Producer(requests=4, decisions=4), "decisions", b"any") == 3


def test_elsewhere_an_output_goes_where_kafkas_own_clients_put_its_key() -> None:
    expected = DefaultPartitioner()(b"r-17", list(range(7)), list(range(7)))
    assert expected == _placed(_Producer(requests=4, letters=7), "letters", b"r-17")


def test_where_the_feed_is_told_how_to_place_that_holds_for_topics_with_equally_many_partitions_too() -> None:
    producer = _Producer(requests=4, pointers=4, links=1)
    assert _placed(producer, "pointers", b"\x06", lambda key, count: key[0] % count) == 2
    assert _placed(producer, "links", b"\x06", lambda key, count: key[0] % count) == 0


def test_what_is_behind_a_feed_starts_one_batch_at_a_time_while_a_whole_batch_waits_there() -> None:
    first = object.__new__(Feed)
    first.max_batch, first._turn = 10, asyncio.Lock()

    async def three_starts(waiting: int) -> float:
        first._lanes = dict.fromkeys(range(2), SimpleNamespace(waiting=waiting))  # type: ignore[arg-type]
        begun = time.perf_counter()
        await asyncio.gather(*(first.let_go_first() for _ in range(3)))
        return time.perf_counter() - begun

    assert asyncio.run(three_starts(waiting=4)) < 0.1
    assert 0.6 <= asyncio.run(three_starts(waiting=5)) < 2


class _Transactions:
    """As much of a transactional producer as a courier needs; it notes what each transaction covers."""

    def __init__(self, *topics: str) -> None:
        self._topics = topics
        self._txn_manager = self
        self.ended: list[tuple[str, set[str]]] = []
        self._covered: set[str] = set()

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(1_000, 0, is_transactional=1)

    async def partitions_for(self, topic: str) -> set[int]:
        assert topic in self._topics
        return {0, 1, 2}

    def maybe_add_partition_to_txn(self, place: TopicPartition) -> None:
        self._covered.add(f"{place.topic}-{place.partition}")

    async def send_batch(self, _batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[RecordMetadata]:
        where = TopicPartition(topic, partition)
        self.maybe_add_partition_to_txn(where)
        sent = asyncio.get_running_loop().create_future()
        sent.set_result(RecordMetadata(topic, partition, where, 7, 0, 0, 0))
        return sent

    async def start(self) -> None:
        pass

    async def begin_transaction(self) -> None:
        self._covered = set()

    async def send_offsets_to_transaction(self, offsets: dict[TopicPartition, Any], group: str) -> None:
        self._covered.update(f"{group}:{place.partition}" for place in offsets)

    async def commit_transaction(self) -> None:
        self.ended.append(("commit", self._covered))

    async def abort_transaction(self) -> None:
        self.ended.append(("abort", self._covered))


def _courier(producer: _Transactions, *outputs: str) -> TransactionalCourier:
    owner = SimpleNamespace(
        place=None, outputs=frozenset(outputs), app=SimpleNamespace(conf=SimpleNamespace(id="group"))
    )
    return TransactionalCourier(producer, owner, TopicPartition("requests", 2))


def test_a_new_owner_first_aborts_all_that_an_earlier_one_may_have_left_hanging() -> None:
    producer = _Transactions("requests", "decisions", "letters")
    asyncio.run(_courier(producer, "decisions", "letters").start())
    assert producer.ended == [("abort", {"decisions-2", "letters-2", "group:2"})]


def test_a_transaction_shares_the_fate_of_the_two_before_it_and_a_quiet_spell_confirms_the_last() -> None:
    producer = _Transactions("requests", "decisions", "letters")
    courier = _courier(producer, "decisions", "letters")

    async def deliver() -> None:
        await courier.start()
        await courier.deliver([Outgoing("decisions", b"1", b"")], 1, "")
        await courier.deliver([Outgoing("letters", b"2", b"")], 2, "")
        await courier.deliver([], 3, "")
        assert courier.unsettled
        await courier.settle()

    asyncio.run(deliver())
    both = {"decisions-2", "letters-2", "group:2"}
    assert producer.ended == [
        ("abort", both),
        ("commit", {"decisions-2", "group:2"}),
        ("commit", both),
        ("commit", both),
        ("commit", both),
    ]
    assert not courier.unsettled


class _Slow(_Producer):
    """A producer whose broker takes its time; it notes what is sent and what has arrived."""

    def __init__(self, **partitions: int) -> None:
        super().__init__(**partitions)
        self.seen: list[str] = []

    async def start(self) -> None:
        pass

    async def send_batch(self, _batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[RecordMetadata]:
        self.seen.append(f"{topic} sent")
        arriving = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            self.seen.append(f"{topic} arrived")
            arriving.set_result(RecordMetadata(topic, partition, TopicPartition(topic, partition), 7, 0, 0, 0))

        asyncio.get_running_loop().call_later(0.01, arrive)
        return arriving

    async def commit_offset(self, *_: object) -> None:
        self.seen.append("offset committed")


def test_at_least_once_what_must_be_there_first_has_arrived_before_anything_else_is_sent() -> None:
    producer = _Slow(requests=4, decisions=4, answered=4)
    app = SimpleNamespace(consumer=SimpleNamespace(thread=producer))
    owner = SimpleNamespace(app=app, place=None, companion=SimpleNamespace(first=frozenset({"answered"})))
    courier = Courier(producer, owner, TopicPartition("requests", 3))
    outputs = [Outgoing("decisions", b"1", b""), Outgoing("answered", b"1", b""), Outgoing("decisions", b"2", b"")]

    ends = asyncio.run(courier.deliver(outputs, 2, ""))

    expected = ["answered sent", "answered arrived", "decisions sent", "decisions arrived", "offset committed"]
    assert producer.seen == expected
    assert ends == {"answered": 8, "decisions": 9}


def test_an_output_for_a_topic_that_was_not_declared_is_refused() -> None:
    producer = _Transactions("requests", "decisions", "letters")
    with pytest.raises(ValueError, match="sent to letters, which is not among its outputs"):
        asyncio.run(_courier(producer, "decisions").deliver([Outgoing("letters", b"", b"")], 1, ""))
    assert producer.ended == []


class _Stuck:
    """Delivers once it is let go."""

    unsettled = False

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def deliver(self, outputs: Sequence[Outgoing], upto: int, note: str) -> dict[str, int]:  # noqa: ARG002
        await self.let_go.wait()
        return {}


def test_records_that_wait_behind_a_stuck_delivery_show_as_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    async def through() -> list[tuple[bool, bool]]:
        courier = _Stuck()
        lane = Lane(_owner(), 0)
        monkeypatch.setattr("workers.feed.lane.courier", lambda *_: _entered(courier))
        seen = []
        for _ in range(2):
            await asyncio.sleep(0.3)
            seen.append((lane.progress.started, lane.progress.waiting_seconds > 0.1))
            courier.let_go.set()
        lane._task.cancel()  # noqa: SLF001
        return seen

    assert asyncio.run(through()) == [(True, True), (True, False)]


def test_a_broker_that_answers_nothing_new_shows_as_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def through() -> list[bool]:
        marks = iter([*range(10), *[10] * 1_000])
        lane = Lane(_owner(marks), 0)
        monkeypatch.setattr("workers.feed.lane.courier", lambda *_: _entered(_Stuck()))
        seen = []
        for pause in (0.1, 0.6):
            await asyncio.sleep(pause)
            seen.append(lane.progress.silent_seconds > 0.2)
        lane._task.cancel()  # noqa: SLF001
        return seen

    assert asyncio.run(through()) == [False, True]


class _Counting:
    """Takes a while to deliver, and notes how many do so at once."""

    unsettled = False

    def __init__(self) -> None:
        self.busy: list[int] = []
        self._now = 0

    async def deliver(self, outputs: Sequence[Outgoing], upto: int, note: str) -> dict[str, int]:  # noqa: ARG002
        self._now += 1
        self.busy.append(self._now)
        await asyncio.sleep(0.02)
        self._now -= 1
        return {}


def test_of_many_partitions_few_have_a_batch_under_way_so_that_none_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def through() -> list[int]:
        courier = _Counting()
        monkeypatch.setattr("workers.feed.lane.courier", lambda *_: _entered(courier))
        owner = _owner(records=40)
        lanes = [Lane(owner, partition) for partition in range(20)]
        while len(courier.busy) < 20:  # noqa: ASYNC110 (twenty lanes say so, each for itself)
            await asyncio.sleep(0.01)
        for lane in lanes:
            await lane.close()
        return courier.busy

    assert max(asyncio.run(asyncio.wait_for(through(), 20))) == BATCHES_AT_ONCE


def test_a_feed_behind_another_gathers_even_a_trickle_before_it_takes_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    async def through() -> list[float]:
        starts: list[float] = []

        def handler(_: object) -> list[Outgoing]:
            starts.append(time.perf_counter())
            return []

        monkeypatch.setattr("workers.feed.lane.courier", lambda *_: _entered(_Counting()))
        owner = _owner(records=1_000)
        owner.max_batch, owner.handler = 10_000, handler
        owner.behind = SimpleNamespace(let_go_first=partial(asyncio.sleep, 0))
        lane = Lane(owner, 0)
        while len(starts) < 3:  # noqa: ASYNC110 (the handler says so)
            await asyncio.sleep(0.01)
        await lane.close()
        return starts

    starts = asyncio.run(asyncio.wait_for(through(), 20))
    assert min(later - earlier for earlier, later in pairwise(starts)) > 0.45


def test_a_broker_that_is_away_is_tried_less_and_less_and_found_soon_when_it_is_back() -> None:
    async def through() -> tuple[list[bool], list[float]]:
        tried: list[float] = []
        back = False

        async def ready(_node: int, **_options: object) -> bool:
            tried.append(time.perf_counter())
            return back

        client: Any = SimpleNamespace(ready=ready, force_metadata_update=None)
        pace(client)
        answers = [await client.ready(1, group="any") for _ in range(7)]
        back = True
        answers += [await client.ready(1), await client.ready(1)]
        return answers, tried

    answers, tried = asyncio.run(through())
    assert answers == [False] * 7 + [True] * 2
    gaps = [later - earlier for earlier, later in pairwise(tried)]
    least = [0.05, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8]
    assert all(gap >= pause - 0.01 for gap, pause in zip(gaps, least, strict=False))
    assert gaps[-1] < 0.05, "one that answers is not waited for"


def test_a_batch_that_takes_too_long_holds_up_no_other_and_gives_its_turn_back_once() -> None:
    async def through() -> list[str]:
        turns, said = Turns(1, longest=0.1), []

        async def batch(name: str, seconds: float) -> None:
            async with turns.one():
                said.append(name)
                await asyncio.sleep(seconds)
                said.append(f"{name} ends")

        await asyncio.gather(batch("stuck", 0.3), batch("other", 0.05))
        await asyncio.gather(batch("first", 0.02), batch("second", 0.02))
        return said

    assert asyncio.run(through()) == [
        *("stuck", "other", "other ends", "stuck ends"),
        *("first", "first ends", "second", "second ends"),
    ]


def _owner(marks: Iterator[int] | None = None, records: int = 1) -> Any:
    """As much of a feed as a lane needs, with some records to read."""
    waiting = [Record("requests", 0, 7, 0, None, b"1")] * records

    async def committed(_: TopicPartition) -> tuple[int, str]:
        return 7, ""

    async def read_from(_tp: TopicPartition, wanted: int, _limit: int) -> tuple[list[Record], int, int | None]:
        await asyncio.sleep(0.01)
        mark = next(marks) if marks is not None else round(time.time() * 1000)
        return ([waiting.pop()], 8, mark) if waiting else ([], wanted, mark)

    async def acquire() -> None:
        pass

    return SimpleNamespace(
        topic="requests",
        handler=lambda _: [],
        max_batch=10,
        behind=None,
        turns=Turns(BATCHES_AT_ONCE, 5.0),
        companion=Companion(),
        app=SimpleNamespace(
            flow_control=SimpleNamespace(acquire=acquire),
            consumer=SimpleNamespace(thread=SimpleNamespace(committed=committed, read_from=read_from)),
        ),
    )


@asynccontextmanager
async def _entered(courier: Any) -> AsyncIterator[Any]:
    yield courier


# Whole workers


class Place(NamedTuple):
    """Where a test's worker reads and writes."""

    bootstrap: str
    app_id: str

    @property
    def requests(self) -> str:
        return f"{self.app_id}.requests"

    @property
    def decisions(self) -> str:
        return f"{self.app_id}.decisions"

    @property
    def repeats(self) -> str:
        return f"{self.app_id}.repeats"

    @property
    def policies(self) -> str:
        return f"{self.app_id}.policies"


@pytest.fixture
def place(bootstrap: str, prefix: str) -> Place:
    chosen = Place(bootstrap, f"{prefix}feed")
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
    return subprocess.Popen([sys.executable, __file__, *place, delivery, name], cwd=Path(__file__).parents[2])  # noqa: S603


@pytest.mark.broker
@pytest.mark.parametrize("delivery", Delivery)
def test_every_record_is_answered_once_in_its_own_partition_and_order(place: Place, delivery: Delivery) -> None:
    publish(place, place.requests, range(3_000))
    with worker(place, delivery):
        wait_until(lambda: look(place, place.decisions).committed >= 3_000)
    asked, answered = look(place, place.requests), look(place, place.decisions)
    assert sorted(asked.records, key=lambda at: at[0]) == sorted(answered.records, key=lambda at: at[0])


@pytest.mark.broker
def test_a_second_feed_takes_what_the_first_sends_and_goes_on_where_it_was(place: Place) -> None:
    for round_ in (1, 2):
        publish(place, place.requests, range(1_000 * (round_ - 1), 1_000 * round_))
        with worker(place) as process:
            wait_until(lambda: look(place, place.repeats).numbers.total() >= 1_000 * round_)  # noqa: B023 (used at once)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
    repeats = look(place, place.repeats)
    assert Counter(range(2_000)) == repeats.numbers
    assert all(partition == int(value) % PARTITIONS for partition, value in repeats.records)


@pytest.mark.broker
def test_agents_and_tables_on_other_topics_go_on_beside_the_feed(place: Place) -> None:
    publish(place, place.policies, range(5))
    with worker(place):
        wait_until(lambda: len(look(place, f"{place.app_id}-known-changelog").records) >= 5)
    publish(place, place.requests, range(10))
    with worker(place):
        wait_until(lambda: look(place, place.decisions).committed >= 10)


@pytest.mark.broker
def test_sigterm_ends_the_batch_in_progress_and_exits_with_success(place: Place) -> None:
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
        assert process.wait(timeout=60) == EXIT_FEED_LOST
    assert Seen([], 0) == look(place, place.decisions)


@pytest.mark.broker
def test_a_fenced_worker_exits_with_its_own_code_and_leaves_no_trace(place: Place) -> None:
    with worker(place) as process:
        publish(place, place.requests, range(20))
        wait_until(lambda: look(place, place.decisions).committed >= 20)
        asyncio.run(_fence(place))
        publish(place, place.requests, range(20, 40))
        assert process.wait(timeout=60) == EXIT_FEED_LOST
    after = look(place, place.decisions)
    assert after.committed == len(after.numbers) == len(after.records)


async def _fence(place: Place) -> None:
    for partition in range(PARTITIONS):
        name = f"{place.app_id}-{place.requests}-{partition}"
        async with AIOKafkaProducer(bootstrap_servers=place.bootstrap, transactional_id=name):
            pass


@pytest.mark.kafka
def test_a_transaction_that_kafka_left_hanging_is_aborted_by_the_next_owner() -> None:
    # Kafka checks that a record's transaction was begun with the coordinator; one whose markers were dropped was.
    with KafkaBroker(properties={"transaction.partition.verification.enable": "false"}) as broker:
        place = Place(broker.bootstrap, "hanging.feed")
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
def test_ten_kills_of_two_workers_lose_nothing_and_double_nothing(place: Place) -> None:
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


@pytest.mark.broker
@pytest.mark.parametrize("delivery", Delivery)
def test_a_note_is_committed_with_its_offset_and_found_by_whoever_goes_on(place: Place, delivery: Delivery) -> None:
    def all_of(numbers: int) -> bool:
        return look(place, place.decisions).committed >= numbers

    for upto in (700, 1_400, 2_100):
        publish(place, place.requests, range(upto - 700, upto))
        with worker(place, delivery):
            wait_until(partial(all_of, upto))
    found = asyncio.run(_committed(place))
    assert sum(offset for offset, _ in found) == 2_100
    assert [str(offset) for offset, _ in found] == [note for _, note in found]


async def _committed(place: Place) -> list[tuple[int, str]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=place.bootstrap)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(place.app_id)
        inputs = [TopicPartition(place.requests, partition) for partition in range(PARTITIONS)]
        return [(found[tp].offset, found[tp].metadata) for tp in inputs]
    finally:
        await admin.close()


# The worker these tests start


class _Repeater(Companion):
    def __init__(self, topic: str) -> None:
        self._topic = topic

        self._done: dict[int, int] = {}

    def resumed(self, partition: int, offset: int, note: str) -> None:
        assert note == (str(offset) if offset else ""), (offset, note)
        self._done[partition] = int(note or 0)

    def note(self, partition: int, records: Sequence[Record], outputs: Sequence[Outgoing]) -> str:  # noqa: ARG002
        return str(self._done[partition] + len(records))

    def after_commit(self, partition: int, records: Sequence[Record], *_: Any) -> None:
        self._done[partition] += len(records)

    def handle(self, records: Sequence[Record]) -> Sequence[Outgoing]:
        return [Outgoing(self._topic, record.key or b"", _checked(record.value)) for record in records]


def _checked(value: bytes | None) -> bytes:
    if value is None or int(value) < 0:
        raise ValueError(value)
    return value


def serve(bootstrap: str, app_id: str, delivery: str, name: str) -> None:
    place = Place(bootstrap, app_id)
    raw: dict[str, Any] = {"key_serializer": "raw", "value_serializer": "raw", "partitions": PARTITIONS}
    app = faust.App(
        place.app_id,
        broker=f"kafka://{place.bootstrap}",
        store="memory://",
        web_enabled=False,
        datadir=tempfile.mkdtemp(),
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        consumer_group_instance_id=name,
        **app_settings(),
    )
    known = app.Table("known", key_type=bytes, value_type=bytes, partitions=PARTITIONS)

    @app.agent(app.topic(place.policies, **raw))
    async def learn(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            known[event.key] = event.value

    repeater = _Repeater(place.decisions)
    first = feed(
        app,
        app.topic(place.requests, **raw),
        repeater.handle,
        outputs=[place.decisions],
        delivery=Delivery(delivery),
        companion=repeater,
    )
    feed(
        app,
        app.topic(place.decisions, **raw),
        _Repeater(place.repeats).handle,
        outputs=[place.repeats],
        delivery=Delivery.AT_LEAST_ONCE,
        place=lambda key, count: int(key[1:]) % count,
        behind=first,
    )
    faust.Worker(app, loglevel=os.environ.get("LOG_LEVEL", "error")).execute_from_commandline()


if __name__ == "__main__":
    serve(*sys.argv[1:])
