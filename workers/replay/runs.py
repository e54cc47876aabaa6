"""One run over all partitions: parallel, with progress, resumable after an interruption."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from events.topics import REQUESTS
from workers.event_log.process_pool import WorkerHandle, run
from workers.event_log.progress import SILENT, Reporter
from workers.event_log.source import ReplayError
from workers.process import private_files
from workers.replay.findings import read_all
from workers.replay.partition_replay import News, Plan, Task

STATE = "state.json"
SAVED_EVERY_S = 2.0

Work = Callable[[Task, WorkerHandle[News]], None]


@dataclass(frozen=True)
class Done:
    """The result of a run."""

    states: Mapping[int, Mapping[str, Any]]
    """Each partition's last state; absent if it was not started."""
    finished: bool
    requests: int
    """The requests read in all partitions, including earlier attempts."""
    seconds: float
    """The duration of this attempt."""
    replayed: int
    """Requests of this attempt."""
    processes: int
    peak: int
    """The peak memory of its largest process, in bytes."""
    folder: Path

    def findings(self) -> Iterator[bytes]:
        """All findings as JSON lines."""
        sizes = {partition: state["judge"]["size"] for partition, state in self.states.items()}
        return read_all(self.folder, sizes)

    def about(self) -> dict[str, Any]:
        """Statistics of this attempt."""
        return {
            "seconds": round(self.seconds, 3),
            "requests": self.replayed,
            "requests_per_second": round(self.replayed / self.seconds) if self.seconds else 0,
            "processes": self.processes,
            "peak_bytes_of_a_process": self.peak,
        }

    def statistics(self) -> str:
        """The same as a sentence."""
        about = self.about()
        return (
            f"{about['requests']:,} requests in {self.seconds:,.1f} s, {about['requests_per_second']:,}/s"
            f" in {self.processes} processes, each {self.peak / 1e6:,.0f} MB at most"
        )


def identity(*parts: object) -> str:
    """The name of a run, derived from its log and parameters."""
    return sha256(repr(parts).encode()).hexdigest()[:12]


def over(plan: Plan, work: Work, processes: int, reporter: Reporter = SILENT) -> Done:
    """Replay all partitions of a plan; the reporter takes the progress.

    Raises:
        ReplayError: The log cannot be read, or the folder cannot be written.
    """
    source = plan.source
    topic = source.topic(REQUESTS)
    partitions = source.partitions(topic)
    if not partitions:
        raise ReplayError(f"the log has no topic {topic}")
    ends, states = _saved(plan.folder)
    plan = replace(plan, source=source.ending(ends)) if states else plan
    source = plan.source
    private_files.folder(plan.folder)
    if states:
        reporter.note(f"going on where an interrupted run stood: {plan.folder}")
    extents = {partition: source.extent(topic, partition) for partition in partitions}
    longest = sorted(partitions, key=lambda partition: extents[partition].first - extents[partition].end)
    tasks = [Task(plan, partition, states.get(partition)) for partition in longest]
    used = min(processes, len(tasks))
    total = sum(extent.end - extent.first if extent.records is None else extent.records for extent in extents.values())
    before = sum(int(state["requests"]) for state in states.values())
    begun = time.monotonic()
    with reporter.counting("requests", total) as counter:
        counter.add(before)
        progress = _States(plan, states)

        def record(news: News) -> None:
            counter.add(news.requests)
            progress.record(news)

        finished = run(tasks, work, record, used)
    progress.save()
    return Done(
        states=dict(sorted(progress.states.items())),
        finished=finished,
        requests=sum(int(state["requests"]) for state in progress.states.values()),
        seconds=time.monotonic() - begun,
        replayed=progress.replayed,
        processes=used,
        peak=progress.peak,
        folder=plan.folder,
    )


class _States:
    """The partitions' last states, saved to disk."""

    def __init__(self, plan: Plan, states: dict[int, dict[str, Any]]) -> None:
        self._folder = plan.folder
        self._ends = dict(plan.source.ends())
        self.states = states
        self.replayed = 0
        self.peak = 0
        self._saved = time.monotonic()

    def record(self, news: News) -> None:
        self.replayed += news.requests
        self.peak = max(self.peak, news.peak)
        if news.state is None:
            return
        self.states[news.partition] = news.state
        if time.monotonic() - self._saved > SAVED_EVERY_S:
            self.save()

    def save(self) -> None:
        beside = self._folder / f"{STATE}.new"
        states = {str(partition): state for partition, state in self.states.items()}
        private_files.write(beside, json.dumps({"ends": self._ends, "partitions": states}))
        beside.replace(self._folder / STATE)
        self._saved = time.monotonic()


def _saved(folder: Path) -> tuple[dict[str, int], dict[int, dict[str, Any]]]:
    try:
        text = (folder / STATE).read_text("utf-8")
    except FileNotFoundError:
        return {}, {}
    except OSError as error:
        raise ReplayError(f"{folder / STATE}: {error.strerror}") from None
    try:
        saved = json.loads(text)
        return saved["ends"], {int(partition): state for partition, state in saved["partitions"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReplayError(f"{folder / STATE}: cannot be read; remove {folder} to begin again") from None


def interrupted(folder: Path) -> bool:
    """Whether there is an interrupted run."""
    return (folder / STATE).exists()


def forget(folder: Path) -> None:
    """Delete a run's saved state."""
    shutil.rmtree(folder, ignore_errors=True)
