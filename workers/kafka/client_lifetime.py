"""How asynchronous clients come and go: a client is always let go again, and never waited for long.

aiokafka's own `stop` waits without end where its broker is away, and a consumer's may end as if it had been cancelled.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

log = structlog.get_logger(__name__)

Client = TypeVar("Client", AIOKafkaConsumer, AIOKafkaProducer)

LEAVE_SECONDS = 5.0
"""For a client to stop in order; then its connections are closed and it is left."""


@asynccontextmanager
async def started(client: Client) -> AsyncIterator[Client]:
    """A client as long as it is needed.

    Raises:
        KafkaError: It cannot start.
    """
    try:
        await client.start()
        yield client
    finally:
        await leave(client)


async def leave(client: AIOKafkaConsumer | AIOKafkaProducer, stop: Callable[[], Awaitable[Any]] | None = None) -> None:
    """Stop a client, started or not; by force where that takes too long. Nothing is raised, whatever its state is.

    What a producer had not delivered by then is lost, and its transaction is void. `stop` stops the client, where its
    own `stop` is replaced by this function.
    """
    if await in_time((stop or client.stop)()):
        return
    log.warning("client_left", client=type(client).__name__, waited_seconds=LEAVE_SECONDS)
    # The only way to what still runs: it ends with its sender and its connections.
    if isinstance(client, AIOKafkaProducer):
        await in_time(client._sender.close())  # noqa: SLF001
        await in_time(client.client.close())
    else:
        await in_time(client._client.close())  # noqa: SLF001


async def in_time(stopping: Awaitable[Any]) -> bool:
    """Whether what stops ended in time; else it is cancelled. What it raises is told and no more."""
    task = asyncio.ensure_future(stopping)
    try:
        # Not `wait_for`: that waits until what it cancels has ended, and takes its end for our own.
        await asyncio.wait({task}, timeout=LEAVE_SECONDS)
    finally:
        ended = task.done()
        task.cancel()
    if ended and not task.cancelled() and task.exception() is not None:
        log.warning("client_stop_failed", error=type(task.exception()).__name__)
    return ended
