"""More requests wait than a worker could hold."""

import time
from pathlib import Path

import pytest

from tests.faults.flow import all_committed, flowing
from tests.faults.report import Report
from tests.faults.workload import Pool, Workload
from workers.dev_brokers import Broker

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

BOUND_MB = 400
TIMES = 20
"""How often each request waits: those that come again are known, and not answered again."""
PATIENCE_SECONDS = 1_200.0


def test_a_worker_takes_no_more_of_a_backlog_than_it_can_hold(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """A worker takes no more than it can hold of a million requests that wait."""
    known = pool.first(50_000)
    waiting = Workload(list(known.asked) * TIMES)
    sizes = []
    with flowing(broker.bootstrap, waiting, tmp_path, prefix) as flow:
        flow.publisher.finish(PATIENCE_SECONDS)
        flow.fleet.start(1)
        [worker] = flow.fleet.running
        idle = worker.rss_mb()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all_committed(flow.settings, len(waiting.asked)):
            assert time.monotonic() < deadline, flow.fleet.said()
            flow.pass_time(0.5)
            sizes.append(worker.rss_mb())
        counted = flow.finish()

    quarters = " ".join(f"{sizes[len(sizes) * part // 4 - 1]:.0f}" for part in (1, 2, 3, 4))
    largest = max(sizes)
    notes = (
        f"{len(known.asked):,} requests {TIMES} times over; worker's memory in MB: {idle:.0f} when ready, "
        f"after each quarter {quarters}, {largest:.0f} at most"
    )
    report.add(f"{len(waiting.asked):,} records waiting", 0, counted, notes=notes)
    assert counted.clean
    assert largest < BOUND_MB
