"""Workers as processes, and what came of their work, read back from the broker."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from prometheus_client.parser import text_string_to_metric_families

from events.case import case_of
from events.topics import CASE_EVENTS, CASES, DEADLINES, LEDGER, PRODUCERS_CLOCK, REQUESTS, TIME
from workers.cases.lifecycle import next_moment
from workers.cases.passing_of_time import STAGES
from workers.configuration.settings import Settings, read
from workers.demo.run import running_worker
from workers.dev_brokers import free_ports
from workers.kafka.group_progress import read_to_end
from workers.topics import apply_topics
from workers.traffic.commands import as_record, sent
from workers.traffic.commands import read as read_topic

PARTITIONS = 4
PATIENCE_SECONDS = 90.0


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds before patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return held


async def until(holds: Callable[[], bool]) -> bool:
    """Whether it holds before patience ends, while the loop goes on."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (held := holds()) and time.monotonic() < deadline:  # noqa: ASYNC110 (no event is set)
        await asyncio.sleep(0.02)
    return held


def settings_for(bootstrap: str, prefix: str, folder: Path, **flags: Any) -> Settings:
    return read(
        bootstrap=bootstrap,
        topic_prefix=prefix,
        app_id=f"{prefix}dli",
        partitions=PARTITIONS,
        web_port=free_ports().client,
        data_dir=folder / "worker",
        **flags,
    )


def producers_times(found: Settings, *names: str) -> None:
    """Have records of these topics keep the times that their producers write, as while an archive is restored."""
    with apply_topics.admin(found) as client:
        for name in names:
            apply_topics.set_on_topic(client, found.topic(name), {TIME: PRODUCERS_CLOCK})


@contextmanager
def worker(
    found: Settings, folder: Path, name: str = "worker", program: Sequence[str] = ("workers.main", "worker")
) -> Iterator[Popen[bytes]]:
    with running_worker(found, folder / f"{name}.log", program) as process:
        yield process


def publish(found: Settings, lines: Sequence[bytes]) -> int:
    return len(list(sent([as_record(line, found.topic(REQUESTS)) for line in lines], found)))


def everything_on(found: Settings, topic: str) -> list[ConsumerRecord]:
    """All records that are on a topic now."""
    return list(read_topic(found.topic(topic), found, from_beginning=True, until_end=True))


def at_rest(found: Settings) -> bool:
    """Whether workers have nothing left to do: every deadline that has passed is announced, and all of it is read."""
    newest = {one.key: case_of(one.value) for one in everything_on(found, CASES) if one.value is not None}
    now = datetime.now(UTC)
    moments = (next_moment(case) for case in newest.values())
    due = any(moment is not None and moment <= now for moment in moments)
    return not due and read_to_end(found, (*STAGES, (CASE_EVENTS,), (DEADLINES,), (LEDGER,)), PATIENCE_SECONDS)


def offsets(found: Settings, topic: str) -> tuple[dict[int, int], dict[int, int]]:
    """By partition: what the app's group has committed, and the end."""
    consumer = KafkaConsumer(
        bootstrap_servers=found.bootstrap,
        group_id=found.app_id,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    try:
        partitions = [TopicPartition(found.topic(topic), number) for number in range(PARTITIONS)]
        ends = consumer.end_offsets(partitions)
        committed = {one.partition: consumer.committed(one) or 0 for one in partitions}
        return committed, {one.partition: ends[one] for one in partitions}
    finally:
        consumer.close()


def get(found: Settings, path: str) -> tuple[int, Any]:
    """Status and body of what the worker answers over the web."""
    try:
        with urlopen(f"http://{found.web_host}:{found.web_port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def samples(port: int) -> dict[str, float]:
    """Every sample that a `/metrics` tells, by its name and labels as they stand there."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            one.name + "".join(f" {name}={value}" for name, value in sorted(one.labels.items())): one.value
            for family in families
            for one in family.samples
        }
