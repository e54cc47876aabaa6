"""Requests that are no longer there, offsets that lie nowhere, transactions left open: each is reported and counted."""

import json
import time
from collections.abc import Callable
from itertools import count as numbers
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from events.topics import DECISIONS, REQUESTS
from tests.faults.conftest import PROPERTIES
from tests.faults.flow import Fleet, eventually
from tests.faults.group import PARTITIONS, WORKERS, administer, all_answered, ask, counted, fleet
from tests.faults.report import Report
from tests.faults.workload import Pool
from tests.support.commands import Ran, dli
from tests.support.running import everything_on, get, samples
from workers.accounts import account
from workers.configuration.settings import Settings
from workers.dev_brokers import Broker, KafkaBroker
from workers.kafka.reader import kept

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

Times = Callable[[int, int], int]
OPEN_SECONDS = 25.0
"""Longer than a transaction may stay open before it makes a worker unready."""


def ends(found: Settings) -> dict[int, int]:
    """Behind the last record of each partition of requests."""
    return {where.partition: span.end for where, span in kept(found, [found.topic(REQUESTS)]).items()}


def all_read(found: Settings) -> bool:
    return all(one.waiting == 0 for one in account.ask(found))


def place(found: Settings, partition: int) -> TopicPartition:
    return TopicPartition(found.topic(REQUESTS), partition)


def commit(found: Settings, offsets: dict[int, int]) -> None:
    """By hand, while nobody works."""
    consumer = KafkaConsumer(bootstrap_servers=found.bootstrap, group_id=found.app_id, enable_auto_commit=False)
    try:
        consumer.assign([place(found, one) for one in offsets])
        consumer.commit({place(found, one): OffsetAndMetadata(offset, "", -1) for one, offset in offsets.items()})
    finally:
        consumer.close()


def command(found: Settings, *arguments: str) -> Ran:
    return dli(
        *arguments, "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--app-id", found.app_id
    )


def lines(workers: Fleet, event: str) -> list[dict[str, Any]]:
    """What all processes so far said of something."""
    said = [line for one in workers.workers for log in one.logs for line in log.read_text("utf-8").splitlines()]
    return [json.loads(line) for line in said if f'"{event}"' in line]


def halt(workers: Fleet) -> None:
    for one in workers.running:
        one.stop()


def unready(workers: Fleet, check: str) -> bool:
    """Whether some worker says that this keeps it from being ready."""
    return any(get(one.settings, "/ready")[1].get(check) is False for one in workers.running)


def test_requests_removed_before_reading_are_counted(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report, times: Times
) -> None:
    """What is removed before it is read is reported and counted, and everything else is answered."""
    rounds = times(3, 30)
    asked = pool.first(400 + 500 * rounds).asked
    removed: set[bytes] = set()
    with fleet(broker, prefix, tmp_path) as (workers, found):
        workers.start(WORKERS)
        ask(found, asked[:400])
        assert eventually(lambda: all_read(found))
        for number in range(rounds):
            first = 400 + 500 * number
            halt(workers)
            before = ends(found)
            ask(found, asked[first : first + 400])
            gone = {partition: end + 50 * (partition + 1) for partition, end in before.items()}
            removed |= {
                bytes(one.key)
                for one in everything_on(found, REQUESTS)
                if before[one.partition] <= one.offset < gone[one.partition]
            }
            administer(
                found,
                lambda client: client.delete_records({place(found, one): upto for one, upto in gone.items()}),  # noqa: B023 (called at once)
            )
            workers.start(WORKERS)
            ask(found, asked[first + 400 : first + 500])
            assert eventually(lambda: all_read(found))
        counted_by_workers = sum(samples(one.settings.web_port)["dli_requests_lost_total"] for one in workers.running)
        there, standing = counted(found, asked), account.ask(found)
        answered = {bytes(one.key) for one in everything_on(found, DECISIONS)}
        shown = command(found, "accounts")
        said = lines(workers, "records_lost")

    told = sum(one.account.lost for one in standing if one.account is not None)
    notes = f"{len(removed)} removed before they were read; lines, metric and accounts name each"
    report.add("requests removed unread", rounds, there._replace(lost=there.lost - len(removed)), notes=notes)
    assert {key for key, _, _ in asked} - answered == removed
    assert (there.duplicated, there.different, there.foreign) == (0, 0, 0)
    assert told == sum(one["count"] for one in said) == len(removed)
    assert counted_by_workers == len(removed) / rounds, "of the processes that run now"
    assert (shown.code, "lost before they were read" in " ".join(shown.out.split())) == (3, True)


