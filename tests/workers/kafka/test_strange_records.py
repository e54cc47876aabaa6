"""Whoever may write to a topic of ours may write anything there: that costs one record, and a line that names it."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaProducer

from events.topics import DEAD_LETTERS, DECISIONS, POLICY_ATTESTATIONS, POLICY_REVISIONS
from tests.support.commands import Ran, dli
from tests.support.requests import request
from tests.support.running import eventually, publish, settings_for, worker
from tests.support.scrape import Scrape
from workers.configuration.settings import Settings, read
from workers.dashboard.data.consumer import Reader
from workers.dead_letters.read import read_letter
from workers.dev_brokers import free_ports
from workers.kafka.reader import StrangeError, data_of, headers_of, written_at
from workers.ledger.supersedes_links import link_of
from workers.ledger.trace import _named
from workers.monitoring.exporter import serving
from workers.topics import apply_topics
from workers.work_list.open_cases import OpenCases

MARK = b"MARKED-7f3a"
NOT_JSON = (None, b"", b"junk " + MARK, b"\xff\xfe", b"{" + MARK, b"[" * 100_000, b'{"a": 1, "a": 2}')
NO_EVENTS = (b"null", b"1", b'"' + MARK + b'"', b"[]", b'{"specversion": "1.0"}', b'{"specversion": "1.0", "data": 1}')
NOT_OURS = (
    b"{}",
    b'{"specversion": "1.0", "id": 1, "data": {}}',
    b'{"specversion": "1.0", "id": "x", "data": {"original": 1, "reason": "' + MARK + b'"}}',
    b'{"specversion": "1.0", "id": "x", "data": {"original": {"topic": 1, "partition": "' + MARK + b'"}}}',
    b'{"request_id": 1, "reason": [], "lines": 1, "clock": 1, "action": {}, "supersedes": 1}',
    b'{"request_id": "R", "lines": [1], "clock": {"state": []}, "action": "A4", "due_at": "soon"}',
    b'{"request_id": "R", "lines": [], "clock": {"state": "running"}, "action": "A4", "due_at": "2025-06-01T12:00:00"}',
    b'{"id": "x", "' + MARK + b'": 1}',
    b'{"policy_number": [], "digest": {}, "document": 1, "after": 1}',
    b'{"id": "x", "reason": "undecodable", "message": "", "errors": [], "original": {"value_base64": "A"}}',
)
STRANGE = NOT_JSON + NO_EVENTS + NOT_OURS


def record(value: bytes | None, topic: str = "t", headers: Any = (), timestamp: int = 1_750_000_000_000) -> Any:
    """As much of a consumer's record as is read."""
    return SimpleNamespace(
        topic=topic, partition=0, offset=7, key=b"R", value=value, headers=list(headers), timestamp=timestamp
    )


@pytest.mark.parametrize("value", NOT_JSON + NO_EVENTS)
def test_what_is_no_event_is_said_without_a_word_of_it(value: bytes | None) -> None:
    with pytest.raises(StrangeError, match=r"it is (not JSON|no event)") as caught:
        data_of(value)
    assert MARK.decode() not in str(caught.value)


@pytest.mark.parametrize("value", STRANGE)
@pytest.mark.parametrize("headers", [(), (("content-type", None), ("ce_specversion", b"1.0"), ("ce_id", b"\xff"))])
def test_what_is_no_dead_letter_is_said_without_a_word_of_it(value: bytes | None, headers: Any) -> None:
    with pytest.raises(StrangeError) as caught:
        read_letter(record(value, headers=headers))
    assert MARK.decode() not in str(caught.value)


def test_a_time_in_no_year_is_said() -> None:
    for timestamp in (2**62, -(2**62)):
        with pytest.raises(StrangeError, match="in no year"):
            written_at(record(b"{}", timestamp=timestamp))
    assert written_at(record(b"{}", timestamp=-1)).year == 1969


def test_a_header_that_is_null_is_empty() -> None:
    assert headers_of(record(b"", headers=[("a", None), ("b", b"x")])) == (("a", b""), ("b", b"x"))


@pytest.mark.parametrize("value", [one for one in STRANGE if one is not None])
def test_a_record_that_is_no_case_opens_none(value: bytes) -> None:
    board = OpenCases()
    with pytest.raises(ValueError, match=r"is no case") as refused:
        board.take(0, 0, b"R", value)

    assert (len(board), MARK.decode() in str(refused.value)) == (0, False)


