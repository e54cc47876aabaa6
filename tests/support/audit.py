"""A cluster without the topic of acts."""

from kafka.admin import KafkaAdminClient

from events.topics import AUDIT
from tests.support.running import eventually
from workers.configuration.settings import Settings


def without_the_topic(found: Settings) -> None:
    """The same deployment, without the topic of acts."""
    client = KafkaAdminClient(bootstrap_servers=found.bootstrap.split(","))
    try:
        client.delete_topics([found.topic(AUDIT)])
        assert eventually(lambda: found.topic(AUDIT) not in client.list_topics())
    finally:
        client.close()
