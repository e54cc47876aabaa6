"""Asks through Kafka: a message goes to the topic of its format's requests, and its answers are awaited.

One consumer without a group reads every partition of the responses, from their ends at the start. Whatever gateway a
client asks, that one hears the answer; an answer that nobody waits for is left alone. Nothing is remembered here: who
asks again is answered with what is recorded, because the message is the same.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from workers.configuration.settings import Settings
from workers.gateway.messages import OUTCOME, PARTNER, Format, answers_inquiry, named, resource_type
from workers.kafka.clients import AIOKafkaConsumer, AIOKafkaProducer, async_consumer, async_producer
from workers.kafka.connect import client
from workers.kafka.errors import ClusterError, ReadingError
from workers.kafka.fetch_pacing import paced
from workers.kafka.reader import MAKE_TOPICS, Span, kept
from workers.process import metrics

log = structlog.get_logger(__name__)

SEND_SECONDS = 5.0
"""How long Kafka may take to accept a message."""
PULSE_SECONDS = 1.0
"""How often the brokers are asked whether they are there."""
PULSE_PATIENCE = 4.0
LOOK_SECONDS = 60.0
"""How often topics are compared with the partitions that are read."""
POLL_MS = 500
PAUSE_SECONDS = 1.0


class UnavailableError(Exception):
    """Kafka does not respond; whether it has the message is not known if it was sent already."""


class BusyError(Exception):
    """As many requests wait as may."""


class UnansweredError(Exception):
    """No answer in time. The message is on its topic, and will be decided."""


class Question(NamedTuple):
    """One message of a client."""

    format: Format
    partner: str
    value: bytes
    digests: tuple[str, ...]
    """One for each message in it that is answered."""
    is_inquiry: bool = False


class _Waiter(NamedTuple):
    is_inquiry: bool
    answer: "asyncio.Future[bytes]"


_Key = tuple[str, str, str]
"""Topic, partner and digest."""


class Exchange:
    """The messages under way."""

    def __init__(self, settings: Settings, formats: Iterable[Format]) -> None:
        self._settings = settings
        self._topics = {settings.topic(one.responses): one for one in formats}
        self._waiters: dict[_Key, list[_Waiter]] = {}
        self._asking: Counter[str] = Counter()
        self._positions: dict[TopicPartition, int] = {}
        self._producer: AIOKafkaProducer | None = None
        self.is_up = False
        """Whether the brokers respond, and answers would be heard."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Exchange"]:
        """Read answers inside the context.

        Raises:
            KafkaError: The brokers do not respond at the start.
        """
        connection = client(self._settings)
        async with async_producer(connection) as self._producer:
            reading = asyncio.create_task(self._read(connection))
            try:
                yield self
            finally:
                self.is_up = False
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading

    @property
    def producer(self) -> AIOKafkaProducer:
        """The producer, inside `running`."""
        assert self._producer is not None, "outside `running`"  # noqa: S101 (a programmer's mistake)
        return self._producer

    # --- questions ---

    async def ask(self, question: Question) -> tuple[bytes, ...]:
        """The answers to the messages in a question, in their order.

        Raises:
            BusyError: Too many wait.
            UnavailableError: Kafka does not respond.
            UnansweredError: It took the message, and there was no answer in time.
        """
        if not self.is_up:
            raise UnavailableError
        most = self._settings.gateway_waiting
        # One partner may not take every place from the others.
        if self._asking.total() >= most or self._asking[question.partner] >= max(most // 2, 1):
            raise BusyError
        self._asking[question.partner] += 1
        metrics.GATEWAY_WAITING.set(self._asking.total())
        try:
            return await self._asked(question)
        finally:
            self._asking[question.partner] -= 1
            metrics.GATEWAY_WAITING.set(self._asking.total())

    async def _asked(self, question: Question) -> tuple[bytes, ...]:
        loop = asyncio.get_running_loop()
        topic = self._settings.topic(question.format.responses)
        waiting = {
            (topic, question.partner, digest): _Waiter(question.is_inquiry, loop.create_future())
            for digest in question.digests
        }
        for key, waiter in waiting.items():
            self._waiters.setdefault(key, []).append(waiter)
        try:
            async with asyncio.timeout(self._settings.gateway_answer_seconds):
                await self._send(question)
                answers = await asyncio.gather(*(waiter.answer for waiter in waiting.values()))
        except TimeoutError:
            raise UnansweredError from None
        finally:
            for key, waiter in waiting.items():
                self._forget(key, waiter)
        return tuple(answers)

    def _forget(self, key: _Key, waiter: _Waiter) -> None:
        left = [one for one in self._waiters.get(key, ()) if one is not waiter]
        if left:
            self._waiters[key] = left
        else:
            self._waiters.pop(key, None)

    async def _send(self, question: Question) -> None:
        headers = [(PARTNER, question.partner.encode())]
        if question.is_inquiry:
            headers.append(("ask", b"inquire"))
        topic, key = self._settings.topic(question.format.requests), question.digests[0].encode()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                sent = await self.producer.send(topic, question.value, key, headers=headers)
                # It is not withdrawn when our patience ends: it may be on its way.
                await asyncio.shield(sent)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("message_not_sent", topic=topic, error=type(error).__name__)
            raise UnavailableError from None

    # --- answers ---

    async def _read(self, connection: dict[str, Any]) -> None:
        while True:
            try:
                async with async_consumer(connection, paced, auto_offset_reset="latest") as consumer:
                    await self._follow(consumer)
            except (KafkaError, ClusterError, OSError, TimeoutError) as error:
                self._set_up(holds=False, error=type(error).__name__)
            except Exception:
                self._set_up(holds=False, error="defect")
                log.exception("answers_not_read")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        """Read until topics have other partitions than before."""
        partitions = await self._partitions()
        consumer.assign(partitions)
        for one in partitions:
            consumer.seek(one, self._positions[one])
        pulse = asyncio.create_task(self._pulse(consumer, partitions))
        try:
            while not pulse.done():
                found = await consumer.getmany(timeout_ms=POLL_MS)
                for one, records in found.items():
                    for record in records:
                        self._take(record)
                        self._positions[one] = record.offset + 1
            pulse.result()
        finally:
            pulse.cancel()

    async def _partitions(self) -> list[TopicPartition]:
        """Every partition of responses, with its position: its end, if it was never read."""
        spans = {TopicPartition(*one): span for one, span in (await self._kept()).items()}
        is_first = not self._positions
        for one, span in spans.items():
            # A partition that was added while we read is read from its beginning.
            position = self._positions.get(one, span.end if is_first else span.beginning)
            self._positions[one] = min(max(position, span.beginning), span.end)
        return sorted(spans)

    async def _kept(self) -> Mapping[Any, Span]:
        found = await asyncio.to_thread(kept, self._settings, list(self._topics))
        if lacking := sorted(set(self._topics) - {one.topic for one in found}):
            raise ReadingError(f"{', '.join(lacking)}: missing, or hidden from us; {MAKE_TOPICS}")
        return found

    async def _pulse(self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
        """Ask the brokers for their ends, until there are other partitions."""
        looked = asyncio.get_running_loop().time()
        while True:
            try:
                async with asyncio.timeout(PULSE_PATIENCE):
                    ends = await consumer.end_offsets(partitions)
                if asyncio.get_running_loop().time() - looked > LOOK_SECONDS:
                    looked = asyncio.get_running_loop().time()
                    if {TopicPartition(*one) for one in await self._kept()} != set(partitions):
                        return
            except (KafkaError, ClusterError, OSError, TimeoutError) as error:
                self._set_up(holds=False, error=type(error).__name__)
            else:
                self._set_up(holds=True)
                if any(ends[one] < self._positions[one] for one in partitions):
                    log.warning("responses_begin_anew")
                    return
            await asyncio.sleep(PULSE_SECONDS)

    def _set_up(self, *, holds: bool, error: str | None = None) -> None:
        if holds != self.is_up:
            log.info("kafka_there") if holds else log.warning("kafka_away", error=error)
        self.is_up = holds
        metrics.GATEWAY_UP.set(holds)

    def _take(self, record: Any) -> None:
        whose = named(record.headers)
        waiting = self._waiters.get((record.topic, whose.partner, whose.message))
        if not waiting or record.value is None:
            return
        # One bundle may be submitted and be inquired about at once.
        is_any = self._topics[record.topic].name != "pas" or resource_type(record.value) == OUTCOME
        of_inquiry = answers_inquiry(record.value)
        for waiter in waiting:
            if (is_any or waiter.is_inquiry == of_inquiry) and not waiter.answer.done():
                waiter.answer.set_result(record.value)
