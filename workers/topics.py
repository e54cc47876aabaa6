"""The declared topics on a real cluster: created, and compared with what is there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import AuthorizationError, KafkaError

from events.topics import TOPICS, Topic
from workers import access
from workers.access import RefusedError
from workers.settings import Settings

PATIENCE_MS = 10_000
"""How long the cluster's administration is waited for."""


class TopicsError(Exception):
    """Topics cannot be read or made; the message says what to do."""


class Difference(NamedTuple):
    """Something about a topic that is not as declared."""

    topic: str
    what: str
    declared: str
    found: str


@contextmanager
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """A client of the cluster's administration.

    Raises:
        RefusedError: The cluster does not let us in, or gives us no right to this.
        TopicsError: The cluster does not answer.
    """
    access.check(settings)
    try:
        client = KafkaAdminClient(
            **access.client(settings),
            client_id=f"{settings.app_id}-admin",
            bootstrap_timeout_ms=PATIENCE_MS,
        )
        try:
            yield client
        finally:
            client.close()
    except AuthorizationError as error:
        raise RefusedError(access.explained(settings, error)) from error
    except KafkaError as error:
        raise TopicsError(access.explained(settings, error)) from error


def partitions(topic: Topic, settings: Settings) -> int:
    """How many partitions a topic has in this deployment."""
    scaled = settings.partitions is not None and topic.partitions > 1
    return settings.partitions if scaled and settings.partitions else topic.partitions


def apply(settings: Settings) -> list[str]:
    """Create the topics that are not there; returns their names. What is there is left as it is."""
    with admin(settings) as client:
        present = set(client.list_topics())
        wanted = {settings.topic(topic.name): topic for topic in TOPICS}
        missing = {
            name: {
                "num_partitions": partitions(topic, settings),
                "replication_factor": settings.replication_factor,
                "configs": topic.settings(),
            }
            for name, topic in wanted.items()
            if name not in present
        }
        if missing:
            client.create_topics(missing, wait_for_metadata=True)
        return sorted(missing)


def compare(settings: Settings) -> list[Difference]:
    """Everything about the declared topics that the cluster has otherwise."""
    with admin(settings) as client:
        present = set(client.list_topics())
        found: list[Difference] = []
        for topic in TOPICS:
            name = settings.topic(topic.name)
            if name not in present:
                found.append(Difference(name, "topic", "present", "absent"))
                continue
            found.extend(_partition_difference(client, name, topic, settings))
            found.extend(_setting_differences(client, name, topic))
        return found


def _partition_difference(client: KafkaAdminClient, name: str, topic: Topic, settings: Settings) -> list[Difference]:
    [description] = client.describe_topics([name])
    there, wanted = len(description["partitions"]), partitions(topic, settings)
    return [] if there == wanted else [Difference(name, "partitions", str(wanted), str(there))]


def _setting_differences(client: KafkaAdminClient, name: str, topic: Topic) -> list[Difference]:
    declared = topic.settings()
    there = _settings_there(client, name)
    return [
        Difference(name, setting, value, str(there.get(setting, "not set")))
        for setting, value in declared.items()
        if there.get(setting) != value
    ]


def _settings_there(client: KafkaAdminClient, name: str) -> Mapping[str, Any]:
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    answer = client.describe_configs([resource], config_filter="all")
    return {setting: one["value"] for setting, one in answer["topic"][name].items()}


def misfit_for_workers(settings: Settings) -> str | None:
    """Why workers cannot start on the topics as they are; None where they can.

    Settings of retention may be an operator's own; absent topics and other numbers of partitions are not.
    """
    serious = [
        one for one in compare(settings) if one.what == "topic" or (one.what == "partitions" and _uneven(settings))
    ]
    if not serious:
        return None
    hidden = f"; an absent one may also be hidden from {settings.sasl_username}" if settings.sasl_username else ""
    named = ", ".join(f"{one.topic} ({one.what}: {one.found}, declared {one.declared})" for one in serious)
    return f"topics are not as declared: {named}; run `dli topics apply`, or see all by `dli topics check`{hidden}"


def _uneven(settings: Settings) -> bool:
    with admin(settings) as client:
        per_request = [settings.topic(topic.name) for topic in TOPICS if topic.partitions > 1]
        counts = {len(one["partitions"]) for one in client.describe_topics(per_request)}
    return len(counts) > 1
