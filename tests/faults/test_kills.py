"""Workers die at random, by `kill -9`, while requests flow and partitions move between one, two and three of them."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.faults.flow import PARTITIONS, SESSION_SECONDS, Flow, flowing, moved
from tests.faults.report import Report
from tests.faults.workload import Pool
from workers.configuration.settings import Delivery
from workers.dev_brokers import Broker

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

PAUSES = (0.5, 6.5)
"""Seconds between two kills, at least and at most: some hit workers that are starting, some those at work.

Before every second one answers must have come since the last, however slow the machine is.
"""


def kill_at_random(flow: Flow, chance: Random, kills: int) -> int:
    """Kill a worker again and again, requests flowing until the last time; how often they also were answered."""
    working = 0
    share = flow.publisher.total / (kills + 1)
    flow.fleet.start(3)
    for number in range(kills):
        pause = chance.uniform(*PAUSES)
        flow.publisher.spread(round(share * (number + 1)), pause)
        before = flow.watch.seen
        flow.pass_time(pause)
        if number % 2:
            flow.await_answers(before)
        flow.fault()
        working += flow.watch.seen > before
        chance.choice(flow.fleet.running).kill()
        idle = flow.fleet.idle
        alive = len(flow.fleet.running)
        for one in chance.sample(idle, chance.randint(1 if alive == 0 else 0, len(idle))):
            one.start()
    flow.publisher.spread(flow.publisher.total, sum(PAUSES))
    return working


@pytest.mark.parametrize("delivery", list(Delivery))
def test_no_kill_loses_a_request_or_changes_an_answer(
    broker: Broker,
    pool: Pool,
    prefix: str,
    tmp_path: Path,
    chance: Random,
    report: Report,
    times: Callable[[int, int], int],
    delivery: Delivery,
) -> None:
    """No request is lost or answered differently, regardless of which worker dies and when."""
    exactly_once = delivery is Delivery.EXACTLY_ONCE
    count = times(100_000, 1_000_000) if exactly_once else times(20_000, 200_000)
    kills = times(50, 1_000) if exactly_once else times(10, 200)
    with flowing(broker.bootstrap, pool.first(count), tmp_path, prefix, delivery=delivery) as flow:
        working = kill_at_random(flow, chance, kills)
        counted = flow.finish()
        owners = flow.fleet.owners()
        seconds = flow.recoveries()

    takeovers = sum(map(len, owners.values()))
    notes = f"{working} amid answers; {takeovers} takeovers of {PARTITIONS} partitions; {flow.fleet.gave_up} gave up"
    report.add(f"kill -9 of workers, {delivery}", kills, counted, seconds, notes)
    assert counted.clean if exactly_once else counted.repeated_at_most
    assert len(list(moved(owners))) == PARTITIONS
    assert working >= kills // 2
    assert len(seconds) == kills


def test_the_flow_is_back_when_the_dead_workers_session_ends(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, chance: Random, report: Report
) -> None:
    """After one kill the flow is back once the dead worker's session is over."""
    kills = 3
    with flowing(broker.bootstrap, pool.first(12_000), tmp_path, prefix) as flow:
        flow.fleet.start(3)
        for number in range(kills):
            flow.publisher.allow(3_500 * (number + 1), 500)
            flow.pass_time(1)
            flow.fault()
            chance.choice(flow.fleet.running).kill()
            flow.await_back()
            flow.fleet.start(1)
        counted = flow.finish()
        seconds = flow.recoveries()

    report.add("one kill -9 at a time", kills, counted, seconds, f"session of {SESSION_SECONDS:g} s")
    assert counted.clean
    assert len(seconds) == kills
