"""The decision handler: every record gets exactly one answer, whatever is in it."""

import json
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from events.dead_letter import DeadLetter
from events.decision import Decision
from events.decode import decode
from events.topics import ANSWERED, CASE_EVENTS, DEAD_LETTERS, DECISIONS
from policy_core.evaluate.plan import Plan
from policy_core.history.library import Library
from tests.support import generator
from tests.support.packaged import packaged_library
from tests.support.publishing import next_revision
from tests.support.requests import Remembering, covered, record, request
from workers.configuration.settings import Delivery, Settings, read
from workers.decide.duplicates import Entry
from workers.decide.handler import BehindError, DecisionHandler
from workers.kafka.records import OutgoingRecord, Record
from workers.state.rocksdb_store import StorageError

MARKED = "MEMBER-MARKED-PERSONAL"


@pytest.fixture(scope="module")
def library() -> Library:
    return packaged_library()


def settings(**flags: Any) -> Settings:
    return read(topic_prefix="t.", **flags)


@pytest.fixture
def handler(library: Library) -> DecisionHandler:
    return DecisionHandler(library, settings())


def answers_of(handler: DecisionHandler, records: Sequence[Record]) -> list[OutgoingRecord]:
    """What is sent to the platforms and the dead letters, without changes of the memory and events of cases."""
    return [one for one in handler(records) if one.topic not in ("t." + ANSWERED, "t." + CASE_EVENTS)]


def data(outgoing: OutgoingRecord) -> Any:
    return json.loads(outgoing.value)["data"]


def test_every_record_is_answered_once_and_in_order(handler: DecisionHandler) -> None:
    lines = [generator.encode(one) for one in generator.requests(5, 400, malformed=0.1)]

    answers = answers_of(handler, [record(line, offset) for offset, line in enumerate(lines)])

    assert len(answers) == 400
    assert sum(answer.topic == "t." + DEAD_LETTERS for answer in answers) == 40
    offsets = [data(one)["original"]["offset"] for one in answers if one.topic == "t." + DEAD_LETTERS]
    assert offsets == sorted(offsets)


def test_a_decision_is_keyed_by_its_request(handler: DecisionHandler) -> None:
    [answer] = answers_of(handler, [record(request(request_id="R-1"))])

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

    [answer] = answers_of(handler, [record(json.dumps(envelope).encode())])

    written = json.loads(answer.value)
    assert (written["causationid"], written["correlationid"], written["traceparent"]) == ("event-1", "chain-1", trace)
    assert written["id"] == written["data"]["decision_id"]


def test_a_dead_letter_is_traced_if_its_envelope_is_readable(handler: DecisionHandler) -> None:
    """A dead letter is traced as well where its envelope can be read."""
    envelope = {"specversion": "1.0", "id": "event-2", "source": "/p", "type": "authorization.requested.v1", "data": {}}

    [answer] = answers_of(handler, [record(json.dumps(envelope).encode())])

    assert json.loads(answer.value)["causationid"] == "event-2"


def test_a_dead_letter_has_the_record_byte_for_byte(handler: DecisionHandler) -> None:
    raw = Record("t.authorization.requests", 2, 77, 1_750_000_000_123, b"\xff", b'{"broken', (("h", b"\x00\x01"),))

    [answer] = answers_of(handler, [raw])

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
    [answer] = answers_of(handler, [Record("requests", 2, 77, 0, None, b"", ())])

    assert answer.key == b"requests/2/77"


@pytest.mark.parametrize(
    ("changes", "reason", "paths"),
    [
        ({"policy_number": "X.1"}, "unknown_policy", ["policy_number"]),
        ({"clinical": {"stage": "IV"}}, "schema_violation", ["clinical.?"]),
        ({"clinical": {"transplant": {"type": "syngeneic"}}}, "schema_violation", ["clinical.transplant.type"]),
        ({"urgency": "stat"}, "schema_violation", ["urgency"]),
    ],
)
def test_what_cannot_be_decided_names_its_reason_and_fields(
    handler: DecisionHandler, changes: dict[str, Any], reason: str, paths: list[str]
) -> None:
    [answer] = answers_of(handler, [record(request(request_id="R-2", **changes))])

    letter = data(answer)
    assert (letter["reason"], [one["path"] for one in letter["errors"]]) == (reason, paths)
    assert letter["request_id"] == "R-2"