def test_requests_behind_open_transactions_wait_until_they_end(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """Requests behind open transactions wait and are answered once these transactions end."""
    asked = pool.first(600).asked
    with fleet(broker, prefix, tmp_path) as (workers, found):
        workers.start(WORKERS)
        ask(found, asked[:200])
        assert all_answered(found, asked[:200])
        with KafkaProducer(
            bootstrap_servers=found.bootstrap, transactional_id=f"{found.app_id}-open", enable_idempotence=True
        ) as producer:
            producer.init_transactions()
            producer.begin_transaction()
            for partition in range(PARTITIONS):
                producer.send(found.topic(REQUESTS), b"never committed", partition=partition).get(10)
            opened = time.monotonic()
            ask(found, asked[200:400])
            noticed = eventually(lambda: unready(workers, "unheld"))
            held = sum(one.waiting for one in account.ask(found))
            while time.monotonic() < opened + OPEN_SECONDS:
                time.sleep(0.2)
            before = counted(found, asked).lost
            producer.abort_transaction()
        ended = time.monotonic()
        assert all_answered(found, asked[:400])
        back = time.monotonic() - ended
        workers.await_ready()
        ask(found, asked[400:])
        assert all_answered(found, asked)
        there = counted(found, asked)

    notes = f"open for {OPEN_SECONDS:.0f} s, {held} offsets waited, unready meanwhile"
    report.add("transaction left open", 1, there, [back], notes=notes)
    assert (there.clean, noticed) == (True, True)
    assert before == 400
    assert held == 200 + PARTITIONS


def test_offsets_beyond_the_end_are_refused(
    broker: Broker, pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """Offsets beyond the end of the log are refused, and no new request is swallowed."""
    asked = pool.first(600).asked
    with fleet(broker, prefix, tmp_path) as (workers, found):
        workers.start(WORKERS)
        ask(found, asked[:200])
        assert all_answered(found, asked[:200])
        halt(workers)
        right = ends(found)
        commit(found, {0: right[0] + 1_000})
        ask(found, asked[200:400])
        for one in workers.workers:
            one.start()
        refused = eventually(lambda: bool(lines(workers, "offset_not_in_log")) and unready(workers, "in_range"))
        # More come than the wrong offset is ahead: it must not become a right one by that.
        ask(found, asked[400:])
        others = eventually(lambda: [one.waiting for one in account.ask(found)][1] == 0)
        waiting = counted(found, asked).lost
        reset = command(found, "reset-offset", found.topic(REQUESTS), "0", "--to", str(right[0]), "--execute")
        done = all_answered(found, asked)
        workers.await_ready()
        there = counted(found, asked)

    report.add("offset beyond the end", 1, there, notes=f"{waiting} waited for `dli reset-offset`; the others went on")
    assert (refused, others, reset.code, done) == (True, True, 0, True), reset.err
    assert waiting > 0
    assert there.clean


def cut(found: Settings, broker: KafkaBroker, keep: float) -> None:
    """Lose the end of the log of partition 0, as a disk that was restored does, while its broker is down."""
    assert broker.folder is not None
    folder = broker.folder / "data" / f"{found.topic(REQUESTS)}-0"
    [log] = folder.glob("*.log")
    raw = log.read_bytes()
    log.write_bytes(raw[: int(len(raw) * keep)])
    for other in (*folder.glob("*.index"), *folder.glob("*.timeindex"), *folder.glob("*.snapshot")):
        other.unlink()


def test_running_workers_notice_a_log_that_lost_its_end(
    pool: Pool, prefix: str, tmp_path: Path, report: Report
) -> None:
    """Running workers notice a log that has lost its end."""
    asked = pool.first(600).asked
    with (
        KafkaBroker(folder=tmp_path / "kafka", properties=PROPERTIES) as broker,
        fleet(broker, prefix, tmp_path) as (workers, found),
    ):
        workers.start(WORKERS)
        for start in range(0, 400, 40):  # in batches: the log is cut between two, or in one
            ask(found, asked[start : start + 40])
        assert all_answered(found, asked[:400])
        whole = ends(found)
        broker.kill()
        cut(found, broker, 0.6)
        broker.restart()
        assert eventually(lambda: ends(found)[0] < whole[0])
        left = ends(found)[0]
        refused = eventually(lambda: bool(lines(workers, "offset_not_in_log")))
        for number in numbers():
            ask(found, asked[400:] if number == 0 else asked[:40])
            if ends(found)[0] > whole[0]:  # by now the offset that was right once is one in the log again
                break
        reset = command(found, "reset-offset", found.topic(REQUESTS), "0", "--to", str(left), "--execute")
        done = all_answered(found, asked)
        there = counted(found, asked)

    notes = f"{whole[0]} offsets became {left}; `dli reset-offset` to there; what was cut had its answers"
    report.add("log cut short", 1, there, notes=notes)
    assert (refused, reset.code, done) == (True, 0, True), reset.err
    assert there.clean
