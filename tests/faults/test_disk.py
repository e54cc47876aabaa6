"""The copy of the memory on a worker's disk: deleted, spoiled, out of space, between runs and under a running worker.

In each test the first requests come a second time at the end: whoever forgot them would answer them twice.
"""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.faults.flow import Flow, Worker, eventually, flowing
from tests.faults.report import Report
from tests.faults.workload import Pool, Workload
from workers.dev_brokers import Broker

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

COUNT = 20_000
AGAIN = 5_000
RATE = 2_000


def asked_twice(pool: Pool, count: int = COUNT, again: int = AGAIN) -> Workload:
    """A workload whose first requests come once more at its end."""
    asked = pool.first(count).asked
    return Workload([*asked, *asked[:again]])


def delete(worker: Worker, _chance: Random) -> None:
    shutil.rmtree(worker.settings.data_dir, ignore_errors=True)


def spoil(worker: Worker, chance: Random) -> None:
    """Write nonsense into the middle of every file."""
    for file in [one for one in worker.settings.data_dir.rglob("*") if one.is_file() and one.stat().st_size]:
        with file.open("r+b") as open_file:
            open_file.seek(chance.randrange(file.stat().st_size))
            open_file.write(chance.randbytes(64))


def cut_short(worker: Worker, chance: Random) -> None:
    """Cut every file at some place, as a crash of the machine may."""
    for file in [one for one in worker.settings.data_dir.rglob("*") if one.is_file()]:
        os.truncate(file, chance.randrange(file.stat().st_size + 1))


Harm = Callable[[Worker, Random], None]


@pytest.mark.parametrize("harm", [delete, spoil, cut_short])
def test_damage_to_the_disk_changes_no_answer(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, chance: Random, report: Report, harm: Harm
) -> None:
    """Nothing that happens to the disk between runs or under a running worker changes an answer."""
    with flowing(broker.bootstrap, asked_twice(pool), tmp_path, prefix) as flow:
        flow.fleet.start(2)
        flow.publisher.allow(COUNT // 2, RATE)
        flow.pass_time(1.5)
        flow.fault()
        assert len(list(flow.fleet.workers[0].settings.data_dir.rglob("CURRENT"))) > 0
        harm(flow.fleet.workers[0], chance)
        flow.pass_time(1.5)
        flow.fault()
        for one in flow.fleet.running:
            one.kill()
            harm(one, chance)
        flow.fleet.start(2)
        flow.publisher.allow(COUNT, RATE)
        flow.await_back()
        counted = flow.finish()
        seconds = flow.recoveries()

    report.add(f"disk: {harm.__name__.replace('_', ' ')}", 2, counted, seconds, "once running, once between runs")
    assert counted.clean


class SmallDisk:
    """A disk that gets full, and then has room again."""

    def __init__(self, kind: str, grow: Callable[[Worker], None], limit: Callable[[Worker], None]) -> None:
        self.kind = kind
        self.grow = grow
        self.limit = limit


def _limit_file_size(worker: Worker, size: int) -> None:
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)  # noqa: S603 (our own command)


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A small file system of memory where we may mount one, else a limit on the size of files."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0  # noqa: S603 (ours)
    if not mounted:
        yield SmallDisk(
            "limit on file size",
            grow=lambda worker: _limit_file_size(worker, resource.RLIM_INFINITY),
            limit=lambda worker: _limit_file_size(worker, 200_000),
        )
        return
    remount = ["mount", "-o", "remount,size=256m", str(folder)]
    try:
        yield SmallDisk(
            "tmpfs of 2 MB",
            grow=lambda _worker: _run(remount),
            limit=lambda _worker: None,
        )
    finally:
        _run(["umount", "--lazy", str(folder)])


def test_a_worker_waits_unready_while_its_disk_is_full(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """A full disk makes a worker wait, unready, until there is room."""
    small = tmp_path / "small"
    with small_disk(small) as disk, flowing(broker.bootstrap, asked_twice(pool, 40_000), tmp_path, prefix) as flow:
        worker = flow.fleet.workers[0]
        worker.settings = worker.settings.model_copy(update={"data_dir": small / "data"})
        flow.fleet.start(1)
        disk.limit(worker)
        flow.publisher.allow(40_000, 4 * RATE)
        became_unready = eventually(lambda: not worker.ready(), 30)
        flow.pass_time(3)
        answered = stands_still(flow)
        flow.fault()
        disk.grow(worker)
        counted = flow.finish()
        seconds = flow.recoveries()

    report.add("disk full", 1, counted, seconds, f"{disk.kind}; {answered:,} answered before; back once it had room")
    assert became_unready
    assert answered < len(flow.workload.asked)
    assert counted.clean


def stands_still(flow: Flow) -> int:
    """How many were answered when the disk was full."""
    return flow.watch.seen