def test_a_defect_of_ours_is_a_loud_dead_letter(handler: DecisionHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of ours makes a dead letter and a loud log line, and the rest goes on."""
    sound = Plan.decide

    def breaks_on_one(plan: Plan, case: Any) -> Any:
        if case.certification == "renewal":
            raise RuntimeError(f"cannot digest {MARKED}")
        return sound(plan, case)

    monkeypatch.setattr(Plan, "decide", breaks_on_one)
    other = request(request_id="R-30", certification="initial")
    good, bad = request(request_id="R-3", certification="initial"), request(request_id="R-4", certification="renewal")

    with capture_logs() as logs:
        found = handler([record(good, 1), record(bad, 2), record(other, 3)])
    answers = [one for one in found if one.topic not in ("t." + ANSWERED, "t." + CASE_EVENTS)]

    assert [answer.topic for answer in answers] == ["t." + DECISIONS, "t." + DEAD_LETTERS, "t." + DECISIONS]
    assert (data(answers[1])["reason"], data(answers[1])["request_id"]) == ("internal_error", "R-4")
    assert found.counters.defects == {"RuntimeError": 1}
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
        answers = answers_of(handler, [record(line, offset) for offset, line in enumerate(lines)])

    assert MARKED not in str(logs)
    decision = Decision.model_validate_json(json.dumps(data(answers[0])))
    letter = DeadLetter.model_validate_json(json.dumps(data(answers[1])))
    assert MARKED not in repr((decision, letter, decode(lines[0], bare_allowed=True).request))
    assert MARKED not in json.dumps([data(answers[1])["message"], data(answers[1])["errors"]])


def test_binary_mode_has_the_data_alone_as_value(library: Library) -> None:
    [answer] = answers_of(DecisionHandler(library, settings(mode="binary")), [record(request(request_id="R-6"))])

    headers = dict(answer.headers)
    assert json.loads(answer.value)["request_id"] == "R-6"
    assert (headers["ce_type"], headers["content-type"]) == (b"authorization.decided.v1", b"application/json")


@pytest.fixture
def memory() -> Remembering:
    return Remembering()


@pytest.fixture(params=list(Delivery))
def remembering(library: Library, memory: Remembering, request: pytest.FixtureRequest) -> DecisionHandler:
    return DecisionHandler(library, settings(delivery=request.param), memory)


def test_a_repeated_request_is_counted_and_not_answered_again(
    remembering: DecisionHandler, memory: Remembering
) -> None:
    """The same request again is counted and not answered again."""
    first = memory.take(remembering([record(request(request_id="D-1"), 1)]))

    again = remembering([record(request(request_id="D-1"), 2)])

    assert [one.topic for one in first] == ["t." + DECISIONS]
    assert again == []
    assert again.counters.duplicates == 1


def test_the_same_request_twice_in_one_batch_is_answered_once(remembering: DecisionHandler) -> None:
    sent = answers_of(remembering, [record(request(request_id="D-2"), n) for n in range(3)])

    assert [one.key for one in sent] == [b"D-2"]


@pytest.mark.parametrize("batches", [[[0, 1]], [[0], [1]]])
def test_a_used_id_with_other_content_is_a_dead_letter(
    remembering: DecisionHandler, memory: Remembering, batches: list[list[int]]
) -> None:
    """Other content under a used id is a dead letter, and the first answer stands."""
    records = [record(request(request_id="D-3"), 7), record(request(request_id="D-3", urgency="expedited"), 8)]
    changed = json.loads(request()) | {"urgency": "expedited"} != json.loads(request())
    assert changed

    sent = [one for batch in batches for one in memory.take(remembering([records[index] for index in batch]))]
    third = memory.take(remembering([record(request(request_id="D-3"), 9)]))

    assert [one.topic for one in sent] == ["t." + DECISIONS, "t." + DEAD_LETTERS]
    letter = data(sent[1])
    assert (letter["reason"], letter["request_id"]) == ("conflicting_duplicate", "D-3")
    assert letter["errors"] == [
        {"path": "request_id", "message": "used before with other content, at offset 7 of this partition"}
    ]
    assert third == []


def test_key_order_and_envelope_do_not_change_the_content(remembering: DecisionHandler, memory: Remembering) -> None:
    """Another order of keys or another envelope does not make other content."""
    plain = json.loads(request(request_id="D-4"))
    turned = dict(reversed(plain.items()))
    envelope = {
        "specversion": "1.0",
        "id": "again",
        "source": "/q",
        "type": "authorization.requested.v1",
        "data": turned,
    }

    memory.take(remembering([record(json.dumps(plain).encode(), 1)]))

    assert memory.take(remembering([record(json.dumps(envelope).encode(), 2)])) == []


AGAIN = [
    ("padded", {"diagnoses": [{"system": "icd-10-cm", "code": " c9202\u00a0"}]}, False),
    ("another code", {"diagnoses": [{"system": "icd-10-cm", "code": "C92.01"}]}, True),
    ("null", {"supersedes": None}, False),
    ("another request superseded", {"supersedes": "D-0"}, True),
    ("empty", {"clinical": {}}, False),
    ("a fact more", {"clinical": {"disease_status": "relapsed"}}, True),
]


@pytest.mark.parametrize(("changes", "conflict"), [one[1:] for one in AGAIN], ids=[one[0] for one in AGAIN])
def test_only_different_content_is_a_conflict(
    remembering: DecisionHandler, memory: Remembering, changes: dict[str, Any], *, conflict: bool
) -> None:
    """A request that says the same is no conflict, and one that says something else is."""
    plain = generator.request(11, 1) | {"request_id": "D-5", "diagnoses": [{"system": "icd-10-cm", "code": "C92.02"}]}
    for name in ("supersedes", "clinical"):
        plain.pop(name, None)
    memory.take(remembering([record(json.dumps(plain).encode(), 1)]))

    again = remembering([record(json.dumps(plain | changes).encode(), 2)])

    assert [data(one)["reason"] for one in again] == ["conflicting_duplicate"] * conflict
    assert again.counters.duplicates == (not conflict)


def test_a_request_that_was_rejected_can_be_sent_again_mended(
    remembering: DecisionHandler, memory: Remembering
) -> None:
    bad = memory.take(remembering([record(request(request_id="D-5", urgency="stat"), 1)]))
    good = memory.take(remembering([record(request(request_id="D-5"), 2)]))

    assert [one.topic for one in (*bad, *good)] == ["t." + DEAD_LETTERS, "t." + DECISIONS]


def test_a_redelivered_record_gets_the_same_bytes_again(library: Library, memory: Remembering) -> None:
    """A redelivered record gets the same bytes again where its answer may not have arrived."""
    handler = DecisionHandler(library, settings(delivery=Delivery.AT_LEAST_ONCE), memory)
    one = record(request(request_id="D-6"), 5)

    first, again = memory.take(handler([one])), memory.take(handler([one]))

    assert first == again
    assert len(first) == 1


def test_a_record_with_a_sure_answer_is_not_answered_again(library: Library, memory: Remembering) -> None:
    """A record that is read again is not answered again where its answer is sure."""
    handler = DecisionHandler(library, settings(delivery=Delivery.EXACTLY_ONCE), memory)
    one = record(request(request_id="D-7"), 5)

    assert len(memory.take(handler([one]))) == 1
    assert memory.take(handler([one])) == []


class Learning:
    """What is known of the policies, and may be more at any time."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def snapshot(self) -> Library:
        return self.library


@pytest.fixture(scope="module")
def later(library: Library) -> Library:
    """The library after one more revision, under which nothing is covered any more from its day on."""
    chain = library.chain("L.2.03.402")
    return library.knowing_also(chain.accept(next_revision(chain)))


def told(outgoing: OutgoingRecord) -> tuple[str, str, str]:
    decision = data(outgoing)
    [line], [policy] = decision["lines"], decision["policies"]
    return line["determination"], policy["sha256"], policy["known_through"]


def test_a_revision_counts_from_the_next_batch_on(library: Library, later: Library) -> None:
    """A revision counts from the next batch on, and each decision says under which it was made."""
    knowledge = Learning(library)
    handler = DecisionHandler(knowledge, settings())
    [before] = answers_of(handler, [record(covered("K-1"))])
    knowledge.library = later
    [after] = answers_of(handler, [record(covered("K-2"))])
    [past] = answers_of(handler, [record(covered("K-3", "2025-06-02"))])

    old, new = library["L.2.03.402"], later["L.2.03.402"]
    assert told(before) == ("medically_necessary", old.sha256, old.known_through)
    assert told(after) == ("criteria_not_met", new.sha256, new.known_through)
    assert told(past) == ("medically_necessary", new.sha256, new.known_through)


def test_workers_with_the_same_chain_give_the_same_bytes(library: Library, later: Library) -> None:
    """Two workers that know the same chain give the same bytes."""
    chain = library.chain("L.2.03.402")
    other = library.knowing_also(chain.accept(next_revision(chain)))
    records = [record(covered("K-4"))]

    assert DecisionHandler(later, settings())(records) == DecisionHandler(other, settings())(records)


def test_a_redelivered_record_is_answered_under_old_knowledge(
    library: Library, later: Library, memory: Remembering
) -> None:
    """A redelivered record is answered under what was known at first, though more is known now."""
    knowledge = Learning(library)
    handler = DecisionHandler(knowledge, settings(delivery=Delivery.AT_LEAST_ONCE), memory)
    one = record(covered("K-5"), 5)

    first = memory.take(handler([one]))
    knowledge.library = later
    again, anew = memory.take(handler([one])), memory.take(handler([record(covered("K-6"), 6)]))

    assert first == again
    assert told(first[0])[0] != told(anew[0])[0]


def test_a_redelivered_record_waits_for_enough_knowledge(library: Library, later: Library, memory: Remembering) -> None:
    """A redelivered record waits while the worker does not yet know as much as the first one did."""
    ahead = DecisionHandler(later, settings(delivery=Delivery.AT_LEAST_ONCE), memory)
    behind = DecisionHandler(library, settings(delivery=Delivery.AT_LEAST_ONCE), memory)
    one = record(covered("K-7"), 7)
    memory.take(ahead([one]))

    with pytest.raises(BehindError):
        behind([one])


def test_a_memory_that_cannot_be_read_is_no_events_fault(library: Library) -> None:
    class Broken:
        def find(self, *_: object) -> Entry | None:
            raise StorageError("disk")

    with pytest.raises(StorageError):
        DecisionHandler(library, settings(), Broken())([record(request(), 1)])


def test_an_event_too_large_for_a_letter_is_kept_in_part(
    handler: DecisionHandler,
) -> None:
    """An event that no dead letter can carry is kept by its beginning, its length and its digest."""
    huge = b"[" + b"1," * 25_000_000

    [answer] = answers_of(handler, [Record("t.authorization.requests", 0, 9, 0, b"k", huge, ())])

    original = data(answer)["original"]
    assert data(answer)["reason"] == "undecodable"
    assert huge.startswith(b64decode(original["value_base64"]))
    assert (original["value_bytes"], original["value_sha256"]) == (len(huge), sha256(huge).hexdigest())
    assert (original["topic"], original["offset"]) == ("t.authorization.requests", 9)
    assert len(answer.value) < 100_000
