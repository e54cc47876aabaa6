"""Publishes a what-if's decisions to a separate replay topic, marked as replayed.

The topic name is built here and cannot be a live topic's. All records are acknowledged before a state is saved:
resuming after Ctrl-C sends nothing twice; after a crash some records may repeat, as the same bytes.
"""

import re
from typing import Any

from kafka.errors import KafkaError, TopicAlreadyExistsError

from events.answer import of_replay, wrapped
from events.topics import LARGEST_RECORD, REPLAYED_KEPT, TOPICS
from events.typed_reader import Event
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.plan import PlannedResult
from workers.configuration.settings import Settings
from workers.decide.handler import decision_wrapping
from workers.decide.writers import WRITERS
from workers.event_log.kafka_log import UnreachableLogError
from workers.event_log.source import ReplayError
from workers.kafka import clients
from workers.kafka.connect import LONG_PATIENCE
from workers.kafka.errors import ReadingError, explained
from workers.kafka.records import Record

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}", re.ASCII)


def own_topic(settings: Settings, name: str) -> str:
    """The topic of a named replay.

    Raises:
        ReplayError: The name is invalid, or the topic may be in use.
    """
    if not _NAME.fullmatch(name):
        raise ReplayError(f"--publish {name}: should be letters a to z, digits and hyphens, 60 at most")
    topic = settings.topic(f"replay.{name}.decisions")
    live = next((declared.name for declared in TOPICS if topic.endswith(declared.name)), None)
    if live is not None:
        raise ReplayError(f"--publish {name}: {topic} may be another deployment's {live}; choose another name")
    return topic


def make(settings: Settings, topic: str, partitions: int) -> None:
    """Create a replay's topic.

    Raises:
        ReplayError: It exists, or cannot be created.
    """
    try:
        with clients.admin(settings, "admin", LONG_PATIENCE) as client:
            if topic in client.list_topics():
                raise ReplayError(f"{topic}: is there already, and is not written over; choose another name")
            configs = {
                "cleanup.policy": "delete",
                "retention.ms": str(int(REPLAYED_KEPT.total_seconds() * 1000)),
                "max.message.bytes": str(LARGEST_RECORD),
            }
            wanted = {
                "num_partitions": partitions,
                "replication_factor": settings.replication_factor,
                "configs": configs,
            }
            try:
                client.create_topics({topic: wanted}, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                raise ReplayError(f"{topic}: is there already, and is not written over; choose another name") from None
    except ReadingError as error:
        raise UnreachableLogError(str(error)) from None


class Publisher:
    """Publishes a document's decisions on one partition's requests."""

    def __init__(self, settings: Settings, name: str, draft: Policy) -> None:
        """Send to the topic of the named replay.

        Raises:
            ReplayError: The brokers do not respond.
        """
        self._settings = settings
        self._name = name
        self._topic = own_topic(settings, name)
        self._writer = WRITERS.newest
        self._encoder = self._writer.encoder(draft)
        self._error: BaseException | None = None
        try:
            self._producer = clients.new_producer(
                settings, linger_ms=20, batch_size=500_000, max_request_size=LARGEST_RECORD
            )
        except KafkaError as error:
            raise UnreachableLogError(explained(settings, error)) from None

    def send(self, record: Record, received: Event, result: PlannedResult) -> None:
        """Send the decision on a request.

        Raises:
            ReplayError: An earlier one was refused.
        """
        request = received.request
        decision_id, data = self._encoder.encode(request, result)
        settings = self._settings
        mark = of_replay(self._name)
        version = self._writer.version
        wrapping = decision_wrapping(request, decision_id, settings.source, settings.mode, mark, version)
        value, headers = wrapped(data, record.position, received.cause, wrapping)
        self._check()
        try:
            sent = self._producer.send(
                self._topic, value, key=request.request_id.encode(), headers=list(headers), partition=record.partition
            )
        except KafkaError as error:
            raise UnreachableLogError(explained(settings, error)) from None
        sent.add_errback(self._failed)

    def _failed(self, error: Any) -> None:
        self._error = error

    def _check(self) -> None:
        if self._error is not None:
            raise UnreachableLogError(f"{self._topic}: not taken: {type(self._error).__name__}")

    def flush(self) -> None:
        """Wait until the brokers have everything sent.

        Raises:
            ReplayError: They do not.
        """
        try:
            self._producer.flush(timeout=LONG_PATIENCE)
        except KafkaError as error:
            raise UnreachableLogError(f"{self._topic}: not taken: {type(error).__name__}") from None
        self._check()

    def close(self) -> None:
        """Close the producer."""
        self._producer.close(timeout=LONG_PATIENCE)
