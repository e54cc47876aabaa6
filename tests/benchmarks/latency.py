"""From a request produced to its decision consumed, at a given pace.

The load comes from a process of its own, this module run: it produces at the pace and consumes with `read_committed`,
with librdkafka, which takes less of the processors than clients in Python do: what measures should not be waited
for. Its own cost is in every number, the same for all variants.

    python -m tests.benchmarks.latency FILE VARIANT-PID BROKER-PID RATE:COUNT …   # as JSON, one object for each pace
"""

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import accumulate, pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from events.topics import DECISIONS, REQUESTS
from tests.benchmarks.processes import (
    BenchmarkError,
    Fill,
    Variant,
    check,
    cpu_seconds,
    room,
    running,
    wait_for_attestations,
)
from tests.benchmarks.tables import percentile
from tests.benchmarks.work import HEADERS, PARTITIONS, Request, saved
from tests.support.places import ROOT
from workers.configuration.settings import Settings, read
from workers.dev_brokers import KafkaBroker

WARM_UP = (500, 3_000)
"""Enough for Kafka's virtual machine to have compiled what every request passes through."""
START_S = 60.0
"""For a variant to start and answer what it is warmed up with."""
DRAIN_S = 15.0
LOAD = "confluent_kafka"
"""What the load needs."""


@dataclass(frozen=True)
class Pace:
    """What came of one pace."""

    asked: float
    sent: float
    """Events a second that the load really had."""
    count: int
    unanswered: int
    p50: float
    p99: float
    p999: float
    variant: float
    """Cores that the variant used, of those there are, while the load was on."""
    broker: float
    load: float


def measure(
    variant: Variant, paces: Sequence[tuple[float, int]], file: Path, broker: KafkaBroker, folder: Path, name: str
) -> list[Pace]:
    """Milliseconds at each pace, one after the other on one worker.

    Raises:
        BenchmarkError: The variant or the load failed.
    """
    found = room(broker.bootstrap, folder, name, variant.delivery)
    with running(variant, [found]) as started:
        if variant.attests:
            wait_for_attestations(found)
        command = [sys.executable, "-m", "tests.benchmarks.latency", str(file), str(started[0].pid), str(broker.pid)]
        command += [f"{rate:g}:{count}" for rate, count in (WARM_UP, *paces)]
        ran = subprocess.run(command, cwd=ROOT, env=found.environment(), capture_output=True, text=True, check=False)  # noqa: S603 (our own)
        check(variant, [found], started)
    if ran.returncode:
        raise BenchmarkError(f"the load for {variant.name} failed: {ran.stderr[-1500:]}")
    return [Pace(**one) for one in json.loads(ran.stdout)[1:]]


def cold_start(variant: Variant, request: Request, bootstrap: str, folder: Path, name: str) -> float:
    """Seconds from the start of a process to the decision on a request that waits for it."""
    return asyncio.run(_cold_start(variant, request, room(bootstrap, folder, name, variant.delivery)))


async def _cold_start(variant: Variant, request: Request, found: Settings) -> float:
    await (await Fill.begin(found, [request])).show()
    consumer = await _reader(found)
    try:
        begun = time.perf_counter()
        with running(variant, [found]) as started:
            while not await consumer.getmany(timeout_ms=200):
                check(variant, [found], started)
                if time.perf_counter() - begun > START_S:
                    raise BenchmarkError(f"{variant.name}: no decision within {START_S:g} s")
            return time.perf_counter() - begun
    finally:
        await consumer.stop()


async def _reader(found: Settings) -> AIOKafkaConsumer:
    """At the end of the decisions, committed ones only."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=found.bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    partitions = [TopicPartition(found.topic(DECISIONS), number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    for one in partitions:
        await consumer.position(one)
    return consumer


class _Load:
    """Produces, and notes when each decision comes."""

    def __init__(self, found: Settings, watched: Sequence[int]) -> None:
        kafka: Any = import_module(LOAD)
        self._topic = found.topic(REQUESTS)
        self._watched = watched
        where = {"bootstrap.servers": found.bootstrap}
        # Sent at once; what comes while a request is under way goes together in the next.
        self._producer = kafka.Producer(
            {**where, "acks": "all", "linger.ms": 0, "max.in.flight.requests.per.connection": 1}
        )
        self._consumer = kafka.Consumer(
            {**where, "group.id": "load", "isolation.level": "read_committed", "enable.auto.commit": False}
        )
        partitions = [kafka.TopicPartition(found.topic(DECISIONS), number) for number in range(PARTITIONS)]
        for one in partitions:
            _, one.offset = self._consumer.get_watermark_offsets(one, timeout=START_S)
        self._consumer.assign(partitions)
        self._sent: dict[bytes, float] = {}
        self._took: list[float] = []
        self._over = Event()
        self._reading = Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        while not self._over.is_set():
            message = self._consumer.poll(0.2)
            if message is None or message.error():
                continue
            sent = self._sent.pop(message.key(), None)
            if sent is not None:
                self._took.append((time.perf_counter() - sent) * 1000)

    def close(self) -> None:
        self._over.set()
        self._reading.join()
        self._consumer.close()

    def at(self, rate: float, requests: Sequence[Request], patience: float) -> Pace:
        self._took, self._sent = [], {}
        spent = self._spent()
        begun = time.perf_counter()
        for n, (key, value) in enumerate(requests):
            time.sleep(max(begun + n / rate - time.perf_counter(), 0))
            self._sent[key] = time.perf_counter()
            self._producer.produce(self._topic, value, key, headers=list(HEADERS))
        seconds = time.perf_counter() - begun
        cores = [(now - before) / seconds for now, before in zip(self._spent(), spent, strict=True)]
        self._producer.flush(patience)
        deadline = time.perf_counter() + patience
        while self._sent and time.perf_counter() < deadline:
            time.sleep(0.05)
        took = self._took or [float("inf")]
        p50, p99, p999 = (percentile(took, share) for share in (0.5, 0.99, 0.999))
        return Pace(rate, len(requests) / seconds, len(requests), len(self._sent), p50, p99, p999, *cores)

    def _spent(self) -> list[float]:
        return [*map(cpu_seconds, self._watched), time.process_time()]


def load(
    found: Settings, watched: Sequence[int], requests: Sequence[Request], paces: Sequence[tuple[float, int]]
) -> list[Pace]:
    """Each pace with requests of its own; the first one may wait for a worker to start."""
    # The requests stay: what looks through them for garbage would stop the clock's own process.
    gc.freeze()
    generated = _Load(found, watched)
    results: list[Pace] = []
    bounds = pairwise(accumulate((count for _, count in paces), initial=0))
    try:
        for (rate, _), (first, last) in zip(paces, bounds, strict=True):
            results.append(generated.at(rate, requests[first:last], DRAIN_S if results else START_S))
    finally:
        generated.close()
    return results


def main() -> None:
    """Print what was measured."""
    file, variant, broker, *asked = sys.argv[1:]
    paces = [(float(rate), int(count)) for rate, _, count in (one.partition(":") for one in asked)]
    results = load(read(), [int(variant), int(broker)], saved(Path(file)), paces)
    sys.stdout.write(json.dumps([asdict(one) for one in results]))


if __name__ == "__main__":
    main()
