"""A broker that is away for two minutes: at a worker's start, while it runs, and while it stops."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from events.topics import POLICY_REVISIONS
from policy_core.history.chain import chain_of
from tests.faults.flow import Flow, Worker, eventually, flowing
from tests.faults.proxy import Proxy
from tests.faults.report import Report
from tests.faults.workload import Pool
from tests.support.cases import packaged
from tests.support.proxied_broker import proxied_broker
from tests.support.publishing import next_revision
from workers.main.run import STOP_SECONDS
from workers.policies.revision_events import as_record
from workers.traffic.commands import sent

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

AWAY_SECONDS = 120
RATE = 200

Harm = Callable[[Proxy], None]
HARMS = [pytest.param(Proxy.refuse, id="refused"), pytest.param(Proxy.swallow, id="swallowed")]


def loud(worker: Worker, event: str) -> int:
    """How often the worker said so at error level."""
    lines = [json.loads(line) for line in worker.said().splitlines() if line.startswith("{")]
    return sum((one["event"], one["level"]) == (event, "error") for one in lines)


def stop(worker: Worker) -> float:
    """Tell a worker to stop; the seconds that it took."""
    took = worker.stop()
    assert worker.process is not None
    assert worker.process.returncode == 0, worker.said()
    return took


def knows_more(flow: Flow, worker: Worker) -> bool:
    """Whether the worker takes up a revision that is published now."""
    new = next_revision(chain_of(packaged().document))
    found = flow.settings
    list(sent([as_record(new, found.topic(POLICY_REVISIONS), found.source, found.mode)], found))
    return eventually(lambda: "revision_in_force" in worker.said())


def test_a_starting_worker_waits_for_a_broker_that_is_away(
    pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """A worker that starts while the broker is away waits for it and can be stopped."""
    with (
        proxied_broker() as (broker, proxy, address),
        flowing(address, pool.first(2_000), tmp_path, prefix, direct=broker.bootstrap) as flow,
    ):
        proxy.refuse()
        patient, stopped, *_ = flow.fleet.workers
        patient.start()
        stopped.start()
        flow.publisher.allow(1_000)
        flow.fault()
        flow.pass_time(AWAY_SECONDS)
        assert patient.running
        took = stop(stopped)
        proxy.mend()
        flow.fleet.await_ready()
        flow.await_back()
        counted = flow.finish()
        back = flow.recoveries()

    report.add("broker away 120 s at the start", 1, counted, back, f"a worker that was told to stop: {took:.1f} s")
    assert counted.clean
    assert took < STOP_SECONDS


@pytest.mark.parametrize("harm", HARMS)
def test_a_worker_survives_two_minutes_without_its_broker(
    pool: Pool, prefix: str, tmp_path: Path, report: Report, harm: Harm
) -> None:
    """A worker whose broker is away for two minutes says so and then goes on with all its work."""
    with (
        proxied_broker() as (broker, proxy, address),
        flowing(address, pool.first(4_000), tmp_path, prefix, direct=broker.bootstrap) as flow,
    ):
        flow.fleet.start(1)
        [worker] = flow.fleet.running
        flow.publisher.allow(3_000, RATE)
        flow.await_answers(100)
        flow.fault()
        harm(proxy)
        flow.pass_time(AWAY_SECONDS)
        assert not worker.ready()
        said = loud(worker, "revisions_unread")
        proxy.mend()
        flow.await_back()
        flow.fleet.await_ready()
        counted = flow.finish()
        back = flow.recoveries()
        [worker] = flow.fleet.running
        taken_up = knows_more(flow, worker)

    notes = f"{harm.__name__}; said {said} times that revisions are unread; a revision after it taken up: {taken_up}"
    report.add("broker away 120 s while running", 1, counted, back, notes)
    assert counted.clean
    assert 1 <= said <= 3
    assert taken_up


@pytest.mark.parametrize("harm", HARMS)
def test_a_worker_stops_in_time_while_the_broker_is_away(
    pool: Pool, prefix: str, tmp_path: Path, report: Report, harm: Harm
) -> None:
    """A worker that gets a stop signal while the broker is away ends before its supervisor kills it."""
    with (
        proxied_broker() as (broker, proxy, address),
        flowing(address, pool.first(4_000), tmp_path, prefix, direct=broker.bootstrap) as flow,
    ):
        flow.fleet.start(2)
        flow.publisher.allow(3_000, 2 * RATE)
        flow.await_answers(100)
        flow.fault()
        harm(proxy)
        began = time.monotonic()
        first, second = flow.fleet.running
        took = [stop(first)]  # at once: batches are under way
        flow.pass_time(AWAY_SECONDS - (time.monotonic() - began))
        took.append(stop(second))
        proxy.mend()
        flow.fleet.start(1)
        flow.await_back()
        counted = flow.finish()
        back = flow.recoveries()

    notes = f"{harm.__name__}; gone {took[0]:.1f} s after SIGTERM at once, {took[1]:.1f} s at the end"
    report.add("broker away 120 s while stopping", 1, counted, back, notes)
    assert counted.clean
    assert max(took) < STOP_SECONDS
