"""A worker on a real broker: the main job, end to end."""

import json
from base64 import b64decode
from collections import Counter
from pathlib import Path

import pytest
from kafka import KafkaProducer

from events.decode import decode
from events.topics import DEAD_LETTERS, DECISIONS, POLICY_REVISIONS, REQUESTS
from tests.support import generator
from tests.support.packaged import packaged_library
from tests.support.running import PARTITIONS, eventually, everything_on, get, publish, samples, settings_for, worker
from tests.support.running_workers import all_committed, revisions_known
from workers.accounts import account
from workers.configuration.settings import Settings
from workers.decide.handler import decide
from workers.demo.run import DemoError
from workers.kafka.records import OutgoingRecord
from workers.topics import apply_topics
from workers.traffic.commands import sent

pytestmark = pytest.mark.broker

COUNT = 2_000
MALFORMED = 0.01
PATIENCE_SECONDS = 60.0


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def test_two_thousand_requests_are_each_answered_once(found: Settings, tmp_path: Path) -> None:
    items = list(generator.requests(2026, COUNT, malformed=MALFORMED))

    with worker(found, tmp_path):
        assert publish(found, [generator.encode(one) for one in items]) == COUNT
        assert eventually(lambda: all_committed(found))
        decisions, letters = everything_on(found, DECISIONS), everything_on(found, DEAD_LETTERS)

    good = [one for one in items if generator.kind_of(one) is None]
    assert (len(decisions), len(letters)) == (1_980, 20)
    wanted = {one["request_id"] for one in good if isinstance(one, dict)}
    assert {one.key.decode() for one in decisions} == wanted
    assert all(json.loads(one.value)["data"]["request_id"] == one.key.decode() for one in decisions)
    library = packaged_library()
    expected = {
        one["request_id"]: decide(decode(generator.encode(one), bare_allowed=True), library).to_json()
        for one in good
        if isinstance(one, dict)
    }
    assert {one.key.decode(): json.loads(one.value)["data"] for one in decisions} == {
        name: json.loads(data) for name, data in expected.items()
    }


@pytest.mark.kafka
def test_an_event_of_almost_a_megabyte_is_kept_whole(found: Settings, tmp_path: Path) -> None:
    """An event of almost a megabyte is kept whole among the dead letters."""
    large = b'{"request_id": "L-1", "note": "' + b"x" * 900_000
    with worker(found, tmp_path):
        publish(found, [large])
        assert eventually(lambda: all_committed(found))
        [letter] = everything_on(found, DEAD_LETTERS)

    original = json.loads(letter.value)["data"]["original"]
    assert b64decode(original["value_base64"]) == large
    assert "value_sha256" not in original


@pytest.mark.kafka
def test_a_decision_stays_in_its_requests_partition(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path):
        publish(found, [generator.encode(one) for one in generator.requests(3, 200)])
        assert eventually(lambda: all_committed(found))
        requests, decisions = everything_on(found, REQUESTS), everything_on(found, DECISIONS)

    assert {one.key: one.partition for one in decisions} == {one.key: one.partition for one in requests}


@pytest.mark.kafka
def test_a_partition_of_markers_alone_has_an_account(found: Settings, tmp_path: Path) -> None:
    """As when a publisher's transaction was aborted before any request: the offset behind it has a note as well."""
    producer = KafkaProducer(bootstrap_servers=found.bootstrap, transactional_id=f"{found.topic_prefix}aborts")
    producer.init_transactions()
    producer.begin_transaction()
    for partition in range(PARTITIONS):
        producer.send(found.topic(REQUESTS), b"aborted", partition=partition).get(10)
    producer.abort_transaction()
    producer.close()

    with worker(found, tmp_path):
        assert eventually(lambda: [one.committed for one in account.ask(found)] == [2] * PARTITIONS)
        standing = account.ask(found)

    assert [(one.account, one.problem) for one in standing] == [(account.Account(0), None)] * PARTITIONS


@pytest.mark.kafka
def test_an_orderly_stop_leaves_no_line_at_error_level(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path) as process:
        publish(found, [generator.encode(one) for one in generator.requests(6, 20)])
        assert eventually(lambda: all_committed(found))
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0

    lines = [json.loads(line) for line in (tmp_path / "worker.log").read_text("utf-8").splitlines()]
    assert [one for one in lines if one["level"] in {"error", "critical"}] == []


@pytest.mark.kafka
def test_a_restarted_worker_answers_nothing_twice(found: Settings, tmp_path: Path) -> None:
    """A worker that stops and starts again answers nothing twice."""
    with worker(found, tmp_path) as first:
        publish(found, [generator.encode(one) for one in generator.requests(4, 300)])
        assert eventually(lambda: all_committed(found))
        first.terminate()
        assert first.wait(PATIENCE_SECONDS) == 0
    with worker(found, tmp_path, "second"):
        publish(found, [generator.encode(one) for one in generator.requests(5, 300)])
        assert eventually(lambda: all_committed(found))
        decisions = everything_on(found, DECISIONS)

    assert Counter(one.key for one in decisions).most_common(1)[0][1] == 1
    assert len(decisions) == 600


