"""What the stream processor does to Faust and aiokafka, without a broker."""

import asyncio
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.producer.message_accumulator import BatchBuilder

from workers.kafka.records import OutgoingRecord
from workers.stream import app_settings
from workers.stream.faust_internals import ConsumerThread, pace, packed


def test_faust_takes_the_settings() -> None:
    app = faust.App("settings", broker="kafka://nowhere:1", store="memory://", web_enabled=False, **app_settings())
    assert app.conf.stream_wait_empty is False


def test_a_broker_that_is_away_is_tried_less_and_less() -> None:
    """A broker that is away is tried less and less often and is found soon when it is back."""

    async def through() -> tuple[list[bool], list[float]]:
        tried: list[float] = []
        back = False

        async def ready(_node: int, **_options: object) -> bool:
            tried.append(time.perf_counter())
            return back

        client: Any = SimpleNamespace(ready=ready, force_metadata_update=None, close=None)
        pace(client)
        answers = [await client.ready(1, group="any") for _ in range(7)]
        back = True
        answers += [await client.ready(1), await client.ready(1)]
        return answers, tried

    answers, tried = asyncio.run(through())
    assert answers == [False] * 7 + [True] * 2
    gaps = [later - earlier for earlier, later in pairwise(tried)]
    least = [0.05, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8]
    assert all(gap >= pause - 0.01 for gap, pause in zip(gaps, least, strict=False))
    assert gaps[-1] < 0.4, "one that answers is not waited for"


def test_an_ended_consumer_thread_is_a_broken_connection() -> None:
    """A consumer's thread that has ended is a broken connection and not a defect."""
    loop = asyncio.new_event_loop()
    loop.close()
    thread: Any = object.__new__(ConsumerThread)
    thread.thread_loop = loop

    async def nothing() -> None:
        pass

    with pytest.raises(ConnectionAbortedError):
        asyncio.run(thread._there(nothing()))  # noqa: SLF001 (what every question to that thread goes through)


class _Producer:
    """As much of a producer as packing needs."""

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(1_000, 0, is_transactional=1)


def _outputs(count: int, size: int = 100) -> list[OutgoingRecord]:
    return [OutgoingRecord("decisions", b"%d" % number, b"x" * size) for number in range(count)]


@pytest.mark.parametrize(("size", "batches"), [(10, 1), (100, 4), (5_000, 30)])
def test_batches_hold_every_output_once_however_large_it_is(size: int, batches: int) -> None:
    made = list(packed(_Producer(), _outputs(30, size)))
    assert (30, batches) == (sum(batch.record_count() for batch in made), len(made))


def test_a_client_that_closes_leaves_no_question_behind() -> None:
    async def ask_and_close() -> bool:
        client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
        pace(client)
        asking = client.force_metadata_update()
        await asyncio.sleep(0.3)
        assert not asking.done()
        await client.close()
        await asyncio.wait({asking}, timeout=5)
        return bool(asking.cancelled())

    assert asyncio.run(ask_and_close())


def test_a_consumer_without_its_thread_is_a_broken_connection() -> None:
    """A consumer whose thread has ended is a broken connection and not a defect."""

    async def ask() -> None:
        thread = object.__new__(ConsumerThread)
        thread._consumer = object()
        thread.thread_loop = asyncio.new_event_loop()
        thread.thread_loop.close()
        await thread.check_group()

    with pytest.raises(ConnectionAbortedError):
        asyncio.run(ask())
