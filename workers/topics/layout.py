"""How the declared topics lie on the cluster: which logs they are, and of how many partitions.

What a worker knows of a topic (positions, copies, which partition an id belongs to) is of one log with one number of
partitions. An operator can change both while it runs; what follows from that is said here, as plain functions.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kafka.admin import KafkaAdminClient
from kafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code

from events.topics import TOPICS
from workers.kafka import connect
from workers.settings import Settings

PATIENCE_MS = 8_000


class Lying(NamedTuple):
    """One topic, as it lies there."""

    id: str | None
    """Kafka's own for this log: a topic that is created again under its name has another one. None where brokers have
    none."""
    partitions: int


Topology = Mapping[str, Lying]
"""By name, in full; a topic that is absent is not in it."""


def topology(client: KafkaAdminClient, settings: Settings) -> Topology:
    """The declared topics as they lie there now.

    Raises:
        KafkaError: The cluster does not answer, or does not let us see.
    """
    found = {}
    for one in client.describe_topics([settings.topic(topic.name) for topic in TOPICS]):
        error = for_code(one["error_code"])
        if error is TopicAuthorizationFailedError:
            raise error(one["name"])
        if error is not UnknownTopicOrPartitionError:
            found[one["name"]] = Lying(one["topic_id"], len(one["partitions"]))
    return found


class Looker:
    """Looks again and again, from one thread; close it in the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: KafkaAdminClient | None = None

    def look(self) -> Topology:
        """The declared topics as they lie there now.

        Raises:
            KafkaError: The cluster does not answer, or does not let us see; the next look connects anew.
        """
        try:
            self._client = self._client or KafkaAdminClient(
                **connect.client(self._settings),
                client_id=f"{self._settings.app_id}-topology",
                bootstrap_timeout_ms=PATIENCE_MS,
                request_timeout_ms=PATIENCE_MS,
            )
            return topology(self._client, self._settings)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the cluster; a further look connects again."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def absent(settings: Settings, now: Topology) -> list[str]:
    """The declared topics that are not there."""
    return [name for topic in TOPICS if (name := settings.topic(topic.name)) not in now]


def created_again(then: Topology, now: Topology) -> list[str]:
    """The topics that are another log than before."""
    return sorted(name for name in then.keys() & now.keys() if then[name].id != now[name].id)


def resized(settings: Settings, then: Topology, now: Topology) -> str | None:
    """What to say of topics whose numbers of partitions no worker can go on with; None where there are none."""
    alike = {name: now[name].partitions for name in alike_topics(settings) if name in now}
    changed = [name for name in sorted(then.keys() & now.keys()) if then[name].partitions != now[name].partitions]
    if len(set(alike.values())) > 1:
        most = max(alike.values())
        return (
            f"topics that must have equally many partitions have not: {_told(alike)}; `dli topics check` shows all, "
            f"and `dli topics scale {most}` makes them even"
        )
    if changed:
        were = ", ".join(f"{name} had {then[name].partitions} and has {now[name].partitions}" for name in changed)
        return f"numbers of partitions changed ({were}): a worker starts anew on them; `dli topics check` shows all"
    return None


def _told(numbers: Mapping[str, int]) -> str:
    by_number: dict[int, list[str]] = {}
    for name, number in sorted(numbers.items()):
        by_number.setdefault(number, []).append(name)
    return "; ".join(f"{number} in {', '.join(names)}" for number, names in sorted(by_number.items(), reverse=True))


def alike_topics(settings: Settings) -> set[str]:
    """The topics that must have equally many partitions, by their full names."""
    return {settings.topic(topic.name) for topic in TOPICS if topic.alike}


def held_by_all(distribution: Iterable[Mapping[str, Iterable[int]]], topic: str, now: Topology) -> bool:
    """Whether every partition of a topic is some member's, by what each has of each topic."""
    if topic not in now:
        return False
    held = {partition for member in distribution for partition in member.get(topic, ())}
    return held >= set(range(now[topic].partitions))
