"""Who may move a group's offset in a transaction, and when it is read.

On Apache Kafka: the embedded broker checks no generation and returns offsets that are about to move.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from workers.stream.group_offsets import Member, MembershipLostError, check_member, commit_as, stable_offset

PATIENCE_S = 30.0


class Joined(NamedTuple):
    """A member of a group that has one partition."""

    bootstrap: str
    tp: TopicPartition
    coordinator: Any
    member: Member

    @asynccontextmanager
    async def transaction(self, member: Member | None = None) -> AsyncIterator[AIOKafkaProducer]:
        """A producer whose transaction has begun, and that commits offsets as this or another member."""
        name = f"{self.tp.topic}-transactions"
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=name) as producer:
            commit_as(producer, member or self.member)
            await producer.begin_transaction()
            yield producer

    async def move(self, producer: AIOKafkaProducer, offset: int, note: str = "") -> None:
        await producer.send_offsets_to_transaction({self.tp: OffsetAndMetadata(offset, note)}, self.member.group)


def through(bootstrap: str, prefix: str, steps: Callable[[Joined], Awaitable[None]]) -> None:
    """Take the steps as the only member of a group."""

    async def run() -> None:
        topic, group = f"{prefix}requests", f"{prefix}group"
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(topic, 1, 1)])
        await admin.close()
        async with AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id=group, group_instance_id="first", enable_auto_commit=False
        ) as consumer:
            while not consumer.assignment():
                await consumer.getmany(timeout_ms=100)
            coordinator = consumer._coordinator  # noqa: SLF001 (as the consumer's thread has it)
            await steps(Joined(bootstrap, TopicPartition(topic, 0), coordinator, Member.of(coordinator)))

    asyncio.run(asyncio.wait_for(run(), 3 * PATIENCE_S))


@pytest.mark.broker
def test_an_offset_is_committed_and_read_with_its_note(bootstrap: str, prefix: str) -> None:
    async def steps(joined: Joined) -> None:
        assert await stable_offset(joined.coordinator, joined.tp) is None
        async with joined.transaction() as producer:
            await joined.move(producer, 5, "note")
            await producer.commit_transaction()
        assert await stable_offset(joined.coordinator, joined.tp) == OffsetAndMetadata(5, "note")

    through(bootstrap, prefix, steps)


@pytest.mark.kafka
def test_an_offset_is_read_when_no_transaction_can_move_it(bootstrap: str, prefix: str) -> None:
    """While a transaction that moves it is open, its reader waits: either offset would be a guess."""

    async def steps(joined: Joined) -> None:
        async with joined.transaction() as producer:
            await joined.move(producer, 5)
            reading = asyncio.create_task(stable_offset(joined.coordinator, joined.tp))
            done, _ = await asyncio.wait({reading}, timeout=0.5)
            assert not done
            await producer.commit_transaction()
            assert await asyncio.wait_for(reading, PATIENCE_S) == OffsetAndMetadata(5, "")

    through(bootstrap, prefix, steps)


@pytest.mark.kafka
@pytest.mark.parametrize(
    "former",
    [
        pytest.param(lambda now: now._replace(generation=now.generation + 1), id="another generation"),
        pytest.param(lambda now: now._replace(id="somebody", instance=None), id="another member"),
        pytest.param(lambda now: now._replace(id=f"{now.id[:-1]}x"), id="another process of the instance"),
    ],
)
def test_only_a_member_of_the_generation_moves_an_offset(
    bootstrap: str, prefix: str, former: Callable[[Member], Member]
) -> None:
    """A worker that lost its partitions commits nothing, although nobody has its transactional id."""

    async def steps(joined: Joined) -> None:
        stranger = former(joined.member)
        async with joined.transaction(stranger) as producer:
            with pytest.raises(MembershipLostError):
                await joined.move(producer, 5)
            await producer.abort_transaction()
        assert await stable_offset(joined.coordinator, joined.tp) is None
        await check_member(joined.coordinator, joined.member)
        with pytest.raises(MembershipLostError):
            await check_member(joined.coordinator, stranger)

    through(bootstrap, prefix, steps)


@pytest.mark.parametrize("left", [Member("group", -1, "one", None), Member("group", 3, "", None)])
def test_who_has_left_the_group_is_no_member(left: Member) -> None:
    """Kafka would take its offsets from anybody, as from clients that know of no generations."""
    with pytest.raises(MembershipLostError):
        left.check()
    with pytest.raises(MembershipLostError):
        asyncio.run(check_member(None, left))
