"""The handler of case events: what it sends, and that no record, however made, stops the others."""

import json
from base64 import b64decode
from typing import Any

import pytest
from structlog.testing import capture_logs

from events.case_event import CarriedRecord, LinkJudged, Reviewed, Superseding, packed
from events.decision import Decision
from events.topics import CASE_EVENTS, CASES, DEAD_LETTERS, DEADLINES, DECISIONS, LEDGER
from policy_core.history.library import Library
from tests.support.case_agent import CaseAgent
from tests.support.case_lives import policy
from tests.support.packaged import packaged_library
from tests.support.reviews import adverse, event, pended_request
from workers.cases.route import routed_of
from workers.configuration.settings import Settings
from workers.decide.handler import BehindError
from workers.kafka.records import Record, Unreadable
from workers.state.request_digests import digest, partition_of

SETTINGS = Settings(source="/dli", topic_prefix="", mode="structured")
AT = 1_749_200_000_000


@pytest.fixture
def agent() -> CaseAgent:
    return CaseAgent(packaged_library(), SETTINGS)


def topics(sent: list[Any]) -> list[str]:
    return [one.topic for one in sent]


def recommended(agent: CaseAgent, name: str = "PA-1", **changes: Any) -> dict[str, Any]:
    agent.decide(pended_request(name, **changes), AT)
    found: dict[str, Any] = json.loads(bytes(agent.cases[name.encode()].decision))
    return found


def test_a_decided_request_opens_a_case_once(agent: CaseAgent) -> None:
    assert topics(agent.decide(pended_request("PA-1"), AT)) == [CASES]
    assert topics(agent.decide(pended_request("PA-1"), AT)) == []
    assert [one.opened for one in agent.counters] == [1, 0]


def test_a_verdict_gives_a_decision_that_says_where_it_came_from(agent: CaseAgent) -> None:
    said = adverse(recommended(agent), "V-1")
    state, sent = agent.review("PA-1", event(said), AT)
    assert (state.topic, sent.topic, sent.key) == (CASES, DECISIONS, b"PA-1")
    envelope = json.loads(sent.value)
    decision = Decision.model_validate_json(json.dumps(envelope["data"]))
    assert (envelope["id"], envelope["subject"], envelope["time"]) == (decision.decision_id, "PA-1", said["decided_at"])
    assert (envelope["causationid"], envelope["correlationid"]) == ("event-V-1", "matter")
    headers = dict(sent.headers)
    assert headers["dli-cause"].decode().startswith("authorization.verdicts/7/")
    assert "dli-supersedes" not in headers


def test_the_same_three_give_the_same_bytes(agent: CaseAgent) -> None:
    other = CaseAgent(packaged_library(), SETTINGS)
    sent = []
    for one in (agent, other):
        said = adverse(recommended(one), "V-1")
        sent.append([record._replace(to=None) for record in one.review("PA-1", event(said), AT)])
    assert sent[0] == sent[1]


def test_a_refused_verdict_is_a_dead_letter_with_its_own_bytes(agent: CaseAgent) -> None:
    raw = event(adverse(recommended(agent), "V-1", evaluated=False))
    [sent] = agent.review("PA-1", raw, AT)
    assert sent.topic == DEAD_LETTERS
    [letter] = agent.data(DEAD_LETTERS)
    original = letter["original"]
    assert (letter["reason"], letter["request_id"]) == ("verdict_refused", "PA-1")
    assert (original["topic"], original["partition"]) == ("authorization.verdicts", 7)
    assert b64decode(original["value_base64"]) == raw


def test_a_verdict_on_no_case_here_is_of_an_unknown_request(agent: CaseAgent) -> None:
    said = adverse(recommended(agent) | {"request_id": "PA-2"}, "V-1")
    agent.review("PA-2", event(said), AT)
    assert [letter["reason"] for letter in agent.data(DEAD_LETTERS)] == ["unknown_request"]


def test_events_of_one_batch_build_on_each_other(agent: CaseAgent) -> None:
    first = agent.record("PA-1", agent.decided(pended_request("PA-1")), AT)
    other = CaseAgent(packaged_library(), SETTINGS)
    decision = recommended(other)
    said = [adverse(decision, "V-1", lines=[{"line": line, "action": "A1"}]) for line in (1, 2)]
    said[1]["verdict_id"] = "V-2"
    reviews = [agent.record("PA-1", packed(agent.carried(event(one), AT)), AT) for one in said]
    assert topics(agent.take(first, *reviews)) == [CASES, CASES, DECISIONS, CASES, DECISIONS]
    assert agent.cases[b"PA-1"].state == "final"


def test_a_link_that_stands_is_told_by_way_of_the_ledger(agent: CaseAgent) -> None:
    recommended(agent, "PA-2", supersedes="PA-1", certification="revision")
    state, told = agent.tell("PA-2", LinkJudged("PA-1", stands=True), AT)
    assert (state.topic, told.topic, told.key) == (CASES, LEDGER, digest(b"PA-1"))
    assert told.to is not None
    assert told.to(12) == partition_of(digest(b"PA-1"), 12)
    found = routed_of(told.value)
    assert found is not None
    assert found.request == b"PA-1"
    recommended(agent)
    agent.take(agent.record("PA-1", found.event, AT))
    assert (agent.cases[b"PA-1"].state, agent.cases[b"PA-1"].superseded_by) == ("superseded", "PA-2")


