"""From a request produced to its decision consumed, at a given pace.

The load comes from a process of its own, this module run: one loop that produces at the pace and consumes with
`read_committed`. Its own cost is in every number, the same for all variants.

    python -m tests.benchmarks.latency FILE RATE:COUNT …   # as JSON, one object for each pace
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from events.topics import DECISIONS, REQUESTS
from tests.benchmarks.processes import (
    ROOT,
    BenchmarkError,
    Fill,
    Variant,
    check,
    room,
    running,
    wait_for_attestations,
)
from tests.benchmarks.tables import percentile
from tests.benchmarks.work import HEADERS, PARTITIONS, Request, saved
from workers.settings import Settings, read

WARM_UP = (100, 200)
START_S = 60.0
"""For a variant to start and answer what it is warmed up with."""
DRAIN_S = 15.0


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


def measure(
    variant: Variant, paces: Sequence[tuple[float, int]], file: Path, bootstrap: str, folder: Path, name: str
) -> list[Pace]:
    """Milliseconds at each pace, one after the other on one worker.

    Raises:
        BenchmarkError: The variant or the load failed.
    """
    found = room(bootstrap, folder, name, variant.delivery)
    with running(variant, [found]) as started:
        if variant.attests:
            wait_for_attestations(found)
        command = [sys.executable, "-m", "tests.benchmarks.latency", str(file)]
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

    def __init__(self, found: Settings, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self._topic = found.topic(REQUESTS)
        self._producer = producer
        self._consumer = consumer
        self._sent: dict[bytes, float] = {}
        self._took: list[float] = []

    async def consume(self) -> None:
        while True:
            polled = await self._consumer.getmany(timeout_ms=1000)
            now = time.perf_counter()
            for messages in polled.values():
                self._took += [(now - self._sent.pop(one.key)) * 1000 for one in messages if one.key in self._sent]

    async def at(self, rate: float, requests: Sequence[Request], patience: float) -> Pace:
        self._took, self._sent = [], {}
        begun = time.perf_counter()
        for n, (key, value) in enumerate(requests):
            ahead = begun + n / rate - time.perf_counter()
            # Behind its time it still lets the loop read what has come.
            await asyncio.sleep(max(ahead, 0))
            self._sent[key] = time.perf_counter()
            await self._producer.send(self._topic, value, key=key, headers=list(HEADERS))
        pace = len(requests) / (time.perf_counter() - begun)
        deadline = time.perf_counter() + patience
        while self._sent and time.perf_counter() < deadline:  # noqa: ASYNC110 (twenty looks a second disturb nobody)
            await asyncio.sleep(0.05)
        took = self._took or [float("inf")]
        p50, p99, p999 = (percentile(took, share) for share in (0.5, 0.99, 0.999))
        return Pace(rate, pace, len(requests), len(self._sent), p50, p99, p999)


async def load(found: Settings, requests: Sequence[Request], paces: Sequence[tuple[float, int]]) -> list[Pace]:
    """Each pace with requests of its own; the first one may wait for a worker to start."""
    producer = AIOKafkaProducer(bootstrap_servers=found.bootstrap, acks="all")
    await producer.start()
    consumer = await _reader(found)
    generated = _Load(found, producer, consumer)
    reading = asyncio.create_task(generated.consume())
    results: list[Pace] = []
    bounds = pairwise(accumulate((count for _, count in paces), initial=0))
    for (rate, _), (first, last) in zip(paces, bounds, strict=True):
        results.append(await generated.at(rate, requests[first:last], DRAIN_S if results else START_S))
    reading.cancel()
    await asyncio.wait({reading})
    await consumer.stop()
    await producer.stop()
    return results


def main() -> None:
    """Print what was measured."""
    file, *asked = sys.argv[1:]
    paces = [(float(rate), int(count)) for rate, _, count in (one.partition(":") for one in asked)]
    results = asyncio.run(load(read(), saved(Path(file)), paces))
    sys.stdout.write(json.dumps([asdict(one) for one in results]))


if __name__ == "__main__":
    main()
