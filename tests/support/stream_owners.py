"""As much of a stream's processor as one partition's loop needs; without a broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from aiokafka.structs import TopicPartition

from workers.kafka.records import PartitionListener, Record
from workers.stream.faust_internals import Chunk, Kept
from workers.stream.processor import BATCHES_AT_ONCE, Turns


def owner(marks: Iterator[int] | None = None, records: int = 1, at_once: int = 1) -> Any:
    """A stream processor of a partition with some records; a read returns `at_once`, or as many as requested."""
    waiting = [Record("requests", 0, 7 + number, 0, None, b"1") for number in range(records)]

    async def committed(_: TopicPartition) -> tuple[int, str]:
        return 7, ""

    async def beginning(_: TopicPartition) -> int:
        return 3

    async def kept(_: TopicPartition) -> Kept:
        return Kept(0, 7)

    async def read_from(_tp: TopicPartition, wanted: int, limit: int) -> Chunk:
        assert limit > 0, "nothing is read where there is no room"
        await asyncio.sleep(0.01)
        mark = next(marks) if marks is not None else round(time.time() * 1000)
        found = [waiting.pop(0) for _ in range(min(at_once, limit, len(waiting)))]
        return Chunk(found, found[-1].offset + 1 if found else wanted, mark)

    async def acquire() -> None:
        pass

    return SimpleNamespace(
        topic="requests",
        handler=lambda _: [],
        instead=None,
        max_batch=10,
        room=20,
        behind=None,
        turns=Turns(BATCHES_AT_ONCE, 5.0),
        listener=PartitionListener(),
        app=SimpleNamespace(
            flow_control=SimpleNamespace(acquire=acquire),
            consumer=SimpleNamespace(
                thread=SimpleNamespace(committed=committed, beginning=beginning, kept=kept, read_from=read_from)
            ),
        ),
    )


@asynccontextmanager
async def entered(courier: Any) -> AsyncIterator[Any]:
    """A courier that is had at once."""
    yield courier
