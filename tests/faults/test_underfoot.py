"""Topics and groups that change while workers run: what they stand on is taken from under them."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from kafka import KafkaConsumer

from events.topics import ANSWERED, DECISIONS, REQUESTS
from tests.faults.flow import PATIENCE_SECONDS, Worker, eventually
from tests.faults.group import PARTITIONS, WORKERS, administer, all_answered, ask, counted, fleet
from tests.faults.report import Report
from tests.faults.workload import Pool
from tests.support.running import everything_on
from workers.configuration.settings import Settings
from workers.dev_brokers import Broker
from workers.state.request_digests import digest as digest_of_id
from workers.stream import EXIT_PROCESSOR_LOST
from workers.topics import apply_topics

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

NOTICED_SECONDS = 30.0
"""Until every worker has noticed: a promise."""


def delete(found: Settings, name: str) -> None:
    administer(found, lambda client: client.delete_topics([found.topic(name)]))


def create_again(found: Settings, name: str) -> None:
    delete(found, name)
    assert eventually(lambda: bool(apply_topics.apply(found).created))


def loud(worker: Worker, level: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in worker.said().splitlines() if line.startswith("{")]
    return [one for one in lines if one["level"] == level]


def misses_topics(worker: Worker) -> bool:
    """Whether the worker says loudly that topics are absent."""
    return any(one["event"] == "topics_absent" for one in loud(worker, "error"))


def await_end(workers: Sequence[Worker]) -> list[int]:
    """The codes with which they end, each by itself."""
    return [one.process.wait(PATIENCE_SECONDS) for one in workers if one.process is not None]


def astray(found: Settings) -> int:
    """How many digests and decisions are in another partition than their request."""
    at = {bytes(one.key): one.partition for one in everything_on(found, REQUESTS)}
    by_digest = {digest_of_id(key): partition for key, partition in at.items()}
    decisions = [at[bytes(one.key)] != one.partition for one in everything_on(found, DECISIONS)]
    digests = [by_digest[bytes(one.key)] != one.partition for one in everything_on(found, ANSWERED)]
    assert decisions
    assert digests
    return decisions.count(True) + digests.count(True)


@pytest.mark.parametrize("grown", [REQUESTS, ANSWERED, DECISIONS])
def test_partitions_added_to_one_topic_end_every_worker(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report, grown: str
) -> None:
    """Partitions added to one topic end every worker before any record goes astray."""
    asked = pool.first(3_000).asked
    with fleet(broker, prefix, tmp_path) as (workers, found):
        workers.start(WORKERS)
        over = Event()

        def keep_asking() -> None:
            for start in range(0, len(asked), 50):
                if not over.wait(0.5):
                    ask(found, asked[start : start + 50])

        asking = Thread(target=keep_asking)
        asking.start()
        try:
            assert eventually(lambda: len(everything_on(found, DECISIONS)) > 0)
            began = time.monotonic()
            administer(found, lambda client: client.create_partitions({found.topic(grown): 2 * PARTITIONS}))
            codes = await_end(workers.workers)
            noticed = time.monotonic() - began
        finally:
            over.set()
            asking.join()
        sentences = [loud(one, "critical")[0]["event"] for one in workers.workers]
        workers.workers[0].start()
        refused = await_end(workers.workers[:1])
        stray, there = astray(found), counted(found, asked)

    there = there._replace(requests=there.requests - there.lost, lost=0)  # no worker may go on with the rest
    notes = f"{grown}; all ended {noticed:.1f} s after; {stray} digests and decisions in another partition"
    report.add("partitions added to one topic", 1, there, notes=notes)
    assert stray == 0
    assert there.clean
    assert (codes, refused) == ([EXIT_PROCESSOR_LOST] * WORKERS, [1])
    assert noticed < NOTICED_SECONDS
    for one in sentences:
        assert found.topic(grown) in one
        assert "dli topics check" in one


def test_running_workers_read_a_recreated_topic_of_requests(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """A topic of requests that is deleted and recreated is read by the workers that are running."""
    asked = pool.first(900).asked
    took = []
    with fleet(broker, prefix, tmp_path) as (workers, found):
        workers.start(WORKERS)
        for start, behind in ((0, 300), (300, 900)):
            ask(found, asked[start:behind])
            assert all_answered(found, asked[:behind])
            if start == 0:
                create_again(found, REQUESTS)
                began = time.monotonic()
        took.append(time.monotonic() - began)
        # More come to the new log than the old one had, and the old ones once more: each is known.
        ask(found, asked[:300])
        workers.await_ready()
        there = counted(found, asked)
        ended = [one.process.poll() for one in workers.workers if one.process is not None]

    notes = f"all that came to the new one answered {took[0]:.1f} s after"
    report.add("topic of requests created again", 1, there, notes=notes)
    assert there.clean
    assert ended == [None] * WORKERS
    assert took[0] < NOTICED_SECONDS


def test_readiness_requires_the_topic_of_requests(broker: Broker, pool: Pool, prefix: str, tmp_path: Path) -> None:
    """No worker is ready without the topic of requests; a spare is ready while others hold all of it."""
    asked = pool.first(300).asked
    with fleet(broker, prefix, tmp_path) as (workers, found):
        workers.start(WORKERS)
        delete(found, REQUESTS)
        assert eventually(lambda: all(map(misses_topics, workers.workers)), NOTICED_SECONDS)
        assert [one.ready() for one in workers.workers] == [False] * WORKERS
        assert all(one.running for one in workers.workers)
        apply_topics.apply(found)
        workers.await_ready()
        ask(found, asked)
        assert all_answered(found, asked)


def test_recreated_digests_end_the_workers_and_new_ones_go_on(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """A topic of digests that is deleted and recreated ends the workers, and new workers go on."""
    asked = pool.first(600).asked
    with fleet(broker, prefix, tmp_path) as (workers, found):
        workers.start(WORKERS)
        ask(found, asked[:300])
        assert all_answered(found, asked[:300])
        began = time.monotonic()
        create_again(found, ANSWERED)
        codes = await_end(workers.workers)
        noticed = time.monotonic() - began
        workers.start(WORKERS)
        ask(found, asked[300:])
        assert all_answered(found, asked)
        there = counted(found, asked)

    report.add("topic of digests created again", 1, there, notes=f"all ended {noticed:.1f} s after, and began anew")
    assert there.clean
    assert codes == [EXIT_PROCESSOR_LOST] * WORKERS
    assert noticed < NOTICED_SECONDS


def test_a_foreign_consumer_in_the_group_ends_the_worker(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """A worker ends if another application uses its group, and joins once that application is gone."""
    asked = pool.first(300).asked
    with fleet(broker, prefix, tmp_path) as (workers, found):
        other = KafkaConsumer(
            found.topic(REQUESTS), bootstrap_servers=found.bootstrap, group_id=found.app_id, enable_auto_commit=False
        )
        leaving = Event()

        def take_part() -> None:
            while not leaving.is_set():
                other.poll(timeout_ms=200)
            other.close()

        taking_part = Thread(target=take_part)
        taking_part.start()
        try:
            assert eventually(lambda: bool(other.assignment()))
            workers.workers[0].start()
            began = time.monotonic()
            codes = await_end(workers.workers[:1])
            noticed = time.monotonic() - began
        finally:
            leaving.set()
            taking_part.join()
        [last] = loud(workers.workers[0], "critical")[:1]
        ask(found, asked)
        workers.start(1)
        assert all_answered(found, asked)
        there = counted(found, asked)

    report.add("group used by another application", 1, there, notes=f"ended {noticed:.1f} s after its start")
    assert there.clean
    assert codes == [EXIT_PROCESSOR_LOST]
    assert "another application uses this group" in last["event"]
