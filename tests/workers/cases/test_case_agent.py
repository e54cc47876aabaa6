"""The case agent on a real broker: a pended request ends with a physician's verdict, or is announced as overdue."""

import json
from pathlib import Path
from typing import Any

import pytest

from events.case import Case, case_of
from events.decision import Decision
from events.topics import CASES, DEAD_LETTERS, DEADLINES, DECISIONS
from tests.support.reviews import adverse, pended_request, send_review
from tests.support.running import eventually, everything_on, publish, settings_for, worker
from workers.configuration.settings import Settings
from workers.topics import apply_topics

pytestmark = pytest.mark.broker


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def data(found: Settings, topic: str) -> list[Any]:
    return [json.loads(one.value)["data"] for one in everything_on(found, topic)]


def cases(found: Settings) -> dict[str, Case]:
    return {one.key.decode(): case_of(one.value) for one in everything_on(found, CASES)}


def test_a_pended_request_ends_with_a_physicians_verdict(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path):
        publish(found, [json.dumps(pended_request("PA-1")).encode()])
        assert eventually(lambda: "PA-1" in cases(found))
        [recommended] = data(found, DECISIONS)
        send_review(found, adverse(recommended, "V-1"))
        assert eventually(lambda: cases(found)["PA-1"].state == "final")
        send_review(found, adverse(recommended, "V-1"))  # once more
        send_review(found, adverse(recommended, "V-2"))
        assert eventually(lambda: len(data(found, DEAD_LETTERS)) == 1)

    decisions = [Decision.model_validate_json(json.dumps(one)) for one in data(found, DECISIONS)]
    assert [(one.action, one.stage) for one in decisions] == [("A4", "recommendation"), ("A3", "final")]
    assert decisions[1].supersedes_decision == decisions[0].decision_id
    [letter] = data(found, DEAD_LETTERS)
    assert (letter["reason"], [error["path"] for error in letter["errors"]]) == ("verdict_refused", ["amends"])


@pytest.mark.kafka
def test_a_verdict_on_an_unknown_request_waits_and_is_refused(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path):
        publish(found, [json.dumps(pended_request("PA-1")).encode()])
        assert eventually(lambda: "PA-1" in cases(found))
        [recommended] = data(found, DECISIONS)
        send_review(found, adverse(recommended | {"request_id": "PA-2"}, "V-1"))
        assert eventually(lambda: len(data(found, DEAD_LETTERS)) == 1)
    [letter] = data(found, DEAD_LETTERS)
    assert letter["reason"] == "unknown_request"
    assert cases(found)["PA-1"].is_open


@pytest.mark.kafka
def test_a_deadline_that_has_passed_is_announced_once(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path):
        publish(found, [json.dumps(pended_request("PA-1")).encode()])
        assert eventually(lambda: len(data(found, DEADLINES)) == 2)
    with worker(found, tmp_path):
        publish(found, [json.dumps(pended_request("PA-2")).encode()])
        assert eventually(lambda: len(data(found, DEADLINES)) == 4)
    announced = data(found, DEADLINES)
    assert sorted((one["request_id"], one["kind"], one["late"]) for one in announced) == [
        ("PA-1", "due_soon", True),
        ("PA-1", "overdue", True),
        ("PA-2", "due_soon", True),
        ("PA-2", "overdue", True),
    ]
