"""The example clients in Java, JavaScript and Python, on Apache Kafka with a worker that answers them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS
from tests.support.decisions import decided
from tests.support.example_clients import FOLDER, Client, Written, answer, client, identified, put
from tests.support.marked_person import PERSON
from tests.support.requests import covered
from tests.support.reviews import adverse, pended_request, send_review
from tests.support.running import eventually, everything_on, settings_for, worker
from tests.support.secured_kafka import ADMIN, Secured, give, password, secured_broker
from workers.configuration.settings import Settings
from workers.dev_brokers import Broker, free_ports
from workers.kafka.acls import rights
from workers.topics import apply_topics

interop = pytest.mark.interop
LONG_AGO = "2020-01-01T00:00:00Z"
"""Everything on the topics is read."""


@pytest.fixture(params=["java", "javascript", "python"])
def asking(request: pytest.FixtureRequest, tmp_path: Path) -> Client:
    return client(request.param, tmp_path)


@pytest.fixture(scope="module")
def answered(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Topics on which a worker answers."""
    folder = tmp_path_factory.mktemp("answered")
    found = settings_for(broker.bootstrap, f"test-{uuid4().hex[:8]}.", folder)
    apply_topics.apply(found)
    with worker(found, folder):
        yield found


@pytest.fixture(scope="module")
def silent(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Topics on which nobody answers, other than a test."""
    found = settings_for(broker.bootstrap, f"test-{uuid4().hex[:8]}.", tmp_path_factory.mktemp("silent"))
    apply_topics.apply(found)
    return found


def new_id() -> str:
    """With a letter and a sign that languages write in different ways."""
    return f"PA-é<{uuid4().hex[:12]}"


def certified() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(covered(new_id()))
    return made


def data(found: Settings, topic: str, request: dict[str, Any]) -> list[Any]:
    mine = [one for one in everything_on(found, topic) if one.key == request["request_id"].encode()]
    return [json.loads(one.value)["data"] for one in mine]


def decision_on(request: dict[str, Any]) -> dict[str, Any]:
    """The decision on a request, made without Kafka."""
    made: dict[str, Any] = json.loads(decided(json.dumps(request).encode()).to_json())
    return made


# --- with a worker ---------------------------------------------------------------------------------------------------


@interop
def test_a_certified_request_is_approved(asking: Client, answered: Settings) -> None:
    request = certified()

    outcome = asking.ask(answered, request)

    expected = decision_on(request)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.lines == [
        {
            "request_id": request["request_id"],
            "decision_id": expected["decision_id"],
            "action": "A1",
            "stage": "final",
            "is_final": True,
            "meaning": "approved",
            "lines": [{"line": 1, "determination": "medically_necessary", "action": "A1"}],
            "missing": [],
        }
    ]


@interop
def test_the_request_is_a_whole_event_with_its_time_and_key(asking: Client, answered: Settings) -> None:
    request = certified()

    asking.ask(answered, request)

    [record] = [one for one in everything_on(answered, REQUESTS) if one.key == request["request_id"].encode()]
    event = json.loads(record.value)
    assert (event["specversion"], event["type"], event["data"]) == ("1.0", "authorization.requested.v1", request)
    assert event["subject"] == request["request_id"]
    assert event["correlationid"] == f"claim-{event['id']}"
    assert abs(datetime.now(UTC) - datetime.fromisoformat(event["time"])).total_seconds() < 600
    assert dict(record.headers)["content-type"].startswith(b"application/cloudevents+json")


@interop
def test_a_request_with_a_gap_is_pended_with_what_is_missing(asking: Client, answered: Settings) -> None:
    request = certified()
    del request["clinical"]

    outcome = asking.ask(answered, request)

    [said] = outcome.lines
    assert (outcome.code, said["action"], said["stage"]) == (0, "A4", "open")
    assert (said["is_final"], said["meaning"]) == (False, "pended")
    assert said["missing"] == sorted(
        {fact["fact"] for line in decision_on(request)["lines"] for fact in line["missing"]}
    )
    assert said["missing"] != []


@interop
def test_an_adverse_recommendation_is_no_refusal(asking: Client, answered: Settings) -> None:
    """Until a physician decides; then the answer is the refusal."""
    request = pended_request(new_id())

    recommended = asking.ask(answered, request)
    send_review(answered, adverse(decision_on(request), "V-1"))
    assert eventually(lambda: len(data(answered, DECISIONS, request)) == 2)
    refused = asking.ask(answered, request, LONG_AGO)

    [before], [after] = recommended.lines, refused.lines
    assert {line["determination"] for line in before["lines"]} == {"investigational"}
    assert (before["stage"], before["is_final"], before["meaning"]) == ("recommendation", False, "pended")
    assert (after["action"], after["stage"], after["meaning"]) == ("A3", "final", "refused")
    assert (recommended.code, refused.code) == (0, 0)


@interop
def test_an_undecidable_request_is_a_dead_letter_with_its_path(asking: Client, answered: Settings) -> None:
    request = certified() | {"diagnoses": [{"system": "icd-10-cm", "code": "C92-02"}]}

    outcome = asking.ask(answered, request)

    [letter] = outcome.lines
    assert (outcome.code, letter["reason"], letter["request_id"]) == (3, "schema_violation", request["request_id"])
    assert [error["path"] for error in letter["errors"]] == ["diagnoses.0.code"]


@interop
def test_a_request_that_is_sent_twice_has_one_decision(asking: Client, answered: Settings) -> None:
    request = certified()

    first, again = asking.ask(answered, request), asking.ask(answered, request, LONG_AGO)

    assert (first.code, first.lines) == (again.code, again.lines)
    assert len(data(answered, DECISIONS, request)) == 1
    sent = [one for one in everything_on(answered, REQUESTS) if one.key == request["request_id"].encode()]
    assert len({json.loads(one.value)["id"] for one in sent}) == 1
    assert len(sent) == 2


@interop
def test_other_content_under_a_known_id_is_a_dead_letter(asking: Client, answered: Settings) -> None:
    request = certified()
    other = request | {"urgency": "expedited"}

    asking.ask(answered, request)
    outcome = asking.ask(answered, other, LONG_AGO)

    assert (outcome.code, outcome.lines[0]["reason"]) == (3, "conflicting_duplicate")


@interop
def test_the_decision_on_other_content_is_not_used(asking: Client, silent: Settings) -> None:
    """It alone is there: topics are read in any order, and a dead letter would end the client before it sees it."""
    request = certified()
    put(silent, request, answer(request, decision_on(request)))

    outcome = asking.ask(silent, request | {"urgency": "expedited"}, LONG_AGO, seconds=10)

    assert (outcome.code, outcome.lines) == (1, [])
    assert outcome.passed_over == ["its correlationid is not ours"]


# --- with answers of a test ------------------------------------------------------------------------------------------


@interop
@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_a_decision_is_read_in_either_mode(asking: Client, silent: Settings, mode: Any) -> None:
    request = certified()
    put(silent, request, answer(request, decision_on(request), mode))

    outcome = asking.ask(silent, request, LONG_AGO)

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.lines[0]["decision_id"] == decision_on(request)["decision_id"]


@interop
def test_a_decision_of_an_aborted_transaction_is_not_seen(asking: Client, silent: Settings) -> None:
    request = certified()
    put(silent, request, answer(request, decision_on(request)), then="abort")

    outcome = asking.ask(silent, request, LONG_AGO, seconds=4)

    assert (outcome.code, outcome.lines) == (1, [])
    assert outcome.err.splitlines() == [
        "no answer: nothing came within 4 s; it may still be decided: ask again with SINCE"
    ]


def forged(request: dict[str, Any]) -> list[Written]:
    """What is no whole answer to a request, one record for each reason."""
    decision = decision_on(request)
    other = identified(decision | {"request_id": "another"})
    structured = ((("content-type", b"application/cloudevents+json")),)
    return [
        Written(None, ()),
        Written(b"", ()),
        Written(b"Jane Doe \xff", ()),
        Written(b'{"data": "Jane Doe"}', ()),
        Written(b"[]", structured),
        Written(b'{"name": "Jane Doe"}', structured),
        Written(b"[" * 100_000, structured),
        Written(json.dumps(decision).encode(), ()),
        answer(request, decision, type="authorization.requested.v1"),
        answer(request, decision, correlationid="claim-Jane-Doe"),
        answer(request, decision | {"action": "Jane Doe"}),
        answer(request, decision | {"action": "C"}),
        answer(request, decision, id="Jane Doe"),
        answer(request, decision, subject="Jane Doe"),
        answer(request, other, id=other["decision_id"]),
        answer(request, None),
        answer(request, {"reason": 7}, type="authorization.dead_lettered.v1"),
        answer(request, {"reason": "undecodable", "request_id": "x"}, type="authorization.dead_lettered.v1"),
    ]


@interop
def test_what_is_no_whole_answer_is_passed_over(asking: Client, silent: Settings) -> None:
    """With a reason each, which repeats none of its values."""
    request = certified()
    put(silent, request, *forged(request), answer(request, decision_on(request)))

    outcome = asking.ask(silent, request, LONG_AGO)

    assert (outcome.code, outcome.lines[0]["action"]) == (0, "A1")
    assert len(outcome.passed_over) == len(outcome.err.splitlines()) == len(forged(request))
    assert "Jane" not in outcome.err


@interop
def test_a_field_of_a_later_version_is_no_fault(asking: Client, silent: Settings) -> None:
    request = certified()
    decision = decision_on(request)
    decision["lines"][0]["new_field"] = [1, None, True]
    later = identified(decision | {"new_field": {"text": "\u0001\u007f\u2028 é \\ /"}})
    put(silent, request, answer(request, later))

    outcome = asking.ask(silent, request, LONG_AGO)

    assert (outcome.code, outcome.lines[0]["decision_id"]) == (0, later["decision_id"])


@interop
def test_a_superseded_decision_does_not_come_back(asking: Client, silent: Settings) -> None:
    request = pended_request(new_id())
    first = decision_on(request)
    second = identified(first | {"supersedes_decision": first["decision_id"], "action": "A3", "stage": "final"})
    put(silent, request, *(answer(request, one) for one in (first, first, second, first, second)))

    outcome = asking.ask(silent, request, LONG_AGO)

    assert [one["decision_id"] for one in outcome.lines] == [second["decision_id"]]
    assert (outcome.code, outcome.err) == (0, "")


@interop
def test_a_refused_link_does_not_hide_the_decision(asking: Client, silent: Settings) -> None:
    request = certified()
    letter = {"reason": "circular_link", "message": "…", "errors": [], "request_id": request["request_id"]}
    put(silent, request, answer(request, letter, type="authorization.dead_lettered.v1"), topic=DEAD_LETTERS)
    put(silent, request, answer(request, decision_on(request)))

    outcome = asking.ask(silent, request, LONG_AGO)

    assert (outcome.code, outcome.lines[0]["action"]) == (0, "A1")
    assert "circular_link" in outcome.err


# --- where a login is required ---------------------------------------------------------------------------------------


PLATFORM = "claims-platform-1"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_broker(tmp_path_factory.mktemp("secured"), (PLATFORM,)) as running:
        apply_topics.apply(running.settings(ADMIN, partitions=2))
        give(running, PLATFORM, rights(running.settings(ADMIN), "platform"))
        yield running


@interop
def test_a_client_works_with_a_platforms_rights(asking: Client, secured: Secured) -> None:
    """And says which topic it may not read."""
    request = certified()
    put(secured.settings(ADMIN), request, answer(request, decision_on(request)))

    outcome = asking.ask(secured.settings(PLATFORM), request, LONG_AGO)

    assert (outcome.code, outcome.lines[0]["action"]) == (0, "A1")
    [sentence] = outcome.err.splitlines()
    assert sentence.startswith("authorization.dead-letters ")
    assert "may not be read" in sentence


@interop
def test_a_wrong_password_is_told_in_a_sentence(asking: Client, secured: Secured) -> None:
    outcome = asking.ask(secured.settings(PLATFORM, sasl_password=password("another")), certified(), seconds=10)

    assert (outcome.code, outcome.lines) == (1, [])
    assert outcome.err.startswith("no answer: ")
    assert len(outcome.err.splitlines()) == 1


# --- what fails ------------------------------------------------------------------------------------------------------


@interop
def test_a_broker_that_is_not_there_is_told_in_a_sentence(asking: Client, tmp_path: Path) -> None:
    nowhere = settings_for(f"127.0.0.1:{free_ports().client}", "", tmp_path)

    outcome = asking.ask(nowhere, certified())

    assert (outcome.code, outcome.lines) == (1, [])
    [sentence] = outcome.err.splitlines()
    assert sentence.startswith("no answer: ")


@interop
@pytest.mark.parametrize("request_data", [[], {"request_id": 7}, None])
def test_a_file_that_is_no_request_is_told_in_a_sentence(asking: Client, silent: Settings, request_data: Any) -> None:
    outcome = asking.ask(silent, request_data)

    assert (outcome.code, outcome.lines) == (1, [])
    assert outcome.err == "no answer: the file is not the data of a request: it has no request_id\n"


@interop
@pytest.mark.parametrize("text", [PERSON, f'{{"request_id": {PERSON}', f'{{"member": "{PERSON}'])
def test_a_file_that_is_no_json_is_told_without_its_content(asking: Client, silent: Settings, text: str) -> None:
    outcome = asking.ask(silent, text)

    assert (outcome.code, outcome.lines) == (1, [])
    assert outcome.err == f"no answer: {asking.folder / 'request.json'} is no JSON\n"


def test_the_example_request_is_approved() -> None:
    request = json.loads((FOLDER / "request.json").read_text("utf-8"))

    assert (decision_on(request)["action"], decision_on(request)["stage"]) == ("A1", "final")


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((FOLDER / "javascript" / "package-lock.json").read_text("utf-8"))
    wanted = json.loads((FOLDER / "javascript" / "package.json").read_text("utf-8"))["dependencies"]
    packages = {name.removeprefix("node_modules/"): one for name, one in lock["packages"].items() if name}

    assert {name: packages[name]["version"] for name in wanted} == wanted
    assert [name for name, one in packages.items() if "resolved" in one] == []
    assert [name for name, one in packages.items() if not one["integrity"].startswith("sha512-")] == []


def test_the_python_client_imports_nothing_of_the_project() -> None:
    text = (FOLDER / "python" / "authorization_client.py").read_text("utf-8")

    assert [
        name for name in ("events", "workers", "policy_core") if f"import {name}" in text or f"from {name}" in text
    ] == []
