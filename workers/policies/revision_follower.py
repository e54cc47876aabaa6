"""Follows the topic of revisions, the only source of this worker's policies.

A consumer without a group reads the topic from its beginning and judges every record in order. At the start it catches
up to the end, and the worker stops if its packaged documents have revisions that the topic lacks; so no decision is
made under a revision that is not on the topic. Then it keeps reading: each accepted revision yields a new library,
which the decision handler uses from its next batch. Earlier decisions are unaffected.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from events.topics import POLICY_REVISIONS
from policy_core.history.library import Library
from workers.configuration.settings import Settings
from workers.kafka.clients import AIOKafkaConsumer, async_consumer
from workers.kafka.connect import client
from workers.kafka.fetch_pacing import paced
from workers.policies.publish_packaged import ForkedError, lacking
from workers.policies.revision_events import Judging, Outcome, Seen, Verdict, terms_of
from workers.process import metrics

log = structlog.get_logger(__name__)

WAIT_MS = 1_000
PAUSE_SECONDS = 2.0
"""Pause before reading again after a failure."""
LOG_SECONDS = 60.0
"""Interval between log lines about an unread topic."""
RENEWED_SECONDS = 60.0
"""How long a consumer may be behind before it is replaced."""
COMPARED_SECONDS = 2.0
"""How often the topic's end is queried: a consumer without a broker is only silent."""


class Follower:
    """The policies known from the topic of revisions."""

    def __init__(self, settings: Settings, library: Library) -> None:
        """Follow the topic; `library` has the packaged documents.

        Raises:
            PolicyDocumentError: The publishers' keys are unreadable.
        """
        self._settings = settings
        self._packaged_chains = [library.chain(number) for number in library.numbers]
        self._judging = Judging(terms_of(settings), self._packaged_chains)
        self._library = library
        self._where = TopicPartition(settings.topic(POLICY_REVISIONS), 0)
        self._verdicts: dict[int, Verdict] = {}
        self._position = 0
        self._news = asyncio.Condition()
        self._read_whole = time.monotonic()
        self.caught_up = False

    # --- queries ---

    def snapshot(self) -> Library:
        """The policies known now; the result is immutable."""
        return self._library

    @property
    def numbers(self) -> list[str]:
        """The policies' numbers."""
        return self._library.numbers

    @property
    def behind_seconds(self) -> float:
        """The time since the topic was last read to its end."""
        return time.monotonic() - self._read_whole

    async def verdict(self, offset: int) -> Verdict | None:
        """The verdict on the record at an offset, once read; None if there is no record."""
        async with self._news:
            await self._news.wait_for(lambda: self._position > offset)
        return self._verdicts.get(offset)

    # --- before the start ---

    async def catch_up(self) -> None:
        """Read the topic to its end, and check that it has the packaged documents' revisions.

        Raises:
            ForkedError: It lacks some or contradicts them, has lost its beginning, or is not the topic of the anchor.
            KafkaError: The broker does not respond.
        """
        if self._judging.terms.keyring is None:
            log.warning(
                "revisions_unsigned",
                topic=self._where.topic,
                what_follows="whoever may write to it decides what is certified; DLI_POLICY_KEYS names who may",
            )
        for skip in self._judging.terms.skips:
            log.warning(
                "revision_skipped", policy=skip.policy, offset=skip.offset, digest=skip.digest, by=skip.by, why=skip.why
            )
        await self._read_to_end()
        if (astray := self._judging.astray()) is not None:
            raise ForkedError(f"{self._where.topic}: {astray}: it is not the topic that was anchored")
        missing = lacking(self._judging, self._packaged_chains, self._position, self._settings)
        if missing:
            first = missing[0]
            raise ForkedError(
                f"policy {first.policy}: {self._where.topic} lacks the packaged revision of {first.revision}; "
                "`dli topics apply` of this release publishes it, and a worker may not"
            )
        self.caught_up = True
        self._read_whole = time.monotonic()
        for number in self.numbers:
            known = self._library.chain(number)
            log.info("policy_known", policy=number, revisions=len(known), known_through=known.known_through)

    async def _read_to_end(self) -> None:
        async with self._reader() as consumer:
            beginning = (await consumer.beginning_offsets([self._where]))[self._where]
            end = (await consumer.end_offsets([self._where]))[self._where]
            if beginning > 0:
                raise ForkedError(
                    f"{self._where.topic} has lost its beginning, up to offset {beginning}: it must be kept for ever "
                    "(`dli topics check` compares its settings with the declared ones)"
                )
            while self._position < end:
                await self._take(await consumer.getmany(self._where, timeout_ms=WAIT_MS), consumer)

    # --- following ---

    async def follow(self) -> None:
        """Read the topic forever; wait for an unavailable broker, and log that."""
        logging_unread = asyncio.create_task(self._log_unread())
        try:
            while True:
                try:
                    await self._follow_on()
                except (KafkaError, OSError) as error:
                    log.warning("revisions_unreadable", error=type(error).__name__)
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            logging_unread.cancel()

    async def _follow_on(self) -> None:
        """Read until the broker fails, or this consumer falls behind."""
        began = time.monotonic()
        async with self._reader() as consumer:
            while min(self.behind_seconds, time.monotonic() - began) < RENEWED_SECONDS:
                await self._take(await consumer.getmany(self._where, timeout_ms=WAIT_MS), consumer)
                if self.behind_seconds > COMPARED_SECONDS:
                    await self._compare(consumer)

    async def _log_unread(self) -> None:
        """Log an error while there may be unread revisions; a broker may be silent."""
        while True:
            await asyncio.sleep(WAIT_MS / 1000)
            if self.behind_seconds >= self._settings.stalled_seconds:
                log.error(
                    "revisions_unread",
                    topic=self._where.topic,
                    seconds=round(self.behind_seconds),
                    position=self._position,
                    what_follows="decisions are made under the revisions known so far; this worker is not ready",
                )
                await asyncio.sleep(LOG_SECONDS)

    async def _compare(self, consumer: AIOKafkaConsumer) -> None:
        asked = time.monotonic()
        if self._position >= (await consumer.end_offsets([self._where]))[self._where]:
            self._read_whole = asked

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer without a group, at the last position."""
        async with async_consumer(client(self._settings), paced) as consumer:
            consumer.assign([self._where])
            consumer.seek(self._where, self._position)
            yield consumer

    async def _take(self, found: dict[TopicPartition, list[Any]], consumer: AIOKafkaConsumer) -> None:
        for record in found.get(self._where, ()):
            # Verification takes time; decisions continue meanwhile, under the previous library.
            headers = tuple(record.headers)
            seen = Seen(record.offset, record.timestamp, record.value, headers)
            verdict = await asyncio.to_thread(self._judging.take, seen)
            await asyncio.to_thread(self._learn, verdict)
            self._verdicts[record.offset] = verdict
        async with self._news:
            # The position also skips transaction markers, which are not records.
            self._position = max(self._position, await consumer.position(self._where))
            self._news.notify_all()

    def _learn(self, verdict: Verdict) -> None:
        chain = verdict.chain
        if verdict.outcome is not Outcome.ACCEPTED or chain is None:
            return
        self._library = self._library.knowing_also(chain)
        metrics.REVISIONS_KNOWN.labels(chain.policy).set(len(chain))
        if self.caught_up:
            newest = chain.links[-1]
            log.info(
                "revision_in_force", policy=chain.policy, revision=newest.revision.isoformat(), digest=newest.digest
            )
