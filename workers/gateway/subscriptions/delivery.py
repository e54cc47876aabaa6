"""Notifies one subscriber of every response that concerns it, in the order of each partition, at least once.

Each subscription is a consumer group of its own: what it has been told of is its committed offset, which moves only
behind a notification that was accepted. So one subscriber that does not respond holds up nobody else, and one that
comes back goes on where it was, for as long as the topic keeps its records. The number of events goes with the offset,
in its metadata.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from events.topics import PAS_RESPONSES
from workers.configuration.settings import Settings
from workers.gateway.messages import named
from workers.gateway.subscriptions import notification
from workers.gateway.subscriptions.concerns import concerns
from workers.gateway.subscriptions.register import Subscription
from workers.gateway.subscriptions.resource import Wanted
from workers.gateway.subscriptions.rest_hook import RestHook, Sent
from workers.kafka import clients
from workers.kafka.clients import AIOKafkaConsumer, async_consumer
from workers.kafka.connect import client
from workers.kafka.fetch_pacing import paced
from workers.kafka.reader import Span, kept
from workers.process import metrics

log = structlog.get_logger(__name__)

POLL_MS = 1000
BATCH = 100
"""Records to take at once: a response may have two megabytes."""


class Pace(NamedTuple):
    """How often a notification is tried."""

    first: float = 1.0
    """Seconds before the second try; then twice as long each time."""
    longest: float = 300.0
    give_up: float = 24 * 3600.0
    """Seconds from the first failure."""

    def pause(self, failures: int) -> float:
        """Seconds to wait behind so many failures; spread, so that subscribers are not all tried at once."""
        longest = min(self.first * 2.0 ** min(failures - 1, 30), self.longest)
        return longest * random.uniform(0.5, 1)  # noqa: S311 (it guards nothing)


class UndeliverableError(Exception):
    """A notification is not tried any more; the message says why."""


Failing = Callable[[str, float], None]
"""Is told for how many seconds a subscription has failed; 0 once it does not."""


class Delivery:
    """The notifications of one version of one subscription."""

    def __init__(
        self,
        settings: Settings,
        subscription: Subscription,
        wanted: Wanted,
        *,
        address: str,
        identifiers: tuple[str, ...],
        hook: RestHook,
        pace: Pace,
        failing: Failing,
    ) -> None:
        self._settings, self._written, self._wanted = settings, subscription.written, wanted
        self._address, self._identifiers, self._hook = address, identifiers, hook
        self._pace, self._failing = pace, failing
        self._topic = settings.topic(PAS_RESPONSES)
        self._group = group(settings, self._written.id)

    async def shake_hands(self) -> None:
        """Have the subscriber accept a first notification.

        Raises:
            UndeliverableError: It did not, for as long as it is tried.
        """
        await self._deliver(
            lambda: notification.handshake(self._address, self._written.version, datetime.now(UTC)), "handshake"
        )

    async def run(self) -> None:
        """Notify for ever.

        Raises:
            UndeliverableError: The subscriber accepts nothing any more.
            KafkaError: The brokers do not respond.
            ClusterError: As above.
        """
        found_there = await asyncio.to_thread(self._committed)
        spans = {TopicPartition(*one): span for one, span in (await asyncio.to_thread(self._spans)).items()}
        counts = {one: _count(offset.metadata) for one, offset in found_there.items()}
        async with async_consumer(client(self._settings), paced, group_id=self._group) as consumer:
            consumer.assign(sorted(spans))
            for one, span in spans.items():
                consumer.seek(one, self._start(one, span, found_there))
            while True:
                found = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
                for one, records in found.items():
                    await self._tell(consumer, one, records, counts)

    def _start(self, one: TopicPartition, span: Span, there: Mapping[TopicPartition, Any]) -> int:
        # A partition that was added behind the subscription's creation is read from its beginning.
        start = there[one].offset if one in there else self._written.since.get(str(one.partition), 0)
        if start < span.beginning:
            log.error(
                "notifications_lost",
                subscription=self._written.id,
                partition=one.partition,
                offsets=span.beginning - start,
                what_to_do="the subscriber may inquire about what it waits for",
            )
        return int(min(max(start, span.beginning), span.end))

    async def _tell(
        self, consumer: AIOKafkaConsumer, one: TopicPartition, records: Sequence[Any], counts: dict[TopicPartition, int]
    ) -> None:
        for record in records:
            if not self._concerns(record):
                continue
            number = sum(counts.values()) + 1
            await self._deliver(lambda: self._event(record, number), "event")  # noqa: B023 (awaited before the next)
            counts[one] = counts.get(one, 0) + 1
            await self._commit(consumer, one, record.offset + 1, counts)
        if records:
            await self._commit(consumer, one, records[-1].offset + 1, counts)

    async def _commit(
        self, consumer: AIOKafkaConsumer, one: TopicPartition, offset: int, counts: Mapping[TopicPartition, int]
    ) -> None:
        await consumer.commit({one: OffsetAndMetadata(offset, f"events={counts.get(one, 0)}")})

    def _concerns(self, record: Any) -> bool:
        return (
            named(record.headers).partner == self._written.partner
            and record.value is not None
            and concerns(record.value, self._wanted.organizations, self._identifiers)
        )

    def _event(self, record: Any, number: int) -> bytes:
        place = f"{record.topic}/{record.partition}/{record.offset}"
        at = datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC)
        return notification.event(self._address, place, number, record.value, at)

    async def _deliver(self, make: Callable[[], bytes], kind: str) -> None:
        """Send until it is accepted.

        Raises:
            UndeliverableError: It is not tried any more.
        """
        loop = asyncio.get_running_loop()
        began, failures = loop.time(), 0
        notified = make()
        while True:
            sent = await self._hook.send(self._wanted, notified)
            metrics.NOTIFICATIONS.labels("delivered" if sent.accepted else "failed").inc()
            if sent.accepted:
                self._failing(self._written.id, 0)
                return
            failures += 1
            failed = loop.time() - began
            self._failing(self._written.id, failed)
            log.warning(
                "notification_failed", subscription=self._written.id, kind=kind, why=sent.why, failures=failures
            )
            if sent.for_good or failed >= self._pace.give_up:
                raise UndeliverableError(_ended(sent, failed))
            await asyncio.sleep(min(self._pace.pause(failures), max(self._pace.give_up - failed, 0)))

    def _committed(self) -> dict[TopicPartition, Any]:
        return committed(self._settings, self._written.id)

    def _spans(self) -> Mapping[Any, Span]:
        return kept(self._settings, [self._topic])


def group(settings: Settings, subscription: str) -> str:
    """The consumer group of a subscription."""
    return f"{settings.gateway_group}-{subscription}"


def committed(settings: Settings, subscription: str) -> dict[TopicPartition, Any]:
    """What a subscription was told of, by partition: offsets, and numbers of events as their metadata.

    Raises:
        ClusterError: The brokers do not respond.
    """
    own = group(settings, subscription)
    with clients.admin(settings) as admin:
        found = admin.list_group_offsets({own: None}).get(own, {})
    return {TopicPartition(*one): offset for one, offset in found.items() if offset.offset >= 0}


def events_told(settings: Settings, subscription: str) -> int:
    """How many events a subscription was told of.

    Raises:
        ClusterError: The brokers do not respond.
    """
    return sum(_count(offset.metadata) for offset in committed(settings, subscription).values())


def _count(metadata: str) -> int:
    """The number of events that goes with an offset."""
    digits = metadata.removeprefix("events=")
    return int(digits) if digits.isdecimal() else 0


def _ended(sent: Sent, seconds: float) -> str:
    what = sent.why or "the address accepts nothing"
    return f"{what}; not tried any more after {seconds / 3600:.1f} hours: update the subscription to resume"
