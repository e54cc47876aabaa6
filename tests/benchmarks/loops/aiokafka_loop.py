"""A loop over bare aiokafka: poll, work, send in large batches, commit. With a transaction for each poll, the limit.

python -m tests.benchmarks.loops.aiokafka_loop transactional|plain decide|trivial
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from events.topics import REQUESTS
from tests.benchmarks.work import BATCH, PARTITIONS, Kind, Work
from workers.configuration.settings import Settings, read
from workers.kafka.records import OutgoingRecord, Record
from workers.stream import BATCH_BYTES


async def run(found: Settings, work: Work, *, transactional: bool) -> None:
    consumer = AIOKafkaConsumer(
        found.topic(REQUESTS),
        bootstrap_servers=found.bootstrap,
        group_id=found.app_id,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=found.bootstrap,
        acks="all",
        enable_idempotence=True,
        transactional_id=found.app_id if transactional else None,
        max_batch_size=BATCH_BYTES,
    )
    await consumer.start()
    await producer.start()
    while True:
        polled = await consumer.getmany(timeout_ms=1000, max_records=BATCH * PARTITIONS)
        if not polled:
            continue
        done = []
        offsets = {}
        if transactional:
            await producer.begin_transaction()
        arriving = []
        for tp, messages in polled.items():
            records = [
                Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, tuple(one.headers))
                for one in messages
            ]
            outputs = work.decide(records)
            arriving += await _send(producer, outputs, tp.partition)
            done.append((tp.partition, records, outputs))
            offsets[TopicPartition(tp.topic, tp.partition)] = OffsetAndMetadata(records[-1].offset + 1, "")
        await asyncio.gather(*arriving)
        if transactional:
            await producer.send_offsets_to_transaction(offsets, found.app_id)
            await producer.commit_transaction()
        else:
            await consumer.commit(offsets)
        for partition, records, outputs in done:
            work.committed(partition, records, outputs)


async def _send(
    producer: AIOKafkaProducer, outputs: Sequence[OutgoingRecord], partition: int
) -> list[asyncio.Future[object]]:
    by_topic: dict[str, list[OutgoingRecord]] = defaultdict(list)
    for one in outputs:
        by_topic[one.topic].append(one)
    arriving = []
    for topic, group in by_topic.items():
        batch = producer.create_batch()
        for one in group:
            if batch.append(timestamp=None, key=one.key, value=one.value, headers=list(one.headers)) is None:
                arriving.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(timestamp=None, key=one.key, value=one.value, headers=list(one.headers))
        arriving.append(await producer.send_batch(batch, topic, partition=partition))
    return arriving


if __name__ == "__main__":
    found = read()
    asyncio.run(run(found, Work(found, cast("Kind", sys.argv[2])), transactional=sys.argv[1] == "transactional"))
