"""Archives put back: every record with its key, its headers and its time, and no request decided again."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from events.origin_headers import CAUSE, RecordPosition, cause_of
from events.topics import ANSWERED, DEAD_LETTERS, DECISIONS, LEDGER, REQUESTS, TIME
from tests.support import generator
from tests.support.commands import Ran, dli
from tests.support.running import (
    PARTITIONS,
    eventually,
    everything_on,
    get,
    producers_times,
    publish,
    settings_for,
    worker,
)
from workers.accounts import account as books
from workers.configuration.settings import Settings
from workers.kafka import record_batches
from workers.kafka.records import Record
from workers.topics import apply_topics
from workers.topics import restore_archive as restoring

ODD = [
    (-1, b"k", b"v"),
    (0, None, b"v"),
    (2**53, b"", b""),
    (1, b"\xff", None),
]
"""Time, key and value."""

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("broker")]

HOUR = 3_600_000
REQUEST_COUNT = 60


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


@pytest.fixture
def again(found: Settings, tmp_path: Path) -> Settings:
    """The deployment that the archive is put back into."""
    name = f"{found.topic_prefix}again."
    return found.model_copy(update={"topic_prefix": name, "app_id": f"{name}dli", "data_dir": tmp_path / "again"})


def archive(found: Settings, folder: Path, *flags: str) -> Path:
    kept = dli("archive", str(folder), "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, *flags)
    assert kept.code == 0, kept.err
    return folder


def restore(found: Settings, *arguments: str, partitions: int = PARTITIONS) -> Ran:
    place = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--partitions", str(partitions))
    return dli("restore", *arguments, *place, "--app-id", found.app_id)


def kept(found: Settings, topic: str) -> list[tuple[object, ...]]:
    """All of a topic, as far as it does not name the deployment or an offset."""
    return sorted(
        (
            one.partition,
            one.timestamp,
            one.key or b"",
            one.value or b"",
            [header for header in one.headers if header[0] != CAUSE],
        )
        for one in everything_on(found, topic)
    )


def all_done(found: Settings, requests: int) -> bool:
    standing = books.ask(found)
    return sum(one.account.consumed for one in standing if one.account is not None) == requests


def decided(found: Settings, folder: Path) -> list[bytes]:
    """Requests that a worker has decided, some of them worth a dead letter, and aborted ones between them."""
    lines = [generator.encode(one) for one in generator.requests(61, REQUEST_COUNT) if isinstance(one, dict)]
    gap(found)
    with worker(found, folder, "first"):
        publish(found, lines[:30])
        publish(found, [b"no request"])
        publish(found, lines[30:])
        assert eventually(lambda: all_done(found, REQUEST_COUNT + 1))
    return lines


def gap(found: Settings) -> None:
    """Take an offset of every partition that no reader of committed records sees: offsets move when restored."""
    producer = KafkaProducer(
        bootstrap_servers=found.bootstrap.split(","), transactional_id=f"{found.app_id}-gap", enable_idempotence=True
    )
    producer.init_transactions()
    producer.begin_transaction()
    for partition in range(PARTITIONS):
        producer.send(found.topic(REQUESTS), b"aborted", partition=partition)
    producer.flush()
    producer.abort_transaction()
    producer.close()


def test_restored_records_keep_their_times_and_stay_decided(found: Settings, again: Settings, tmp_path: Path) -> None:
    """What was archived is back with its times, and nothing is decided again."""
    lines = decided(found, tmp_path)
    folder = archive(found, tmp_path / "kept")

    planned, done = restore(again, str(folder)), restore(again, str(folder), "--execute")

    assert (planned.code, done.code) == (0, 0), planned.err + done.err
    for topic in (REQUESTS, DECISIONS, DEAD_LETTERS, ANSWERED):
        assert kept(again, topic) == kept(found, topic)
    apply_topics.apply(again)
    assert apply_topics.compare(again) == []
    with worker(again, tmp_path, "second"):
        publish(again, lines)
        assert eventually(lambda: all_done(again, 2 * REQUEST_COUNT + 1))
        one = json.loads(lines[7])["request_id"]
        assert eventually(lambda: get(again, f"/requests/{one}")[0] == 200)
    answers = Counter(one.key for one in everything_on(again, DECISIONS))
    assert answers == {json.loads(line)["request_id"].encode(): 1 for line in lines}


def test_an_answer_says_where_its_request_stands_now(found: Settings, again: Settings, tmp_path: Path) -> None:
    decided(found, tmp_path)
    folder = archive(found, tmp_path / "kept")

    assert restore(again, str(folder), "--execute").code == 0

    name = again.topic(REQUESTS)
    asked = {RecordPosition(name, one.partition, one.offset): one.key for one in everything_on(again, REQUESTS)}
    moved = 0
    before = {(one.key, one.timestamp): cause_of(tuple(one.headers)) for one in everything_on(found, DECISIONS)}
    for one in everything_on(again, DECISIONS):
        cause = cause_of(tuple(one.headers))
        assert cause is not None
        assert asked[cause] == one.key
        was = before[one.key, one.timestamp]
        moved += was is not None and was.offset != cause.offset
    assert moved > 0, "there were offsets that no archive keeps"


def test_daily_archives_that_overlap_are_one(found: Settings, again: Settings, tmp_path: Path) -> None:
    """Every answer of a day is kept with its requests, and those of the next beside it."""
    decided(found, tmp_path)
    first = archive(found, tmp_path / "one", "--to", "7")
    second = archive(found, tmp_path / "two", "--from", "5")

    done = restore(again, str(first), str(second), "--execute")

    assert done.code == 0, done.err
    for topic in (REQUESTS, DECISIONS, DEAD_LETTERS, ANSWERED):
        assert kept(again, topic) == kept(found, topic)


def test_odd_records_come_back_as_they_were(found: Settings, again: Settings, tmp_path: Path) -> None:
    producers_times(found, DECISIONS)
    producer = KafkaProducer(bootstrap_servers=found.bootstrap.split(","))
    old = int(time.time() * 1000) - 20 * HOUR
    headers = [("a", b""), ("a", b"\xff"), ("\xe9", b"1")]
    odd: list[dict[str, Any]] = [
        {"key": None, "value": b"x", "timestamp_ms": old},
        {"key": b"\xff\x00", "value": None, "timestamp_ms": old + 1},
        {"key": b"", "value": b"", "timestamp_ms": old - 5 * HOUR},
        {"key": b"k", "value": b"v" * 900_000, "timestamp_ms": old, "headers": headers},
    ]
    for one in odd:
        producer.send(found.topic(DECISIONS), partition=2, **one)
    producer.flush()
    producer.close()
    folder = archive(found, tmp_path / "kept")

    done = restore(again, str(folder), "--topic", DECISIONS, "--execute")

    assert done.code == 0, done.err
    assert kept(again, DECISIONS) == kept(found, DECISIONS)
    assert len(kept(again, DECISIONS)) == len(odd)
    with apply_topics.admin(again) as client:
        assert apply_topics.settings_there(client, again.topic(DECISIONS))[TIME] == "LogAppendTime"


def test_nothing_is_written_where_records_are_or_a_worker_is(found: Settings, again: Settings, tmp_path: Path) -> None:
    decided(found, tmp_path)
    folder = archive(found, tmp_path / "kept")

    over = restore(found, str(folder), "--execute")
    apply_topics.apply(again)
    with worker(again, tmp_path, "other"):
        beside = restore(again, str(folder), "--execute")

    assert (over.code, "put back on new topics only" in over.err) == (1, True), over.err
    assert (beside.code, "stop all workers first" in beside.err) == (1, True), beside.err
    assert everything_on(again, REQUESTS) == everything_on(again, LEDGER) == []


def test_what_would_not_be_the_same_is_refused(found: Settings, again: Settings, tmp_path: Path) -> None:
    decided(found, tmp_path)
    folder = archive(found, tmp_path / "kept")
    part = archive(found, tmp_path / "part", "--partition", "1")
    alone = archive(found, tmp_path / "alone", "--topic", REQUESTS)
    damaged = archive(found, tmp_path / "damaged")
    file = next(damaged.rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-20])

    refused = {
        "set DLI_PARTITIONS": restore(again, str(folder), "--execute", partitions=8),
        "archives of all partitions": restore(again, str(part), "--execute"),
        "would all be decided again": restore(again, str(alone), "--execute"),
        "nothing is restored from it": restore(again, str(damaged), "--execute"),
        "not in these archives": restore(again, str(folder), "--topic", LEDGER, "--execute"),
        "no archive there": restore(again, str(tmp_path / "nowhere"), "--execute"),
    }

    assert {says: one.code for says, one in refused.items()} == dict.fromkeys(refused, 1)
    for says, one in refused.items():
        assert says.lower() in one.err.lower()
    with apply_topics.admin(again) as client:
        assert [name for name in client.list_topics() if name.startswith(again.topic_prefix)] == []


def test_a_batch_keeps_whatever_a_record_has() -> None:
    headers = (("null", None), ("\udcff\udcfe", b"not UTF-8"), ("", b""))
    records = [Record("t", 0, n, at, key, value, headers) for n, (at, key, value) in enumerate(ODD)]

    [batch] = restoring._batches(iter(records))  # noqa: SLF001 (the rule itself)
    batch.close()

    read = list(record_batches.parsed(bytes(batch._build()), 0))  # noqa: SLF001 (as above)
    assert [(one.timestamp, one.key, one.value, tuple(one.headers)) for one in read] == [
        (one.timestamp, one.key, one.value, one.headers) for one in records
    ]
