"""Where outputs go and what a transaction covers, with a producer that only notes it."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata, TopicPartition

from workers.kafka.records import OutgoingRecord, Placing
from workers.stream.partition_output import PartitionOutput, TransactionalOutput, UnevenTopicsError


class _Producer:
    """As much of a producer as packing and placing need."""

    def __init__(self, **partitions: int) -> None:
        self._partitions = partitions

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(1_000, 0, is_transactional=1)

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self._partitions[topic]))


def _placed(
    producer: _Producer,
    topic: str,
    key: bytes,
    place: Placing | None = None,
    alike: frozenset[str] = frozenset(),
    to: Callable[[int], int] | None = None,
) -> int:
    owner = SimpleNamespace(place=place, alike=alike)
    output = PartitionOutput(producer, owner, TopicPartition("requests", 3))
    found = asyncio.run(output._sorted([OutgoingRecord(topic, key, b"", (), to)]))  # noqa: SLF001
    [(_, partition)] = found
    return partition


ALIKE = frozenset({"decisions", "pointers"})


def test_an_output_stays_in_its_partition_if_topics_are_alike() -> None:
    """An output stays in its partition where the topics are declared alike."""
    assert _placed(_Producer(requests=4, decisions=4), "decisions", b"any", alike=ALIKE) == 3


def test_an_output_goes_where_it_says() -> None:
    assert _placed(_Producer(requests=4, decisions=8), "decisions", b"any", to=lambda count: count - 2) == 6


def test_no_output_leaves_the_partition_of_alike_topics() -> None:
    with pytest.raises(ValueError, match="declared alike"):
        _placed(_Producer(requests=4, decisions=4), "decisions", b"any", alike=ALIKE, to=lambda count: count - 2)


@pytest.mark.parametrize("there", [1, 2, 3, 5, 8])
def test_an_output_goes_nowhere_if_alike_topics_are_uneven(there: int) -> None:
    """Where topics that are declared alike differ, an output goes nowhere."""
    with pytest.raises(UnevenTopicsError, match=rf"requests has 4 partitions and decisions has {there},"):
        _placed(_Producer(requests=4, decisions=there), "decisions", b"any", alike=ALIKE)
    with pytest.raises(UnevenTopicsError, match=rf"requests has 4 partitions and pointers has {there},"):
        _placed(_Producer(requests=4, pointers=there), "pointers", b"\x06", lambda key, n: key[0] % n, ALIKE)


def test_other_outputs_are_placed_as_kafkas_clients_place_them() -> None:
    """Elsewhere an output goes where Kafka's own clients put its key."""
    for there in (4, 7):
        expected = DefaultPartitioner()(b"r-17", list(range(there)), list(range(there)))
        assert expected == _placed(_Producer(requests=4, letters=there), "letters", b"r-17", alike=ALIKE)
    assert _placed(_Producer(requests=4, links=1), "links", b"r-17", alike=ALIKE) == 0


def test_a_given_placement_holds_for_topics_that_are_alike_too() -> None:
    """A placement given to the stream processor holds for topics that are alike, too."""
    producer = _Producer(requests=4, pointers=4, links=1)
    assert _placed(producer, "pointers", b"\x06", lambda key, count: key[0] % count, ALIKE) == 2
    assert _placed(producer, "links", b"\x06", lambda key, count: key[0] % count, ALIKE) == 0


class _Transactions:
    """As much of a transactional producer as an output needs; it notes what each transaction covers."""

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


def _output(producer: _Transactions, *outputs: str) -> TransactionalOutput:
    owner = SimpleNamespace(
        place=None,
        outputs=frozenset(outputs),
        alike=frozenset(outputs),
        app=SimpleNamespace(conf=SimpleNamespace(id="group")),
    )
    return TransactionalOutput(producer, owner, TopicPartition("requests", 2))


def test_a_new_owner_first_aborts_hanging_transactions() -> None:
    """A new owner first aborts everything that an earlier owner may have left hanging."""
    producer = _Transactions("requests", "decisions", "letters")
    asyncio.run(_output(producer, "decisions", "letters").start())
    assert producer.ended == [("abort", {"decisions-2", "letters-2", "group:2"})]


def test_a_transaction_confirms_the_two_before_it() -> None:
    """A transaction shares the fate of the two before it, and a quiet spell confirms the last."""
    producer = _Transactions("requests", "decisions", "letters")
    output = _output(producer, "decisions", "letters")

    async def deliver() -> None:
        await output.start()
        await output.deliver([OutgoingRecord("decisions", b"1", b"")], 1, "")
        await output.deliver([OutgoingRecord("letters", b"2", b"")], 2, "")
        await output.deliver([], 3, "")
        assert output.unsettled
        await output.settle()

    asyncio.run(deliver())
    both = {"decisions-2", "letters-2", "group:2"}
    assert producer.ended == [
        ("abort", both),
        ("commit", {"decisions-2", "group:2"}),
        ("commit", both),
        ("commit", both),
        ("commit", {"letters-2", "group:2"}),
    ]
    assert not output.unsettled


def test_transactions_without_outputs_soon_write_nothing() -> None:
    """A transaction without outputs writes no markers for ever: its readers' own would follow, without end."""
    producer = _Transactions("requests", "decisions")
    output = _output(producer, "decisions")

    async def deliver() -> None:
        await output.start()
        await output.deliver([OutgoingRecord("decisions", b"1", b"")], 1, "")
        for offset in range(2, 6):
            await output.deliver([], offset, "")
            await output.settle()

    asyncio.run(deliver())
    covered = [covers for _, covers in producer.ended[2:]]
    assert covered == [{"decisions-2", "group:2"}] * 2 + [{"group:2"}] * 6


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


def test_at_least_once_delivery_sends_what_must_be_first_first() -> None:
    """With at-least-once delivery, what must be there first arrives before anything else is sent."""
    producer = _Slow(requests=4, decisions=4, answered=4)
    app = SimpleNamespace(consumer=SimpleNamespace(thread=producer))
    owner = SimpleNamespace(
        app=app,
        place=None,
        alike=frozenset({"decisions", "answered"}),
        listener=SimpleNamespace(first=frozenset({"answered"})),
    )
    output = PartitionOutput(producer, owner, TopicPartition("requests", 3))
    outputs = [
        OutgoingRecord("decisions", b"1", b""),
        OutgoingRecord("answered", b"1", b""),
        OutgoingRecord("decisions", b"2", b""),
    ]

    ends = asyncio.run(output.deliver(outputs, 2, ""))

    expected = ["answered sent", "answered arrived", "decisions sent", "decisions arrived", "offset committed"]
    assert producer.seen == expected
    assert ends == {"answered": 8, "decisions": 9}


def test_an_output_for_a_topic_that_was_not_declared_is_refused() -> None:
    producer = _Transactions("requests", "decisions", "letters")
    with pytest.raises(ValueError, match="sent to letters, which is not among its outputs"):
        asyncio.run(_output(producer, "decisions").deliver([OutgoingRecord("letters", b"", b"")], 1, ""))
    assert producer.ended == []