@pytest.mark.kafka
def test_a_worker_publishes_the_packaged_revisions_once(found: Settings, tmp_path: Path) -> None:
    """A worker publishes the packaged revisions once and answers questions about them."""
    with worker(found, tmp_path):
        assert eventually(lambda: len(everything_on(found, POLICY_REVISIONS)) == 19)
        assert eventually(lambda: revisions_known(found) == 19)
        status, newest = get(found, "/policies/L.2.03.402/revisions/2025-03-28")
        _, before = get(found, "/policies/L.2.03.402/in-force?on=2016-03-07")
        _, on = get(found, "/policies/L.2.03.402/in-force?on=2016-03-08")
        absent, _ = get(found, "/policies/L.2.03.402/in-force?on=1998-07-31")
        unknown, _ = get(found, "/policies/X.1/revisions")
        unreadable, sentence = get(found, "/policies/L.2.03.402/in-force?on=yesterday")
    with worker(found, tmp_path, "second"):
        assert eventually(lambda: revisions_known(found) == 19)
        records = everything_on(found, POLICY_REVISIONS)

    assert (status, newest["kinds"]) == (200, ["review"])
    assert (before["revision"], on["revision"]) == ("2015-09-18", "2016-03-08")
    assert (absent, unknown, unreadable) == (404, 404, 400)
    assert "YYYY-MM-DD" in sentence["error"]
    assert len(records) == 19
    assert len({one.key for one in records}) == 19


# The embedded broker answers a commit during a rebalance as if the member were unknown, and then waits for the member
# that it forgot: two workers are a matter for Apache Kafka.
@pytest.mark.kafka
def test_two_workers_publish_the_register_once(found: Settings, tmp_path: Path) -> None:
    """Of two workers in any order, the register is published once, and either one answers."""
    other = settings_for(found.bootstrap, found.topic_prefix, tmp_path / "other")
    (tmp_path / "other").mkdir()

    with worker(found, tmp_path), worker(other, tmp_path / "other"):
        assert eventually(lambda: revisions_known(found) == 19)
        assert eventually(lambda: revisions_known(other) == 19)
        keys = Counter(one.key for one in everything_on(found, POLICY_REVISIONS))

    assert len(keys) == 19


@pytest.mark.kafka
def test_a_bad_revision_is_a_dead_letter_and_changes_no_register(found: Settings, tmp_path: Path) -> None:
    """A bad revision goes to the dead letters, and the register stays as it is."""
    with worker(found, tmp_path):
        assert eventually(lambda: revisions_known(found) == 19)
        bad = [b"not json", json.dumps({"specversion": "1.0", "type": "policy.revision.published.v9"}).encode()]
        publish_to(found, POLICY_REVISIONS, bad)
        assert eventually(lambda: len(everything_on(found, DEAD_LETTERS)) == 2)
        _, register = get(found, "/policies/L.2.03.402/revisions")
        letters = everything_on(found, DEAD_LETTERS)
        assert eventually(lambda: dead_letters_counted(found) == {"undecodable": 1, "unsupported_type": 1})

    assert {json.loads(one.value)["data"]["reason"] for one in letters} == {"undecodable", "unsupported_type"}
    assert len(register["revisions"]) == 19


def dead_letters_counted(found: Settings) -> dict[str, float]:
    name = "dli_dead_letters_total reason="
    return {key.removeprefix(name): one for key, one in samples(found.web_port).items() if key.startswith(name)}


def publish_to(found: Settings, topic: str, values: list[bytes]) -> None:
    list(sent([OutgoingRecord(found.topic(topic), b"bad %d" % n, value, ()) for n, value in enumerate(values)], found))


@pytest.mark.kafka
def test_health_says_live_and_ready_and_metrics_count(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path):
        lines = [generator.encode(one) for one in generator.requests(6, 50, malformed=0.1)]
        publish(found, [*lines, *lines])
        assert eventually(lambda: all_committed(found))
        live, ready = get(found, "/live"), get(found, "/ready")
        told = samples(found.web_port)

    assert live == (200, {"live": True})
    work = ("assigned", "recovered", "feeding", "progressing", "broker", "in_range", "unheld")
    every = ("ready", *work, "policies", "topics", "revisions", "ledger")
    assert ready == (200, dict.fromkeys(every, True))
    assert told["dli_requests_total"] == told["dli_end_to_end_seconds_count"] == 100
    assert sum(told[name] for name in told if name.startswith("dli_decisions_total")) == 45
    assert sum(told[name] for name in told if name.startswith("dli_dead_letters_total")) == 10
    assert told["dli_duplicates_total"] == 45
    assert told["dli_rebalances_total"] == told["dli_rebalance_seconds_count"] == 1
    assert told["dli_recovery_seconds_count table=answered"] == 4
    assert told["dli_recovery_seconds_count table=policy-register"] == 1
    assert told["dli_feed_partitions state=working"] == 4
    assert (told["dli_ready"], told["dli_ready_check check=broker"]) == (1, 1)
    assert [name for name in told if name.startswith("dli_build_info")] != []


def test_a_worker_says_what_is_wrong_with_its_topics_and_ends(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    nowhere = settings_for(bootstrap, prefix, tmp_path)

    with pytest.raises(DemoError, match="dli topics apply"), worker(nowhere, tmp_path):
        pass


@pytest.mark.kafka
def test_every_line_a_worker_logs_is_json(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path) as process:
        publish(found, [generator.encode(one) for one in generator.requests(7, 20, malformed=0.5)])
        assert eventually(lambda: all_committed(found))
        process.terminate()
        process.wait(PATIENCE_SECONDS)

    lines = (tmp_path / "worker.log").read_text("utf-8").splitlines()
    assert lines != []
    assert all(isinstance(json.loads(line), dict) for line in lines)
