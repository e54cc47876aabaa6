"""A flow of requests through workers, watched from outside: who publishes, who decides, and when answers come."""

import asyncio
import json
import mmap
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from events.topics import ANSWERED, DECISIONS, REQUESTS
from tests.faults import publisher
from tests.faults.counting import Answer, Counted, count, digest
from tests.faults.workload import Workload
from tests.support.running import settings_for
from workers.configuration.settings import Settings
from workers.demo.run import is_ready
from workers.dev_brokers import free_ports
from workers.stream import EXIT_PROCESSOR_LOST
from workers.topics import apply_topics

SESSION_SECONDS = 1.5
"""After which a silent worker's partitions go to others; the tests' broker allows it."""
PARTITIONS = 6
"""So many that two and three workers each get an equal share: Faust leaves a worker without one otherwise."""
PATIENCE_SECONDS = 120.0
FULL_SPEED = 50_000
WORKER = ("-m", "workers.main", "worker")


# --- in ------------------------------------------------------------------------------------------------------------


class Publisher:
    """The process that publishes a workload."""

    def __init__(self, bootstrap: str, topic: str, workload: Workload, folder: Path) -> None:
        self.total = len(workload.asked)
        file, control = folder / "records.bin", folder / "control"
        workload.save(file)
        control.write_bytes(bytes(publisher.CONTROL.size + publisher.HANDED.size))
        with control.open("r+b") as shared:
            self._control = mmap.mmap(shared.fileno(), 0)
        command = [sys.executable, publisher.__file__, bootstrap, topic, str(file), str(self.total), str(control)]
        self._log = folder / "publisher.log"
        with self._log.open("wb") as sink:
            self.process = subprocess.Popen(command, stdout=sink, stderr=sink)  # noqa: S603 (our own command)

    @property
    def handed(self) -> int:
        """How many records were given to the producer so far: later ones are published later."""
        (handed,) = publisher.HANDED.unpack_from(self._control, publisher.CONTROL.size)
        return int(handed)

    def allow(self, limit: int, rate: int = FULL_SPEED) -> None:
        """Let it publish up to that many in all, at a rate per second."""
        publisher.CONTROL.pack_into(self._control, 0, limit, max(1, rate))

    def spread(self, upto: int, seconds: float) -> None:
        """Let it publish up to that many in all, spread over a time."""
        self.allow(upto, round((upto - self.handed) / max(seconds, 0.05)))

    def finish(self, patience: float = PATIENCE_SECONDS) -> None:
        """Publish the rest, and wait until the broker has it."""
        self.allow(self.total)
        code = self.process.wait(patience)
        assert code == 0, self._log.read_text("utf-8", "replace")

    def stop(self) -> None:
        """End it, whatever it is doing."""
        self.process.kill()
        self.process.wait()


# --- out -----------------------------------------------------------------------------------------------------------


class Mark(NamedTuple):
    """That a decision was seen."""

    at: float
    number: int
    """Of the request, in the order of publication."""


class Watch(Thread):
    """Reads decisions as they are committed, and notes when which came."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        super().__init__(name="watch", daemon=True)
        self._servers = bootstrap
        self._partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        self._marks: dict[int, list[Mark]] = defaultdict(list)
        self._over = Event()
        self._lock = Lock()
        self.seen = 0

    def run(self) -> None:
        asyncio.run(self._read())

    async def _read(self) -> None:
        while not self._over.is_set():
            with suppress(KafkaError, OSError):
                await self._read_on()

    async def _read_on(self) -> None:
        async with AIOKafkaConsumer(
            bootstrap_servers=self._servers, enable_auto_commit=False, isolation_level="read_committed"
        ) as consumer:
            consumer.assign(self._partitions)
            await consumer.seek_to_beginning()
            while not self._over.is_set():
                found = await consumer.getmany(timeout_ms=100)
                now = time.monotonic()
                with self._lock:
                    for where, records in found.items():
                        self.seen += len(records)
                        newest = max(int(record.key.rsplit(b"-", 1)[1]) for record in records)
                        self._marks[where.partition].append(Mark(now, newest))

    def back_at(self, number: int) -> float | None:
        """When every partition had answered a request that was published after the `number`-th."""
        with self._lock:
            firsts = [next((one.at for one in marks if one.number >= number), None) for marks in self._marks.values()]
        known = [one for one in firsts if one is not None]
        return max(known) if len(known) == PARTITIONS else None

    def stop(self) -> None:
        self._over.set()
        self.join(10)


def all_committed(found: Settings, published: int) -> bool:
    """Whether the workers' group has committed all that was published."""
    return asyncio.run(_committed(found)) == published


