"""The dashboard's own consumer: it belongs to no group, commits nothing, and counts what it reads.

It reads decisions and dead letters back to `BACK` or `MOST` records of each topic, whichever is less, the topics of
policies whole, and of requests only what comes, for their times. Where the brokers are away it goes on where it stood;
where they come back with less than was read, it counts anew.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Event, Lock
from typing import NamedTuple

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from events.topics import DEAD_LETTERS, DECISIONS, POLICY_ATTESTATIONS, POLICY_REVISIONS, REQUESTS
from policy_core.history.chain import Chain, chain_of
from policy_core.history.library import documents
from policy_core.loading.load import load
from workers.dashboard.data.counters import DecisionPosition, Tallies
from workers.dashboard.data.revisions import Publications
from workers.kafka.connect import AccessRefusedError
from workers.kafka.reader import (
    PATIENCE_MS,
    ReadingError,
    Span,
    data_of,
    headers_of,
    kafka_errors,
    kept,
    new_consumer,
    written_at,
)
from workers.monitoring.pended import Pended
from workers.policies.revision_events import Judging, Outcome, Seen, terms_of
from workers.settings import Settings

log = structlog.get_logger(__name__)

BACK = timedelta(days=7)
"""How far back decisions and dead letters are read at the start."""
MOST = 500_000
"""Records of one topic that are read at the start, the newest."""
ASKED_EVERY_SECONDS = 2.0
"""How often the brokers are asked for the ends."""
PAUSE_SECONDS = 2.0
"""Before the brokers are asked again."""
POLL_MS = 500


@lru_cache(maxsize=4)
def _packaged(folders: tuple[Path, ...]) -> tuple[Chain, ...]:
    return tuple(chain_of(load(file)) for file in documents(folders))


class Progress(NamedTuple):
    """How far the reader is."""

    error: str | None = "not connected yet"
    """Why nothing is read; None while it reads."""
    behind: int = 0
    """Offsets that are still to be read."""
    begun: bool = False
    """Whether anything was ever read, so that the counts mean something."""
    unreadable: int = 0
    """Records that could not be read, and are not counted."""


class Reader:
    """Counts what stands on the topics, in a thread of its own; ask it under its lock."""

    def __init__(self, settings: Settings) -> None:
        """Read the topics of a deployment.

        Raises:
            PolicyDocumentError: Its packaged documents, or the publishers' keys, cannot be used.
        """
        self._settings = settings
        self._packaged = _packaged(settings.policies)
        self._judging = Judging(terms_of(settings), self._packaged)
        self._positions: dict[TopicPartition, int] = {}
        self.lock = Lock()
        """Held while anything below is changed."""
        self.tallies = Tallies()
        self.pended = Pended()
        self.publications = Publications()
        self.progress = Progress()
        self._takers: dict[str, Callable[[ConsumerRecord, datetime], None]] = {
            settings.topic(REQUESTS): self._request,
            settings.topic(DECISIONS): self._decision,
            settings.topic(DEAD_LETTERS): self._letter,
            settings.topic(POLICY_REVISIONS): self._revision,
            settings.topic(POLICY_ATTESTATIONS): self._attestation,
        }

    def run(self, over: Event) -> None:
        """Read until told that it is over; whatever fails is told in `progress`, and tried again."""
        while not over.is_set():
            try:
                with kafka_errors(self._settings):
                    self._read(over)
            except (ReadingError, AccessRefusedError) as error:
                self._tell(str(error))
            except Exception as error:
                # A page that shows old counts as if they were new would be worse than one that says it cannot read.
                log.exception("reading_failed")
                self._tell(f"the dashboard cannot read on: {type(error).__name__}; its log names the place")
            over.wait(PAUSE_SECONDS)

    def _tell(self, error: str) -> None:
        log.warning("topics_unread", detail=error, next_try_in_seconds=PAUSE_SECONDS)
        with self.lock:
            self.progress = self.progress._replace(error=error)

    def _read(self, over: Event) -> None:
        found = kept(self._settings, list(self._takers))
        lacking = sorted(set(self._takers) - {one.topic for one in found})
        if lacking:
            raise ReadingError(f"no topic {', '.join(lacking)}, or no right to it: `dli topics check` compares them")
        consumer = new_consumer(self._settings)
        try:
            self._place(consumer, found)
            ends, asked = {one: span.end for one, span in found.items()}, time.monotonic()
            while not over.is_set():
                polled = consumer.poll(timeout_ms=POLL_MS)
                if time.monotonic() - asked > ASKED_EVERY_SECONDS:
                    # A consumer whose brokers are away is only silent; this question they have to answer.
                    ends, asked = consumer.end_offsets(list(found), timeout_ms=PATIENCE_MS), time.monotonic()
                left = {one: end - consumer.position(one) for one, end in ends.items()}
                if min(left.values(), default=0) < 0 and not polled:
                    ends = consumer.end_offsets(list(found), timeout_ms=PATIENCE_MS)
                    if any(consumer.position(one) > end for one, end in ends.items()):
                        return  # they came back with less than was read
                with self.lock:
                    for records in polled.values():
                        for record in records:
                            self._take(record)
                    behind = sum(max(one, 0) for one in left.values())
                    self.progress = self.progress._replace(error=None, behind=behind, begun=True)
        finally:
            self._positions |= {one: consumer.position(one) for one in consumer.assignment()}
            consumer.close()

    def _place(self, consumer: KafkaConsumer, found: dict[TopicPartition, Span]) -> None:
        consumer.assign(list(found))
        if any(position > found[one].end for one, position in self._positions.items() if one in found):
            log.warning("topics_begin_anew")
            self._positions = {}
        if not self._positions:
            with self.lock:
                self.tallies, self.pended, self.publications = Tallies(), Pended(), Publications()
                self._judging = Judging(self._judging.terms, self._packaged)
        fresh = {one: span for one, span in found.items() if one not in self._positions}
        for one, offset in (self._starts(consumer, fresh) | self._positions).items():
            if one in found:
                consumer.seek(one, max(offset, found[one].beginning))

    def _starts(self, consumer: KafkaConsumer, fresh: dict[TopicPartition, Span]) -> dict[TopicPartition, int]:
        """Where to begin in partitions that were not read yet."""
        whole = {self._settings.topic(name) for name in (POLICY_REVISIONS, POLICY_ATTESTATIONS)}
        recent = [one for one in fresh if one.topic not in whole and one.topic != self._settings.topic(REQUESTS)]
        since = round((datetime.now(UTC) - BACK).timestamp() * 1000)
        times = consumer.offsets_for_times(dict.fromkeys(recent, since)) if recent else {}
        starts = {}
        for one, span in fresh.items():
            if one.topic in whole:
                starts[one] = span.beginning
            elif one in times:
                share = MOST // max(sum(other.topic == one.topic for other in recent), 1)
                at = times[one].offset if times[one] is not None else span.end
                starts[one] = max(at, span.end - share)
            else:
                starts[one] = span.end
        return starts

    # --- records ---

    def _take(self, record: ConsumerRecord) -> None:
        try:
            self._takers[record.topic](record, written_at(record))
        except (ValueError, KeyError, TypeError, AttributeError):
            # Of a shape from before or after this version: not counted, and said so.
            self.progress = self.progress._replace(unreadable=self.progress.unreadable + 1)

    def _request(self, record: ConsumerRecord, _at: datetime) -> None:
        if record.timestamp >= 0:  # without one it is -1
            self.tallies.latencies.asked(record.key, record.timestamp)

    def _decision(self, record: ConsumerRecord, at: datetime) -> None:
        data = data_of(record.value)
        self.pended.take(data, at)
        self.tallies.decided(data, at, DecisionPosition(record.topic, record.partition, record.offset))
        self.tallies.latencies.answered(record.key, record.timestamp)

    def _letter(self, record: ConsumerRecord, _at: datetime) -> None:
        self.tallies.put_aside(data_of(record.value))
        self.tallies.latencies.answered(record.key, record.timestamp)

    def _revision(self, record: ConsumerRecord, _at: datetime) -> None:
        seen = Seen(record.offset, record.timestamp, record.value, headers_of(record))
        verdict = self._judging.take(seen)
        if verdict.rejected is not None and verdict.rejected.reason != "revision_refused":
            raise ValueError(verdict.rejected.reason)
        if verdict.publication is not None and verdict.outcome is Outcome.ACCEPTED:
            self.publications.accepted(verdict.publication)

    def _attestation(self, record: ConsumerRecord, _at: datetime) -> None:
        self.publications.attested(data_of(record.value))
