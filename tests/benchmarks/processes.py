"""Variants as processes: started, watched from outside, ended. What they use is read from Linux's /proc."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, TopicPartition

from events.topics import DECISIONS, POLICY_ATTESTATIONS, REQUESTS
from policy_core.history.library import load_library
from tests.benchmarks.work import HEADERS, PARTITIONS, Request
from tests.support.places import ROOT
from workers.configuration.settings import Delivery, Settings, read
from workers.dev_brokers import free_ports
from workers.stream import BATCH_BYTES
from workers.topics import apply_topics

TICKS = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """A variant could not be run; the sentence says which and what it said."""


@dataclass(frozen=True)
class Variant:
    """One way to take requests to decisions."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    delivery: Delivery = Delivery.EXACTLY_ONCE
    processes: int = 1
    transactional: bool = True
    share: float = 1.0
    """How many of the records: fewer for whoever would take minutes for all, more than all for who takes no time."""
    python: str = sys.executable
    needs: str | None = None
    """A package that may be absent."""
    target: Path | None = None
    """For a program in Java: the folder that make builds; the module is then its class."""

    @property
    def attests(self) -> bool:
        """Whether it proves what each revision of the policies changes, once for each deployment."""
        return self.module == "workers.main"

    @property
    def missing(self) -> str | None:
        """What has to be installed or built before this variant can run."""
        if self.target is not None:
            return built(self.target)
        return None if self.needs is None or has(self.python, self.needs) else self.needs

    @property
    def command(self) -> list[str]:
        """What starts it."""
        if self.target is not None:
            return [*java(self.target, self.module), *self.arguments]
        return [self.python, "-m", self.module, *self.arguments]


@cache
def has(python: str, package: str) -> bool:
    """Whether an interpreter can import a package."""
    command = [python, "-c", f"import {package}"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 (named by who runs this)
    except OSError:
        return False


def built(target: Path) -> str | None:
    """None if make has built the folder; else its name."""
    return None if (target / ".ready").exists() else target.relative_to(ROOT).as_posix()


def java(target: Path, main: str) -> list[str]:
    """The command of a program in Java, of which a folder has the classes and jars. Its heap is that of the brokers."""
    options = ["-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    return ["java", *options, "-cp", f"{target / 'classes'}:{target / 'libs'}/*", main]


def room(
    bootstrap: str,
    folder: Path,
    name: str,
    delivery: Delivery = Delivery.EXACTLY_ONCE,
    partitions: int = PARTITIONS,
) -> Settings:
    """Settings with topics, a group and a folder that nobody else has; the topics are made."""
    found = read(
        bootstrap=bootstrap,
        topic_prefix=f"{name}.",
        app_id=f"{name}-dli",
        partitions=partitions,
        web_port=free_ports().client,
        data_dir=folder / name,
        delivery=delivery,
    )
    apply_topics.apply(found)
    return found


def remove_topics(found: Settings) -> None:
    """Give the disk back: a room's topics may have a gigabyte."""
    with apply_topics.admin(found) as admin:
        admin.delete_topics([name for name in admin.list_topics() if name.startswith(found.topic_prefix)])


def beside(found: Settings, number: int) -> Settings:
    """The same room for one more worker."""
    own = {"web_port": free_ports().client, "data_dir": found.data_dir.with_name(f"{found.data_dir.name}-{number}")}
    return found.model_copy(update=own)


@contextmanager
def running(variant: Variant, rooms: Sequence[Settings]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A process of the variant for each of the settings."""
    with ExitStack() as stack:
        started = []
        for found in rooms:
            found.data_dir.mkdir(parents=True, exist_ok=True)
            log = stack.enter_context((found.data_dir / "log").open("wb"))
            started.append(
                subprocess.Popen(variant.command, cwd=ROOT, env=found.environment(), stdout=log, stderr=log)  # noqa: S603 (our own)
            )
            stack.callback(_end, started[-1])
        yield started


def _end(process: subprocess.Popen[bytes]) -> None:
    # Nobody waits for an orderly end here: the group and its topics are not used again.
    process.kill()
    process.wait()


def check(variant: Variant, rooms: Sequence[Settings], started: Sequence[subprocess.Popen[bytes]]) -> None:
    """Raise, with the end of its log, where a process has ended.

    Raises:
        BenchmarkError: One has.
    """
    for found, process in zip(rooms, started, strict=True):
        if process.poll() is not None:
            tail = (found.data_dir / "log").read_text("utf-8", "replace")[-1500:]
            raise BenchmarkError(f"{variant.name} ended with exit code {process.returncode}; its log ends:\n{tail}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


class Progress:
    """How far a group has come, as the broker has it."""

    def __init__(self, found: Settings, *, transactional: bool, partitions: int = PARTITIONS) -> None:
        """Count committed requests; without transactions decisions, as offsets may be committed long after them."""
        self._by_offset = transactional
        self._consumer = KafkaConsumer(
            bootstrap_servers=found.bootstrap,
            group_id=found.app_id,
            enable_auto_commit=False,
            # An offset shows once its transaction is committed, and is not waited for while one is under way.
            isolation_level="read_uncommitted",
        )
        topic = found.topic(REQUESTS if transactional else DECISIONS)
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]

    def count(self) -> int:
        """Requests decided so far."""
        if self._by_offset:
            return sum(self._consumer.committed(one) or 0 for one in self._partitions)
        return sum(self._consumer.end_offsets(self._partitions).values())

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


@dataclass
class Fill:
    """Requests put on their topic in one transaction: nobody sees one of them before `show`."""

    producer: AIOKafkaProducer

    @classmethod
    async def begin(cls, found: Settings, requests: Sequence[Request]) -> "Fill":
        """Have the broker take the requests."""
        producer = AIOKafkaProducer(
            bootstrap_servers=found.bootstrap, transactional_id=f"fill-{found.app_id}", max_batch_size=BATCH_BYTES
        )
        await producer.start()
        await producer.begin_transaction()
        for partition in range(PARTITIONS):
            batch = producer.create_batch()
            for key, value in requests[partition::PARTITIONS]:
                if batch.append(timestamp=None, key=key, value=value, headers=list(HEADERS)) is None:
                    await (await producer.send_batch(batch, found.topic(REQUESTS), partition=partition))
                    batch = producer.create_batch()
                    batch.append(timestamp=None, key=key, value=value, headers=list(HEADERS))
            if batch.record_count():
                await (await producer.send_batch(batch, found.topic(REQUESTS), partition=partition))
        return cls(producer)

    async def show(self) -> None:
        """Let everybody see them."""
        await self.producer.commit_transaction()
        await self.producer.stop()


def wait_for_attestations(found: Settings) -> None:
    """Return once the policies' revisions are attested: the first worker of a deployment does so, and none after it.

    Raises:
        BenchmarkError: They are not within a minute.
    """
    library = load_library(found.policies, found.default_policy)
    wanted = sum(len(library.chain(number)) - 1 for number in library.numbers)
    where = TopicPartition(found.topic(POLICY_ATTESTATIONS), 0)
    consumer = KafkaConsumer(bootstrap_servers=found.bootstrap)
    try:
        wait_until(lambda: consumer.end_offsets([where])[where] >= wanted, 60.0, "the attestations of all revisions")
    finally:
        consumer.close()


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Return once it is so.

    Raises:
        BenchmarkError: It is not, after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)
