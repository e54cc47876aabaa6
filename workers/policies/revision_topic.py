"""The topic of revisions, for commands, which come and go: read once from its beginning, or written to."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kafka import KafkaProducer, TopicPartition

from events.topics import POLICY_REVISIONS
from policy_core.history.acceptance import Terms
from policy_core.history.chain import Chain
from policy_core.history.library import Library
from workers.kafka import connect
from workers.kafka.reader import ReadingError, kafka_errors, new_admin, records, spans
from workers.policies.revision_events import Judging, Seen, Verdict, terms_of
from workers.records import OutgoingRecord
from workers.settings import Settings

PATIENCE_S = 30
"""For one record to be acknowledged."""


class Known(NamedTuple):
    """All that the topic says."""

    judging: Judging
    verdicts: Mapping[int, Verdict]
    """On each record, by its offset, in order."""
    end: int
    """The offset behind the last."""

    def chain(self, number: str) -> Chain:
        """A policy's chain; empty where the topic does not know it."""
        return self.judging.chains.get(number, Chain(number))


def read_known(settings: Settings, library: Library, terms: Terms | None = None) -> Known:
    """Read the topic to its end; `library` spares proving what its documents have too.

    Without other terms it is judged on those of the settings.

    Raises:
        ReadingError: The brokers do not answer, the topic has lost its beginning, or it is not the one of the anchor.
        PolicyDocumentError: The publishers' keys cannot be read.
    """
    where = TopicPartition(settings.topic(POLICY_REVISIONS), 0)
    judging = Judging(terms if terms is not None else terms_of(settings), map(library.chain, library.numbers))
    with kafka_errors(settings):
        admin = new_admin(settings)
        try:
            span = spans(admin, [where])[where]
        finally:
            admin.close()
    if span.beginning > 0:
        raise ReadingError(f"{where.topic} has lost its beginning, up to offset {span.beginning}: keep it for ever")
    verdicts: dict[int, Verdict] = {}
    for record in records(settings, {where: span}):
        seen = Seen(record.offset, record.timestamp, record.value, tuple(record.headers))
        verdicts[record.offset] = judging.take(seen)
    if (astray := judging.astray()) is not None:
        raise ReadingError(f"{where.topic}: {astray}")
    return Known(judging, verdicts, span.end)


def send(settings: Settings, some: Iterable[OutgoingRecord]) -> None:
    """Send records, in order, and wait until the brokers have each.

    Raises:
        ReadingError: The brokers do not answer, or give no right.
    """
    connect.check(settings)
    with kafka_errors(settings):
        producer = KafkaProducer(**connect.client(settings), acks="all", enable_idempotence=True)
        try:
            for one in some:
                headers = list(one.headers)
                producer.send(one.topic, one.value, key=one.key, headers=headers, partition=0).get(timeout=PATIENCE_S)
        finally:
            producer.close(timeout=PATIENCE_S)
