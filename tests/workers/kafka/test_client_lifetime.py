"""Clients are let go in bounded time, whatever their state is; brokers that are away are played by what hangs."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from workers.kafka import client_lifetime
from workers.kafka.client_lifetime import leave, started

NOWHERE = "127.0.0.1:1"
KINDS = (AIOKafkaConsumer, AIOKafkaProducer)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_lifetime, "LEAVE_SECONDS", 0.2)


async def _for_ever() -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()


async def _as_if_cancelled() -> None:
    raise asyncio.CancelledError


async def _failing() -> None:
    raise KafkaConnectionError


@pytest.mark.parametrize("stop", [_for_ever, _as_if_cancelled, _failing])
@pytest.mark.parametrize("kind", KINDS)
def test_leaving_ends_and_raises_nothing_whatever_stopping_does(
    kind: type[AIOKafkaConsumer | AIOKafkaProducer], stop: Callable[[], Awaitable[None]]
) -> None:
    async def left() -> bool:
        client = kind(bootstrap_servers=NOWHERE)
        await asyncio.wait_for(leave(client, stop), 5)
        await client.stop()
        return True

    assert asyncio.run(left())


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_hangs_loses_its_connections(
    kind: type[AIOKafkaConsumer | AIOKafkaProducer], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    async def close() -> None:
        closed.append(kind)

    async def left() -> None:
        client = kind(bootstrap_servers=NOWHERE)
        connections = client.client if isinstance(client, AIOKafkaProducer) else client._client  # noqa: SLF001
        with monkeypatch.context() as patched:
            patched.setattr(connections, "close", close)
            await leave(client, _for_ever)
        await client.stop()

    asyncio.run(left())
    assert closed == [kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_cannot_start_is_let_go_too(
    kind: type[AIOKafkaConsumer | AIOKafkaProducer], caplog: pytest.LogCaptureFixture
) -> None:
    async def try_it() -> None:
        with pytest.raises(KafkaConnectionError):
            async with started(kind(bootstrap_servers=NOWHERE)):
                pass
        gc.collect()

    with caplog.at_level(logging.ERROR, "asyncio"):
        asyncio.run(try_it())
    assert [one.getMessage() for one in caplog.records if "Unclosed" in one.getMessage()] == []


def test_who_leaves_a_client_can_be_cancelled_himself() -> None:
    async def left() -> bool:
        client = AIOKafkaConsumer(bootstrap_servers=NOWHERE)
        leaving_it = asyncio.create_task(leave(client, _for_ever))
        await asyncio.sleep(0)
        leaving_it.cancel()
        await asyncio.wait({leaving_it}, timeout=5)
        await client.stop()
        return leaving_it.cancelled()

    assert asyncio.run(left())
