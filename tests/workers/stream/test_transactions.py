"""What shares a transaction, what a transaction covers, and what a failure of one delivery does to the others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import OffsetAndMetadata, RecordMetadata, TopicPartition

from workers.kafka.records import OutgoingRecord
from workers.stream import faust_internals, transactions
from workers.stream.group_offsets import Member, MembershipLostError
from workers.stream.outgoing_batches import OversizedError, UnevenTopicsError
from workers.stream.partition_output import TransactionalOutput
from workers.stream.transactions import CommitGoneError, Transactions

MEMBER = Member("group", 3, "one", None)
TOO_LARGE = b"too large"


class Cluster:
    """As much of Kafka as transactions need: it notes how each ended, by the producer's id and what it covered."""

    def __init__(self, partitions: int = 3) -> None:
        self.partitions = {"requests": partitions, "decisions": partitions, "letters": partitions}
        self.ended: list[tuple[str, str, set[str]]] = []
        self.offsets: dict[TopicPartition, tuple[int, str]] = {}
        self.started: list[str] = []
        self.failing: dict[str, list[Exception]] = {}
        """For each step of a producer, the errors of its next calls."""
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    def step(self, name: str) -> None:
        if self.failing.get(name):
            raise self.failing[name].pop(0)

    @property
    def commits(self) -> list[set[str]]:
        return [covered for _, how, covered in self.ended if how == "commit"]

    # The consumer's thread.

    async def check_member(self, _member: Member) -> None:
        self.step("check_member")

    async def committed(self, source: TopicPartition) -> tuple[int, str]:
        return self.offsets[source]


class Producer:
    """As much of a transactional producer."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self._name = name.removeprefix("group-requests-")
        self._txn_manager = self
        self.client = SimpleNamespace(set_topics=self.partitions_for_all)
        self._covered: set[str] = set()
        self._moved: dict[TopicPartition, OffsetAndMetadata] = {}

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(1_000, 0, is_transactional=1)

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self._cluster.partitions[topic]))

    async def partitions_for_all(self, topics: set[str]) -> bool:
        return topics <= set(self._cluster.partitions)

    async def start(self) -> None:
        self._cluster.step("start")
        self._cluster.started.append(self._name)

    async def stop(self) -> None:
        pass

    async def begin_transaction(self) -> None:
        await self._cluster.may_go_on.wait()
        self._covered, self._moved = set(), {}

    def maybe_add_partition_to_txn(self, place: TopicPartition) -> None:
        self._covered.add(f"{place.topic}-{place.partition}")

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[RecordMetadata]:
        where = TopicPartition(topic, partition)
        self.maybe_add_partition_to_txn(where)
        sent = asyncio.get_running_loop().create_future()
        if TOO_LARGE in batch._build():  # noqa: SLF001 (nobody else says what is in it)
            sent.set_exception(MessageSizeTooLargeError())
        else:
            sent.set_result(RecordMetadata(topic, partition, where, 7, 0, 0, 0))
        return sent

    async def send_offsets_to_transaction(self, offsets: dict[TopicPartition, OffsetAndMetadata], group: str) -> None:
        self._cluster.step("offsets")
        self._covered.update(f"{group}:{place.partition}" for place in offsets)
        self._moved = offsets

    async def commit_transaction(self) -> None:
        self._cluster.step("commit")
        self._cluster.offsets |= {place: (to.offset, to.metadata) for place, to in self._moved.items()}
        self._cluster.ended.append((self._name, "commit", self._covered))

    async def abort_transaction(self) -> None:
        self._cluster.ended.append((self._name, "abort", self._covered))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Producers of a cluster that is the app's own."""

    def producer(app: Any, transactional_id: str) -> Producer:
        return Producer(app.consumer.thread, transactional_id)

    monkeypatch.setattr(faust_internals, "producer", producer)
    monkeypatch.setattr(transactions, "commit_as", lambda _producer, _member: None)
    return iter(())


pytestmark = pytest.mark.usefixtures("made")


class Worker:
    """The transactions of some partitions, and an output for each."""

    def __init__(self, cluster: Cluster, assigned: Sequence[int], outputs: Sequence[str] = ("decisions",)) -> None:
        owner: Any = SimpleNamespace(
            place=None,
            outputs=frozenset(outputs),
            alike=frozenset(outputs),
            app=SimpleNamespace(conf=SimpleNamespace(id="group"), consumer=SimpleNamespace(thread=cluster)),
        )
        self.sources = [TopicPartition("requests", number) for number in assigned]
        self.transactions = Transactions(owner, self.sources, MEMBER)
        self.outputs = {one.partition: TransactionalOutput(self.transactions, owner, one) for one in self.sources}

    async def joined(self) -> "Worker":
        for source in self.sources:
            await self.transactions.join(source)
        return self

    async def deliver(self, partition: int, upto: int, value: bytes = b"", topic: str = "decisions") -> dict[str, int]:
        return await self.outputs[partition].deliver([OutgoingRecord(topic, b"", value)], upto, "")

    async def all_at_once(self, *deliveries: tuple[int, int, bytes]) -> list[Any]:
        """The result of each delivery, or its error."""
        return await asyncio.gather(*(self.deliver(*one) for one in deliveries), return_exceptions=True)


