"""The topic of revisions for commands: read once from its beginning, or written."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kafka import TopicPartition

from events.topics import POLICY_REVISIONS
from policy_core.history.chain import Chain
from policy_core.history.library import Library
from policy_core.history.publication_terms import Terms
from workers.configuration.settings import Settings
from workers.kafka import clients
from workers.kafka.connect import LONG_PATIENCE
from workers.kafka.errors import ReadingError
from workers.kafka.reader import records, spans
from workers.kafka.records import OutgoingRecord
from workers.policies.revision_events import Judging, Seen, Verdict, terms_of


class Known(NamedTuple):
    """The content of the topic."""

    judging: Judging
    verdicts: Mapping[int, Verdict]
    """The verdict on each record, by offset, in order."""
    end: int
    """The offset after the last record."""

    def chain(self, number: str) -> Chain:
        """A policy's chain; empty if the topic has none."""
        return self.judging.chains.get(number, Chain(number))


def read_known(settings: Settings, library: Library, terms: Terms | None = None) -> Known:
    """Read the topic to its end; publications in `library` need no verification.

    The terms default to those of the settings.

    Raises:
        ReadingError: The brokers do not respond, the topic has lost its beginning, or does not match the anchor.
        PolicyDocumentError: The publishers' keys are unreadable.
    """
    where = TopicPartition(settings.topic(POLICY_REVISIONS), 0)
    judging = Judging(terms if terms is not None else terms_of(settings), map(library.chain, library.numbers))
    with clients.admin(settings) as admin:
        span = spans(admin, [where])[where]
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
    """Send records in order, and wait until the brokers have each.

    Raises:
        ReadingError: The brokers do not respond, or refuse access.
    """
    with clients.producer(settings) as producer:
        for record in some:
            headers = list(record.headers)
            sent = producer.send(record.topic, record.value, key=record.key, headers=headers, partition=0)
            sent.get(timeout=LONG_PATIENCE)
