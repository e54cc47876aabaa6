"""A worker for tests of the stream processor: it repeats each record of `requests` to `decisions`. Runs as a script."""

import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import faust

from workers.configuration.settings import Delivery
from workers.kafka.records import OutgoingRecord, PartitionListener, Record
from workers.stream import app_settings, stream_processor

PARTITIONS = 4


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


class _Repeater(PartitionListener):
    def __init__(self, topic: str) -> None:
        self._topic = topic

        self._done: dict[int, int] = {}

    def resumed(self, partition: int, offset: int, note: str) -> None:
        assert note == (str(offset) if offset else ""), (offset, note)
        self._done[partition] = int(note or 0)

    def note(self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord]) -> str:  # noqa: ARG002
        return str(self._done[partition] + len(records))

    def after_commit(self, partition: int, records: Sequence[Record], *_: Any) -> None:
        self._done[partition] += len(records)

    def handle(self, records: Sequence[Record]) -> Sequence[OutgoingRecord]:
        return [OutgoingRecord(self._topic, record.key or b"", _checked(record.value)) for record in records]


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
    first = stream_processor(
        app,
        app.topic(place.requests, **raw),
        repeater.handle,
        outputs=[place.decisions],
        delivery=Delivery(delivery),
        listener=repeater,
    )
    stream_processor(
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