@pytest.mark.parametrize("topic", [DECISIONS, DEAD_LETTERS, POLICY_REVISIONS, POLICY_ATTESTATIONS])
@pytest.mark.parametrize("value", [one for one in STRANGE if one is None or b"due_at" not in one])
def test_the_dashboard_only_counts_what_it_cannot_read(topic: str, value: bytes | None) -> None:
    """The dashboard counts what it cannot read and takes nothing else from it."""
    reader = Reader(read())
    untouched = Reader(read())

    for one in (record(value, topic), record(value, topic, timestamp=2**62)):
        reader._take(one)  # noqa: SLF001 (what its thread calls for each record)

    if topic != DEAD_LETTERS or b'"reason"' not in (value or b""):  # of a letter it counts the reason, and no more
        assert reader.progress.unreadable == 2
        assert reader.counters.decisions == untouched.counters.decisions == 0
        assert (reader.counters.actions, reader.counters.lines, reader.counters.letters) == ({}, {}, {})


@pytest.mark.parametrize("value", STRANGE)
def test_what_is_no_link_is_none(value: bytes | None) -> None:
    assert link_of(value) is None


@pytest.mark.parametrize("value", NOT_OURS)
def test_a_trace_names_no_revision_for_what_is_no_decision(value: bytes) -> None:
    lines: list[Any] = [1, [], {}, {"policy": 1}, {"policy": {"revision": [], "known_through": {}}}, {"policy": {}}]
    lines += [{"policy": {"number": [], "revision": "2025-03-28"}}, {"policy": {"number": "X", "revision": []}}]
    policies: list[Any] = [1, [], {}, {"number": [1]}, {"number": "X", "known_through": 1}, {"number": "Y"}]
    strange: list[Any] = [
        {"lines": some, "policies": all_} for some, all_ in product((lines, 1, {}), (policies, 1, {}, None))
    ]
    for data in (json.loads(value), {"lines": lines}, {"lines": 1}, {}, *strange):
        answer = SimpleNamespace(kind="decision", event=SimpleNamespace(data=data))
        assert _named([SimpleNamespace(answers=[answer])]) == set()  # type: ignore[list-item]


PENDS: dict[str, Any] = {
    "member": {"member_id": "M-1", "line_of_business": "commercial"},
    "service_lines": [{"line": 1, "system": "cpt", "code": "38242", "units": 1, "service_date": "2025-07-24"}],
    "clinical": {},
}
"""What the policy asks is not stated."""

# --- end to end ----------------------------------------------------------------------------------------------------


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path, exporter_port=free_ports().client)
    apply_topics.apply(made)
    return made


def litter(found: Settings, *names: str) -> None:
    producer = KafkaProducer(bootstrap_servers=found.bootstrap.split(","))
    try:
        for name in names:
            for value in STRANGE:
                producer.send(found.topic(name), value, key=b"R-1", partition=0).get(10)
    finally:
        producer.close()


def in_order(found: Settings) -> Callable[..., Ran]:
    def run(*command: str) -> Ran:
        ran = dli(*command, "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
        assert "Traceback" not in ran.err, ran.err
        return ran

    return run


@pytest.mark.kafka
def test_every_reader_goes_on_past_foreign_records(found: Settings, tmp_path: Path) -> None:
    """Every reader goes on past what others left on our topics."""
    run = in_order(found)
    with serving(found), worker(found, tmp_path):
        publish(found, [request(request_id="R-1"), b"{"])
        assert eventually(lambda: Scrape(found).outcome("consumed") == 2)
        litter(found, DEAD_LETTERS, DECISIONS)
        publish(found, [request(request_id="R-2", policy_number="X.1"), request(request_id="R-3", **PENDS)])
        assert eventually(lambda: Scrape(found).outcome("consumed") == 4)
        web = ("--url", f"http://{found.web_host}:{found.web_port}")
        assert eventually(lambda: run("trace", "R-3", *web).code == 0)
        traced = run("trace", "R-1", *web)
        scraped = Scrape(found)
    listed, redriven = run("dead-letters", "list", "-o", "jsonl"), run("dead-letters", "redrive", "--all")
    recounted = run("accounts", "--app-id", found.app_id, "--recount")

    assert (scraped.up, scraped.balanced, traced.code) == (1, 1, 0)
    assert [json.loads(line)["reason"] for line in listed.out.splitlines()] == ["undecodable", "unknown_policy"]
    lines = [line for line in listed.err.splitlines() if "record_passed_over" in line]
    assert len(lines) == len(STRANGE)
    assert all(found.topic(DEAD_LETTERS) in line and "offset=" in line for line in lines)
    assert "2 of 2 dead letters would be sent again" in redriven.err
    for ran in (listed, redriven, recounted):
        assert MARK.decode() not in ran.out + ran.err
    assert "2 dead letters" in recounted.out, recounted.out + recounted.err