def through(steps: Callable[[Cluster], Awaitable[None]]) -> Cluster:
    async def run() -> Cluster:
        cluster = Cluster()
        await steps(cluster)
        return cluster

    return asyncio.run(run())


# --- at an assignment ----------------------------------------------------------------------------------------------


def test_an_owner_first_aborts_all_that_may_hang() -> None:
    """It fences every id of its partitions, and aborts what each may have left hanging on any partition."""

    async def steps(cluster: Cluster) -> None:
        await Worker(cluster, [2, 1], ["decisions", "letters"]).joined()

    cluster = through(steps)

    anywhere = {f"{topic}-{number}" for topic in ("decisions", "letters") for number in range(3)}
    assert sorted(cluster.ended) == [("1", "abort", {*anywhere, "group:1"}), ("2", "abort", {*anywhere, "group:2"})]


def test_uneven_topics_are_found_at_the_assignment() -> None:
    async def steps(cluster: Cluster) -> None:
        cluster.partitions["decisions"] = 4
        with pytest.raises(UnevenTopicsError):
            await Worker(cluster, [1]).joined()

    assert through(steps).ended == []


@pytest.mark.parametrize("error", [MembershipLostError(), ProducerFenced()])
def test_a_worker_that_lost_its_partitions_fences_nobody(error: Exception) -> None:
    """It starts no producer again, whatever its partitions try."""

    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [1, 2]).joined()
        cluster.failing["offsets"] = [error]
        first = await worker.all_at_once((1, 5, b""), (2, 6, b""))
        cluster.started.clear()
        assert [type(one) for one in first] == [type(error)] * 2
        for source in worker.sources:
            with pytest.raises(type(error)):
                await worker.transactions.join(source)
        with pytest.raises(type(error)):
            await worker.deliver(1, 5)

    cluster = through(steps)
    assert (cluster.started, cluster.commits) == ([], [])


def test_a_lost_membership_is_found_before_a_producer_starts() -> None:
    async def steps(cluster: Cluster) -> None:
        cluster.failing["check_member"] = [MembershipLostError()]
        with pytest.raises(MembershipLostError):
            await Worker(cluster, [1]).joined()

    assert through(steps).started == []


# --- together ------------------------------------------------------------------------------------------------------


def test_what_comes_during_a_commit_shares_the_next_one() -> None:
    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0, 1, 2]).joined()
        cluster.may_go_on.clear()
        first = asyncio.create_task(worker.deliver(0, 5))
        await asyncio.sleep(0.01)
        later = [asyncio.create_task(worker.deliver(number, 6)) for number in (1, 2)]
        await asyncio.sleep(0.01)
        cluster.may_go_on.set()
        await asyncio.gather(first, *later)

    assert through(steps).commits == [
        {"decisions-0", "group:0"},
        {"decisions-0", "decisions-1", "decisions-2", "group:1", "group:2"},
    ]


def test_each_delivery_learns_its_own_ends() -> None:
    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0, 1]).joined()
        found = tuple(await asyncio.gather(worker.deliver(0, 5), worker.outputs[1].deliver((), 6, "note")))
        assert found == ({"decisions": 8}, {})
        assert cluster.offsets[worker.sources[1]] == (6, "note")

    assert len(through(steps).commits) == 1


def test_a_transaction_confirms_the_two_before_it() -> None:
    """A transaction shares the fate of the two before it, whose partitions they were."""

    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0, 1, 2]).joined()
        for partition in (0, 1, 2):
            await worker.deliver(partition, 5)

    assert through(steps).commits == [
        {"decisions-0", "group:0"},
        {"decisions-0", "decisions-1", "group:1"},
        {"decisions-0", "decisions-1", "decisions-2", "group:2"},
    ]


def test_the_last_transaction_is_confirmed_once() -> None:
    """By whatever comes after it, or by one that sends nothing; that one needs no other."""

    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0, 1, 2]).joined()
        assert not worker.outputs[0].unsettled
        await worker.all_at_once((0, 5, b""), (1, 5, b""))
        assert [worker.outputs[number].unsettled for number in range(3)] == [True, True, False]
        await worker.outputs[1].settle()
        assert not any(worker.outputs[number].unsettled for number in range(3))

    assert through(steps).commits == [
        {"decisions-0", "decisions-1", "group:0", "group:1"},
        {"decisions-0", "decisions-1", "group:1"},
    ]


