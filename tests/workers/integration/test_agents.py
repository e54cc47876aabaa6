"""Each message gets exactly its answers, in whatever order the agents work, and the accounts balance."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.adapters import formats
from events.adapters.submission import Format
from events.envelope import header
from events.topics import (
    DEAD_LETTERS,
    DECISIONS,
    INTEGRATION_EVENTS,
    PAS_RESPONSES,
    REQUESTS,
    SUBMISSIONS,
    X12_REQUESTS,
    X12_RESPONSES,
)
from tests.support.integrated import Integrated
from tests.support.x12_answers import answer
from tests.support.x12_messages import PARTNER, message, request, written
from workers.accounts import platform_account
from workers.demo import platform
from workers.integration import answer_platforms, forward_answers, read_messages, resolve_traces
from workers.integration.partners import load
from workers.kafka.records import Unreadable

GULF = PARTNER.model_copy(update={"name": "gulf", "senders": ("ZZ:GULF",)})


def _house(*messages: bytes) -> Integrated:
    house = Integrated(PARTNER)
    for one in messages:
        house.send("x12-278", one)
    house.settle()
    return house


def _asked(number: int = 0, seed: int = 3) -> list[Any]:
    """A request that is read without a refusal."""
    chance = Random(f"{seed}/{number}")
    while True:
        asked = request(chance)
        if not _house(written(asked)).counts[X12_REQUESTS]["refused"]:
            return [*asked]


def _answered_by(house: Integrated) -> list[str | None]:
    return [header(one.headers, "dli-message") for one in house.responses]


def test_a_message_is_answered_in_its_own_format() -> None:
    house = _house(written(tuple(_asked())))

    [found] = house.log[X12_RESPONSES]
    [asked] = house.log[REQUESTS]
    assert answer(found.value or b"").troubles == []
    assert header(found.headers, "partner") == "delta"
    assert header(found.headers, "dli-request") == (asked.key or b"").decode()
    assert header(found.headers, "content-type") == "application/edi-x12"


def test_a_request_says_whence_it_came() -> None:
    [found] = _house(written(tuple(_asked()))).log[REQUESTS]

    event = json.loads(found.value or b"")
    assert event["id"] == header(found.headers, "dli-message") or len(event["id"]) == 64
    assert event["source"] == "/integration/x12-278/1/delta"
    assert event["causationid"] == "x12.278.requests/0/0"
    assert event["time"] == event["data"]["submitted_at"]
    assert header(found.headers, "partner") == "delta"
    assert header(found.headers, "channel") == "electronic"


def test_the_same_message_is_answered_with_the_same_bytes() -> None:
    house = _house(written(tuple(_asked())))
    house.send("x12-278", written(tuple(_asked())))
    house.settle()

    first, again = house.log[X12_RESPONSES]
    assert (first.value, _answered_by(house)[0]) == (again.value, _answered_by(house)[1])
    assert len(house.log[REQUESTS]) == 1


def test_a_repeat_before_the_decision_is_answered_once() -> None:
    house = Integrated(PARTNER)
    for _ in range(3):
        house.send("x12-278", written(tuple(_asked())))
    house.step(X12_REQUESTS)
    house.step(SUBMISSIONS)
    house.step(INTEGRATION_EVENTS)
    assert house.responses == []
    house.settle()

    assert len(house.responses) == 1


def test_a_refused_message_is_a_dead_letter_and_an_answer() -> None:
    asked = [("DTP", "472", "D8", "20250230") if one[0] == "DTP" else one for one in _asked()]
    asked.append(("DTP", "472", "D8", "20250230"))
    house = _house(written(tuple(asked)))

    [letter], [found] = house.log[DEAD_LETTERS], house.log[X12_RESPONSES]
    data = json.loads(letter.value or b"")["data"]
    assert data["reason"] == "schema_violation"
    assert any(error["path"].endswith("service_date") and "DTP" in error["message"] for error in data["errors"])
    assert data["original"]["topic"] == "x12.278.requests"
    assert answer(found.value or b"").troubles == []
    assert house.log[REQUESTS] == []


def test_what_the_decision_agent_refuses_is_answered_too() -> None:
    house = Integrated(PARTNER.model_copy(update={"policy_number": "NO-SUCH"}))
    house.send("x12-278", written(tuple(_asked())))
    house.settle()

    assert json.loads(house.log[DEAD_LETTERS][0].value or b"")["data"]["reason"] == "unknown_policy"
    [found] = house.responses
    assert header(found.headers, "dli-request") is not None


def test_a_message_of_an_unknown_partner_is_a_dead_letter() -> None:
    house = Integrated(PARTNER, GULF)
    house.send("x12-278", written(tuple(_asked())).replace(b"DELTAHOSP", b"OTHERHOSP"))
    house.settle()

    data = json.loads(house.log[DEAD_LETTERS][0].value or b"")["data"]
    assert (data["reason"], data["errors"][0]["path"]) == ("schema_violation", "partner")


def test_the_header_names_the_partner_before_the_senders_do() -> None:
    house = Integrated(PARTNER, GULF)
    house.send("x12-278", written(tuple(_asked())), ("partner", b"gulf"))
    house.send("x12-278", written(tuple(_asked())), ("partner", b"nobody"))
    house.settle()

    assert [header(one.headers, "partner") for one in house.log[REQUESTS]] == ["gulf"]
    assert len(house.log[DEAD_LETTERS]) == 1


def test_platforms_own_requests_are_not_answered_here() -> None:
    house = Integrated(PARTNER)
    [asked] = _house(written(tuple(_asked()))).log[REQUESTS]
    event = json.loads(asked.value or b"")
    for request_id in ("PA-1", "9640001112:TR-1~0123456789ab"):
        event["data"]["request_id"] = request_id
        house.append(REQUESTS, request_id.encode(), json.dumps(event).encode())
    house.settle()

    assert len(house.log[DECISIONS]) == 2
    assert house.responses == []
    assert house.counts[INTEGRATION_EVENTS]["not_ours"] == 1


def test_an_unreadable_record_stops_nothing() -> None:
    house = Integrated(PARTNER)
    house.append(X12_REQUESTS, b"", Unreadable(b"\x00\x01", 4, "a damaged batch"))
    house.append(X12_REQUESTS, b"", None)
    house.send("x12-278", written(tuple(_asked())))
    house.append(SUBMISSIONS, b"", b"{}")
    house.append(INTEGRATION_EVENTS, b"", b"nothing")
    house.settle()

    assert len(house.log[DEAD_LETTERS]) == 4
    assert len(house.responses) >= 1


def test_a_defect_of_an_adapter_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        format: Format = "x12-278"

        def __getattr__(self, name: str) -> Any:
            def fail(*_: object) -> bytes:
                raise KeyError("MHP0044001")

            return fail

    house, second = Integrated(PARTNER), written(tuple(_asked(1)))
    real = formats.FORMATS["x12-278"]
    house.send("x12-278", written(tuple(_asked())))
    house.step(X12_REQUESTS)
    monkeypatch.setitem(formats.FORMATS, "x12-278", real._replace(adapter=Failing()))
    house.send("x12-278", second)
    house.settle()

    reasons = [json.loads(one.value or b"")["data"]["reason"] for one in house.log[DEAD_LETTERS]]
    assert reasons == ["internal_error", "internal_error"]
    assert house.counts[INTEGRATION_EVENTS]["undelivered"] == 1


MESSAGES = st.lists(st.integers(0, 11), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(MESSAGES, st.integers(0, 2**32))
def test_in_any_order_each_message_gets_its_answers(numbers: Sequence[int], seed: int) -> None:
    """However the agents take turns, the requests and their first answers are those of an orderly day."""
    house, chance = Integrated(PARTNER), Random(seed)
    waiting = [message(9, number) for number in numbers]
    while waiting or any(house.step(topic) for topic in chance.sample(house.topics, len(house.topics))):
        if waiting and chance.random() < 0.5:
            house.send("x12-278", waiting.pop(0))
        house.step(chance.choice(house.topics), at_most=chance.randint(1, 3))
        assert house.account().problem is None
    orderly = _house(*(message(9, number) for number in numbers))

    assert [one.value for one in house.log[REQUESTS]] == [one.value for one in orderly.log[REQUESTS]]
    answers = {(header(one.headers, "dli-request"), one.value) for one in house.responses}
    of_requests = {found for found in answers if found[0] is not None}
    assert {request for request, _ in of_requests} == {(one.key or b"").decode() for one in house.log[REQUESTS]}
    assert len(of_requests) == len(house.log[REQUESTS])
    _balances(house)


def _balances(house: Integrated) -> None:
    read, resolved = house.counts[X12_REQUESTS], house.counts[SUBMISSIONS]
    answered = house.counts[INTEGRATION_EVENTS]
    assert read["submitted"] == len(house.log[SUBMISSIONS])
    assert sum(resolved.values()) == read["submitted"]
    account = house.account()
    assert (account.missing, account.on_their_way, account.waiting) == (0, 0, 0)
    assert account.messages == account.requested + account.again + account.not_known + account.refused
    assert resolved["requested"] == len(house.log[REQUESTS]) == answered["opened"]
    assert answered["answered"] + answered["refused"] == resolved["requested"]
    assert sum(answered.values()) == len(house.log[INTEGRATION_EVENTS])
    assert platform_account.OUTCOMES == {
        SUBMISSIONS: resolve_traces.OUTCOMES,
        DECISIONS: forward_answers.OUTCOMES,
        DEAD_LETTERS: forward_answers.OUTCOMES,
        INTEGRATION_EVENTS: answer_platforms.OUTCOMES,
    }
    assert set(read) <= set(read_messages.OUTCOMES)
    assert set(resolved) <= set(resolve_traces.OUTCOMES)
    assert set(answered) <= set(answer_platforms.OUTCOMES)
    assert set(house.counts[DECISIONS]) <= set(forward_answers.OUTCOMES)


def test_questions_travel_and_their_answers_decide() -> None:
    """Submitted without the facts, asked for them, answered in our questionnaire, certified."""
    house = Integrated(*load(platform.PARTNER))
    house.send("pas", (platform.MESSAGES / "claim.json").read_bytes())
    house.settle()
    asked = _claim(house)
    assert "A4" in asked
    assert "clinical.transplant.type" in asked or "allogeneic or autologous" in asked
    assert "CommunicationRequest" in asked
    house.send("pas", (platform.MESSAGES / "claim-answers.json").read_bytes())
    house.settle()

    first, second = [json.loads(one.value or b"")["data"] for one in house.log[REQUESTS]]
    assert second["supersedes"] == first["request_id"]
    assert second["certification"] == "revision"
    assert "A1" in _claim(house)
    assert "CommunicationRequest" not in _claim(house)


def _claim(house: Integrated) -> str:
    """The newest answer."""
    return (house.log[PAS_RESPONSES][-1].value or b"").decode()
