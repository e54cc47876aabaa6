"""Verdicts go on whole to their requests' partition of the ledger; everything else goes to the dead letters."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from events.case_event import Reviewed, case_event_of
from events.topics import DEAD_LETTERS, LEDGER, VERDICTS
from tests.support.reviews import adverse, event
from workers.cases.handler import carried_record
from workers.cases.route import routed_of
from workers.configuration.settings import Settings
from workers.kafka.records import Record, Unreadable
from workers.ledger.review_router import ReviewRouter
from workers.state.request_digests import digest

ROUTER = ReviewRouter(Settings(topic_prefix="", source="/dli", mode="structured"))
DECISION: dict[str, Any] = {"request_id": "PA-1", "decision_id": "0" * 32, "lines": [{"line": 1, "action": "A4"}]}
VERDICT = event(adverse(DECISION, "V-1"))
EXTENSION = event(
    {"extension_id": "E-1", "request_id": "PA-1", "until": "2025-06-20T10:00:00-05:00", "reason": "Records."},
    "authorization.extended.v1",
)


def record(value: bytes | None, offset: int = 5) -> Record:
    headers = (("x", None), ("caf\udce9", b"1"), ("content-type", b"application/cloudevents+json"))
    return Record(VERDICTS, 2, offset, 1_750_000_000_000, b"any", value, headers)


@pytest.mark.parametrize("value", [VERDICT, EXTENSION], ids=["verdict", "extension"])
def test_a_record_goes_on_whole_to_its_requests_partition(value: bytes) -> None:
    sent = ROUTER([record(value)])
    [one] = sent
    assert (one.topic, one.key, sent.counts) == (LEDGER, digest(b"PA-1"), {"routed": 1})
    routed = routed_of(one.value)
    assert routed is not None
    assert routed.request == b"PA-1"
    carried = case_event_of(routed.event)
    assert isinstance(carried, Reviewed)
    assert carried_record(carried.record) == record(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "undecodable"),
        (b"", "undecodable"),
        (b"\xff", "undecodable"),
        (VERDICT.replace(b"reviewed.v1", b"reviewed.v2"), "unsupported_type"),
        (VERDICT.replace(b'"A3"', b'"A4"'), "schema_violation"),
        (VERDICT.replace(b"PA-1", b""), "schema_violation"),
        (b"x" * 1_000_001, "undecodable"),
    ],
)
def test_what_is_no_verdict_goes_to_the_dead_letters(value: bytes | None, reason: str) -> None:
    sent = ROUTER([record(value), record(VERDICT, 6)])
    assert [one.topic for one in sent] == [DEAD_LETTERS, LEDGER]
    assert json.loads(sent[0].value)["data"]["reason"] == reason
    assert sent.counts == {"refused": 1, "routed": 1}


def test_what_cannot_be_read_goes_to_the_dead_letters() -> None:
    [letter] = ROUTER([record(Unreadable(b"raw", 9, "a damaged batch"))])
    assert json.loads(letter.value)["data"]["original"]["last_offset"] == 9


def test_a_record_too_large_to_go_on_leaves_a_small_letter() -> None:
    sent = ROUTER.instead(record(VERDICT), frozenset({LEDGER}))
    assert [one.topic for one in sent] == [DEAD_LETTERS]
    assert json.loads(sent[0].value)["data"]["original"]["value_bytes"] == len(VERDICT)


def test_nothing_personal_is_logged() -> None:
    with capture_logs() as logs:
        ROUTER([record(VERDICT.replace(b'"A3"', b'"MS-12345"'))])
    assert [one["event"] for one in logs] == ["review_rejected"]
    assert not [one for one in ("PA-1", "MS-12345") if one in str(logs)]
