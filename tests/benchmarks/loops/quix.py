"""Quix Streams, exactly once.

python -m tests.benchmarks.loops.quix
"""

from importlib import import_module
from typing import Any

from events.topics import ANSWERED, DECISIONS, REQUESTS
from tests.benchmarks.work import BATCH, PARTITIONS, Work
from workers.configuration.settings import Settings, read
from workers.kafka.records import OutgoingRecord, Record


def run(found: Settings, work: Work) -> None:
    quix: Any = import_module("quixstreams")
    serializers: Any = import_module("quixstreams.models.serializers")
    context: Any = import_module("quixstreams.context")

    class ValueOf(serializers.Serializer):  # type: ignore[misc]  # a class of a package that may be absent
        def __call__(self, value: OutgoingRecord, ctx: object) -> bytes:  # noqa: ARG002 (a result has its bytes)
            return value.value

    app = quix.Application(
        broker_address=found.bootstrap,
        consumer_group=found.app_id,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_every=BATCH * PARTITIONS,
        auto_create_topics=False,
        loglevel="WARNING",
        state_dir=str(found.data_dir / "state"),
    )
    requests = app.topic(found.topic(REQUESTS), key_deserializer="bytes", value_deserializer="bytes")

    def decide(value: bytes, key: bytes, timestamp: int, headers: Any) -> list[OutgoingRecord]:
        at = context.message_context()
        record = Record(at.topic, at.partition, at.offset, timestamp, key, value, tuple(headers or ()))
        return work.one_by_one(record)

    results = app.dataframe(requests).apply(decide, expand=True, metadata=True)
    results = results.set_headers(lambda out, _key, _timestamp, _headers: list(out.headers))
    for name in (DECISIONS, ANSWERED):
        topic = app.topic(found.topic(name), key_serializer="bytes", value_serializer=ValueOf())
        mine = results.filter(lambda out, wanted=topic.name: out.topic == wanted)
        mine.to_topic(topic, key=lambda out: out.key)
    app.run()


if __name__ == "__main__":
    found = read()
    run(found, Work(found))
