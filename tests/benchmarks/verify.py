"""Processor time of replays of an archive and of the start of processes; never wall time, which others disturb.

The archive is made without Kafka. Each way runs in a process of its own, so that none learns from another: reading
only, verify and what-if. Beside the quick way are those that stay for what it leaves: JSON lines instead of columns,
and the models instead of the typed reader. Then the commands as a person runs them, with all their processes and their
start.

    python -m tests.benchmarks.verify --requests 320000
"""

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from events.decode import decode
from events.envelope import Headers
from events.request_parts import parts_of
from events.topics import DECISIONS, REQUESTS
from events.typed_reader import Event
from policy_core.history.library import PACKAGED
from tests.benchmarks.decided_log import archived, as_format
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.tables import number, table
from tests.support.places import ROOT
from workers.archive.archive_source import ArchiveSource
from workers.configuration.settings import read as settings
from workers.event_log.process_pool import WorkerHandle
from workers.event_log.source import Format
from workers.process import logs
from workers.replay import partition_replay
from workers.replay.documents import documents_of, draft
from workers.replay.partition_replay import Plan, Task
from workers.replay.verify import verify
from workers.replay.what_if import what_if

PARTITIONS = 4
ROUNDS = 5
"""Of the start of a process, of which the least counts."""
_CHILD_SUBREAPER = 36
"""Of `prctl`: processes whose parent has ended are ours then, and are counted."""
DELISTED = ('code: "38242"', 'code: "38243"')
WAYS = {
    "read, by column": ("read", Format.PARQUET),
    "read, JSON lines": ("read", Format.JSONL_ZSTD),
    "verify": ("verify", Format.PARQUET),
    "verify, JSON lines": ("verify", Format.JSONL_ZSTD),
    "verify, requests read by the models": ("models", Format.PARQUET),
    "what-if": ("what-if", Format.PARQUET),
}
EXPLAIN = ("explain", "workers/demo/requests.jsonl", "--request", "PA-2025-00123")


class Row(NamedTuple):
    """One way and what it took."""

    what: str
    requests: int
    seconds: float
    """Of processor time."""
    peak: float = 0.0
    """Bytes of memory of the largest process."""

    def cells(self, base: float) -> tuple[str, ...]:
        """As a row of a table, compared with the seconds of another."""
        each = self.seconds / self.requests * 1e6
        rate = number(2 / (self.seconds / self.requests))
        return self.what, number(self.requests), number(each, 1), rate, number(each / base, 2), number(self.peak / 1e6)


def in_this_process(way: str, archive: Path, file: Path) -> Row:
    """Go through an archive in one way, in this process."""
    logs.configure(level="ERROR")
    source, found = ArchiveSource(archive), settings()
    topic = source.topic(REQUESTS)
    partitions = source.partitions(topic)
    documents_of(source, found, ())
    if way == "models":
        vars(partition_replay)["read"] = _by_models
    with TemporaryDirectory() as work:
        plan = Plan(source, found, (), Path(work), request_ids=False, draft=draft(str(file), None))
        begun = time.process_time()
        for partition in partitions:
            if way == "read":
                _read(source, partition)
            else:
                judge = what_if if way == "what-if" else verify
                judge(Task(plan, partition, None), WorkerHandle(lambda _: None, threading.Event()))
        seconds = time.process_time() - begun
    requests = sum(source.extent(topic, partition).records or 0 for partition in partitions)
    return Row(way, requests, seconds, partition_replay.peak_bytes())


def _read(source: ArchiveSource, partition: int) -> None:
    for name in (REQUESTS, DECISIONS):
        topic = source.topic(name)
        for _ in source.read(topic, partition, source.extent(topic, partition).first):
            pass


def _by_models(value: bytes | None, headers: Headers = ()) -> Event:
    received = decode(value, headers)
    cause = received.attributes.cause() if received.attributes is not None else None
    return Event(cause, parts_of(received.request))


def processor_seconds(*command: str, code: int = 0) -> tuple[float, str]:
    """What a command and all its processes took, and what it printed.

    Raises:
        BenchmarkError: It ends with another exit code.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 (our own)
    if ran.returncode != code:
        raise BenchmarkError(f"{' '.join(command[-3:])} ended with {ran.returncode}: {ran.stderr[-1000:]}")
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ran.stdout


def measure(requests: int, folder: Path) -> list[Row]:
    """Every way through an archive of so many requests, and the commands.

    Raises:
        BenchmarkError: A command fails, or finds otherwise than it must.
    """
    ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
    logs.configure(level="ERROR")
    kept = archived(folder, settings(), requests, PARTITIONS)
    archives = {
        Format.PARQUET: kept,
        Format.JSONL_ZSTD: as_format(ArchiveSource(kept), folder / "lines", Format.JSONL_ZSTD),
    }
    file = folder / "draft.yaml"
    file.write_text((PACKAGED / "L.2.03.402.yaml").read_text("utf-8").replace(*DELISTED), "utf-8")
    rows = []
    for what, (way, form) in WAYS.items():
        arguments = ("--way", way, "--archive", str(archives[form]), "--draft", str(file))
        _, said = processor_seconds(sys.executable, "-m", "tests.benchmarks.verify", *arguments)
        rows.append(Row(*json.loads(said))._replace(what=what))
    for what, code, more in (("verify", 0, ()), ("what-if", 3, ("--policy", str(file)))):
        command = ("replay", what, str(kept), "-o", "jsonl", "--work", str(folder / "work"), *more)
        seconds, said = processor_seconds(sys.executable, "-m", "workers.main", *command, code=code)
        run = json.loads(said.splitlines()[0])["run"]
        rows.append(
            Row(f"dli replay {what}, {run['processes']} processes", requests, seconds, run["peak_bytes_of_a_process"])
        )
    return rows


def starts() -> list[tuple[str, float]]:
    """The least processor time of commands that hardly do more than start."""
    program = (sys.executable, "-m", "workers.main")
    pool = (sys.executable, "-c", "import workers.replay.verify, workers.archive.archive_source")
    commands = {
        "python": (sys.executable, "-c", "pass"),
        "dli --help": (*program, "--help"),
        "dli --version": (*program, "--version"),
        "dli explain": (*program, *EXPLAIN),
        "what a process of replay imports": pool,
    }
    return [(name, min(processor_seconds(*command)[0] for _ in range(ROUNDS))) for name, command in commands.items()]


def report(rows: Sequence[Row], begun: Sequence[tuple[str, float]]) -> str:
    """The tables."""
    base = next(row.seconds / row.requests for row in rows if row.what == "verify") * 1e6
    head = ("what", "requests", "CPU µs a request", "requests/s of two cores", "of verify", "peak MB of a process")
    started = table(("start of", "CPU s"), [(name, number(seconds, 2)) for name, seconds in begun])
    return f"{table(head, [row.cells(base) for row in rows])}\n{started}"


def main() -> None:
    """Measure, or go one way for the process that measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--folder", type=Path, help="where the archive is made; by default a temporary folder")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--archive", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--draft", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        sys.stdout.write(json.dumps(in_this_process(options.way, options.archive, options.draft)))
        return
    with TemporaryDirectory(prefix="dli-verify-", dir=options.folder) as folder:
        sys.stdout.write(report(measure(options.requests, Path(folder)), starts()))


if __name__ == "__main__":
    main()
