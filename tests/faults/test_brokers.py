"""Brokers that go away while requests flow: restarted, killed, cut off; and a cluster that loses its leader."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from statistics import median

import pytest
from kafka.admin import KafkaAdminClient

from events.topics import REQUESTS
from tests.faults.conftest import PROPERTIES
from tests.faults.flow import eventually, flowing
from tests.faults.report import Report
from tests.faults.workload import Pool
from tests.support.proxied_broker import proxied_broker
from workers.dev_brokers import LOOPBACK, KafkaBroker, free_ports

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

RATE = 1_000


def test_a_broker_restart_or_kill_costs_only_time(
    pool: Pool, prefix: str, tmp_path: Path, chance: Random, report: Report, times: Callable[[int, int], int]
) -> None:
    """A broker that is restarted or killed costs time and nothing else."""
    restarts = times(10, 100)
    each = 2_000
    total = each * (restarts + 1)
    kinds = ["kill -9", "clean"] * (restarts // 2)
    chance.shuffle(kinds)
    away: list[float] = []
    with (
        KafkaBroker(properties=PROPERTIES) as broker,
        flowing(broker.bootstrap, pool.first(total), tmp_path, prefix) as flow,
    ):
        flow.fleet.start(2)
        for number, kind in enumerate(kinds):
            # Paced so that they flow before, during and after each restart.
            flow.publisher.allow(each * (number + 1), each // 4)
            flow.pass_time(chance.uniform(0.5, 2))
            flow.fault()
            began = time.monotonic()
            if kind == "kill -9":
                broker.kill()
            broker.restart()
            away.append(time.monotonic() - began)
            flow.await_back()
        counted = flow.finish()
        seconds = flow.recoveries()

    notes = f"{kinds.count('kill -9')} by kill -9; of that, until the broker itself was back: p50 {median(away):.1f} s"
    report.add("broker restarted or kill -9", restarts, counted, seconds, notes)
    assert counted.clean
    assert len(seconds) == restarts


def test_a_faulty_network_costs_only_time(pool: Pool, prefix: str, tmp_path: Path, report: Report) -> None:
    """A network that cuts, delays and drops connections costs time and nothing else."""
    away = 60
    with (
        proxied_broker() as (broker, proxy, address),
        flowing(address, pool.first(50_000), tmp_path, prefix, direct=broker.bootstrap) as flow,
    ):
        flow.fleet.start(2)
        assert proxy.connections > 0
        allowed = 0
        faults: list[tuple[Callable[[], None], float]] = [
            (proxy.cut, 0),
            (proxy.cut, 0),
            (lambda: proxy.delay(0.2), 4),
            (proxy.swallow, 5),
            (proxy.refuse, away),
        ]
        for harm, seconds in faults:
            allowed += 8_000
            flow.publisher.allow(allowed, RATE // 2)
            flow.pass_time(1)
            flow.fault()
            harm()
            flow.pass_time(seconds)
            proxy.mend()
            flow.await_back()
        counted = flow.finish()
        back = flow.recoveries()

    notes = f"cut twice, delayed 4 s, swallowed 5 s, unreachable {away} s; each back after " + ", ".join(
        f"{one:.1f}" for one in back
    )
    report.add("network to the broker", len(faults), counted, back, notes)
    assert counted.clean
    assert len(back) == len(faults)


@contextmanager
def cluster(nodes: int = 3) -> Iterator[list[KafkaBroker]]:
    """Several nodes that are one cluster, each broker and controller."""
    every = [free_ports() for _ in range(nodes)]
    voters = ",".join(f"{number}@{LOOPBACK}:{ports.controller}" for number, ports in enumerate(every, 1))
    copies = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic", "default")
    shared = {
        **PROPERTIES,
        "controller.quorum.voters": voters,
        "min.insync.replicas": "2",
        **{f"{name}.replication.factor": "3" for name in copies},
        "transaction.state.log.min.isr": "2",
        "share.coordinator.state.topic.min.isr": "2",
    }
    cluster_id = "dliFaultTestsCluster0A"
    with ExitStack() as stack:
        brokers = []
        for number, ports in enumerate(every, 1):
            properties = shared | {"node.id": str(number)}
            broker = KafkaBroker(ports=ports, properties=properties, cluster_id=cluster_id, heap_megabytes=384)
            stack.callback(broker.stop)
            broker.launch()
            brokers.append(broker)
        for broker in brokers:
            broker.wait()
        yield brokers


def leader(brokers: list[KafkaBroker], topic: str) -> KafkaBroker:
    """Who leads the topic's first partition."""
    client = KafkaAdminClient(bootstrap_servers=[one.bootstrap for one in brokers])
    try:
        [described] = client.describe_topics([topic])
        number = next(one["leader_id"] for one in described["partitions"] if one["partition_index"] == 0)
        return brokers[int(number) - 1]
    finally:
        client.close()


def test_a_cluster_that_loses_its_leader_goes_on_without_it(
    pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    with cluster() as brokers:
        addresses = ",".join(one.bootstrap for one in brokers)
        with flowing(addresses, pool.first(20_000), tmp_path, prefix, replication_factor=3) as flow:
            flow.fleet.start(2)
            flow.publisher.allow(19_000, RATE // 2)
            flow.pass_time(2)
            killed = leader(brokers, flow.settings.topic(REQUESTS))
            flow.fault()
            killed.kill()
            flow.await_back()
            began = time.monotonic()
            killed.restart()
            assert eventually(lambda: leader(brokers, flow.settings.topic(REQUESTS)) is not None)
            rejoined = time.monotonic() - began
            counted = flow.finish()
            seconds = flow.recoveries()

    report.add("leader of three brokers killed", 1, counted, seconds, f"back in the cluster {rejoined:.1f} s after")
    assert counted.clean
    assert len(seconds) == 1
