"""Events a second, and what each of them costs: a full topic, and a group that takes it to its end.

Counted from the first sign of progress to the last request, so that nobody's start counts.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.processes import (
    BenchmarkError,
    Fill,
    Progress,
    Variant,
    beside,
    check,
    cpu_seconds,
    peak_bytes,
    remove_topics,
    room,
    running,
    wait_for_attestations,
    wait_until,
)
from tests.benchmarks.work import Request
from tests.support.places import ROOT
from workers.configuration.settings import Settings, read
from workers.demo.run import is_ready

LOOK_S = 0.02
SETTLE_S = 2.0
"""For a group of several to share out its partitions, once each says that it is ready."""
PATIENCE_S = 90.0


@dataclass(frozen=True)
class Run:
    """What one run of a variant came to."""

    rate: float
    """Events a second."""
    cpu: float
    """Microseconds of processor time for each event, all processes together."""
    peak: float
    """Bytes of memory at most, all processes together."""
    second_half: float | None = None
    """As `cpu`, for the second half of the events: by then a virtual machine has compiled what it runs often."""


class Mark(NamedTuple):
    """How far a variant is."""

    done: int
    seconds: float
    cpu: float

    def cost(self, later: "Mark") -> float:
        """Microseconds of processor time for each event up to a later mark."""
        return (later.cpu - self.cpu) / (later.done - self.done) * 1e6


def measure(variant: Variant, requests: Sequence[Request], bootstrap: str, folder: Path, name: str) -> Run:
    """Let a variant decide the requests.

    Raises:
        BenchmarkError: It ends, or does not come to the end.
    """
    found = room(bootstrap, folder, name, variant.delivery)
    rooms = [found, *(beside(found, number) for number in range(1, variant.processes))]
    try:
        return asyncio.run(_measure(variant, requests, rooms))
    finally:
        remove_topics(found)


async def _measure(variant: Variant, requests: Sequence[Request], rooms: Sequence[Settings]) -> Run:
    fill = await Fill.begin(rooms[0], requests)
    if not variant.attests:
        await fill.show()
    with running(variant, rooms) as started:
        if variant.attests:
            for found in rooms:
                wait_until(lambda at=found: is_ready(at), PATIENCE_S, f"{variant.name} ready")  # type: ignore[misc]
            wait_for_attestations(rooms[0])
            await asyncio.sleep(SETTLE_S)
            await fill.show()
        progress = Progress(rooms[0], transactional=variant.transactional)
        try:
            return _watch(variant, len(requests), rooms, started, progress)
        finally:
            progress.close()


def _watch(
    variant: Variant,
    events: int,
    rooms: Sequence[Settings],
    started: Sequence[subprocess.Popen[bytes]],
    progress: Progress,
) -> Run:
    deadline = time.monotonic() + PATIENCE_S
    marks: list[Mark] = []
    while not marks or marks[-1].done < events:
        time.sleep(LOOK_S)
        done = progress.count()
        mark = Mark(done, time.perf_counter(), sum(cpu_seconds(one.pid) for one in started))
        if done > (marks[-1].done if marks else 0):
            marks.append(mark)
        check(variant, rooms, started)
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{variant.name}: {done} of {events} events within {PATIENCE_S:g} s")
    if len(marks) == 1:
        raise BenchmarkError(f"{variant.name}: took all {events} events at once; give it more")
    return summary(marks, sum(peak_bytes(one.pid) for one in started))


def summary(marks: Sequence[Mark], peak: float) -> Run:
    """What the marks from the first progress to the last event come to."""
    first, last = marks[0], marks[-1]
    middle = next(mark for mark in marks if mark.done >= last.done / 2)
    rate = (last.done - first.done) / (last.seconds - first.seconds)
    return Run(rate, first.cost(last), peak, middle.cost(last) if middle is not last else None)


def without_broker(variant: Variant, file: Path, folder: Path) -> Run:
    """The work alone.

    Raises:
        BenchmarkError: It failed.
    """
    found = read(data_dir=folder)
    command = [*variant.command, str(file)]
    ran = subprocess.run(command, cwd=ROOT, env=found.environment(), capture_output=True, text=True, check=False)  # noqa: S603 (our own)
    if ran.returncode:
        raise BenchmarkError(f"{variant.name}: {ran.stderr[-1500:]}")
    said = json.loads(ran.stdout)
    return Run(said["events"] / said["seconds"], said["cpu"] / said["events"] * 1e6, said["peak"])