async def _committed(found: Settings) -> int:
    partitions = [TopicPartition(found.topic(REQUESTS), number) for number in range(PARTITIONS)]
    try:
        async with AIOKafkaConsumer(
            bootstrap_servers=found.bootstrap, group_id=found.app_id, enable_auto_commit=False
        ) as consumer:
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            committed = {one: await consumer.committed(one) or 0 for one in partitions}
    except (KafkaError, OSError):
        return -1
    return sum(committed.values()) if committed == ends else -1


def answers(found: Settings) -> list[Answer]:
    """All decisions that are on the topic now, committed ones only."""
    return [Answer(bytes(key or b""), digest(value)) for key, value in everything(found, DECISIONS)]


def everything(found: Settings, name: str) -> list[tuple[bytes | None, bytes]]:
    """Keys and values of all committed records of a topic."""
    return asyncio.run(_everything(found, found.topic(name)))


async def _everything(found: Settings, topic: str) -> list[tuple[bytes | None, bytes]]:
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    async with AIOKafkaConsumer(
        bootstrap_servers=found.bootstrap,
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=8_000_000,
    ) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        read: list[tuple[bytes | None, bytes]] = []
        for where in partitions:
            while await consumer.position(where) < ends[where]:
                got = await consumer.getmany(where, timeout_ms=200)
                read += [(one.key, one.value) for records in got.values() for one in records]
        return read


# --- between -------------------------------------------------------------------------------------------------------


class Worker:
    """One place for a worker: its settings and disk stay, its process comes and goes."""

    def __init__(
        self, found: Settings, folder: Path, command: Sequence[str] = ("-m", "workers.main", "worker")
    ) -> None:
        self.settings = found
        self.folder = folder
        self.command = [sys.executable, *command]
        self.process: subprocess.Popen[bytes] | None = None
        self.logs: list[Path] = []

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        log = self.folder / f"{len(self.logs) + 1}.log"
        self.logs.append(log)
        with log.open("wb") as sink:
            self.process = subprocess.Popen(  # noqa: S603 (our own command)
                self.command, stdout=sink, stderr=sink, env=self.settings.environment()
            )

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> float:
        """Ask it to end; the seconds that it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        self.process.wait(PATIENCE_SECONDS)
        return time.monotonic() - begun

    def ready(self) -> bool:
        return self.running and is_ready(self.settings)

    def said(self) -> str:
        """The last process's log."""
        return self.logs[-1].read_text("utf-8", "replace")

    def rss_mb(self) -> float:
        """The memory that its process has now."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


class Fleet:
    """Workers of one group, each in its place."""

    def __init__(self, found: Settings, folder: Path, places: int = 3) -> None:
        self.workers: list[Worker] = []
        for number in range(places):
            home = folder / f"place-{number}"
            home.mkdir()
            changed = {"web_port": free_ports().client, "data_dir": home / "data"}
            self.workers.append(Worker(found.model_copy(update=changed), home))
        self.gave_up = 0

    @property
    def running(self) -> list[Worker]:
        return [one for one in self.workers if one.running]

    @property
    def idle(self) -> list[Worker]:
        return [one for one in self.workers if not one.running]

    def start(self, count: int) -> None:
        """Start so many, and wait until they are ready."""
        for one in self.idle[:count]:
            one.start()
        self.await_ready()

    def await_ready(self) -> None:
        assert eventually(lambda: all(one.ready() for one in self.running)), self.said()

    def look_after(self) -> None:
        """What a supervisor does: start those again that ended by themselves because they must not go on."""
        for one in self.workers:
            if one.process is not None and one.process.poll() == EXIT_PROCESSOR_LOST:
                self.gave_up += 1
                one.start()

    def said(self) -> str:
        """The end of each running worker's log."""
        return "\n".join("\n".join(one.said().splitlines()[-8:]) for one in self.workers if one.logs)

    def owners(self) -> dict[int, list[str]]:
        """By partition: the processes that took it over, by the order of their logs."""
        taken: dict[int, list[str]] = defaultdict(list)
        for one in self.workers:
            for log in one.logs:
                for partition in sorted(taken_over(log)):
                    taken[partition].append(f"{one.folder.name}/{log.stem}")
        return dict(taken)

    def stop(self) -> None:
        for one in self.running:
            one.signal(signal.SIGCONT)
            one.signal(signal.SIGKILL)
        for one in self.workers:
            if one.process is not None:
                one.process.wait()


