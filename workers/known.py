"""The topic of revisions, for commands, which come and go: read once from its beginning, or written to."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kafka import KafkaProducer, TopicPartition

from events.topics import POLICY_REVISIONS
from policy_core.chain import Chain
from policy_core.library import Library
from workers import access
from workers.reading import ReadingError, new_admin, records, spans, told
from workers.records import Outgoing
from workers.revisions import Packaged, Verdict, judge
from workers.settings import Settings

PATIENCE_S = 30
"""For one record to be acknowledged."""


class Known(NamedTuple):
    """All that the topic says."""

    chains: dict[str, Chain]
    verdicts: Sequence[Verdict]
    """On each record, in order."""

    def chain(self, number: str) -> Chain:
        """A policy's chain; empty where the topic does not know it."""
        return self.chains.get(number, Chain(number))


def read_known(settings: Settings, library: Library) -> Known:
    """Read the topic to its end; `library` spares proving what its documents have too.

    Raises:
        ReadingError: The brokers do not answer, or the topic has lost its beginning.
    """
    where = TopicPartition(settings.topic(POLICY_REVISIONS), 0)
    packaged = Packaged({one.digest: one for number in library.numbers for one in library.chain(number)})
    with told(settings):
        admin = new_admin(settings)
        try:
            span = spans(admin, [where])[where]
        finally:
            admin.close()
    if span.beginning > 0:
        raise ReadingError(f"{where.topic} has lost its beginning, up to offset {span.beginning}: keep it for ever")
    chains: dict[str, Chain] = {}
    verdicts: list[Verdict] = []
    for record in records(settings, {where: span}):
        verdict = judge(chains, packaged, record.value, tuple(record.headers))
        verdicts.append(verdict)
        if verdict.chain is not None:
            chains[verdict.chain.policy] = verdict.chain
    return Known(chains, verdicts)


def send(settings: Settings, some: Iterable[Outgoing]) -> None:
    """Send records, in order, and wait until the brokers have each.

    Raises:
        ReadingError: The brokers do not answer, or give no right.
    """
    access.check(settings)
    with told(settings):
        producer = KafkaProducer(**access.client(settings), acks="all", enable_idempotence=True)
        try:
            for one in some:
                headers = list(one.headers)
                producer.send(one.topic, one.value, key=one.key, headers=headers, partition=0).get(timeout=PATIENCE_S)
        finally:
            producer.close(timeout=PATIENCE_S)
