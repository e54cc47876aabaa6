"""Replay: what verifying a log and asking what if cost, from an archive and from Kafka, beside only reading the same.

The log is generated and decided by our worker. The commands run as a person runs them, in a process for each core, and
say themselves how long they took; only reading shares the same processes out and does nothing with what it reads. The
start of processes counts everywhere.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from events.topics import DECISIONS, POLICY_REVISIONS, REQUESTS
from policy_core.history.library import PACKAGED
from tests.benchmarks.processes import BenchmarkError, Progress, Variant, check, room, running
from tests.benchmarks.scale import fill
from tests.benchmarks.tables import number, table
from tests.support.places import ROOT
from workers.archive.archive_source import ArchiveSource
from workers.configuration.settings import Settings
from workers.event_log.asked import Asked
from workers.event_log.process_pool import WorkerHandle, cores, run
from workers.event_log.ranges import on_kafka
from workers.event_log.source import Source
from workers.replay.partition_replay import peak_bytes

WORKER = Variant("our worker, exactly once", "workers.main", ("worker",))
PATIENCE_S = 120.0
SETTLED_S = 5.0
"""After which what was committed last is confirmed."""
DELISTED = ('code: "38242"', 'code: "38243"')
"""The edit that what-if asks about: it changes about half of the requests."""


class Row(NamedTuple):
    """One way through the log."""

    what: str
    source: str
    requests: int
    seconds: float
    processes: int
    peak: float
    """Bytes of memory of the largest process."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class Reading(NamedTuple):
    """A partition that is only read."""

    source: Source
    partition: int


class Read(NamedTuple):
    """How much of it was."""

    requests: int
    peak: int


def read(task: Reading, handle: WorkerHandle[Read]) -> None:
    """Read a partition's requests and decisions, and do nothing with them."""
    source, partition = task
    for name in (REQUESTS, DECISIONS):
        topic = source.topic(name)
        count = 0
        for piece in source.read(topic, partition, source.extent(topic, partition).first):
            count += len(piece.chunk.records) if piece.chunk is not None else 0
        handle.send(Read(count if name == REQUESTS else 0, peak_bytes()))


def measure(count: int, bootstrap: str, folder: Path, name: str) -> list[Row]:
    """Make a log of so many requests, and go through it in each way.

    Raises:
        BenchmarkError: A command fails, or finds otherwise than it must.
    """
    found = room(bootstrap, folder, name)
    asyncio.run(fill(found, count))
    _decide(found, count)
    place = ("--bootstrap", bootstrap, "--topic-prefix", found.topic_prefix)
    kept, work = folder / f"{name}-kept", ("--work", str(folder / f"{name}-work"))
    _dli(0, "archive", str(kept), *place)
    text = (PACKAGED / "L.2.03.402.yaml").read_text("utf-8")
    draft = folder / f"{name}-draft.yaml"
    draft.write_text(text.replace(*DELISTED), "utf-8")
    rows = []
    for where, flags in (("archive", (str(kept),)), ("Apache Kafka", place)):
        source: Source = (
            ArchiveSource(kept)
            if where == "archive"
            else on_kafka(bootstrap, found.topic_prefix, (REQUESTS, DECISIONS, POLICY_REVISIONS), Asked())
        )
        rows.append(_only_read(source, where))
        for what, code, more in (("verify", 0, ()), ("what-if", 3, ("--policy", str(draft)))):
            said = _dli(code, "replay", what, *flags, "-o", "jsonl", *work, *more)
            ran = json.loads(said.splitlines()[0])["run"]
            row = Row(what, where, ran["requests"], ran["seconds"], ran["processes"], ran["peak_bytes_of_a_process"])
            if row.requests != count:
                raise BenchmarkError(f"{what} from {where} went through {row.requests:,} requests of {count:,}")
            rows.append(row)
    return rows


def _decide(found: Settings, count: int) -> None:
    with running(WORKER, [found]) as started:
        progress = Progress(found, transactional=True)
        begun = time.monotonic()
        try:
            while progress.count() < count:
                check(WORKER, [found], started)
                if time.monotonic() - begun > PATIENCE_S + count / 1_000:
                    raise BenchmarkError("the worker does not come to the end of the requests")
                time.sleep(0.1)
        finally:
            progress.close()
        time.sleep(SETTLED_S)


def _only_read(source: Source, where: str) -> Row:
    heard: list[Read] = []
    tasks = [Reading(source, partition) for partition in source.partitions(source.topic(REQUESTS))]
    processes = min(cores(), len(tasks))
    begun = time.perf_counter()
    run(tasks, read, heard.append, processes)
    seconds = time.perf_counter() - begun
    return Row(
        "only read", where, sum(one.requests for one in heard), seconds, processes, max(one.peak for one in heard)
    )


def _dli(code: int, *arguments: str) -> str:
    command = [sys.executable, "-m", "workers.main", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 (our own)
    if ran.returncode != code:
        raise BenchmarkError(f"dli {arguments[0]} {arguments[1]} ended with {ran.returncode}: {ran.stderr[-1000:]}")
    return ran.stdout


def report(rows: list[Row]) -> str:
    """The rows, to be read."""
    head = ("what", "from", "requests", "s", "requests/s", "per core", "of only reading", "peak MB of a process")
    read_alone = {row.source: row.rate for row in rows if row.what == "only read"}
    return table(
        head,
        [
            (
                row.what,
                row.source,
                number(row.requests),
                number(row.seconds, 1),
                number(row.rate),
                number(row.rate / row.processes),
                number(row.rate / read_alone[row.source], 2),
                number(row.peak / 1e6),
            )
            for row in rows
        ],
    )


def found(rows: list[Row]) -> list[dict[str, Any]]:
    """The rows, for programs."""
    return [{**row._asdict(), "rate": row.rate} for row in rows]