# --- what fails ----------------------------------------------------------------------------------------------------


def test_a_record_that_is_too_large_stops_no_other_partition() -> None:
    """The others are delivered again, each by itself, after the producer was replaced."""

    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0, 1, 2]).joined()
        found = await worker.all_at_once((0, 5, b""), (1, 5, TOO_LARGE), (2, 5, b""))
        assert isinstance(found[1], OversizedError)
        assert found[1].topics == {"decisions"}
        assert [found[0], found[2]] == [{"decisions": 8}] * 2
        assert sorted(cluster.offsets) == [worker.sources[0], worker.sources[2]]

    cluster = through(steps)

    assert cluster.commits == [{"decisions-0", "group:0"}, {"decisions-0", "decisions-2", "group:2"}]
    assert cluster.started[3:] == ["0"]


def test_a_delivery_that_fails_for_another_cause_fails_alone() -> None:
    """Whatever Kafka refuses: what it refuses is found by itself."""

    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0, 1]).joined()
        cluster.failing["offsets"] = [KafkaError("of both")]
        assert await worker.all_at_once((0, 5, b""), (1, 5, b"")) == [{"decisions": 8}] * 2
        cluster.failing["offsets"] = [KafkaError("of both"), KafkaError("when the producer starts again")]
        found = await worker.all_at_once((0, 6, b""), (1, 6, b""))
        assert [isinstance(one, KafkaError) for one in found] == [True, False]

    through(steps)


def test_a_commit_of_unknown_outcome_is_not_repeated() -> None:
    """All its partitions start again from the committed offset."""

    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0, 1]).joined()
        cluster.failing["commit"] = [KafkaError("nobody knows")]
        found = await worker.all_at_once((0, 5, b""), (1, 5, b""))
        assert all(isinstance(one, KafkaError) for one in found)
        for source in worker.sources:
            await worker.transactions.join(source)
        assert await worker.deliver(0, 5) == {"decisions": 8}

    assert through(steps).commits == [{"decisions-0", "group:0"}]


@pytest.mark.parametrize("is_gone", [False, True])
def test_an_earlier_commit_that_went_with_a_failed_one_is_found(*, is_gone: bool) -> None:
    """Kafka had acknowledged it, but its markers were lost, and the next transaction was aborted."""

    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0, 1]).joined()
        await worker.deliver(0, 5)
        before = dict(cluster.offsets)
        await worker.deliver(0, 7)
        if is_gone:
            cluster.offsets = before
        assert isinstance((await worker.all_at_once((1, 5, TOO_LARGE)))[0], OversizedError)
        await worker.deliver(1, 5)
        assert worker.outputs[0].unsettled, "a quiet partition looks too"
        if is_gone:
            with pytest.raises(CommitGoneError):
                await worker.outputs[0].settle()
            await worker.transactions.join(worker.sources[0])
        else:
            await worker.outputs[0].settle()
        assert not worker.outputs[0].unsettled

    through(steps)


def test_a_partitions_new_start_waits_for_its_last_delivery() -> None:
    """Its offset is read once the transaction with its delivery has ended, even if nobody waits for that any more."""

    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0]).joined()
        cluster.may_go_on.clear()
        leaving = asyncio.create_task(worker.deliver(0, 5))
        await asyncio.sleep(0.01)
        leaving.cancel()
        joining = asyncio.create_task(worker.transactions.join(worker.sources[0]))
        await asyncio.sleep(0.01)
        assert not joining.done()
        cluster.may_go_on.set()
        await joining
        assert cluster.offsets == {worker.sources[0]: (5, "")}

    through(steps)


def test_what_waits_when_its_partition_is_closed_is_not_sent() -> None:
    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0, 1]).joined()
        cluster.may_go_on.clear()
        other = asyncio.create_task(worker.deliver(1, 5))
        await asyncio.sleep(0.01)
        leaving = asyncio.create_task(worker.deliver(0, 5))
        await asyncio.sleep(0.01)
        leaving.cancel()
        cluster.may_go_on.set()
        await other

    assert through(steps).commits == [{"decisions-1", "group:1"}]


def test_closing_ends_what_is_in_progress() -> None:
    async def steps(cluster: Cluster) -> None:
        worker = await Worker(cluster, [0, 1]).joined()
        cluster.may_go_on.clear()
        stuck = asyncio.create_task(worker.deliver(0, 5))
        await asyncio.sleep(0.01)
        waiting = asyncio.create_task(worker.deliver(1, 5))
        await asyncio.sleep(0.01)
        await worker.transactions.close()
        for one in (stuck, waiting):
            with pytest.raises(ConnectionAbortedError):
                await one
        with pytest.raises(ConnectionAbortedError):
            await worker.transactions.join(worker.sources[0])

    assert through(steps).commits == []
