"""The recount: of each partition exactly what its account is about, whatever lies before it or was never consumed."""

from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from events.topics import REQUESTS
from tests.support import generator
from tests.support.running import PARTITIONS, settings_for
from workers.accounts.account import Account, Recounted, decisions_under, recount
from workers.configuration.settings import Settings
from workers.topics import apply_topics


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def publish(found: Settings, counts: dict[int, int]) -> None:
    """So many requests to each partition."""
    with KafkaProducer(bootstrap_servers=found.bootstrap, acks="all") as producer:
        for partition, count in counts.items():
            for number in range(count):
                value = generator.encode(generator.request(partition, number))
                producer.send(found.topic(REQUESTS), value, partition=partition)
        producer.flush()


def commit(found: Settings, partition: int, offset: int, account: Account | None) -> None:
    """What a worker commits: an offset, and the account of all before it."""
    consumer = KafkaConsumer(bootstrap_servers=found.bootstrap, group_id=found.app_id, enable_auto_commit=False)
    try:
        tp = TopicPartition(found.topic(REQUESTS), partition)
        consumer.assign([tp])
        consumer.commit({tp: OffsetAndMetadata(offset, account.note() if account else "", -1)})
    finally:
        consumer.close()


def recounted(found: Settings) -> dict[int, Recounted]:
    return {one.partition: one for one in recount(found)}


@pytest.mark.broker
def test_what_lies_outside_an_account_is_not_recounted(found: Settings) -> None:
    """Requests before an account was opened, and behind the committed offset, are neither counted nor told as gone."""
    publish(found, {0: 10, 1: 6})
    opened_late = Account(since=3, consumed=5, decided=4, dead_lettered=1)
    commit(found, 0, 8, opened_late)
    commit(found, 1, 4, None)

    late, without, *_ = recounted(found).values()

    assert (late.account, late.requests, late.gone, late.problem) == (opened_late, 5, 0, None)
    assert (without.account, without.requests, without.gone, without.problem) == (None, 4, 0, None)


@pytest.mark.broker
def test_decisions_by_revision_are_summed_over_partitions(found: Settings) -> None:
    """Partitions without an account, or without any commit, count nothing."""
    publish(found, {0: 10, 1: 6, 2: 3})
    commit(found, 0, 8, Account(0, 8, 8, under={("P-1", "2016-03-08"): 5, ("P-1", "2011-08-11"): 3}))
    commit(found, 1, 4, Account(0, 4, 4, under={("P-1", "2016-03-08"): 4}))
    commit(found, 2, 3, None)

    assert decisions_under(found) == {("P-1", "2016-03-08"): 9, ("P-1", "2011-08-11"): 3}


@pytest.mark.broker
def test_where_nothing_was_consumed_nothing_is_recounted(found: Settings) -> None:
    """Requests that wait in a partition nobody has read yet are none of the account's, and none is missing of them."""
    publish(found, {0: 3, 2: 1})

    assert recounted(found) == {
        partition: Recounted(partition, None, 0, 0, 0, 0, gone=0, moved=False) for partition in range(PARTITIONS)
    }


@pytest.mark.kafka
@pytest.mark.broker
def test_what_retention_removed_is_told_as_gone(found: Settings) -> None:
    """Requests of the account that the broker has removed cannot be counted again: how many says the recount."""
    publish(found, {0: 10})
    account = Account(since=0, consumed=9, decided=9)
    commit(found, 0, 9, account)
    admin = KafkaAdminClient(bootstrap_servers=found.bootstrap)
    try:
        admin.delete_records({TopicPartition(found.topic(REQUESTS), 0): 4})
    finally:
        admin.close()

    one = recounted(found)[0]

    assert (one.account, one.requests, one.gone, one.problem) == (account, 5, 4, None)
