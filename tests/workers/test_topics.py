"""The declared topics on a real broker."""

import time
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from events.topics import TOPICS
from tests.workers.running import settings_for
from tests.workers.test_cli import dli
from workers import topics
from workers.settings import Settings
from workers.topics import Difference, TopicsError

pytestmark = pytest.mark.broker


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    return settings_for(bootstrap, prefix, tmp_path)


def test_apply_creates_all_topics_as_declared_and_then_nothing(found: Settings) -> None:
    made = topics.apply(found)

    assert made == sorted(found.topic(topic.name) for topic in TOPICS)
    assert topics.compare(found) == []
    assert topics.apply(found) == []


def test_check_names_every_absent_topic(found: Settings) -> None:
    differences = topics.compare(found)

    assert differences == [Difference(found.topic(topic.name), "topic", "present", "absent") for topic in TOPICS]


def test_check_finds_another_retention_and_another_number_of_partitions(found: Settings) -> None:
    name = found.topic("authorization.requests")
    with topics.admin(found) as client:
        client.create_topics({name: {"num_partitions": 3, "replication_factor": 1}}, wait_for_metadata=True)
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "60000"})])

    differences = [one for one in topics.compare(found) if one.topic == name]

    assert Difference(name, "partitions", "4", "3") in differences
    assert Difference(name, "retention.ms", "1209600000", "60000") in differences


def test_the_command_exits_3_on_a_difference_and_0_without(found: Settings) -> None:
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--partitions", "4")

    before, applied, after = (dli("topics", verb, *where) for verb in ("check", "apply", "check"))

    assert (before.code, applied.code, after.code) == (3, 0, 0)
    assert "authorization.requests: topic is absent, declared present" in before.out


def test_workers_start_with_an_operators_retention_but_not_with_uneven_partitions(found: Settings) -> None:
    topics.apply(found)
    name = found.topic("authorization.decisions")
    with topics.admin(found) as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "60000"})])
    own_retention = topics.misfit_for_workers(found)
    with topics.admin(found) as client:
        client.create_partitions({name: 6})
        # A broker learns of new partitions a moment after the controller has made them.
        deadline = time.monotonic() + 30
        while len(client.describe_topics([name])[0]["partitions"]) != 6 and time.monotonic() < deadline:
            time.sleep(0.1)
    uneven = topics.misfit_for_workers(found)

    assert own_retention is None
    assert uneven is not None
    assert "dli topics apply" in uneven


def test_a_cluster_that_does_not_answer_is_a_sentence(found: Settings) -> None:
    nowhere = settings_for("127.0.0.1:1", "x.", found.data_dir)

    with pytest.raises(TopicsError, match=r"127\.0\.0\.1:1.*is Kafka there"):
        topics.apply(nowhere)
