"""The decision handler: every record gets exactly one answer, whatever is in it."""

import json
from base64 import b64decode
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from events.dead_letter import DeadLetter
from events.decision import Decision
from events.decode import decode
from events.topics import DEAD_LETTERS, DECISIONS
from policy_core.determine import Policy
from policy_core.library import PACKAGED, Library, load_library
from tests import generator
from workers import metrics
from workers.decide.handler import DecisionHandler
from workers.records import Outgoing, Record
from workers.settings import Settings, read
from workers.traffic.commands import as_record

MARKED = "MEMBER-MARKED-PERSONAL"


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library([PACKAGED], "L.2.03.402")


def settings(**flags: Any) -> Settings:
    return read(topic_prefix="t.", **flags)


@pytest.fixture
def handler(library: Library) -> DecisionHandler:
    return DecisionHandler(library, settings())


def record(line: bytes, offset: int = 0) -> Record:
    sent = as_record(line, "t.authorization.requests")
    return Record(sent.topic, 3, offset, 1_750_000_000_000, sent.key or None, sent.value, sent.headers)


def request(**changes: Any) -> bytes:
    return json.dumps(generator.request(11, 1) | changes).encode()


def data(outgoing: Outgoing) -> Any:
    return json.loads(outgoing.value)["data"]


def test_every_record_is_answered_once_and_in_order(handler: DecisionHandler) -> None:
    lines = [generator.encode(one) for one in generator.requests(5, 400, malformed=0.1)]

    answers = handler([record(line, offset) for offset, line in enumerate(lines)])

    assert len(answers) == 400
    assert sum(answer.topic == "t." + DEAD_LETTERS for answer in answers) == 40
    offsets = [data(one)["original"]["offset"] for one in answers if one.topic == "t." + DEAD_LETTERS]
    assert offsets == sorted(offsets)


def test_a_decision_is_keyed_by_its_request(handler: DecisionHandler) -> None:
    [answer] = handler([record(request(request_id="R-1"))])

    assert (answer.topic, answer.key, data(answer)["request_id"]) == ("t." + DECISIONS, b"R-1", "R-1")


def test_the_same_records_give_the_same_bytes(library: Library) -> None:
    records = [record(generator.encode(one), n) for n, one in enumerate(generator.requests(6, 200, malformed=0.1))]

    assert DecisionHandler(library, settings())(records) == DecisionHandler(library, settings())(records)


def test_a_decision_is_traced_to_the_event_that_caused_it(handler: DecisionHandler) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    envelope = {
        "specversion": "1.0",
        "id": "event-1",
        "source": "/platform",
        "type": "authorization.requested.v1",
        "correlationid": "chain-1",
        "traceparent": trace,
        "data": json.loads(request()),
    }

    [answer] = handler([record(json.dumps(envelope).encode())])

    written = json.loads(answer.value)
    assert (written["causationid"], written["correlationid"], written["traceparent"]) == ("event-1", "chain-1", trace)
    assert written["id"] == written["data"]["decision_id"]


def test_a_dead_letter_is_traced_too_where_its_envelope_can_be_read(handler: DecisionHandler) -> None:
    envelope = {"specversion": "1.0", "id": "event-2", "source": "/p", "type": "authorization.requested.v1", "data": {}}

    [answer] = handler([record(json.dumps(envelope).encode())])

    assert json.loads(answer.value)["causationid"] == "event-2"


def test_a_dead_letter_has_the_record_byte_for_byte(handler: DecisionHandler) -> None:
    raw = Record("t.authorization.requests", 2, 77, 1_750_000_000_123, b"\xff", b'{"broken', (("h", b"\x00\x01"),))

    [answer] = handler([raw])

    letter = data(answer)
    original = letter["original"]
    assert letter["reason"] == "undecodable"
    assert (original["topic"], original["partition"], original["offset"]) == ("t.authorization.requests", 2, 77)
    assert original["timestamp"] == 1_750_000_000_123
    assert b64decode(original["key_base64"]) == b"\xff"
    assert b64decode(original["value_base64"]) == b'{"broken'
    assert [(one["name"], b64decode(one["value_base64"])) for one in original["headers"]] == [("h", b"\x00\x01")]
    assert answer.key == b"\xff"


