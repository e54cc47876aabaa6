"""Time goes wrong: clocks jump, and workers stand still for longer than their group waits for them."""

import signal
from pathlib import Path

import pytest

from tests.faults import jumping_clock
from tests.faults.flow import SESSION_SECONDS, flowing
from tests.faults.report import Report
from tests.faults.workload import Pool
from workers.brokers import Broker

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


def test_a_worker_that_stood_still_for_longer_than_its_session_doubles_nothing(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
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
