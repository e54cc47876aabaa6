"""Requests no longer there, offsets that lie nowhere, transactions left open: a whole worker on Apache Kafka."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from events.topics import DECISIONS, REQUESTS
from tests.support import generator
from tests.support.commands import Ran, dli
from tests.support.running import eventually, everything_on, get, samples, settings_for, worker
from workers.accounts import account as accounts
from workers.accounts.account import PartitionBalance
from workers.configuration.settings import Settings
from workers.topics import apply_topics
from workers.traffic.commands import as_record

pytestmark = [pytest.mark.kafka, pytest.mark.broker]


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path, stalled_seconds=4)
    apply_topics.apply(made)
    return made


def publish(found: Settings, seed: int, counts: dict[int, int]) -> list[str]:
    """So many requests to each partition; their ids."""
    made = [generator.request(seed, number) | {"supersedes": None} for number in range(sum(counts.values()))]
    lines = iter(made)
    with KafkaProducer(bootstrap_servers=found.bootstrap, acks="all") as producer:
        for partition, count in counts.items():
            for _ in range(count):
                one = as_record(generator.encode(next(lines)), "")
                producer.send(found.topic(REQUESTS), one.value, key=one.key, partition=partition)
        producer.flush()
    return [one["request_id"] for one in made]


def place(found: Settings, partition: int = 0) -> TopicPartition:
    return TopicPartition(found.topic(REQUESTS), partition)


def remove(found: Settings, before: int) -> None:
    """What retention does, in partition 0."""
    admin = KafkaAdminClient(bootstrap_servers=found.bootstrap)
    try:
        admin.delete_records({place(found): before})
    finally:
        admin.close()


def commit(found: Settings, offset: int) -> None:
    """By hand, in partition 0."""
    consumer = KafkaConsumer(bootstrap_servers=found.bootstrap, group_id=found.app_id, enable_auto_commit=False)
    try:
        consumer.assign([place(found)])
        consumer.commit({place(found): OffsetAndMetadata(offset, "", -1)})
    finally:
        consumer.close()


def standing(found: Settings) -> dict[int, PartitionBalance]:
    return {one.partition: one for one in accounts.ask(found)}


def committed(found: Settings) -> list[int | None]:
    return [one.committed for one in standing(found).values()]


def answered(found: Settings) -> Counter[str]:
    return Counter((one.key or b"").decode() for one in everything_on(found, DECISIONS))


def errors(folder: Path, event: str) -> list[dict[str, Any]]:
    """The lines of all workers of a folder about something."""
    said = [
        line for log in folder.glob("*.log") for line in log.read_text("utf-8").splitlines() if f'"{event}"' in line
    ]
    return [json.loads(line) for line in said]


def command(found: Settings, *arguments: str) -> Ran:
    return dli(
        *arguments, "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--app-id", found.app_id
    )


def test_requests_removed_while_no_worker_runs_are_reported(found: Settings, tmp_path: Path) -> None:
    """Requests that are removed while no worker runs are reported, and the others are answered."""
    with worker(found, tmp_path, "first"):
        publish(found, 1, dict.fromkeys(range(4), 5))
        assert eventually(lambda: committed(found) == [5] * 4)
    ids = publish(found, 2, dict.fromkeys(range(4), 10))
    remove(found, before=12)
    unseen = command(found, "accounts")
    for name in ("second", "third"):
        with worker(found, tmp_path, name):
            assert eventually(lambda: committed(found) == [15] * 4)
            told = samples(found.web_port)["dli_requests_lost_total"]
    after, shown = standing(found), command(found, "accounts")

    assert told == 0, "the third worker found nothing that the second had not told"
    assert [answered(found)[one] for one in ids] == [0] * 7 + [1] * 33
    [said] = errors(tmp_path, "records_lost")
    assert (said["topic"], said["partition"]) == place(found)
    assert (said["first"], said["last"], said["count"], said["level"]) == (5, 11, 7, "error")
    assert [(one.account.lost, one.account.lost_at) for one in after.values() if one.account] == [
        (7, ((5, 11),)),
        *[(0, ())] * 3,
    ]
    assert unseen.code == shown.code == 3
    assert "7 removed before they were read, at offsets 5 to 11" in " ".join(unseen.out.split())
    assert "7 lost before they were read, at offsets 5 to 11" in " ".join(shown.out.split())


def test_requests_removed_under_a_running_worker_are_reported(found: Settings, tmp_path: Path) -> None:
    """Requests that are removed before a running worker has read them are reported."""
    with worker(found, tmp_path) as process:
        publish(found, 1, {0: 5, 1: 5})
        assert eventually(lambda: committed(found)[:2] == [5, 5])
        process.send_signal(signal.SIGSTOP)
        # A fetch that it has open is answered by the first at the most: nothing of what follows is on its way to it.
        publish(found, 2, {0: 1, 1: 1})
        publish(found, 3, {0: 9, 1: 9})
        remove(found, before=12)
        process.send_signal(signal.SIGCONT)
        assert eventually(lambda: committed(found)[:2] == [15, 15])
        assert eventually(lambda: samples(found.web_port)["dli_requests_lost_total"] > 0)
    [said] = errors(tmp_path, "records_lost")
    account = standing(found)[0].account
    assert account is not None
    assert said["first"] in {5, 6}
    assert account.lost_at == ((said["first"], 11),)
    assert account.consumed + account.lost == 15


def test_an_offset_beyond_the_end_is_refused_until_it_is_reset(found: Settings, tmp_path: Path) -> None:
    """An offset beyond the end is refused, over restarts as well, until it is set again."""
    with worker(found, tmp_path, "first"):
        ids = publish(found, 1, dict.fromkeys(range(4), 5))
        assert eventually(lambda: committed(found) == [5] * 4)
    commit(found, 20)
    ids += publish(found, 2, dict.fromkeys(range(4), 3))
    for name in ("second", "third"):
        with unready(found, tmp_path, name):
            assert eventually(lambda: len(errors(tmp_path, "offset_not_in_log")) == (1 if name == "second" else 2))  # noqa: B023
            # The others go on, and what is written here does not make the offset a good one.
            ids += publish(found, 3 if name == "second" else 4, {0: 20, 1: 1})
            assert eventually(lambda: (committed(found)[1] or 0) >= (9 if name == "second" else 10))  # noqa: B023
            assert eventually(lambda: not get(found, "/ready")[1]["in_range"])
            if name == "second":
                shown = command(found, "accounts")
                continue
            foreign = command(found, "reset-offset", found.topic(REQUESTS), "1", "--to", "earliest", "--execute")
            wrong = command(found, "reset-offset", found.topic(REQUESTS), "0", "--to", "49")
            looked = command(found, "reset-offset", found.topic(REQUESTS), "0", "--to", "earliest")
            assert committed(found)[0] == 20
            done = command(found, "reset-offset", found.topic(REQUESTS), "0", "--to", "earliest", "--execute")
            assert eventually(lambda: committed(found)[0] == 48)
            assert eventually(lambda: get(found, "/ready")[0] == 200)

    assert (shown.code, "20 is not in the log, which ended at 8" in " ".join(shown.out.split())) == (3, True)
    assert (foreign.code, "stop them first" in " ".join(foreign.err.split())) == (1, True)
    assert (wrong.code, "0 to 48" in wrong.err) == (1, True)
    assert (looked.code, done.code) == (0, 0)
    assert "offset 20 becomes 0" in looked.out
    assert Counter(ids) == answered(found)


@contextmanager
def unready(found: Settings, folder: Path, name: str) -> Iterator[None]:
    """A worker that is not waited for."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.main", "worker"], env=found.environment(), stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def test_a_worker_is_unready_while_a_transaction_is_open(found: Settings, tmp_path: Path) -> None:
    """An open transaction makes a worker unready, and its end makes the worker ready again."""
    with worker(found, tmp_path):
        ids = publish(found, 1, {0: 5, 1: 5})
        assert eventually(lambda: committed(found)[:2] == [5, 5])
        with KafkaProducer(
            bootstrap_servers=found.bootstrap, transactional_id=f"{found.app_id}-open", enable_idempotence=True
        ) as producer:
            producer.init_transactions()
            producer.begin_transaction()
            producer.send(found.topic(REQUESTS), b"never committed", partition=0).get(10)
            ids += publish(found, 2, {0: 10, 1: 10})
            assert eventually(lambda: not get(found, "/ready")[1]["unheld"])
            assert eventually(lambda: committed(found)[1] == 15)
            held, shown = standing(found)[0], command(found, "accounts")
            producer.abort_transaction()
        # What was aborted, and the marker behind it all, is committed too: nothing of it waits, or can be lost.
        assert eventually(lambda: committed(found)[:2] == [17, 15])
        assert eventually(lambda: get(found, "/ready")[0] == 200)

    assert (held.committed, held.waiting) == (5, 11)
    assert shown.code == 0
    assert "partition 0: an open transaction holds up 11 of these" in " ".join(shown.out.split())
    assert Counter(ids) == answered(found)
    assert [one.problem for one in standing(found).values()] == [None] * 4
