"""Starting and stopping asynchronous clients: every client is stopped, in bounded time.

aiokafka's own `stop` never returns while its broker is unavailable, and a consumer's may end as if cancelled.
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
"""For a client to stop in order; then its connections are closed."""


@asynccontextmanager
async def started(client: Client) -> AsyncIterator[Client]:
    """Start a client, and stop it on exit.

    Raises:
        KafkaError: It cannot start.
    """
    try:
        await client.start()
        yield client
    finally:
        await leave(client)


async def leave(client: AIOKafkaConsumer | AIOKafkaProducer, stop: Callable[[], Awaitable[Any]] | None = None) -> None:
    """Stop a client, started or not; by force if that takes too long. Never raises.

    What a producer had not delivered by then is lost, and its transaction is void. `stop` replaces the client's own
    `stop` if that was replaced by this function.
    """
    if await in_time((stop or client.stop)()):
        return
    log.warning("client_left", client=type(client).__name__, waited_seconds=LEAVE_SECONDS)
    # The only way to stop what is still running.
    if isinstance(client, AIOKafkaProducer):
        await in_time(client._sender.close())  # noqa: SLF001
        await in_time(client.client.close())
    else:
        await in_time(client._client.close())  # noqa: SLF001


async def in_time(stopping: Awaitable[Any]) -> bool:
    """Whether `stopping` ended in time; otherwise it is cancelled. Its errors are only logged."""
    task = asyncio.ensure_future(stopping)
    try:
        # Not `wait_for`: it waits for what it cancels, and confuses that cancellation with our own.
        await asyncio.wait({task}, timeout=LEAVE_SECONDS)
    finally:
        ended = task.done()
        task.cancel()
    if ended and not task.cancelled() and task.exception() is not None:
        log.warning("client_stop_failed", error=type(task.exception()).__name__)
    return ended
