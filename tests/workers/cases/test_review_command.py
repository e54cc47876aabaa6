"""`dli review`: a file of verdicts is published whole or not at all, and names what is wrong without its values."""

import json
from pathlib import Path
from typing import Any

import pytest

from events.decode import RejectedError, decode_review
from events.topics import AUDIT, VERDICTS
from tests.support.commands import dli
from tests.support.reviews import adverse, event
from tests.support.running import everything_on, settings_for
from workers.cases.publish_reviews import sending
from workers.configuration.settings import Settings
from workers.topics import apply_topics

DECISION: dict[str, Any] = {
    "request_id": "PA-1",
    "decision_id": "0" * 32,
    "lines": [{"line": 1, "action": "A4"}],
}
EXTENSION = {"extension_id": "E-1", "request_id": "PA-1", "until": "2025-06-20T10:00:00-05:00", "reason": "Records."}


def written(folder: Path, *events: Any) -> Path:
    file = folder / "verdicts.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in events), "utf-8")
    return file


@pytest.mark.parametrize("data", [adverse(DECISION, "V-1"), EXTENSION], ids=["verdict", "extension"])
def test_bare_data_gets_an_envelope(data: dict[str, Any]) -> None:
    made = sending(json.dumps(data).encode(), Settings(source="/review"))
    received = decode_review(made.value, made.headers)
    assert (received.attributes.source, received.attributes.subject, made.request_id) == ("/review", "PA-1", "PA-1")
    assert json.loads(made.value)["data"] == data
    assert "time" in json.loads(made.value)


def test_an_event_with_an_envelope_is_sent_as_it_is() -> None:
    raw = event(adverse(DECISION, "V-1"))
    assert sending(raw, Settings(source="/review")).value == raw


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b'{"a": 1}', b'{"verdict_id": 7}', b"\xff"])
def test_what_is_no_verdict_is_rejected(raw: bytes) -> None:
    with pytest.raises(RejectedError):
        sending(raw, Settings(source="/review"))


def test_a_check_publishes_nothing_and_needs_no_broker(tmp_path: Path) -> None:
    ran = dli("review", str(written(tmp_path, adverse(DECISION, "V-1"), EXTENSION)), "--check")
    assert (ran.code, ran.err.strip()) == (0, "2 events valid; nothing was published")


def test_every_fault_is_named_without_its_value(tmp_path: Path) -> None:
    bad = adverse(DECISION, "V-1") | {"decided_at": "Jane Doe", "reviewer": {"role": "Jane Doe"}}
    ran = dli("review", str(written(tmp_path, adverse(DECISION, "V-2"), bad)), "--check")
    assert ran.code == 1
    assert "line 2: decided_at" in ran.err
    assert "line 2: reviewer.role" in ran.err
    assert "Jane" not in ran.err
    assert "Traceback" not in ran.err


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    ran = dli("review", str(written(tmp_path)), "--check")
    assert ran.code == 1
    assert "no verdict" in ran.err


@pytest.mark.broker
def test_verdicts_are_published_by_request_and_recorded(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    where = ("--bootstrap", bootstrap, "--topic-prefix", prefix)
    bad = adverse(DECISION, "V-1") | {"lines": []}
    assert dli("review", str(written(tmp_path, adverse(DECISION, "V-1"), bad)), *where).code == 1
    assert everything_on(found, VERDICTS) == []
    ran = dli("review", str(written(tmp_path, adverse(DECISION, "V-1"), EXTENSION)), *where)
    assert ran.code == 0
    assert [one.key for one in everything_on(found, VERDICTS)] == [b"PA-1", b"PA-1"]
    acts = [json.loads(one.value)["data"] for one in everything_on(found, AUDIT)]
    assert [(one["what"], one["outcome"], one["arguments"]["count"]) for one in acts] == [
        ("review", "begun", 2),
        ("review", "done", 2),
    ]
