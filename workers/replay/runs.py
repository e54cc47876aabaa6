"""One run over all partitions: shared among processes, counted, and to be taken up again when it is interrupted."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from events.topics import REQUESTS
from workers import private_files
from workers.console import err
from workers.event_log.process_pool import WorkerHandle, run
from workers.event_log.progress import counting
from workers.event_log.source import ReplayError
from workers.replay.findings import read_all
from workers.replay.partition_replay import News, Plan, Task

STATE = "state.json"
SAVED_EVERY_S = 2.0

Work = Callable[[Task, WorkerHandle[News]], None]


@dataclass(frozen=True)
class Done:
    """What a run came to."""

    states: Mapping[int, Mapping[str, Any]]
    """Each partition's last state; of one that was not begun there is none."""
    finished: bool
    requests: int
    """How many the log has of the partitions walked along, as far as they were read."""
    seconds: float
    """Of this attempt."""
    replayed: int
    """Requests of this attempt."""
    processes: int
    peak: int
    """Bytes of memory that the largest of its processes had at most."""
    folder: Path

    def findings(self) -> Iterator[bytes]:
        """All findings, a line of JSON each."""
        sizes = {partition: state["judge"]["size"] for partition, state in self.states.items()}
        return read_all(self.folder, sizes)

    def about(self) -> dict[str, Any]:
        """The run itself, which differs from attempt to attempt."""
        return {
            "seconds": round(self.seconds, 3),
            "requests": self.replayed,
            "requests_per_second": round(self.replayed / self.seconds) if self.seconds else 0,
            "processes": self.processes,
            "peak_bytes_of_a_process": self.peak,
        }


def identity(*parts: object) -> str:
    """The name of a run: the same for the same log and the same question."""
    return sha256(repr(parts).encode()).hexdigest()[:12]


def over(plan: Plan, work: Work, processes: int) -> Done:
    """Walk along all partitions of a plan.

    Raises:
        ReplayError: The log cannot be read, or the folder not written.
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
        err.print(f"going on where an interrupted run stood: {plan.folder}", markup=False)
    extents = {one: source.extent(topic, one) for one in partitions}
    longest = sorted(partitions, key=lambda one: extents[one].first - extents[one].end)
    tasks = [Task(plan, one, states.get(one)) for one in longest]
    used = min(processes, len(tasks))
    total = sum(one.records if one.records is not None else one.end - one.first for one in extents.values())
    before = sum(int(state["requests"]) for state in states.values())
    begun = time.monotonic()
    with counting("requests", total) as counter:
        counter.add(before)
        ledger = _Ledger(plan, states)

        def hear(news: News) -> None:
            counter.add(news.requests)
            ledger.hear(news)

        finished = run(tasks, work, hear, used)
    ledger.save()
    return Done(
        states=dict(sorted(ledger.states.items())),
        finished=finished,
        requests=sum(int(state["requests"]) for state in ledger.states.values()),
        seconds=time.monotonic() - begun,
        replayed=ledger.heard,
        processes=used,
        peak=ledger.peak,
        folder=plan.folder,
    )


class _Ledger:
    """The partitions' last states, on disk too."""

    def __init__(self, plan: Plan, states: dict[int, dict[str, Any]]) -> None:
        self._folder = plan.folder
        self._ends = dict(plan.source.ends())
        self.states = states
        self.heard = 0
        self.peak = 0
        self._saved = time.monotonic()

    def hear(self, news: News) -> None:
        self.heard += news.requests
        self.peak = max(self.peak, news.peak)
        if news.state is None:
            return
        self.states[news.partition] = news.state
        if time.monotonic() - self._saved > SAVED_EVERY_S:
            self.save()

    def save(self) -> None:
        beside = self._folder / f"{STATE}.new"
        states = {str(one): state for one, state in self.states.items()}
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
    """Whether there is a run to be taken up again."""
    return (folder / STATE).exists()


def forget(folder: Path) -> None:
    """Nothing is to be taken up again."""
    shutil.rmtree(folder, ignore_errors=True)
