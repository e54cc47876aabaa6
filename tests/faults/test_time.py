"""Time goes wrong: clocks jump, producers write any time, and workers stand still for longer than their group waits."""

import shutil
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from kafka import KafkaProducer

from events.topics import PRODUCERS_CLOCK, REQUESTS, TIME
from tests.faults import jumping_clock
from tests.faults.counting import count
from tests.faults.flow import SESSION_SECONDS, all_committed, answers, eventually, flowing
from tests.faults.publisher import HEADERS
from tests.faults.report import Report
from tests.faults.workload import Pool, Workload
from workers.configuration.settings import Settings
from workers.dev_brokers import Broker
from workers.topics import apply_topics

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

RATE = 1_500


def test_no_answer_depends_on_the_wall_clock(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    with flowing(broker.bootstrap, pool.first(20_000), tmp_path, prefix) as flow:
        for one in flow.fleet.workers:
            one.command[1:3] = [jumping_clock.__file__]
        flow.fleet.start(2)
        flow.publisher.allow(20_000, RATE)
        counted = flow.finish()

    report.add("clock jumps every 1.5 s", len(jumping_clock.JUMPS), counted, notes="up to 30 days back, 40 min ahead")
    assert counted.clean


def test_a_long_stalled_worker_duplicates_nothing(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """A worker that stalls for longer than its session duplicates nothing."""
    stalls = 4
    with flowing(broker.bootstrap, pool.first(30_000), tmp_path, prefix) as flow:
        flow.fleet.start(2)
        for number in range(stalls):
            stalled = flow.fleet.workers[number % 2]
            flow.publisher.allow(6_000 * (number + 1), RATE)
            flow.pass_time(1)
            flow.fault()
            stalled.signal(signal.SIGSTOP)
            flow.pass_time(2 * SESSION_SECONDS)
            # Its partitions are the other one's by now.
            flow.await_back()
            stalled.signal(signal.SIGCONT)
            flow.pass_time(2)
            flow.fleet.await_ready()
        counted = flow.finish()
        seconds = flow.recoveries()
        rejoined, gave_up = stalls - flow.fleet.gave_up, flow.fleet.gave_up

    notes = f"{SESSION_SECONDS * 2:g} s each; {rejoined} rejoined, {gave_up} were fenced and ended"
    report.add("worker stalled (SIGSTOP)", stalls, counted, seconds, notes)
    assert counted.clean
    assert len(seconds) == stalls


DAY_MS = 24 * 60 * 60 * 1000
KEPT_DAYS = 30
NEWEST = 2**63 - 1


def written(now: int) -> tuple[int, ...]:
    """What producers write for the time: the epoch, event times of long ago, microseconds, next year."""
    return (1, now - (KEPT_DAYS + 1) * DAY_MS, now, now * 1000, now - 8 * 365 * DAY_MS, now + 365 * DAY_MS)


def send(found: Settings, workload: Workload, times: Iterable[int]) -> None:
    """Publish the workload, its records with these times in turn."""
    producer = KafkaProducer(bootstrap_servers=found.bootstrap, acks="all", linger_ms=5)
    turn = list(times)
    sent = [
        producer.send(found.topic(REQUESTS), value, key=key, headers=HEADERS, timestamp_ms=turn[number % len(turn)])
        for number, (key, value, _) in enumerate(workload.asked)
    ]
    producer.flush()
    for one in sent:
        one.get(60)
    producer.close()


def test_no_answer_depends_on_the_clocks_of_producers(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    asked = pool.first(3_000)
    now = int(time.time() * 1000)
    with flowing(broker.bootstrap, asked, tmp_path, prefix, duplicates_kept_days=KEPT_DAYS) as flow:
        found = flow.settings
        with apply_topics.admin(found) as client:
            # As topics were before, and with nothing in the way of any time.
            own = {TIME: PRODUCERS_CLOCK, "retention.ms": "-1", "message.timestamp.after.max.ms": str(NEWEST)}
            apply_topics.set_on_topic(client, found.topic(REQUESTS), own)
        send(found, asked, written(now))
        flow.fleet.workers[0].start()
        refused = flow.fleet.workers[0].process
        assert refused is not None
        assert refused.wait(60) == 1
        assert "message.timestamp.type: CreateTime, declared LogAppendTime" in flow.fleet.workers[0].said()

        apply_topics.apply(found)
        flow.fleet.start(2)
        assert eventually(lambda: all_committed(found, 3_000)), flow.fleet.said()
        send(found, asked, reversed(written(now)))
        assert eventually(lambda: all_committed(found, 6_000)), flow.fleet.said()
        # What is remembered is read again from its topic.
        for one in flow.fleet.running:
            one.kill()
            shutil.rmtree(one.settings.data_dir)
        flow.fleet.start(2)
        flow.publisher.finish()
        assert eventually(lambda: all_committed(found, 9_000)), flow.fleet.said()
        counted = count(asked.expected, answers(found))

    notes = f"each request three times, memory of {KEPT_DAYS} days; no start before topics had the broker's time"
    report.add("clocks of producers", len(written(now)), counted, notes=notes)
    assert counted.clean
