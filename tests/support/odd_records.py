"""Records that no client can read, sent with good ones among them."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator
from aiokafka.producer import producer as producer_module
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from events.dead_letter import DeadLetter
from events.topics import DEAD_LETTERS
from tests.support import generator
from tests.support.running import everything_on
from workers.configuration.settings import Settings
from workers.kafka.reader import data_of
from workers.traffic.commands import as_record

Header = tuple[str, bytes | None]


def good(name: str) -> bytes:
    return as_record(generator.encode(generator.request(7, 1) | {"request_id": name}), "").value


def send(found: Settings, topic: str, records: Sequence[tuple[bytes | None, bytes | None, list[Header]]]) -> None:
    """By aiokafka without its compiled parts, which would not write a header's name as anything but UTF-8."""

    async def go() -> None:
        async with AIOKafkaProducer(bootstrap_servers=found.bootstrap, max_request_size=3_000_000) as producer:
            for value, key, headers in records:
                await producer.send_and_wait(found.topic(topic), value, key=key, headers=headers, partition=0)

    with pytest.MonkeyPatch.context() as patch:
        for module in (producer_module, message_accumulator):
            patch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        asyncio.run(go())


def letters(found: Settings) -> list[DeadLetter]:
    kept = everything_on(found, DEAD_LETTERS)
    return [DeadLetter.model_validate_json(json.dumps(data_of(one.value))) for one in kept]
