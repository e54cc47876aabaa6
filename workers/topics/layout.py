"""The layout of the declared topics on the cluster: which logs they are, with how many partitions.

A worker's state (positions, local stores, the partition of an id) belongs to one log with a fixed number of partitions.
An operator can change both at run time; these functions detect it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code

from events.topics import TOPICS
from workers.configuration.settings import Settings
from workers.kafka.clients import KafkaAdminClient, new_admin


class TopicLayout(NamedTuple):
    """One topic on the cluster."""

    id: str | None
    """Kafka's id of this log; a recreated topic has another one. None if the brokers do not support ids."""
    partitions: int


Topology = Mapping[str, TopicLayout]
"""By full name, without missing topics."""


def topology(client: KafkaAdminClient, settings: Settings) -> Topology:
    """The declared topics on the cluster now.

    Raises:
        KafkaError: The cluster does not respond, or refuses access.
    """
    found = {}
    for description in client.describe_topics([settings.topic(topic.name) for topic in TOPICS]):
        error = for_code(description["error_code"])
        if error is TopicAuthorizationFailedError:
            raise error(description["name"])
        if error is not UnknownTopicOrPartitionError:
            found[description["name"]] = TopicLayout(description["topic_id"], len(description["partitions"]))
    return found


class Looker:
    """Polls the topics from one thread; close it afterwards."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: KafkaAdminClient | None = None

    def look(self) -> Topology:
        """The declared topics on the cluster now.

        Raises:
            KafkaError: The cluster does not respond, or refuses access; the next look reconnects.
            AccessRefusedError: The cluster refuses us.
        """
        try:
            self._client = self._client or new_admin(self._settings, "topology")
            return topology(self._client, self._settings)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; another look reconnects."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def absent(settings: Settings, now: Topology) -> list[str]:
    """The missing declared topics."""
    return [name for topic in TOPICS if (name := settings.topic(topic.name)) not in now]


def created_again(then: Topology, now: Topology) -> list[str]:
    """The recreated topics."""
    return sorted(name for name in then.keys() & now.keys() if then[name].id != now[name].id)


def resized(settings: Settings, then: Topology, now: Topology) -> str | None:
    """An error message if numbers of partitions are uneven or changed; otherwise None."""
    alike = {name: now[name].partitions for name in alike_topics(settings) if name in now}
    changed = [name for name in sorted(then.keys() & now.keys()) if then[name].partitions != now[name].partitions]
    if len(set(alike.values())) > 1:
        most = max(alike.values())
        return (
            f"topics that must have equally many partitions have not: {_by_number(alike)}; `dli topics check` shows "
            f"all, and `dli topics scale {most}` makes them even"
        )
    if changed:
        were = ", ".join(f"{name} had {then[name].partitions} and has {now[name].partitions}" for name in changed)
        return f"numbers of partitions changed ({were}): a worker starts anew on them; `dli topics check` shows all"
    return None


def _by_number(numbers: Mapping[str, int]) -> str:
    by_number: dict[int, list[str]] = {}
    for name, number in sorted(numbers.items()):
        by_number.setdefault(number, []).append(name)
    return "; ".join(f"{number} in {', '.join(names)}" for number, names in sorted(by_number.items(), reverse=True))


def alike_topics(settings: Settings) -> set[str]:
    """The topics that must have equally many partitions, by their full names."""
    return {settings.topic(topic.name) for topic in TOPICS if topic.alike}


def held_by_all(distribution: Iterable[Mapping[str, Iterable[int]]], topic: str, now: Topology) -> bool:
    """Whether the members together have every partition of a topic."""
    if topic not in now:
        return False
    held = {partition for member in distribution for partition in member.get(topic, ())}
    return held >= set(range(now[topic].partitions))
