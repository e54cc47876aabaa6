"""A small group of workers, one more than there are partitions, and requests that a test hands them itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka.admin import KafkaAdminClient

from events.topics import DECISIONS, REQUESTS
from tests.faults.counting import Answer, Counted, count, digest
from tests.faults.flow import SESSION_SECONDS, Fleet, eventually
from tests.faults.workload import Asked, Workload
from tests.support.running import everything_on, settings_for
from workers.configuration.settings import Settings
from workers.dev_brokers import Broker
from workers.kafka.records import OutgoingRecord
from workers.topics import apply_topics
from workers.traffic.commands import sent

PARTITIONS = 2
"""Fewer than the workers: one of them is a spare."""
WORKERS = 3


@contextmanager
def fleet(broker: Broker, prefix: str, folder: Path) -> Iterator[tuple[Fleet, Settings]]:
    """Places for workers, one more than there are partitions; all end in the end."""
    found = settings_for(broker.bootstrap, prefix, folder, session_timeout_seconds=SESSION_SECONDS)
    found = found.model_copy(update={"partitions": PARTITIONS})
    apply_topics.apply(found)
    workers = Fleet(found, folder, WORKERS)
    try:
        yield workers, found
    finally:
        workers.stop()


def ask(found: Settings, asked: Sequence[Asked]) -> None:
    """Publish requests, all acknowledged."""
    list(sent([OutgoingRecord(found.topic(REQUESTS), key, value) for key, value, _ in asked], found))


def counted(found: Settings, asked: Sequence[Asked]) -> Counted:
    answers = [Answer(bytes(one.key or b""), digest(one.value)) for one in everything_on(found, DECISIONS)]
    return count(Workload(asked).expected, answers)


def all_answered(found: Settings, asked: Sequence[Asked]) -> bool:
    return eventually(lambda: counted(found, asked).lost == 0)


def administer(found: Settings, do: Callable[[KafkaAdminClient], Any]) -> None:
    with apply_topics.admin(found) as client:
        do(client)
