"""Topics on a broker: archived by range, from the command line, without a trace on the broker."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from events.topics import ANSWERED, DECISIONS, REQUESTS
from tests.support.commands import Ran, dli
from tests.support.running import PARTITIONS, producers_times, settings_for
from workers.archive import series
from workers.archive.archive_source import ArchiveSource
from workers.archive.series import Next, make_next
from workers.configuration.settings import Settings
from workers.event_log.source import Format, ReplayError
from workers.kafka.lag import Watcher
from workers.kafka.records import Record
from workers.monitoring.exporter import archived_until, of_consumers
from workers.replay.archive_commands import TOPICS as COMMANDS_TOPICS
from workers.topics import apply_topics

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("broker")]
HOUR = 3_600_000
FIRST = (int(time.time() * 1000) // HOUR - 72) * HOUR
"""Some days ago: older requests are not kept by the broker."""
HEADERS = [("content-type", b"text/plain"), ("raw", b"\xff\x00"), ("content-type", b"")]


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    """A room with a request each hour in every partition, and a decision on it a minute later."""
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
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


NOT_THERE = [
    (("--from", "yesterday"), "neither an offset nor an instant"),
    (("--partition", "99"), "has no partition 99"),
    (("--topic-prefix", "nobody."), "no topic nobody."),
    (("--topic", "authorization.request"), "--topic authorization.request: no declared topic; there are auth"),
    (("--topic", "authorization.answered", "--partition", "99"), "authorization.requests has no partition 99; it"),
    (("--topic", "policy.revisions", "--partition", "1"), "policy.revisions is kept whole"),
    (("--topic", "policy.revisions", "--from", "1"), "policy.revisions is kept whole"),
    (("--from", "5000"), "no request lies between them. Kafka keeps"),
    (("--from", "5000", "--partition", "1"), "authorization.requests/1: offsets 0 to 49"),
    (("--from", str(10**30)), "no request lies between them"),
    (("--from", "2999-01-01"), "no request lies between them"),
    (("--to", "1969-01-01"), "no request lies between them"),
    (("--from", "10", "--to", "3"), "--from 10 --to 3: nothing lies between"),
    (("--from", "10", "--to", "10"), "nothing lies between"),
    (("--from", "2026-02-01", "--to", "2026-01-01T00:00:00Z"), "nothing lies between"),
    (("--from", "10", "--to", "1970-01-02"), "no request lies between them"),
]


@pytest.mark.parametrize(
    ("command", "flags", "says"),
    # What is replayed are declared topics, and none is chosen.
    [
        (command, *one)
        for command in ("archive", "verify", "what-if")
        for one in NOT_THERE
        if command == "archive" or "--topic" not in one[0]
    ],
)
def test_a_range_that_is_not_there_is_told(
    found: Settings, tmp_path: Path, command: str, flags: tuple[str, ...], says: str
) -> None:
    place = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    if command == "archive":
        refused = archive(found, tmp_path / "kept", *flags)
    else:
        policy = ("--policy", "2016-03-08") if command == "what-if" else ()
        refused = dli("replay", command, *place, *policy, "--work", str(tmp_path / "kept"), *flags)

    assert (refused.code, says in " ".join(refused.err.split())) == (1, True), refused.err
    assert not (tmp_path / "kept").exists()


def test_a_declared_topic_that_the_cluster_lacks_is_told(found: Settings, tmp_path: Path) -> None:
    client = KafkaAdminClient(bootstrap_servers=found.bootstrap.split(","))
    client.delete_topics([found.topic(ANSWERED)])
    until = time.monotonic() + 60
    while found.topic(ANSWERED) in client.list_topics() and time.monotonic() < until:
        time.sleep(0.1)
    client.close()

    named = archive(found, tmp_path / "kept", "--topic", ANSWERED)
    others = archive(found, tmp_path / "kept")

    said = " ".join(named.err.split())
    assert (named.code, f"no topic {found.topic(ANSWERED)} at" in said) == (1, True)
    assert found.topic(DECISIONS) in said
    assert (others.code, "not kept, because not there" in others.err) == (0, True)


def test_answers_alone_are_kept_as_with_their_requests(found: Settings, tmp_path: Path) -> None:
    flags = ("--from", "10", "--to", "13", "--partition", "1", "--topic", DECISIONS, "--topic", DECISIONS)

    assert archive(found, tmp_path / "kept", *flags).code == 0

    assert kept(found, tmp_path / "kept", DECISIONS, 1)[0].offset == 10
    source = ArchiveSource(tmp_path / "kept")
    assert source.partitions(found.topic(DECISIONS)) == [1]
    assert source.partitions(found.topic(REQUESTS)) == []


# --- one after the other -------------------------------------------------------------------------------------------


def send(found: Settings, *, topic: str, partition: int, hours: range) -> None:
    producer = KafkaProducer(bootstrap_servers=found.bootstrap.split(","), acks="all")
    for hour in hours:
        producer.send(
            found.topic(topic), key=b"%d" % hour, value=b"late", partition=partition, timestamp_ms=FIRST + hour * HOUR
        )
    producer.flush()
    producer.close()


def archives(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_dir())


def offsets_in(found: Settings, folder: Path, topic: str, partition: int) -> list[int]:
    return [one.offset for archive in archives(folder) for one in kept(found, archive, topic, partition)]


def next_archive(found: Settings, folder: Path, now: datetime) -> Next:
    return make_next(folder, Format.PARQUET, COMMANDS_TOPICS, found, 1, now)


DAY = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


def test_each_archive_continues_where_the_last_one_ended(found: Settings, tmp_path: Path) -> None:
    """Each archive continues where the last one ended, and Kafka records how far they reach."""
    folder = tmp_path / "archives"

    next_archive(found, folder, DAY)
    send(found, topic=REQUESTS, partition=1, hours=range(50, 53))
    send(found, topic=DECISIONS, partition=1, hours=range(50, 52))
    next_archive(found, folder, DAY + timedelta(days=1))
    next_archive(found, folder, DAY + timedelta(days=2))

    assert [one.name for one in archives(folder)] == [
        "2026-03-01T02-00-00Z",
        "2026-03-02T02-00-00Z",
        "2026-03-03T02-00-00Z",
    ]
    assert offsets_in(found, folder, REQUESTS, 1) == list(range(53))
    assert offsets_in(found, folder, REQUESTS, 0) == list(range(50))
    assert sorted(set(offsets_in(found, folder, DECISIONS, 1))) == list(range(52))
    watcher = Watcher(found)
    look = watcher.look()
    watcher.close()
    assert archived_until(look, found.archive_group) == (DAY + timedelta(days=2)).timestamp()
    shown = {lag.group for lag in of_consumers(look, found).lags}
    assert found.archive_group not in shown


def test_an_answer_between_two_archives_is_in_the_next_one(found: Settings, tmp_path: Path) -> None:
    """An answer that comes between two archives is in the next one."""
    folder = tmp_path / "archives"
    send(found, topic=REQUESTS, partition=2, hours=range(50, 51))

    next_archive(found, folder, DAY)
    # Its request is in the first archive; no request comes, or a much younger one.
    send(found, topic=DECISIONS, partition=2, hours=range(50, 51))
    next_archive(found, folder, DAY + timedelta(days=1))
    send(found, topic=DECISIONS, partition=2, hours=range(51, 52))
    send(found, topic=REQUESTS, partition=2, hours=range(60, 61))
    next_archive(found, folder, DAY + timedelta(days=2))

    assert set(offsets_in(found, folder, DECISIONS, 2)) == set(range(52))


def test_an_archive_that_was_interrupted_is_finished_first(
    found: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "archives"
    with monkeypatch.context() as patched:
        patched.setattr("workers.archive.make_archive.run", lambda *_: False)
        assert not next_archive(found, folder, DAY).finished

    next_archive(found, folder, DAY + timedelta(days=1))

    assert [one.name for one in archives(folder)] == ["2026-03-01T02-00-00Z"]
    assert offsets_in(found, folder, REQUESTS, 1) == list(range(50))
    watcher = Watcher(found)
    assert archived_until(watcher.look(), found.archive_group) == DAY.timestamp()
    watcher.close()


def test_records_kafka_deleted_between_archives_are_reported(found: Settings, tmp_path: Path) -> None:
    """What Kafka deleted between two archives is reported with its offsets."""
    folder = tmp_path / "archives"
    next_archive(found, folder, DAY)
    send(found, topic=REQUESTS, partition=1, hours=range(50, 60))
    client = KafkaAdminClient(bootstrap_servers=found.bootstrap.split(","))
    client.delete_records({TopicPartition(found.topic(REQUESTS), 1): 55})
    client.close()

    ran = archive(found, folder, "--continue")
    again = archive(found, folder, "--continue")

    assert ran.code == 3
    said = " ".join(ran.err.split())
    assert f"in no archive: {found.topic(REQUESTS)}/1, offset 50 to 54: Kafka no longer keeps them" in said
    assert offsets_in(found, folder, REQUESTS, 1) == [*range(50), *range(55, 60)]
    assert again.code == 0


def test_a_topic_that_was_made_anew_is_not_taken_for_the_old_one(found: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "archives"
    next_archive(found, folder, DAY)
    client = KafkaAdminClient(bootstrap_servers=found.bootstrap.split(","))
    client.delete_topics([found.topic(REQUESTS)])
    client.close()
    until = time.monotonic() + 60
    while not apply_topics.apply(found) and time.monotonic() < until:
        time.sleep(0.1)

    ran = archive(found, folder, "--continue")

    assert ran.code == 1
    assert "ends at offset 0, and the last archive at 50: it was made anew, or cut" in " ".join(ran.err.split())


def test_two_at_once_are_one(found: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "archives"
    folder.mkdir()
    with series._alone(folder):  # noqa: SLF001 (what another process would hold)
        ran = archive(found, folder, "--continue")

    assert (ran.code, "another `dli archive` is at work there" in " ".join(ran.err.split())) == (1, True)


def test_going_on_has_a_beginning_of_its_own(found: Settings, tmp_path: Path) -> None:
    ran = archive(found, tmp_path / "archives", "--continue", "--from", "7")

    assert (ran.code, "without --from, --to and --partition" in " ".join(ran.err.split())) == (1, True)


# --- signed --------------------------------------------------------------------------------------------------------


def test_an_archive_continues_only_from_a_signed_one(found: Settings, tmp_path: Path) -> None:
    """Archives are signed, and the next one continues only from a signed one."""
    folder, key = tmp_path / "archives", Ed25519PrivateKey.generate()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "office.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    secret = tmp_path / "private.key"
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    secret.chmod(0o600)
    keyed = found.model_copy(update={"archive_key": secret, "archive_keys": tmp_path / "keys"})

    one = next_archive(keyed, folder, DAY).folder
    send(found, topic=REQUESTS, partition=1, hours=range(50, 53))
    two = next_archive(keyed, folder, DAY + timedelta(days=1)).folder

    standings = [ArchiveSource(archive, keys_in=keyed.archive_keys).standing for archive in (one, two)]
    assert [standing.name for standing in standings] == ["office", "office"]
    assert [standing.previous for standing in standings] == [None, ArchiveSource(one).digest]
    (two / "manifest.json").write_bytes((one / "manifest.json").read_bytes())
    with pytest.raises(ReplayError, match="tampered with"):
        next_archive(keyed, folder, DAY + timedelta(days=2))
    assert len(archives(folder)) == 2
    made = archive(found, tmp_path / "by hand", "--key", str(secret), "--topic", REQUESTS)
    assert (made.code, "signed with the key" in made.err) == (0, True)
    assert ArchiveSource(tmp_path / "by hand", keys_in=keyed.archive_keys).standing.name == "office"
