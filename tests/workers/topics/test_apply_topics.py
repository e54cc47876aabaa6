"""The declared topics on a real broker."""

import time
from pathlib import Path

import pytest
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from events.topics import TOPICS, Topic
from tests.support.commands import dli
from tests.support.running import settings_for
from workers.configuration.settings import Settings
from workers.kafka.errors import TopicsError
from workers.topics import apply_topics
from workers.topics.apply_topics import Applied, Difference

pytestmark = pytest.mark.kafka


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    return settings_for(bootstrap, prefix, tmp_path)


def test_apply_creates_all_topics_as_declared_and_then_nothing(found: Settings) -> None:
    done = apply_topics.apply(found)

    assert done == Applied(sorted(found.topic(topic.name) for topic in TOPICS), [], [], published=19)
    assert apply_topics.compare(found) == []
    assert apply_topics.apply(found) == Applied([], [], [])


def test_check_names_every_absent_topic(found: Settings) -> None:
    differences = apply_topics.compare(found)

    assert differences == [Difference(found.topic(topic.name), "topic", "present", "absent") for topic in TOPICS]


def test_check_finds_other_retention_and_partition_counts(found: Settings) -> None:
    """The check finds another retention and another number of partitions."""
    name = found.topic("authorization.requests")
    with apply_topics.admin(found) as client:
        client.create_topics({name: {"num_partitions": 3, "replication_factor": 1}}, wait_for_metadata=True)
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "60000"})])

    differences = [one for one in apply_topics.compare(found) if one.topic == name]

    assert Difference(name, "partitions", "4", "3") in differences
    assert Difference(name, "retention.ms", "1209600000", "60000") in differences


def test_apply_sets_the_required_and_leaves_an_operators_own(found: Settings) -> None:
    """Apply sets what must be as declared and leaves what may be an operator's own."""
    apply_topics.apply(found)
    name = found.topic("authorization.requests")
    own = {"message.timestamp.type": "CreateTime", "max.message.bytes": "1000000", "retention.ms": "60000"}
    with apply_topics.admin(found) as client:
        apply_topics.set_on_topic(client, name, own)

    done = apply_topics.apply(found)

    declared = {
        "message.timestamp.type": Difference(name, "message.timestamp.type", "LogAppendTime", "CreateTime"),
        "max.message.bytes": Difference(name, "max.message.bytes", "2097152", "1000000"),
        "retention.ms": Difference(name, "retention.ms", "1209600000", "60000"),
    }
    left = [declared["retention.ms"]]
    assert (done.created, {one.what: one for one in done.altered}, done.left) == (
        [],
        {what: one for what, one in declared.items() if what != "retention.ms"},
        left,
    )
    assert apply_topics.compare(found) == left


def test_apply_keeps_a_limit_that_an_operator_has_raised(found: Settings) -> None:
    apply_topics.apply(found)
    name = found.topic("authorization.requests")
    with apply_topics.admin(found) as client:
        apply_topics.set_on_topic(client, name, {"max.message.bytes": "5000000"})

    done = apply_topics.apply(found)

    assert (done.altered, [one.what for one in done.left]) == ([], ["max.message.bytes"])


def test_a_record_has_the_brokers_time(found: Settings) -> None:
    """A record has the broker's time, whatever time its producer wrote."""
    apply_topics.apply(found)
    producer = KafkaProducer(bootstrap_servers=found.bootstrap.split(","), acks="all")
    before = time.time() * 1000
    written = [producer.send(found.topic("authorization.requests"), b"x", timestamp_ms=one) for one in (1, 2**50)]
    producer.flush()
    producer.close()

    for one in written:
        assert before - 60_000 < one.get(10).timestamp < time.time() * 1000 + 60_000


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_workers_do_not_start_on_a_topic_with_producer_times(found: Settings, topic: Topic) -> None:
    """Workers do not start on a topic with the times of its producers."""
    apply_topics.apply(found)
    with apply_topics.admin(found) as client:
        apply_topics.set_on_topic(client, found.topic(topic.name), {"message.timestamp.type": "CreateTime"})

    misfit = apply_topics.misfit_for_workers(found)

    assert misfit is not None
    assert f"{topic.name} (message.timestamp.type: CreateTime, declared LogAppendTime)" in misfit
    apply_topics.apply(found)
    assert apply_topics.misfit_for_workers(found) is None


def test_the_command_says_what_it_set_and_what_it_left(found: Settings) -> None:
    apply_topics.apply(found)
    name = found.topic("policy.revisions")
    with apply_topics.admin(found) as client:
        apply_topics.set_on_topic(client, name, {"message.timestamp.type": "CreateTime", "retention.ms": "60000"})
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--partitions", "4")

    checked, applied = dli("topics", "check", *where), dli("topics", "apply", *where)

    assert f"{name}: message.timestamp.type is CreateTime, declared LogAppendTime" in checked.out
    assert (checked.code, applied.code) == (3, 0)
    assert f"{name}: message.timestamp.type was CreateTime, is LogAppendTime now" in applied.err
    assert f"{name}: retention.ms is 60000, declared -1; left as it is" in applied.err


def test_the_command_exits_3_on_a_difference_and_0_without(found: Settings) -> None:
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--partitions", "4")

    before, applied, after = (dli("topics", verb, *where) for verb in ("check", "apply", "check"))

    assert (before.code, applied.code, after.code) == (3, 0, 0)
    assert "authorization.requests: topic is absent, declared present" in before.out


def test_only_uneven_partitions_keep_workers_from_starting(found: Settings) -> None:
    """Workers start with an operator's own retention but not with uneven partitions."""
    apply_topics.apply(found)
    name = found.topic("authorization.decisions")
    with apply_topics.admin(found) as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "60000"})])
    own_retention = apply_topics.misfit_for_workers(found)
    with apply_topics.admin(found) as client:
        client.create_partitions({name: 6})
        # A broker learns of new partitions a moment after the controller has made them.
        deadline = time.monotonic() + 30
        while len(client.describe_topics([name])[0]["partitions"]) != 6 and time.monotonic() < deadline:
            time.sleep(0.1)
    uneven = apply_topics.misfit_for_workers(found)

    assert own_retention is None
    assert uneven is not None
    assert "dli topics apply" in uneven


def test_a_cluster_that_does_not_answer_is_a_sentence(found: Settings) -> None:
    nowhere = settings_for("127.0.0.1:1", "x.", found.data_dir)

    with pytest.raises(TopicsError, match=r"127\.0\.0\.1:1.*is Kafka there"):
        apply_topics.apply(nowhere)
