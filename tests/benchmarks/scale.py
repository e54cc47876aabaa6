"""Does a request cost more when there are more of them, or more partitions? One worker, exactly once, on Apache Kafka.

For each size a topic is filled with generated requests, and one worker takes it to its end. What a request costs should
be the same in the second half of the way as in the first, however long the way and however many the partitions.

    python -m tests.benchmarks.scale --requests 50000 500000 --partitions 4 64
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from events.topics import REQUESTS
from tests.benchmarks.processes import (
    BenchmarkError,
    Progress,
    Variant,
    check,
    cpu_seconds,
    peak_bytes,
    room,
    running,
    wait_for_attestations,
)
from tests.benchmarks.tables import number, ratio, table
from tests.benchmarks.work import SEED
from tests.support.places import ROOT
from workers.configuration.settings import Settings
from workers.dev_brokers import KafkaBroker
from workers.traffic.commands import as_record
from workers.traffic.generate import Generator

OURS = Variant("our worker, exactly once", "workers.main", ("worker",))
STRETCHES = 50
"""Looks on the way, at most."""
PATIENCE_S = 60.0
"""Without progress."""
LOOK_S = 0.05
_FEWEST_MARKS = 3
"""For two halves."""


class Mark(NamedTuple):
    """How far the worker is."""

    done: int
    seconds: float
    cpu: float


class Row(NamedTuple):
    """What became of one size."""

    requests: int
    partitions: int
    rate: float
    """Requests a second, from the first sign of progress to the last request."""
    first: float
    """Microseconds of processor time for a request, in the first half."""
    second: float
    """The same in the second half."""
    peak: float
    """Bytes of memory at most."""
    disk: float
    """Bytes in the worker's folder at the end."""


def measure(count: int, partitions: int, bootstrap: str, folder: Path) -> Row:
    """Let one worker take so many requests from so many partitions.

    Raises:
        BenchmarkError: It ends, or does not go on.
    """
    found = room(bootstrap, folder, f"scale-{count}-{partitions}", partitions=partitions)
    with running(OURS, [found]):
        # They are a new deployment's, and none of the requests'.
        wait_for_attestations(found)
    asyncio.run(fill(found, count))
    with running(OURS, [found]) as [process]:
        progress = Progress(found, transactional=True, partitions=partitions)
        marks: list[Mark] = []
        try:
            while not marks or marks[-1].done < count:
                time.sleep(LOOK_S)
                check(OURS, [found], [process])
                now = Mark(progress.count(), time.perf_counter(), cpu_seconds(process.pid))
                if now.done and (not marks or now.done >= count or now.done - marks[-1].done >= count / STRETCHES):
                    marks.append(now)
                elif now.seconds - (marks[-1].seconds if marks else now.seconds) > PATIENCE_S:
                    raise BenchmarkError(f"{count} requests, {partitions} partitions: no progress at {now.done}")
        finally:
            progress.close()
        peak = peak_bytes(process.pid)
    if len(marks) < _FEWEST_MARKS:
        raise BenchmarkError(f"{count} requests, {partitions} partitions: done before anyone could look; give it more")
    middle = min(marks, key=lambda mark: abs(mark.done - count / 2))
    disk = sum(file.stat().st_size for file in found.data_dir.rglob("*") if file.is_file())
    rate = (marks[-1].done - marks[0].done) / (marks[-1].seconds - marks[0].seconds)
    first, second = _cost(marks[0], middle), _cost(middle, marks[-1])
    return Row(count, partitions, rate, first, second, peak, disk)


def _cost(start: Mark, end: Mark) -> float:
    return (end.cpu - start.cpu) / max(1, end.done - start.done) * 1e6


async def fill(found: Settings, count: int) -> None:
    """Put so many generated requests on their topic."""
    async with AIOKafkaProducer(bootstrap_servers=found.bootstrap, linger_ms=20, max_batch_size=500_000) as producer:
        waiting: list[asyncio.Future[object]] = []
        for line in _lines(count):
            record = as_record(line, found.topic(REQUESTS))
            sent = await producer.send(record.topic, record.value, key=record.key, headers=list(record.headers))
            waiting.append(sent)
            if len(waiting) >= 20_000:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)


def _lines(count: int) -> Iterator[bytes]:
    return Generator(SEED).lines(count)


def report(rows: list[Row]) -> str:
    """The rows, to be read; each cost also as a ratio to the first row's."""
    head = (
        "requests",
        "partitions",
        "events/s",
        "CPU µs, first half",
        "second half",
        "to the first row",
        "peak MB",
        "disk MB",
    )
    return table(
        head,
        [
            (
                number(row.requests),
                number(row.partitions),
                number(row.rate),
                number(row.first, 1),
                number(row.second, 1),
                number(ratio(row.second, rows[0].second), 2),
                number(row.peak / 1e6),
                number(row.disk / 1e6, 1),
            )
            for row in rows
        ],
    )


def main() -> None:
    """Run all sizes; print the table and leave it in a file."""
    parser = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    parser.add_argument("--requests", type=int, nargs="+", default=[50_000, 500_000])
    parser.add_argument("--partitions", type=int, nargs="+", default=[4, 64])
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "scale.md")
    options = parser.parse_args()
    rows: list[Row] = []
    with TemporaryDirectory(prefix="dli-scale-") as name, KafkaBroker() as broker:
        for count, partitions in product(options.requests, options.partitions):
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {count:,} requests, {partitions} partitions\n")
            rows.append(measure(count, partitions, broker.bootstrap, Path(name)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(report(rows), encoding="utf-8")
    sys.stdout.write(report(rows))


if __name__ == "__main__":
    main()
