"""The dashboard's consumer, without a group: it counts what it reads and commits nothing.

It reads decisions and dead letters back to `BACK` or `MOST` records of each topic, whichever is less, the topics of
policies completely, and only new requests, for their times. After an outage it continues at its position; if the
brokers then have less than was read, it starts again.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Event, Lock
from typing import NamedTuple

import structlog
from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from events.decision import PolicyDocumentReference
from events.topics import DEAD_LETTERS, DECISIONS, POLICY_ATTESTATIONS, POLICY_REVISIONS, REQUESTS
from policy_core.document.models import PolicyDocument
from policy_core.history.chain import Chain, chain_of
from policy_core.history.library import documents
from policy_core.loading.load import load
from workers.configuration.settings import Settings
from workers.dashboard.data.counters import Counters, DecisionPosition
from workers.dashboard.data.revisions import Publications
from workers.kafka import clients
from workers.kafka.clients import KafkaConsumer
from workers.kafka.connect import PATIENCE, milliseconds
from workers.kafka.errors import ClusterError, ReadingError
from workers.kafka.reader import Span, data_of, headers_of, kept, written_at
from workers.policies.revision_events import Judging, Outcome, Seen, terms_of

log = structlog.get_logger(__name__)

BACK = timedelta(days=7)
"""The initial period of decisions and dead letters."""
MOST = 500_000
"""The initial limit of newest records per topic."""
ASKED_EVERY_SECONDS = 2.0
"""The interval between queries of the ends."""
PAUSE_SECONDS = 2.0
"""The pause after a failure."""
POLL_MS = 500


@lru_cache(maxsize=4)
def _packaged(folders: tuple[Path, ...]) -> tuple[Chain, ...]:
    return tuple(chain_of(load(file)) for file in documents(folders))


class Progress(NamedTuple):
    """The reader's progress."""

    error: str | None = "not connected yet"
    """Why nothing is read; None while reading."""
    behind: int = 0
    """Offsets still to be read."""
    begun: bool = False
    """Whether anything was ever read, so that the counts are meaningful."""
    unreadable: int = 0
    """Unreadable records, which are not counted."""


