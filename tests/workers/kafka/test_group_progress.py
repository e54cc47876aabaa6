"""Whether a group has handled everything that was on its topics at a moment."""

import asyncio
from pathlib import Path

import pytest
from kafka import KafkaProducer

from events.topics import DECISIONS
from tests.support import generator
from tests.support.running import eventually, everything_on, publish, settings_for, worker
from workers.cases.passing_of_time import STAGES
from workers.configuration.settings import Settings
from workers.dev_brokers import free_ports
from workers.kafka import clients
from workers.kafka.group_progress import has_read, read_to_end
from workers.topics import apply_topics


def test_silent_brokers_are_no_sign_that_all_is_read() -> None:
    found = Settings(bootstrap=f"127.0.0.1:{free_ports().client}")
    assert not asyncio.run(has_read(found, ((),), 1.0))


@pytest.mark.kafka
def test_what_stands_behind_an_open_transaction_is_not_read(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """A worker that died left its transaction open; behind it stands a decision that is committed."""
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    dead = KafkaProducer(bootstrap_servers=found.bootstrap, transactional_id=f"{found.app_id}-dead")
    dead.init_transactions()
    dead.begin_transaction()
    dead.send(found.topic(DECISIONS), key=b"open", value=b"{}", partition=0).get(30)
    with clients.producer(found) as producer:
        producer.send(found.topic(DECISIONS), key=b"committed", value=b"{}", partition=0).get(30)
    with worker(found, tmp_path):
        early = read_to_end(found, ((DECISIONS,),), 5.0)
        dead.abort_transaction()
        dead.close()
        assert (early, read_to_end(found, ((DECISIONS,),), 60.0)) == (False, True)


@pytest.mark.kafka
def test_all_is_read_when_the_workers_have_committed_it(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """A group has read a stage when it has committed the offsets of its end, and not before."""
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    assert read_to_end(found, STAGES, 0.0)  # nothing is there
    publish(found, [generator.encode(generator.request(5, number)) for number in range(5)])
    assert not read_to_end(found, STAGES, 0.5)
    with worker(found, tmp_path):
        assert eventually(lambda: len(everything_on(found, DECISIONS)) == 5)
        assert read_to_end(found, STAGES, 60.0)
