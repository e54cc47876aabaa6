"""An upgrade that changes a decision's bytes: a worker of each version in one group, and what they write together.

On Apache Kafka: the embedded broker loses a member that joins or leaves while the other commits.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import repeat
from pathlib import Path

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from events.origin_headers import writer_of
from events.topics import DEAD_LETTERS, DECISIONS, LEDGER, POLICY_REVISIONS, REQUESTS
from tests.support import generator
from tests.support.running import PARTITIONS, eventually, everything_on, offsets, publish, settings_for, worker
from tests.support.running_workers import all_committed
from tests.support.second_writer import BOTH
from tests.support.verifying import found_in, report
from workers.configuration.settings import Settings
from workers.event_log.asked import Asked
from workers.event_log.ranges import on_kafka
from workers.event_log.source import Source
from workers.topics import apply_topics

pytestmark = pytest.mark.kafka
CONSUMED = (DECISIONS, DEAD_LETTERS, LEDGER)
NEXT_VERSION = ("tests.support.second_writer",)


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


@contextmanager
def next_version(found: Settings, folder: Path) -> Iterator[None]:
    """A worker of the next version in the same group, on a machine of its own."""
    other = settings_for(found.bootstrap, found.topic_prefix, folder / "other")
    other.data_dir.parent.mkdir()
    with worker(other, folder, "next", NEXT_VERSION):
        yield


def requests(seed: int) -> list[bytes]:
    return [generator.encode(generator.request(seed, n)) for n in range(10 * PARTITIONS)]


def decide(found: Settings, lines: Sequence[bytes]) -> Counter[int | None]:
    """Publish requests; returns who wrote the new decisions, once all requests are done with."""
    before = {(record.partition, record.offset) for record in everything_on(found, DECISIONS)}
    publish(found, lines)
    assert eventually(lambda: all_committed(found) and all(map(caught_up, repeat(found), CONSUMED)))
    now = everything_on(found, DECISIONS)
    return Counter(writer(record) for record in now if (record.partition, record.offset) not in before)


def caught_up(found: Settings, topic: str) -> bool:
    """Whether nothing is left to commit: the embedded broker forgets a member that commits during a rebalance."""
    committed, ends = offsets(found, topic)
    # A transaction's end takes an offset of its own.
    return all(ends[partition] - committed[partition] <= 1 for partition in ends)


def writer(record: ConsumerRecord) -> int | None:
    return writer_of(tuple(record.headers))


def log(found: Settings) -> Source:
    return on_kafka(found.bootstrap, found.topic_prefix, [REQUESTS, DECISIONS, POLICY_REVISIONS], Asked())


def test_an_upgrade_answers_nothing_twice_and_is_verified(found: Settings, tmp_path: Path) -> None:
    """Old and new decide side by side; what was answered stays answered; each decision is made again by its writer."""
    early, during, late = (requests(seed) for seed in (61, 62, 63))
    with ExitStack() as old, ExitStack() as new:
        old.enter_context(worker(found, tmp_path))
        assert decide(found, early) == {1: len(early)}
        new.enter_context(next_version(found, tmp_path))
        both = decide(found, [*early, *during])
        # From here on, the new one takes over what the old one answered.
        old.close()
        alone = decide(found, [*early, *during, *late])
    decisions = everything_on(found, DECISIONS)

    assert both.keys() == {1, 2}
    assert (both.total(), alone) == (len(during), {2: len(late)})
    assert {record.key for record in decisions} == {
        json.loads(one)["request_id"].encode() for one in early + during + late
    }

    came = report(log(found), tmp_path / "both", topic_prefix=found.topic_prefix, writers=BOTH)
    unknown, findings = found_in(log(found), tmp_path / "old", topic_prefix=found.topic_prefix)

    assert (came.found, came.identical["decision"]) == ({}, len(decisions))
    assert unknown == {"not_replayable": Counter(map(writer, decisions))[2]}
    assert {finding["why"][:20] for finding in findings} == {"written by version 2"}
