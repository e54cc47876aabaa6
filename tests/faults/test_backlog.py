"""More requests wait than a worker could hold."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.flow import flowing
from tests.faults.report import Report
from tests.faults.workload import Pool
from workers.brokers import Broker

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

BOUND_MB = 400


def test_a_worker_takes_no_more_than_it_can_hold_of_what_waits(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report, times: Callable[[int, int], int]
) -> None:
    waiting = times(200_000, 1_000_000)
    sizes = []
    with flowing(broker.bootstrap, pool.first(waiting), tmp_path, prefix) as flow:
        flow.publisher.finish()
        flow.fault()
        flow.fleet.start(1)
        [worker] = flow.fleet.running
        idle = worker.rss_mb()
        while flow.watch.seen < waiting:
            flow.pass_time(0.25)
            sizes.append(worker.rss_mb())
        counted = flow.finish()

    quarters = " ".join(f"{sizes[len(sizes) * part // 4 - 1]:.0f}" for part in (1, 2, 3, 4))
    largest = max(sizes)
    notes = f"worker's memory in MB: {idle:.0f} when ready, after each quarter {quarters}, {largest:.0f} at most"
    report.add(f"{waiting:,} requests waiting", 0, counted, notes=notes)
    assert counted.clean
    assert largest < BOUND_MB
