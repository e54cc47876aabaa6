"""Topics on a broker: archived by range, from the command line, without a trace on the broker."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from events.topics import DECISIONS, REQUESTS
from tests.workers.running import PARTITIONS, producers_times, settings_for
from tests.workers.test_cli import Ran, dli
from workers import topics
from workers.records import Record
from workers.replay.archive import ArchiveSource
from workers.settings import Settings

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("broker")]
HOUR = 3_600_000
FIRST = (int(time.time() * 1000) // HOUR - 72) * HOUR
"""Some days ago: older requests are not kept by the broker."""
HEADERS = [("content-type", b"text/plain"), ("raw", b"\xff\x00"), ("content-type", b"")]


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    """A room with a request each hour in every partition, and a decision on it a minute later."""
    made = settings_for(bootstrap, prefix, tmp_path)
    topics.apply(made)
    producers_times(made, REQUESTS, DECISIONS)
    producer = KafkaProducer(bootstrap_servers=bootstrap.split(","), acks="all")
    for partition in range(PARTITIONS):
        for hour in range(50):
            for topic, minutes in ((REQUESTS, 0), (DECISIONS, 1)):
                producer.send(
                    made.topic(topic),
                    key=b"key \xff" if hour == 7 else b"%d" % hour,
                    value=None if hour == 9 else b"value %d of %d" % (hour, partition),
                    headers=HEADERS if hour % 2 else [],
                    partition=partition,
                    timestamp_ms=FIRST + hour * HOUR + minutes * 60_000,
                )
    producer.flush()
    producer.close()
    return made


def archive(found: Settings, folder: Path, *flags: str) -> Ran:
    place = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    return dli("archive", str(folder), *place, *flags)


def kept(found: Settings, folder: Path, topic: str, partition: int) -> Sequence[Record]:
    source = ArchiveSource(folder)
    return [
        record
        for piece in source.read(found.topic(topic), partition, 0)
        if piece.chunk is not None
        for record in piece.chunk.records
    ]


def groups(bootstrap: str) -> set[str]:
    client = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        return {one["group_id"] for one in client.list_groups()}
    finally:
        client.close()


def test_an_archive_has_every_record_exactly_and_leaves_no_trace(found: Settings, tmp_path: Path) -> None:
    before = groups(found.bootstrap)

    assert archive(found, tmp_path / "kept").code == 0

    assert groups(found.bootstrap) == before
    for partition in range(PARTITIONS):
        records = kept(found, tmp_path / "kept", REQUESTS, partition)
        assert records == [
            Record(
                found.topic(REQUESTS),
                partition,
                hour,
                FIRST + hour * HOUR,
                b"key \xff" if hour == 7 else b"%d" % hour,
                None if hour == 9 else b"value %d of %d" % (hour, partition),
                tuple(HEADERS) if hour % 2 else (),
            )
            for hour in range(50)
        ]
    again = archive(found, tmp_path / "kept")
    assert (again.code, "is not written over" in again.err) == (1, True)
    assert dli("replay", "check", str(tmp_path / "kept")).code == 0


def test_a_range_of_time_has_its_requests_and_their_answers(found: Settings, tmp_path: Path) -> None:
    since, until = (datetime.fromtimestamp((FIRST + hour * HOUR) / 1000, UTC).isoformat() for hour in (3, 8))
    flags = ("--from", since, "--to", until.replace("+00:00", "Z"), "--partition", "1")

    assert archive(found, tmp_path / "kept", *flags).code == 0

    assert [one.offset for one in kept(found, tmp_path / "kept", REQUESTS, 1)] == [3, 4, 5, 6, 7]
    assert [one.offset for one in kept(found, tmp_path / "kept", DECISIONS, 1)] == list(range(3, 31)), "a day more"
    assert ArchiveSource(tmp_path / "kept").partitions(found.topic(REQUESTS)) == [1]


def test_a_range_of_offsets_has_its_requests(found: Settings, tmp_path: Path) -> None:
    flags = ("--from", "10", "--to", "13", "--partition", "0", "--partition", "2", "--format", "jsonl")

    assert archive(found, tmp_path / "kept", *flags).code == 0

    assert [one.offset for one in kept(found, tmp_path / "kept", REQUESTS, 2)] == [10, 11, 12]
    assert kept(found, tmp_path / "kept", DECISIONS, 2)[0].offset == 10
    assert ArchiveSource(tmp_path / "kept").extent(found.topic(REQUESTS), 2).whole is False


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--from", "yesterday"), "neither an offset nor an instant"),
        (("--partition", "99"), "has no partition 99"),
        (("--topic-prefix", "nobody."), "no topic nobody."),
    ],
)
def test_a_range_that_is_not_there_is_told(found: Settings, tmp_path: Path, flags: tuple[str, ...], says: str) -> None:
    refused = archive(found, tmp_path / "kept", *flags)

    assert (refused.code, says in refused.err) == (1, True)
    assert not (tmp_path / "kept").exists()
