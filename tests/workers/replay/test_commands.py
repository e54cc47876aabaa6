"""`dli replay` as a person runs it: on an archive, on Kafka, with exit codes that tell."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kafka import KafkaProducer

from events.topics import DECISIONS, REQUESTS
from tests.support.commands import dli
from tests.support.edits import EDITS, edited
from tests.support.event_logs import MemorySource, archived, changed, recorded
from tests.support.packaged import packaged_library
from tests.support.running import PARTITIONS, eventually, everything_on, offsets, publish, settings_for, worker
from tests.support.running_workers import all_committed
from workers.topics import apply_topics
from workers.traffic.generate import Generator


@pytest.fixture(scope="module")
def log() -> MemorySource:
    lines = list(Generator(9, duplicates=0.02, malformed=0.02).lines(400))
    return recorded(lines, packaged_library())


def test_only_an_identical_archive_ends_with_0(log: MemorySource, tmp_path: Path) -> None:
    """An archive that is identical ends with 0, and one that is not ends with 3."""
    work = ("--work", str(tmp_path / "work"))
    there = list(log.records[log.topic(DECISIONS), 1])
    there[5] = there[5]._replace(value=(there[5].value or b"").replace(b'"A', b'"B', 1))
    archived(log, tmp_path / "kept")
    archived(changed(log, DECISIONS, 1, there), tmp_path / "forged")

    same = dli("replay", "verify", str(tmp_path / "kept"), "-o", "jsonl", *work)
    other = dli("replay", "verify", str(tmp_path / "forged"), *work)

    summary = json.loads(same.out)["summary"]
    assert (same.code, summary["requests"], summary["identical"]["all"]) == (0, 400, 400)
    assert other.code == 3
    assert "399" in other.out
    assert f"recorded at t.authorization.decisions offset {there[5].offset}" in other.out
    assert (there[5].key or b"").decode() not in other.out
    assert not any((tmp_path / "work").iterdir())


def test_request_ids_are_shown_only_where_they_are_asked_for(log: MemorySource, tmp_path: Path) -> None:
    there = list(log.records[log.topic(DECISIONS), 1])
    gone = there.pop(5)
    archived(changed(log, DECISIONS, 1, there), tmp_path / "kept")
    command = ("replay", "verify", str(tmp_path / "kept"), "--work", str(tmp_path / "work"))

    assert (gone.key or b"").decode() not in dli(*command, "-o", "jsonl").out
    assert (gone.key or b"").decode() in dli(*command, "-o", "jsonl", "--request-ids").out


def test_what_cannot_be_replayed_is_one_sentence(tmp_path: Path) -> None:
    nothing = dli("replay", "verify", str(tmp_path / "nowhere"))
    flags = dli("replay", "verify", str(tmp_path), "--from", "12")

    assert (nothing.code, "no archive there" in nothing.err) == (1, True)
    assert (flags.code, "--from and --to are for Kafka" in flags.err) == (1, True)


@pytest.mark.parametrize("command", ["verify", "what-if"])
def test_what_an_archive_lacks_is_named_with_what_it_has(log: MemorySource, tmp_path: Path, command: str) -> None:
    whole = archived(log, tmp_path / "kept")
    requests = log.topic(REQUESTS)
    others = MemorySource({name: one for name, one in log.records.items() if name[0] != requests})
    part = archived(others, tmp_path / "part")
    flags = ("--policy", "2016-03-08") if command == "what-if" else ()

    partition = dli("replay", command, str(whole), "--partition", "77", *flags)
    topic = dli("replay", command, str(part), *flags)

    assert (partition.code, f"{requests} has no partition 77; it has 0 to 1" in partition.err) == (1, True)
    assert (topic.code, f"has no topic {requests}; it has t.authorization.dead-letters" in topic.err) == (1, True)


def test_replay_does_not_even_load_what_reaches_live_topics(log: MemorySource, tmp_path: Path) -> None:
    folder = archived(log, tmp_path / "kept")
    program = (
        "import sys, workers.main.cli\n"
        f"sys.argv = ['dli', 'replay', 'verify', {str(folder)!r}, '--work', {str(tmp_path)!r}, '--processes', '1']\n"
        "import kafka, aiokafka\n"
        "def refuse(*_, **__): raise AssertionError('a producer is constructed')\n"
        "kafka.KafkaProducer.__init__ = aiokafka.AIOKafkaProducer.__init__ = refuse\n"
        "try: workers.main.cli.main()\n"
        "except SystemExit as ended: print('ended', ended.code)\n"
        "print(sorted(name for name in ('faust', 'workers.stream', 'workers.main.app') if name in sys.modules))\n"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)  # noqa: S603 (our own)

    assert ran.stdout.splitlines()[-2:] == ["ended 0", "[]"]


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive that takes a moment, with a decision that was tampered with near its end."""
    lines = list(Generator(11, duplicates=0.02, malformed=0.02).lines(12_000))
    made = recorded(lines, packaged_library(), batch=1_000)
    there = list(made.records[made.topic(DECISIONS), 1])
    there[-7] = there[-7]._replace(value=(there[-7].value or b"").replace(b'"A', b'"B', 1))
    return archived(changed(made, DECISIONS, 1, there), tmp_path_factory.mktemp("longer") / "kept")


