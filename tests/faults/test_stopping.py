"""Workers that are told to stop, one after the other or for good, while requests flow."""

from pathlib import Path

import pytest

from tests.faults.flow import PARTITIONS, Flow, flowing, moved, taken_over
from tests.faults.report import Report
from tests.faults.workload import Pool
from workers.dev_brokers import Broker

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

DRAINED_WITHIN_SECONDS = 10.0
RATE = 1_000


def stop_one(flow: Flow, place: int) -> float:
    """Tell one worker to stop; the seconds that it took."""
    flow.fault()
    worker = flow.fleet.workers[place]
    took = worker.stop()
    assert worker.process is not None
    assert worker.process.returncode == 0, worker.said()
    return took


def test_a_worker_under_load_stops_within_ten_seconds(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """A worker that gets a stop signal under load is gone within ten seconds."""
    took = []
    with flowing(broker.bootstrap, pool.first(20_000), tmp_path, prefix) as flow:
        # All at once: there is always a full batch in progress.
        flow.publisher.allow(12_000)
        for place in range(3):
            flow.fleet.workers[place].start()
            flow.fleet.await_ready()
            took.append(stop_one(flow, place))
            flow.publisher.allow(12_000 + 2_000 * (place + 1))
        flow.fleet.start(1)
        flow.await_back()
        counted = flow.finish()

    report.add("SIGTERM under load", len(took), counted, notes=f"gone after at most {max(took):.1f} s")
    assert counted.clean
    assert max(took) < DRAINED_WITHIN_SECONDS


def test_a_rolling_restart_loses_and_duplicates_nothing(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """A rolling restart of three workers loses nothing and duplicates nothing."""
    with flowing(broker.bootstrap, pool.first(25_000), tmp_path, prefix) as flow:
        flow.fleet.start(3)
        flow.publisher.allow(22_000, RATE)
        took = []
        for place in range(3):
            flow.pass_time(2)
            took.append(stop_one(flow, place))
            flow.fleet.start(1)
        flow.publisher.allow(25_000, RATE)
        flow.await_back()
        counted = flow.finish()
        owners, seconds = flow.fleet.owners(), flow.recoveries()

    report.add("rolling restart", 3, counted, seconds, notes=f"gone after at most {max(took):.1f} s")
    assert counted.clean
    assert len(seconds) == 3
    assert max(took) < DRAINED_WITHIN_SECONDS
    assert len(list(moved(owners))) == PARTITIONS


def test_from_one_worker_to_three_and_back_under_load(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    with flowing(broker.bootstrap, pool.first(25_000), tmp_path, prefix) as flow:
        flow.fleet.start(1)
        flow.publisher.allow(22_000, RATE)
        flow.pass_time(2)
        flow.fault()
        flow.fleet.start(2)
        flow.pass_time(4)
        busy = [one for one in flow.fleet.workers if one.logs and taken_over(one.logs[-1])]
        stop_one(flow, 1)
        flow.pass_time(2)
        stop_one(flow, 0)
        flow.publisher.allow(25_000, RATE)
        flow.await_back()
        counted = flow.finish()
        seconds = flow.recoveries()

    report.add("1 → 3 → 1 workers", 3, counted, seconds, notes=f"{len(busy)} had partitions")
    assert counted.clean
    assert len(seconds) == 3
    assert len(busy) == 3
