"""A loop over bare confluent-kafka (librdkafka), with a transaction for each poll.

python -m tests.benchmarks.loops.confluent_loop
"""

from collections import defaultdict
from importlib import import_module
from typing import Any

from events.topics import REQUESTS
from tests.benchmarks.work import BATCH, PARTITIONS, Work
from workers.configuration.settings import Settings, read
from workers.kafka.records import Record

POLL_S = 0.05
"""How long a poll waits to be full."""


def run(found: Settings, work: Work) -> None:
    kafka: Any = import_module("confluent_kafka")
    consumer = kafka.Consumer(
        {
            "bootstrap.servers": found.bootstrap,
            "group.id": found.app_id,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = kafka.Producer(
        {"bootstrap.servers": found.bootstrap, "transactional.id": found.app_id, "batch.size": 1_000_000}
    )
    producer.init_transactions()
    consumer.subscribe([found.topic(REQUESTS)])
    while True:
        messages = consumer.consume(num_messages=BATCH * PARTITIONS, timeout=POLL_S)
        polled: dict[int, list[Record]] = defaultdict(list)
        for one in messages:
            if one.error():
                raise kafka.KafkaException(one.error())
            polled[one.partition()].append(_record(one))
        if not polled:
            continue
        producer.begin_transaction()
        done = []
        for partition, records in polled.items():
            outputs = work.decide(records)
            for out in outputs:
                producer.produce(out.topic, out.value, out.key, partition, headers=list(out.headers))
            done.append((partition, records, outputs))
        offsets = [
            kafka.TopicPartition(found.topic(REQUESTS), partition, records[-1].offset + 1)
            for partition, records, _ in done
        ]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        producer.commit_transaction()
        for partition, records, outputs in done:
            work.committed(partition, records, outputs)


def _record(one: Any) -> Record:
    _, timestamp = one.timestamp()
    return Record(
        one.topic(), one.partition(), one.offset(), timestamp, one.key(), one.value(), tuple(one.headers() or ())
    )


if __name__ == "__main__":
    found = read()
    run(found, Work(found))
