"""How much of a changelog is read when a partition is taken over; on a broker."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from workers.state.kafka_changelog import KafkaChangelog

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_changelog_is_read_when_all_of_it_is_decided(bootstrap: str, prefix: str, *, is_committed: bool) -> None:
    """An open transaction, shared with other partitions, hides no committed record: reading waits for its end."""
    topic = f"{prefix}changelog"

    async def through() -> list[bytes]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(topic, 1, 1)])
        await admin.close()
        changelog = KafkaChangelog({"bootstrap_servers": bootstrap}, topic)
        async with (
            AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{topic}-first") as first,
            AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{topic}-second") as second,
        ):
            await first.begin_transaction()
            await first.send_and_wait(topic, b"1", key=b"open")
            async with second.transaction():
                await second.send_and_wait(topic, b"1", key=b"committed")
            end = await changelog.end(0)
            reading = asyncio.create_task(_read(changelog, end))
            done, _ = await asyncio.wait({reading}, timeout=1)
            assert not done
            await (first.commit_transaction() if is_committed else first.abort_transaction())
            return await asyncio.wait_for(reading, 30)

    assert asyncio.run(through()) == ([b"open"] if is_committed else []) + [b"committed"]


async def _read(changelog: KafkaChangelog, end: int) -> list[bytes]:
    return [change.key async for changes in changelog.read(0, 0, end) for change in changes]
