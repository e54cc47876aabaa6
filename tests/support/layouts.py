"""How topics may lie on a cluster."""

from events.topics import TOPICS
from workers.configuration.settings import read
from workers.topics.layout import TopicLayout

FOUND = read(topic_prefix="p.", partitions=4)


def lying(partitions: int = 4, **others: int) -> dict[str, TopicLayout]:
    """All topics in order, but for the numbers of some (by their names, with `_` for what no argument may have)."""
    return {
        FOUND.topic(topic.name): TopicLayout(
            f"id of {topic.name}",
            others.get(topic.name.replace(".", "_").replace("-", "_"), 1 if topic.partitions == 1 else partitions),
        )
        for topic in TOPICS
    }