@pytest.mark.parametrize(("command", "processes"), [("verify", "2"), ("what-if", "1")])
def test_an_interrupted_report_is_truthful_and_resumable(
    longer: Path, tmp_path: Path, command: str, processes: str
) -> None:
    """Ctrl-C leaves a truthful part, and the same command then gives the whole report."""
    flags = ["-o", "jsonl", "--processes", processes]
    if command == "what-if":
        flags += ["--policy", str(edited(tmp_path, *EDITS["a code delisted"]))]
    whole = dli("replay", command, str(longer), "--work", str(tmp_path / "other"), *flags)
    work = tmp_path / "work"

    line = [sys.executable, "-m", "workers.main", "replay", command, str(longer), "--work", str(work), *flags]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603 (our own)
        while process.poll() is None and not list(work.glob("*/findings-*.jsonl")):
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    part = json.loads(out.splitlines()[0])["summary"]
    again = dli("replay", command, str(longer), "--work", str(work), *flags)

    assert process.returncode == 130, err
    read = "requests" if command == "verify" else "requests_read"
    assert (part["complete"], 0 <= part[read] < 12_000) == (False, True)
    assert b"the same command goes on" in err
    assert (again.code, whole.code) == (3, 3)
    assert json.loads(again.out.splitlines()[0])["summary"] == json.loads(whole.out.splitlines()[0])["summary"]
    assert again.out.splitlines()[1:] == whole.out.splitlines()[1:]
    assert not any(work.iterdir())


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_answers_are_identical_from_kafka_and_from_an_archive(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """What a worker answered is identical when read from Kafka and from an archive."""
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    lines = list(Generator(77, duplicates=0.03, conflicts=0.02, malformed=0.03).lines(2_000))
    with worker(found, tmp_path):
        publish(found, lines)
        assert eventually(lambda: all_committed(found))
    place = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--work", str(tmp_path / "work"))
    before = offsets(found, DECISIONS)[1]

    from_kafka = dli("replay", "verify", *place, "-o", "jsonl")
    kept = dli("archive", str(tmp_path / "kept"), *place[:4])
    from_archive = dli("replay", "verify", str(tmp_path / "kept"), "-o", "jsonl", "--work", str(tmp_path / "work"))

    assert [from_kafka.code, kept.code, from_archive.code] == [0, 0, 0], from_kafka.out + from_kafka.err
    summary = json.loads(from_kafka.out)["summary"]
    assert summary == json.loads(from_archive.out)["summary"]
    assert summary["identical"]["all"] == len(lines)
    assert summary["identical"]["decision"] == len(everything_on(found, DECISIONS))
    assert offsets(found, DECISIONS)[1] == before

    forged = everything_on(found, DECISIONS)[17]
    producer = KafkaProducer(bootstrap_servers=bootstrap.split(","))
    producer.send(forged.topic, forged.value, forged.key, list(forged.headers), forged.partition).get(30)
    producer.close()
    after = dli("replay", "verify", *place)
    assert (after.code, "second decision" in after.out) == (3, True)
    part = dli("replay", "verify", *place, "--partition", str((forged.partition + 1) % PARTITIONS))
    assert part.code == 0
