"""How topics may lie on a cluster."""

from events.topics import TOPICS
from workers.configuration.settings import read
from workers.topics.layout import TopicLayout

FOUND = read(topic_prefix="p.", partitions=4)


def lying(partitions: int = 4, **others: int) -> dict[str, TopicLayout]:
    """All topics in order, but for the numbers of some (by the last part of their names)."""
    return {
        FOUND.topic(topic.name): TopicLayout(
            f"id of {topic.name}",
            others.get(topic.name.rpartition(".")[2], 1 if topic.partitions == 1 else partitions),
        )
        for topic in TOPICS
    }
