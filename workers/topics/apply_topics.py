"""The declared topics on a real cluster: created, and compared with what is there."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import AuthorizationError, KafkaError

from events.topics import LIMIT, TIME, TOPICS, Topic
from policy_core.history.library import load_library
from workers.errors import DliError
from workers.kafka import connect
from workers.kafka.connect import AccessRefusedError
from workers.policies.publish_packaged import publish_packaged
from workers.settings import Settings

PATIENCE_MS = 10_000
"""How long the cluster's administration is waited for."""


class TopicsError(DliError):
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
        AccessRefusedError: The cluster does not let us in, or gives us no right to this.
        TopicsError: The cluster does not answer.
    """
    connect.check(settings)
    try:
        client = KafkaAdminClient(
            **connect.client(settings),
            client_id=f"{settings.app_id}-admin",
            bootstrap_timeout_ms=PATIENCE_MS,
        )
        try:
            yield client
        finally:
            client.close()
    except AuthorizationError as error:
        raise AccessRefusedError(connect.explained(settings, error)) from error
    except KafkaError as error:
        raise TopicsError(connect.explained(settings, error)) from error


def partitions(topic: Topic, settings: Settings) -> int:
    """How many partitions a topic has in this deployment."""
    return settings.partitions if topic.alike and settings.partitions is not None else topic.partitions


class Applied(NamedTuple):
    """What `apply` did."""

    created: list[str]
    """Names of the topics that were not there."""
    altered: list[Difference]
    """Settings that were otherwise, and are as declared now."""
    left: list[Difference]
    """What is otherwise, and stays so."""
    published: int = 0
    """How many revisions of packaged documents were published."""


def apply(settings: Settings) -> Applied:
    """Make a cluster ready for workers: topics as declared, and on them what the packaged documents know.

    No worker may write to the topic of revisions (`policies.publish_packaged`).

    Raises:
        TopicsError: The cluster does not answer, or refuses a setting.
        ForkedError: The documents and what is published contradict each other.
        ReadingError: The brokers do not answer, or give no right.
        PolicyDocumentError: A document, or the publishers' keys, cannot be used.
    """
    library = load_library(settings.policies, settings.default_policy)
    return declare(settings)._replace(published=publish_packaged(settings, library))


def declare(settings: Settings) -> Applied:
    """Create the topics that are not there, and set on those that are what must not be otherwise.

    That is whose clock a record's time is of, and a limit of a record's size that is too small: nothing that is on a
    topic is lost by either. How long records are kept, and the number of partitions, may be an operator's own choice.

    Raises:
        TopicsError: The cluster does not answer, or refuses a setting.
    """
    with admin(settings) as client:
        missing = _create(client, settings, TOPICS)
        differences = [one for one in _differences(client, settings) if one.topic not in missing]
        altered = [one for one in differences if _is_ours(one)]
        for one in altered:
            set_on_topic(client, one.topic, {one.what: one.declared})
        return Applied(missing, altered, [one for one in differences if one not in altered])


def make(settings: Settings, name: str) -> list[str]:
    """Create one declared topic where it is not there; its full name if it was not.

    Raises:
        TopicsError: The cluster does not answer.
        AccessRefusedError: It gives us no right to this.
    """
    with admin(settings) as client:
        return _create(client, settings, [one for one in TOPICS if one.name == name])


def _create(client: KafkaAdminClient, settings: Settings, wanted: Iterable[Topic]) -> list[str]:
    """Create those of the topics that are not there; their full names."""
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


def _is_ours(one: Difference) -> bool:
    """Whether this may never be otherwise, and can be set without loss."""
    too_small = one.what == LIMIT and one.found.isdecimal() and int(one.found) < int(one.declared)
    return one.what == TIME or too_small


def set_on_topic(client: KafkaAdminClient, name: str, configuration: Mapping[str, str]) -> None:
    """Set some of a topic's configuration, and wait until the brokers tell of it; the rest of it stays.

    Raises:
        TopicsError: The cluster refuses, or its brokers do not take it up.
    """
    answer = client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(configuration))])
    outcome = answer["topic"][name]
    if outcome != "OK":
        what = ", ".join(f"{setting}={value}" for setting, value in configuration.items())
        raise TopicsError(f"{name}: {what} cannot be set: {outcome}; see `dli rights --role operator`")
    # A broker hears of it a moment after the controller has it.
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while any(settings_there(client, name).get(setting) != value for setting, value in configuration.items()):
        if time.monotonic() > deadline:
            raise TopicsError(f"{name}: {', '.join(configuration)} was set, but the brokers do not show it; look again")
        time.sleep(0.05)


def compare(settings: Settings) -> list[Difference]:
    """Everything about the declared topics that the cluster has otherwise."""
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
    """A topic's whole configuration, defaults and all."""
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    answer = client.describe_configs([resource], config_filter="all")
    return {setting: one["value"] for setting, one in answer["topic"][name].items()}


_LIMIT = "max.message.bytes"


def too_small(settings: Settings) -> list[Difference]:
    """The topics of answers that take less in one record than is declared.

    No reason not to start: nearly all answers are far smaller, and for one that is not a small dead letter is sent. But
    whoever runs the workers is to know.
    """
    return [
        one
        for one in compare(settings)
        if one.what == _LIMIT and one.found.isdigit() and int(one.found) < int(one.declared)
    ]


def misfit_for_workers(settings: Settings) -> str | None:
    """Why workers cannot start on the topics as they are; None where they can.

    Settings of retention may be an operator's own. Absent topics, uneven numbers of partitions and times by the clocks
    of producers are not: on the last, how long requests and the memory of answers are kept would hang on every one.
    """
    serious = [
        one
        for one in compare(settings)
        if one.what in {"topic", TIME} or (one.what == "partitions" and _uneven(settings))
    ]
    if not serious:
        return None
    hidden = f"; an absent one may also be hidden from {settings.sasl_username}" if settings.sasl_username else ""
    named = ", ".join(f"{one.topic} ({one.what}: {one.found}, declared {one.declared})" for one in serious)
    return f"topics are not as declared: {named}; run `dli topics apply`, or see all by `dli topics check`{hidden}"


def _uneven(settings: Settings) -> bool:
    with admin(settings) as client:
        return len(set(counts(client, settings).values())) > 1


def counts(client: KafkaAdminClient, settings: Settings) -> dict[str, int]:
    """By full name: how many partitions each topic has that must have as many as requests; those that are there."""
    present = set(client.list_topics())
    wanted = [name for topic in TOPICS if topic.alike and (name := settings.topic(topic.name)) in present]
    return {one["name"]: len(one["partitions"]) for one in client.describe_topics(wanted)} if wanted else {}
