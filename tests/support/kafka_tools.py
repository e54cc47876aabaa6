"""What the tests of every codec share with others."""

from itertools import cycle
from pathlib import Path

import pytest

from events.topics import TOPICS
from tests.support.commands import Ran, dli
from tests.support.running import settings_for
from workers.dev_brokers import free_ports
from workers.settings import Settings
from workers.topics import apply_topics

CODECS = (None, "gzip", "snappy", "lz4", "zstd")


@pytest.fixture(
    params=[
        pytest.param((None,), id="producers choose"),
        pytest.param(CODECS[1:], id="each topic another"),
        *[pytest.param((codec,), id=f"all topics {codec}", marks=pytest.mark.kafka) for codec in CODECS[1:]],
    ]
)
def found(request: pytest.FixtureRequest, bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    """Topics with what each producer chose, each with a codec of its own, or all with the same."""
    made = settings_for(bootstrap, prefix, tmp_path, exporter_port=free_ports().client)
    apply_topics.apply(made)
    with apply_topics.admin(made) as client:
        for topic, codec in zip(TOPICS, cycle(request.param)):
            if codec is not None:
                apply_topics.set_on_topic(client, made.topic(topic.name), {"compression.type": codec})
    return made


def run(found: Settings, *command: str) -> Ran:
    return dli(*command, "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
