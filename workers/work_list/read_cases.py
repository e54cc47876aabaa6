"""Reads `authorization.cases`, without a group: once to its end, or on and on in a thread."""

import time
from datetime import UTC, datetime, timedelta, tzinfo
from threading import Event, Lock
from typing import NamedTuple
from zoneinfo import ZoneInfo

import structlog
from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from events.topics import CASES
from policy_core.history.library import documents
from policy_core.loading.load import load
from workers.configuration.settings import Settings
from workers.kafka import clients, reader
from workers.kafka.clients import KafkaConsumer
from workers.kafka.connect import PATIENCE, milliseconds
from workers.kafka.errors import ClusterError, ReadingError
from workers.kafka.reader import Span, StrangeError, log_skipped
from workers.work_list.open_cases import Counts, OpenCases

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 2.0
"""The pause after a failure."""
ASKED_EVERY_SECONDS = 2.0
"""The interval between queries of the ends."""
POLL_MS = 500
COUNTED_EVERY = timedelta(seconds=2)
"""Counting takes a tenth of a second for 100,000 cases."""


def read_once(settings: Settings) -> OpenCases:
    """The open cases at the topic's stable end.

    Raises:
        ReadingError: The brokers do not respond, or the topic does not exist.
        AccessRefusedError: The cluster refuses us.
    """
    found, board = _kept(settings), OpenCases()
    for record in reader.records(settings, found):
        _take(board, record)
    for partition, span in found.items():
        board.reached(partition.partition, span.end)
    return board


def _kept(settings: Settings) -> dict[TopicPartition, Span]:
    topic = settings.topic(CASES)
    found = reader.kept(settings, [topic])
    if not found:
        raise ReadingError(f"{reader.lacking(settings, [topic])}: no case is known; {reader.MAKE_TOPICS}")
    return found


def _take(board: OpenCases, record: ConsumerRecord) -> bool:
    """Whether the record is a case's; another one is skipped with a log line."""
    try:
        board.take(record.partition, record.offset, record.key, record.value)
    except ValueError as error:
        log_skipped(record, StrangeError(f"it {error}"))
        return False
    return True


def time_zone(settings: Settings) -> tzinfo:
    """Where the days of the default policy begin and end; UTC if no packaged document is that policy's.

    Raises:
        PolicyDocumentError: The packaged documents are invalid.
    """
    for file in documents(settings.policies):
        document = load(file)
        if document.number == settings.default_policy:
            return ZoneInfo(document.time_zone)
    return UTC


class Reading(NamedTuple):
    """How far the topic is read."""

    error: str | None = "the cases are not read yet"
    """Why what was read is not how things are; None while it is."""
    behind: int = 0
    """Offsets still to be read."""
    unreadable: int = 0
    """Records that are no case's, which are not counted."""


class FollowedCases:
    """The open cases, kept up to date by a thread of their own; use `cases` under `lock`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.lock = Lock()
        """Held during changes of the fields below."""
        self.cases = OpenCases()
        self.reading = Reading()
        self._counted: tuple[datetime, tzinfo, Counts] | None = None

    def counts(self, now: datetime, zone: tzinfo) -> Counts | None:
        """The numbers, up to two seconds old, for pages that ask often; None while they are not known. Takes `lock`."""
        with self.lock:
            if self.reading.error is not None:
                return None
            found = self._counted
            if found is None or found[1] != zone or abs(now - found[0]) >= COUNTED_EVERY:
                self._counted = found = now, zone, self.cases.counts(now, zone)
            return found[2]

    def run(self, over: Event) -> None:
        """Read until asked to stop; failures are reported in `reading` and retried."""
        while not over.is_set():
            try:
                self._follow(over)
            except ClusterError as error:
                self._report(str(error))
            except Exception as error:
                # Old numbers shown as current would be worse than an error.
                log.exception("cases_failed")
                self._report(f"cases cannot be read on: {type(error).__name__}; the log names the place")
            over.wait(PAUSE_SECONDS)

    def _report(self, error: str) -> None:
        log.warning("cases_unread", detail=error, next_try_in_seconds=PAUSE_SECONDS)
        with self.lock:
            self.reading = self.reading._replace(error=error)

    def _follow(self, over: Event) -> None:
        found = _kept(self._settings)
        with clients.consumer(self._settings) as consumer:
            consumer.assign(list(found))
            self._seek(consumer, found)
            ends, asked = {partition: span.end for partition, span in found.items()}, time.monotonic()
            while not over.is_set():
                polled = consumer.poll(timeout_ms=POLL_MS)
                if time.monotonic() - asked > ASKED_EVERY_SECONDS:
                    # A consumer without brokers is only silent; this request fails.
                    ends, asked = consumer.end_offsets(list(found), timeout_ms=milliseconds(PATIENCE)), time.monotonic()
                    if any(consumer.position(partition) > end for partition, end in ends.items()) and not polled:
                        return  # the brokers have less than was read
                    if set(consumer.partitions_for_topic(self._settings.topic(CASES)) or ()) > _numbers(found):
                        return  # partitions were added
                self._take(consumer, polled, ends)

    def _seek(self, consumer: KafkaConsumer, found: dict[TopicPartition, Span]) -> None:
        offsets = self.cases.offsets
        if any(offsets.get(partition.partition, 0) > span.end for partition, span in found.items()):
            log.warning("cases_begin_anew")
            with self.lock:
                self.cases, self.reading = OpenCases(), Reading()
            offsets = {}
        for partition, span in found.items():
            consumer.seek(partition, max(offsets.get(partition.partition, 0), span.beginning))

    def _take(
        self,
        consumer: KafkaConsumer,
        polled: dict[TopicPartition, list[ConsumerRecord]],
        ends: dict[TopicPartition, int],
    ) -> None:
        positions = {partition: consumer.position(partition) for partition in ends}
        behind = sum(max(end - positions[partition], 0) for partition, end in ends.items())
        with self.lock:
            strange = sum(not _take(self.cases, record) for records in polled.values() for record in records)
            for partition, position in positions.items():
                self.cases.reached(partition.partition, position)
            error = self.reading.error if behind else None
            self.reading = Reading(error, behind, self.reading.unreadable + strange)


def _numbers(found: dict[TopicPartition, Span]) -> set[int]:
    return {partition.partition for partition in found}