def test_a_dead_letter_without_a_key_is_keyed_by_its_place(handler: DecisionHandler) -> None:
    [answer] = handler([Record("requests", 2, 77, 0, None, b"", ())])

    assert answer.key == b"requests/2/77"


@pytest.mark.parametrize(
    ("changes", "reason", "paths"),
    [
        ({"policy_number": "X.1"}, "unknown_policy", ["policy_number"]),
        ({"clinical": {"stage": "IV"}}, "schema_violation", ["clinical.stage"]),
        ({"clinical": {"transplant": {"type": "syngeneic"}}}, "schema_violation", ["clinical.transplant.type"]),
        ({"urgency": "stat"}, "schema_violation", ["urgency"]),
    ],
)
def test_what_cannot_be_decided_names_its_reason_and_fields(
    handler: DecisionHandler, changes: dict[str, Any], reason: str, paths: list[str]
) -> None:
    [answer] = handler([record(request(request_id="R-2", **changes))])

    letter = data(answer)
    assert (letter["reason"], [one["path"] for one in letter["errors"]]) == (reason, paths)
    assert letter["request_id"] == "R-2"


def test_a_defect_of_ours_is_a_dead_letter_and_loud_and_the_rest_goes_on(
    handler: DecisionHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = Policy.determine

    def breaks_on_one(policy: Policy, case: Any) -> Any:
        if case.certification == "renewal":
            raise RuntimeError(f"cannot digest {MARKED}")
        return sound(policy, case)

    monkeypatch.setattr(Policy, "determine", breaks_on_one)
    before = metrics.DEFECTS.labels("RuntimeError")._value.get()  # noqa: SLF001 (prometheus-client has no public reader)
    good, bad = request(request_id="R-3", certification="initial"), request(request_id="R-4", certification="renewal")

    with capture_logs() as logs:
        answers = handler([record(good, 1), record(bad, 2), record(good, 3)])

    assert [answer.topic for answer in answers] == ["t." + DECISIONS, "t." + DEAD_LETTERS, "t." + DECISIONS]
    assert (data(answers[1])["reason"], data(answers[1])["request_id"]) == ("internal_error", "R-4")
    assert metrics.DEFECTS.labels("RuntimeError")._value.get() == before + 1  # noqa: SLF001 (as above)
    [loud] = [one for one in logs if one["log_level"] == "error"]
    assert (loud["event"], loud["error"], loud["offset"]) == ("defect", "RuntimeError", 2)
    assert any("test_handler.py" in frame for frame in loud["at"])
    assert MARKED not in str(logs)
    assert MARKED.encode() not in b"".join(answer.value for answer in answers)


def test_logs_have_the_request_hashed_under_the_deployments_key(library: Library) -> None:
    def hashed(key: str) -> str:
        handler = DecisionHandler(library, settings(log_key=SecretStr(key)))
        with capture_logs() as logs:
            handler([record(request(request_id="R-5", urgency="stat"))])
        assert "R-5" not in str(logs)
        [entry] = logs
        return str(entry["request"])

    assert hashed("a") == hashed("a")
    assert hashed("a") != hashed("b")


def test_personal_data_reaches_neither_logs_nor_reprs(handler: DecisionHandler) -> None:
    member = {"member_id": MARKED, "line_of_business": "commercial"}
    lines = [request(member=member), request(member=member, urgency=MARKED), request(member=member)[:-9]]

    with capture_logs() as logs:
        answers = handler([record(line, offset) for offset, line in enumerate(lines)])

    assert MARKED not in str(logs)
    decision = Decision.model_validate_json(json.dumps(data(answers[0])))
    letter = DeadLetter.model_validate_json(json.dumps(data(answers[1])))
    assert MARKED not in repr((decision, letter, decode(lines[0], bare_allowed=True).request))
    assert MARKED not in json.dumps([data(answers[1])["message"], data(answers[1])["errors"]])


def test_binary_mode_has_the_data_alone_as_value(library: Library) -> None:
    [answer] = DecisionHandler(library, settings(mode="binary"))([record(request(request_id="R-6"))])

    headers = dict(answer.headers)
    assert json.loads(answer.value)["request_id"] == "R-6"
    assert (headers["ce_type"], headers["content-type"]) == (b"authorization.decided.v1", b"application/json")