class Reader:
    """Counts the topics' records in its own thread; access it under its lock."""

    def __init__(self, settings: Settings) -> None:
        """Read the topics of a deployment.

        Raises:
            PolicyDocumentError: Its packaged documents or the publishers' keys are invalid.
        """
        self._settings = settings
        self._packaged = _packaged(settings.policies)
        self._judging = Judging(terms_of(settings), self._packaged)
        self._positions: dict[TopicPartition, int] = {}
        self.lock = Lock()
        """Held during changes of the fields below."""
        self.counters = Counters()
        self.publications = Publications()
        self.progress = Progress()
        self._takers: dict[str, Callable[[ConsumerRecord, datetime], None]] = {
            settings.topic(REQUESTS): self._request,
            settings.topic(DECISIONS): self._decision,
            settings.topic(DEAD_LETTERS): self._letter,
            settings.topic(POLICY_REVISIONS): self._revision,
            settings.topic(POLICY_ATTESTATIONS): self._attestation,
        }

    def document(self, named: PolicyDocumentReference) -> PolicyDocument | None:
        """The document that a decision names; None if it is not known here."""
        with self.lock:
            chains = [*self._judging.chains.values(), *self._packaged]
        known = (chain.find(named.known_through) for chain in chains if chain.policy == named.number)
        return next((published.document for published in known if published is not None), None)

    def run(self, over: Event) -> None:
        """Read until asked to stop; failures are reported in `progress` and retried."""
        while not over.is_set():
            try:
                self._read(over)
            except ClusterError as error:
                self._report(str(error))
            except Exception as error:
                # Old counts shown as current would be worse than an error.
                log.exception("reading_failed")
                self._report(f"the dashboard cannot read on: {type(error).__name__}; its log names the place")
            over.wait(PAUSE_SECONDS)

    def _report(self, error: str) -> None:
        log.warning("topics_unread", detail=error, next_try_in_seconds=PAUSE_SECONDS)
        with self.lock:
            self.progress = self.progress._replace(error=error)

    def _read(self, over: Event) -> None:
        found = kept(self._settings, list(self._takers))
        lacking = sorted(set(self._takers) - {partition.topic for partition in found})
        if lacking:
            raise ReadingError(f"no topic {', '.join(lacking)}, or no right to it: `dli topics check` compares them")
        with clients.consumer(self._settings) as consumer:
            self._count(consumer, found, over)

    def _count(self, consumer: KafkaConsumer, found: dict[TopicPartition, Span], over: Event) -> None:
        try:
            self._place(consumer, found)
            ends, asked = {partition: span.end for partition, span in found.items()}, time.monotonic()
            while not over.is_set():
                polled = consumer.poll(timeout_ms=POLL_MS)
                if time.monotonic() - asked > ASKED_EVERY_SECONDS:
                    # A consumer without brokers is only silent; this request fails.
                    ends, asked = consumer.end_offsets(list(found), timeout_ms=milliseconds(PATIENCE)), time.monotonic()
                left = {partition: end - consumer.position(partition) for partition, end in ends.items()}
                if min(left.values(), default=0) < 0 and not polled:
                    ends = consumer.end_offsets(list(found), timeout_ms=milliseconds(PATIENCE))
                    if any(consumer.position(partition) > end for partition, end in ends.items()):
                        return  # the brokers have less than was read
                with self.lock:
                    for records in polled.values():
                        for record in records:
                            self._take(record)
                    behind = sum(max(count, 0) for count in left.values())
                    self.progress = self.progress._replace(error=None, behind=behind, begun=True)
        finally:
            self._positions |= {partition: consumer.position(partition) for partition in consumer.assignment()}

    def _place(self, consumer: KafkaConsumer, found: dict[TopicPartition, Span]) -> None:
        consumer.assign(list(found))
        if any(
            position > found[partition].end for partition, position in self._positions.items() if partition in found
        ):
            log.warning("topics_begin_anew")
            self._positions = {}
        if not self._positions:
            with self.lock:
                self.counters, self.publications = Counters(), Publications()
                self._judging = Judging(self._judging.terms, self._packaged)
        fresh = {partition: span for partition, span in found.items() if partition not in self._positions}
        for partition, offset in (self._starts(consumer, fresh) | self._positions).items():
            if partition in found:
                consumer.seek(partition, max(offset, found[partition].beginning))

    def _starts(self, consumer: KafkaConsumer, fresh: dict[TopicPartition, Span]) -> dict[TopicPartition, int]:
        """The start offsets of new partitions."""
        whole = {self._settings.topic(name) for name in (POLICY_REVISIONS, POLICY_ATTESTATIONS)}
        recent = [
            partition
            for partition in fresh
            if partition.topic not in whole and partition.topic != self._settings.topic(REQUESTS)
        ]
        since = round((datetime.now(UTC) - BACK).timestamp() * 1000)
        times = consumer.offsets_for_times(dict.fromkeys(recent, since)) if recent else {}
        starts = {}
        for partition, span in fresh.items():
            if partition.topic in whole:
                starts[partition] = span.beginning
            elif partition in times:
                share = MOST // max(sum(other.topic == partition.topic for other in recent), 1)
                at = times[partition].offset if times[partition] is not None else span.end
                starts[partition] = max(at, span.end - share)
            else:
                starts[partition] = span.end
        return starts

    # --- records ---

    def _take(self, record: ConsumerRecord) -> None:
        try:
            self._takers[record.topic](record, written_at(record))
        except (ValueError, KeyError, TypeError, AttributeError):
            # A format of another version: counted as unreadable.
            self.progress = self.progress._replace(unreadable=self.progress.unreadable + 1)

    def _request(self, record: ConsumerRecord, _at: datetime) -> None:
        if record.timestamp >= 0:  # -1 without a timestamp
            self.counters.latencies.asked(record.key, record.timestamp)

    def _decision(self, record: ConsumerRecord, at: datetime) -> None:
        data = data_of(record.value)
        self.counters.decided(data, at, DecisionPosition(record.topic, record.partition, record.offset))
        self.counters.latencies.answered(record.key, record.timestamp)

    def _letter(self, record: ConsumerRecord, _at: datetime) -> None:
        place = DecisionPosition(record.topic, record.partition, record.offset)
        self.counters.put_aside(data_of(record.value), place)
        self.counters.latencies.answered(record.key, record.timestamp)

    def _revision(self, record: ConsumerRecord, _at: datetime) -> None:
        seen = Seen(record.offset, record.timestamp, record.value, headers_of(record))
        verdict = self._judging.take(seen)
        if verdict.rejected is not None and verdict.rejected.reason != "revision_refused":
            raise ValueError(verdict.rejected.reason)
        if verdict.publication is not None and verdict.outcome is Outcome.ACCEPTED:
            self.publications.accepted(verdict.publication)

    def _attestation(self, record: ConsumerRecord, _at: datetime) -> None:
        self.publications.attested(data_of(record.value))
