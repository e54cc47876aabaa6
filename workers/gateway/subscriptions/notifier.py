"""Notifies the subscribers of all subscriptions, in one of the gateways.

The gateways are a consumer group of the topic of subscriptions, which has one partition: whoever has it notifies. If
that gateway ends, another takes over behind what was committed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from events.field_types import written_instant
from events.topics import SUBSCRIPTIONS
from workers.configuration.settings import Settings
from workers.gateway.access.bearer import Door
from workers.gateway.exchange import PAUSE_SECONDS, UnavailableError
from workers.gateway.subscriptions.delivery import Delivery, Pace, UndeliverableError
from workers.gateway.subscriptions.register import Register, State, Subscription
from workers.gateway.subscriptions.resource import SubscriptionError, Wanted, wanted
from workers.gateway.subscriptions.rest_hook import RestHook
from workers.kafka.clients import AIOKafkaProducer, async_consumer
from workers.kafka.connect import client, milliseconds
from workers.kafka.errors import ClusterError
from workers.kafka.fetch_pacing import paced
from workers.process import metrics

log = structlog.get_logger(__name__)

POLL_MS = 1000
_Key = tuple[str, str]
"""Id and version."""


class Notifier:
    """The subscriptions that are delivered here."""

    def __init__(
        self,
        settings: Settings,
        register: Register,
        door: Door,
        hook: RestHook,
        producer: Callable[[], AIOKafkaProducer],
        *,
        base: str,
        pace: Pace,
    ) -> None:
        self._settings, self._register, self._door, self._hook = settings, register, door, hook
        self._producer, self._base, self._pace = producer, base, pace
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._failing: dict[str, float] = {}
        self._is_chosen = asyncio.Event()
        self._clients = door.clients

    async def run(self) -> None:
        """Notify while this gateway is the one that does."""
        watching = asyncio.create_task(self._reconcile())
        try:
            while True:
                try:
                    await self._stand()
                except (KafkaError, OSError, TimeoutError) as error:
                    log.warning("notifier_away", error=type(error).__name__)
                except Exception:
                    log.exception("notifier_failed")
                await self._step_down()
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await self._step_down()

    async def _stand(self) -> None:
        """Be a member of the group, and know whether we have its partition."""
        session = milliseconds(self._settings.session_timeout_seconds)
        async with async_consumer(
            client(self._settings),
            paced,
            group_id=self._settings.gateway_group,
            session_timeout_ms=session,
            heartbeat_interval_ms=session // 3,
            auto_offset_reset="latest",
        ) as consumer:
            topic = self._settings.topic(SUBSCRIPTIONS)
            consumer.subscribe([topic], listener=_Listener(self._take_over, self._step_down))
            while True:
                # It reads nothing from it, and takes part.
                await consumer.getmany(timeout_ms=POLL_MS)

    async def _take_over(self) -> None:
        log.info("notifies_here")
        self._is_chosen.set()

    async def _step_down(self) -> None:
        self._is_chosen.clear()
        await _ended(list(self._tasks.values()))
        self._tasks.clear()
        self._failing.clear()
        metrics.NOTIFICATIONS_LATE.set(0)

    # --- which are delivered ---

    async def _reconcile(self) -> None:
        """Deliver what is to be delivered, whenever the register or our part changes."""
        seen = -1
        while True:
            await self._is_chosen.wait()
            await self._compare()
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    seen = await self._register.changed(seen)

    async def _compare(self) -> None:
        due = {(one.written.id, one.written.version): one for one in self._register.all() if _is_due(one)}
        # An address that is not listed any more gets nothing more: every delivery begins again by the new list.
        is_new, self._clients = self._door.clients is not self._clients, self._door.clients
        gone = [key for key, task in self._tasks.items() if is_new or key not in due or task.done()]
        await _ended([self._tasks.pop(key) for key in gone])
        for name, _ in gone:
            self._late(name, 0)
        for key, one in due.items():
            if key not in self._tasks and self._is_chosen.is_set():
                self._tasks[key] = asyncio.create_task(self._deliver(one))

    async def _deliver(self, one: Subscription) -> None:
        """Deliver one subscription until it ends; brokers that do not respond are waited for."""
        while True:
            try:
                await self._delivered(one)
                return  # noqa: TRY300 (its end has passed)
            except (UndeliverableError, SubscriptionError) as error:
                await self._publish(one, "error", str(error))
                return
            except (KafkaError, ClusterError, UnavailableError, OSError, TimeoutError) as error:
                log.warning("delivery_waits", subscription=one.written.id, error=type(error).__name__)
            except Exception:
                log.exception("delivery_failed", subscription=one.written.id)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _delivered(self, one: Subscription) -> None:
        found, identifiers = self._wanted(one)
        delivery = Delivery(
            self._settings,
            one,
            found,
            address=f"{self._base}/Subscription/{one.written.id}",
            identifiers=identifiers,
            hook=self._hook,
            pace=self._pace,
            failing=self._late,
        )
        known = self._register.get(one.written.id)
        if known is not None and known.status == "requested":
            await delivery.shake_hands()
            await self._publish(one, "active")
        left = (found.end - datetime.now(UTC)).total_seconds() if found.end is not None else None
        try:
            async with asyncio.timeout(left) as limit:
                await delivery.run()
        except TimeoutError:
            if not limit.expired():
                raise
            await self._publish(one, "off")

    def _wanted(self, one: Subscription) -> tuple[Wanted, tuple[str, ...]]:
        """What it asks for, by what its client may have today.

        Raises:
            SubscriptionError: It may not any more.
        """
        found = self._door.clients.of(one.written.partner)
        if found is None:
            raise SubscriptionError("Subscription", "its client is not known any more")
        return wanted(one.written.resource, found), found.identifiers

    async def _publish(self, one: Subscription, status: Any, error: str | None = None) -> None:
        if error is not None:
            log.error("subscription_ended", subscription=one.written.id, partner=one.written.partner, why=error)
        state = State(version=one.written.version, status=status, at=written_instant(datetime.now(UTC)), error=error)
        while True:
            try:
                await self._register.write_state(self._producer(), one.written.id, state)
            except UnavailableError:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    def _late(self, subscription: str, seconds: float) -> None:
        self._failing[subscription] = seconds
        metrics.NOTIFICATIONS_LATE.set(max(self._failing.values(), default=0))


def _is_due(one: Subscription) -> bool:
    return one.status in {"requested", "active"}


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    def __init__(
        self, take_over: Callable[[], Coroutine[Any, Any, None]], step_down: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._take_over, self._step_down = take_over, step_down

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 (there is one)
        await self._step_down()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        if assigned:
            await self._take_over()