def taken_over(log: Path) -> set[int]:
    """The partitions of requests that the process of this log had: those whose memory of duplicates was ready."""
    ready = (entry for entry in _entries(log, '"copy_ready"') if str(entry["of"]).endswith(ANSWERED))
    return {entry["partition"] for entry in ready}


def _entries(log: Path, event: str) -> Iterator[dict[str, Any]]:
    for line in log.read_text("utf-8", "replace").splitlines():
        if event in line:
            with suppress(ValueError):
                yield json.loads(line)


# --- all of it -----------------------------------------------------------------------------------------------------


@dataclass
class Flow:
    """One workload on its way through one fleet."""

    settings: Settings
    workload: Workload
    publisher: Publisher
    watch: Watch
    fleet: Fleet
    faults: list[tuple[float, int]] = field(default_factory=list)

    def fault(self) -> None:
        """Note that something is broken now."""
        self.faults.append((time.monotonic(), self.publisher.handed))

    def pass_time(self, seconds: float) -> None:
        """Look after the workers for some time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.fleet.look_after()
            time.sleep(min(0.1, left))

    def recoveries(self) -> list[float]:
        """For each fault, the seconds until every partition answered requests that were published after it."""
        back = [(at, self.watch.back_at(number)) for at, number in self.faults]
        return [answered - at for at, answered in back if answered is not None]

    def await_back(self) -> None:
        """Wait until the flow is back after the last fault."""
        assert self._eventually(lambda: self.watch.back_at(self.faults[-1][1]) is not None), self.fleet.said()

    def await_answers(self, beyond: int) -> None:
        """Wait until more than so many decisions were seen."""
        assert self._eventually(lambda: self.watch.seen > beyond), self.fleet.said()

    def finish(self) -> Counted:
        """Publish the rest, wait until all of it is done, and count."""
        self.publisher.allow(self.publisher.total)
        assert self._eventually(lambda: self.publisher.process.poll() is not None), "the publisher did not end"
        self.publisher.finish()
        assert self._eventually(lambda: all_committed(self.settings, self.publisher.total)), self.fleet.said()
        return count(self.workload.expected, answers(self.settings))

    def _eventually(self, holds: Callable[[], bool]) -> bool:
        def looked_after() -> bool:
            self.fleet.look_after()
            return holds()

        return eventually(looked_after)


@contextmanager
def flowing(
    bootstrap: str, workload: Workload, folder: Path, prefix: str, *, direct: str | None = None, **flags: Any
) -> Iterator[Flow]:
    """Topics, a publisher that waits to be allowed, a watch, and places for workers; all ended in the end.

    Workers use `bootstrap`; publisher and watch use `direct`, where the fault lies on the workers' way.
    """
    found = settings_for(bootstrap, prefix, folder, session_timeout_seconds=SESSION_SECONDS, **flags)
    found = found.model_copy(update={"partitions": PARTITIONS})
    outside = found.model_copy(update={"bootstrap": direct or bootstrap})
    apply_topics.apply(outside)
    fleet = Fleet(found, folder)
    watch = Watch(outside.bootstrap, found.topic(DECISIONS))
    source = Publisher(outside.bootstrap, found.topic(REQUESTS), workload, folder)
    try:
        watch.start()
        yield Flow(outside, workload, source, watch, fleet)
    finally:
        fleet.stop()
        source.stop()
        watch.stop()


def eventually(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether it holds within some time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return holds()


def moved(owners: dict[int, list[str]]) -> Iterable[int]:
    """The partitions that more than one process had."""
    return [partition for partition, processes in owners.items() if len(processes) > 1]
