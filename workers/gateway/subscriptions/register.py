"""The subscriptions, on a compacted topic with one partition, which every gateway follows.

    key ID          what a client wrote, with a version of its own; a tombstone deletes it
    key ID/state    what became of that version: active, or in error; of no other version

Two keys, because two write: clients by any gateway, and the one gateway that notifies. Neither undoes the other's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Literal, NamedTuple

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from pydantic import Field, JsonValue, ValidationError

from events.personal_types import Model, Private
from events.topics import SUBSCRIPTIONS
from workers.configuration.settings import Settings
from workers.gateway.exchange import PAUSE_SECONDS, SEND_SECONDS, UnavailableError
from workers.kafka.clients import AIOKafkaProducer, async_consumer
from workers.kafka.connect import client
from workers.kafka.fetch_pacing import paced
from workers.process import metrics

log = structlog.get_logger(__name__)

STATE = "/state"
POLL_MS = 500
Status = Literal["requested", "active", "error", "off"]


class Written(Private):
    """What a client wrote. Its headers may be the subscriber's secrets."""

    id: str
    partner: str
    version: str
    at: str
    """When, as an instant."""
    resource: dict[str, JsonValue]
    is_off: bool = False
    since: Annotated[dict[str, int], Field(strict=False)]
    """By partition, where the responses ended when it was created: it is told of what comes behind that."""


class State(Model):
    """What became of it."""

    version: str
    status: Literal["active", "error", "off"]
    at: str
    error: str | None = None


class Subscription(NamedTuple):
    """One subscription as it is known now."""

    written: Written
    state: State | None

    @property
    def status(self) -> Status:
        """Its status, as a Subscription has it."""
        if self.written.is_off:
            return "off"
        if self.state is None or self.state.version != self.written.version:
            return "requested"
        return self.state.status


class Register:
    """The subscriptions known here."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topic(SUBSCRIPTIONS)
        self._where = TopicPartition(self._topic, 0)
        self._written: dict[str, Written] = {}
        self._states: dict[str, State] = {}
        self._position = 0
        self._news = asyncio.Condition()
        self._ends: Callable[[], Any] | None = None

    @asynccontextmanager
    async def following(self) -> AsyncIterator["Register"]:
        """Follow the topic inside the context."""
        task = asyncio.create_task(self._follow())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # --- queries ---

    def all(self) -> list[Subscription]:
        """Every subscription."""
        return [Subscription(written, self._states.get(one)) for one, written in self._written.items()]

    def get(self, one: str) -> Subscription | None:
        """A subscription by its id."""
        written = self._written.get(one)
        return Subscription(written, self._states.get(one)) if written is not None else None

    async def fresh(self) -> None:
        """Wait until everything that is on the topic now is known here.

        Raises:
            UnavailableError: The brokers do not respond.
        """
        try:
            async with asyncio.timeout(SEND_SECONDS):
                if self._ends is None:
                    await self._changed(lambda: self._ends is not None)
                assert self._ends is not None  # noqa: S101 (waited for)
                end = (await self._ends())[self._where]
                await self._changed(lambda: self._position >= end)
        except (KafkaError, OSError, TimeoutError):
            raise UnavailableError from None

    async def changed(self, seen: int) -> int:
        """Wait for records behind a position, and return the new one."""
        await self._changed(lambda: self._position > seen)
        return self._position

    async def _changed(self, holds: Callable[[], bool]) -> None:
        async with self._news:
            await self._news.wait_for(holds)

    # --- changes ---

    async def write(self, producer: AIOKafkaProducer, written: Written) -> None:
        """Publish what a client wrote.

        Raises:
            UnavailableError: The brokers did not accept it in time; they may have it.
        """
        await self._send(producer, written.id, written.model_dump_json().encode())

    async def write_state(self, producer: AIOKafkaProducer, one: str, state: State) -> None:
        """Publish what became of a version.

        Raises:
            UnavailableError: As for `write`.
        """
        await self._send(producer, one + STATE, state.model_dump_json().encode())

    async def delete(self, producer: AIOKafkaProducer, one: str) -> None:
        """Delete a subscription.

        Raises:
            UnavailableError: As for `write`.
        """
        await self._send(producer, one, None)
        await self._send(producer, one + STATE, None)

    async def _send(self, producer: AIOKafkaProducer, key: str, value: bytes | None) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                sent = await producer.send(self._topic, value, key.encode(), partition=0)
                written = await asyncio.shield(sent)
                await self._changed(lambda: self._position > written.offset)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("subscription_not_written", error=type(error).__name__)
            raise UnavailableError from None

    # --- following ---

    async def _follow(self) -> None:
        while True:
            try:
                await self._read()
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("subscriptions_unread", error=type(error).__name__)
            except Exception:
                log.exception("subscriptions_not_read")
            self._ends = None
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self) -> None:
        connection = client(self._settings)
        async with async_consumer(connection, paced) as consumer:
            consumer.assign([self._where])
            if (await consumer.end_offsets([self._where]))[self._where] < self._position:
                log.warning("subscriptions_begin_anew")
                self._written, self._states, self._position = {}, {}, 0
            consumer.seek(self._where, self._position)
            # Not before the first records: `fresh` waits for them.
            self._ends = lambda: consumer.end_offsets([self._where])
            while True:
                found = await consumer.getmany(timeout_ms=POLL_MS)
                for records in found.values():
                    for record in records:
                        self._take(record)
                position = await consumer.position(self._where)
                async with self._news:
                    # It also passes transaction markers and what compaction removed.
                    self._position = max(self._position, position)
                    self._news.notify_all()
                self._count()

    def _take(self, record: Any) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        one = key.removesuffix(STATE)
        known: dict[str, Any] = self._written if one == key else self._states
        model: type[Written | State] = Written if one == key else State
        if record.value is None:
            known.pop(one, None)
            return
        try:
            known[one] = model.model_validate_json(record.value)
        except ValidationError:
            log.error("subscription_unreadable", offset=record.offset)  # noqa: TRY400 (its content stays out)

    def _count(self) -> None:
        statuses = [one.status for one in self.all()]
        for status in ("requested", "active", "error", "off"):
            metrics.SUBSCRIPTIONS.labels(status).set(statuses.count(status))