def test_the_link_of_a_revised_denial_is_a_dead_letter(agent: CaseAgent) -> None:
    agent.review("PA-1", event(adverse(recommended(agent), "V-1")), AT)
    agent.tell("PA-1", Superseding("PA-2", "revision", "1234567893"), AT)
    [letter] = agent.data(DEAD_LETTERS)
    assert (letter["reason"], letter["request_id"]) == ("denied_link", "PA-2")


def test_time_announces_what_is_due_by_the_records_own_time(agent: CaseAgent) -> None:
    recommended(agent)
    assert agent.time(AT) == []
    assert topics(agent.time(AT + 86_400_000 * 3)) == [CASES, DEADLINES]
    assert topics(agent.time(AT + 86_400_000 * 9)) == [CASES, DEADLINES]
    assert agent.time(AT + 86_400_000 * 99) == []
    assert [one["kind"] for one in agent.data(DEADLINES)] == ["due_soon", "overdue"]


def test_time_in_a_batch_sees_the_cases_of_the_batch(agent: CaseAgent) -> None:
    late = AT + 86_400_000 * 99
    agent.take(
        agent.record("PA-1", agent.decided(pended_request("PA-1")), late), agent.record("", b'{"kind":"time"}', late)
    )
    assert [one["kind"] for one in agent.data(DEADLINES)] == ["due_soon", "overdue"]


@pytest.mark.parametrize(
    "value",
    [None, b"", b"\xff", b"[]", b"{}", b'{"kind":"other"}', b'{"kind":"decided"}', b'{"kind":"reviewed","record":{}}'],
)
def test_what_is_no_event_of_a_case_is_put_aside(agent: CaseAgent, value: bytes | None) -> None:
    assert topics(agent.take(agent.record("PA-1", b"", AT)._replace(value=value))) == [DEAD_LETTERS]
    assert agent.data(DEAD_LETTERS)[0]["reason"] == "undecodable"


def test_what_cannot_be_read_is_put_aside(agent: CaseAgent) -> None:
    record = Record(CASE_EVENTS, 3, 5, AT, None, Unreadable(b"raw", 9, "a damaged batch"))
    assert topics(agent.take(record)) == [DEAD_LETTERS]


@pytest.mark.parametrize(
    "value",
    [
        b'{"kind":"decided","request":{},"decision":{}}',
        b'{"kind":"decided","request":{"request_id":"PA-1"},"decision":{"decision_id":"1"}}',
    ],
)
def test_a_defect_stops_no_other_record(agent: CaseAgent, value: bytes) -> None:
    bad = agent.record("PA-1", value, AT)
    agent.take(bad, agent.record("PA-2", agent.decided(pended_request("PA-2")), AT))
    assert [letter["reason"] for letter in agent.data(DEAD_LETTERS)] == ["internal_error"]
    assert list(agent.cases) == [b"PA-2"]
    assert agent.counters[0].defects.total() == 1


def test_a_verdict_that_another_version_took_is_refused_here(agent: CaseAgent) -> None:
    recommended(agent)
    agent.review("PA-1", b'{"specversion":"1.0","id":"1","source":"/s","type":"authorization.reviewed.v9"}', AT)
    assert [letter["reason"] for letter in agent.data(DEAD_LETTERS)] == ["unsupported_type"]


def test_a_too_large_answer_is_replaced_by_a_small_letter(agent: CaseAgent) -> None:
    said = adverse(recommended(agent), "V-1")
    carried = Reviewed(CarriedRecord("authorization.verdicts", 7, 9, AT, b"any", event(said)))
    record = agent.record("PA-1", packed(carried), AT)
    [letter] = agent.handler.instead(record, frozenset({DECISIONS}))
    original = json.loads(letter.value)["data"]["original"]
    assert (original["topic"], original["offset"], original["value_bytes"]) == (
        "authorization.verdicts",
        9,
        len(event(said)),
    )


def test_an_unknown_revision_is_waited_for_and_then_replaced() -> None:
    """A case whose revision was withdrawn stops no other for longer than a bounded time."""
    now = [0.0]
    agent = CaseAgent(Library([policy()], policy().number), SETTINGS)
    agent.handler._clock = lambda: now[0]  # noqa: SLF001 (no other way to wait without waiting)
    value = agent.decided(pended_request("PA-1")).replace(policy().known_through.encode(), b"0" * 64)
    record = agent.record("PA-1", value, AT)
    for now[0] in (0.0, 29.0):
        with pytest.raises(BehindError):
            agent.take(record)
    now[0] = 30.0
    agent.take(record)
    assert agent.cases[b"PA-1"].is_open


def test_nothing_personal_is_logged(agent: CaseAgent) -> None:
    with capture_logs() as logs:
        agent.review("PA-1", event(adverse(recommended(agent), "V-1", evaluated=False)), AT)
    assert [one["event"] for one in logs] == ["review_refused"]
    assert not [one for one in ("PA-1", "MS-12345") if one in str(logs)]
