"""Creates the declared topics on a cluster, and compares them with it."""

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from kafka.admin import ConfigResource, ConfigResourceType

from events.topics import LIMIT, TIME, TOPICS, Topic
from policy_core.history.library import load_library
from workers.configuration.settings import Settings
from workers.kafka import clients
from workers.kafka.clients import KafkaAdminClient
from workers.kafka.connect import LONG_PATIENCE
from workers.kafka.errors import TopicsError, topic_errors
from workers.policies.publish_packaged import publish_packaged


class Difference(NamedTuple):
    """A deviation of a topic from its declaration."""

    topic: str
    what: str
    declared: str
    found: str


def admin(settings: Settings) -> AbstractContextManager[KafkaAdminClient]:
    """An admin client, closed on exit.

    Raises:
        AccessRefusedError: The cluster refuses us, or we lack a permission.
        TopicsError: The cluster does not respond.
    """
    return clients.admin(settings, "admin", LONG_PATIENCE, topic_errors)


def partitions(topic: Topic, settings: Settings) -> int:
    """A topic's number of partitions in this deployment."""
    return settings.partitions if topic.alike and settings.partitions is not None else topic.partitions


class Applied(NamedTuple):
    """The result of `apply`."""

    created: list[str]
    """The created topics."""
    altered: list[Difference]
    """Settings that were changed to their declared values."""
    left: list[Difference]
    """Deviations that were left."""
    published: int = 0
    """The number of revisions published from packaged documents."""


def apply(settings: Settings) -> Applied:
    """Prepare a cluster for workers: create the topics, and publish the packaged documents' revisions.

    Workers may not write to the topic of revisions (`policies.publish_packaged`).

    Raises:
        TopicsError: The cluster does not respond, or refuses a setting.
        ForkedError: The documents contradict the published revisions.
        ReadingError: The brokers do not respond, or refuse access.
        PolicyDocumentError: A document or the publishers' keys are invalid.
    """
    library = load_library(settings.policies, settings.default_policy)
    return declare(settings)._replace(published=publish_packaged(settings, library))


def declare(settings: Settings) -> Applied:
    """Create missing topics, and correct mandatory settings of existing ones.

    These are the timestamp type and a record size limit that is too small: changing them loses no data. Retention and
    the number of partitions may be an operator's own choice.

    Raises:
        TopicsError: The cluster does not respond, or refuses a setting.
    """
    with admin(settings) as client:
        missing = _create(client, settings, TOPICS)
        differences = [difference for difference in _differences(client, settings) if difference.topic not in missing]
        altered = [difference for difference in differences if _is_ours(difference)]
        for difference in altered:
            set_on_topic(client, difference.topic, {difference.what: difference.declared})
        return Applied(missing, altered, [difference for difference in differences if difference not in altered])


def make(settings: Settings, name: str) -> list[str]:
    """Create one declared topic if it is missing; return its full name if created.

    Raises:
        TopicsError: The cluster does not respond.
        AccessRefusedError: We lack the permission.
    """
    with admin(settings) as client:
        return _create(client, settings, [topic for topic in TOPICS if topic.name == name])


def _create(client: KafkaAdminClient, settings: Settings, wanted: Iterable[Topic]) -> list[str]:
    """Create the missing topics; return their full names."""
    present = set(client.list_topics())
    missing = {
        name: {
            "num_partitions": partitions(topic, settings),
            "replication_factor": settings.replication_factor,
            "configs": topic.settings(),
        }
        for topic in wanted
        for name in [settings.topic(topic.name)]
        if name not in present
    }
    if missing:
        client.create_topics(missing, wait_for_metadata=True)
    return sorted(missing)


def _is_ours(difference: Difference) -> bool:
    """Whether this setting is mandatory and can be changed without loss."""
    too_small = (
        difference.what == LIMIT and difference.found.isdecimal() and int(difference.found) < int(difference.declared)
    )
    return difference.what == TIME or too_small


def set_on_topic(client: KafkaAdminClient, name: str, configuration: Mapping[str, str]) -> None:
    """Change some of a topic's configuration, and wait until the brokers report it.

    Raises:
        TopicsError: The cluster refuses, or its brokers do not adopt it.
    """
    answer = client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(configuration))])
    outcome = answer["topic"][name]
    if outcome != "OK":
        what = ", ".join(f"{setting}={value}" for setting, value in configuration.items())
        raise TopicsError(f"{name}: {what} cannot be set: {outcome}; see `dli rights --role operator`")
    # Brokers learn of it shortly after the controller.
    deadline = time.monotonic() + LONG_PATIENCE
    while any(settings_there(client, name).get(setting) != value for setting, value in configuration.items()):
        if time.monotonic() > deadline:
            raise TopicsError(f"{name}: {', '.join(configuration)} was set, but the brokers do not show it; look again")
        time.sleep(0.05)


def compare(settings: Settings) -> list[Difference]:
    """All deviations of the cluster's topics from their declarations."""
    with admin(settings) as client:
        return _differences(client, settings)


def _differences(client: KafkaAdminClient, settings: Settings) -> list[Difference]:
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
    there = settings_there(client, name)
    return [
        Difference(name, setting, value, str(there.get(setting, "not set")))
        for setting, value in declared.items()
        if there.get(setting) != value
    ]


def settings_there(client: KafkaAdminClient, name: str) -> Mapping[str, Any]:
    """A topic's whole configuration, including defaults."""
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    answer = client.describe_configs([resource], config_filter="all")
    return {setting: entry["value"] for setting, entry in answer["topic"][name].items()}


_LIMIT = "max.message.bytes"


def too_small(settings: Settings) -> list[Difference]:
    """The topics whose record size limit is smaller than declared.

    Not a reason not to start: nearly all answers are far smaller, and a larger one becomes a small dead letter. But the
    operator should know.
    """
    return [
        difference
        for difference in compare(settings)
        if difference.what == _LIMIT and difference.found.isdigit() and int(difference.found) < int(difference.declared)
    ]


def misfit_for_workers(settings: Settings) -> str | None:
    """Why workers cannot start on these topics; None if they can.

    Retention may be an operator's own choice. Missing topics, uneven numbers of partitions and producers' timestamps
    are not: with the last, retention would depend on every producer's clock.
    """
    serious = [
        difference
        for difference in compare(settings)
        if difference.what in {"topic", TIME} or (difference.what == "partitions" and _uneven(settings))
    ]
    if not serious:
        return None
    hidden = f"; an absent one may also be hidden from {settings.sasl_username}" if settings.sasl_username else ""
    named = ", ".join(f"{topic} ({what}: {found}, declared {declared})" for topic, what, declared, found in serious)
    return f"topics are not as declared: {named}; run `dli topics apply`, or see all by `dli topics check`{hidden}"


def _uneven(settings: Settings) -> bool:
    with admin(settings) as client:
        return len(set(counts(client, settings).values())) > 1


def counts(client: KafkaAdminClient, settings: Settings) -> dict[str, int]:
    """The numbers of partitions, by full name, of the existing topics that must have as many as requests."""
    present = set(client.list_topics())
    wanted = [name for topic in TOPICS if topic.alike and (name := settings.topic(topic.name)) in present]
    return (
        {description["name"]: len(description["partitions"]) for description in client.describe_topics(wanted)}
        if wanted
        else {}
    )
