"""Examples of verdicts, extensions and deadlines, and of the decisions that come of them.

Each answers the example request of its name. `python -m tests.events.test_review_examples` writes what is made of them
again.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from events.deadline import Deadline
from events.decision import Decision
from events.decode import RejectedError, decode_review
from events.schemas import FOLDER
from events.topics import DEAD_LETTERS, DEADLINES, DECISIONS
from events.verdict import AuthorizationExtended, AuthorizationReviewed
from tests.support.case_agent import CaseAgent
from tests.support.packaged import packaged_library
from tests.support.places import ROOT
from workers.configuration.settings import Settings

EXAMPLES = ROOT / "events" / "examples"
REQUESTED = EXAMPLES / "authorization.requested.v1" / "valid"
REVIEWED = EXAMPLES / AuthorizationReviewed.TYPE
EXTENDED = EXAMPLES / AuthorizationExtended.TYPE
FINAL = EXAMPLES / Decision.TYPE / "after-review"
ANNOUNCED = EXAMPLES / Deadline.TYPE / "valid"
SETTINGS = Settings(source="/dli-authorization", mode="structured", topic_prefix="")
AT = 1_749_722_400_000
"""When verdicts are published: 2025-06-12T10:00:00Z."""
DAY = 86_400_000


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def each(folder: Path) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("file", files(folder), ids=lambda file: file.stem)


def decided(name: str) -> CaseAgent:
    """The case agent, after the example request of that name is decided."""
    agent = CaseAgent(packaged_library(), SETTINGS)
    event = read(REQUESTED / name)
    correlation = event.get("correlationid") or event["id"]
    agent.decide(event["data"], AT - DAY, correlation)
    return agent


def reviewed(file: Path) -> CaseAgent:
    """The same, after an example of a verdict or an extension."""
    agent = decided(file.name)
    event = read(file)
    agent.review(event["data"]["request_id"], json.dumps(event).encode(), AT)
    return agent


def sent(agent: CaseAgent, topic: str) -> list[Any]:
    return [json.loads(one.value) for one in agent.sent if one.topic == topic]


def schema_errors(kind: str, data: Any) -> set[str]:
    schema = read(FOLDER / f"{kind}.json")
    found = Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(data)
    return {".".join(map(str, error.absolute_path)) for error in found}


@each(REVIEWED / "valid")
def test_a_verdict_on_its_request_gives_the_decision_of_its_name(file: Path) -> None:
    [decision] = sent(reviewed(file), DECISIONS)
    assert decision == read(FINAL / file.name)


@each(EXTENDED / "valid")
def test_an_extension_of_the_request_of_its_name_is_decided(file: Path) -> None:
    agent = reviewed(file)
    [decision] = sent(agent, DECISIONS)
    assert decision["data"]["due_at"] == read(file)["data"]["until"]
    assert agent.cases[decision["data"]["request_id"].encode()].extended


@each(ANNOUNCED)
def test_the_deadline_of_the_request_of_its_name_is_announced(file: Path) -> None:
    agent = decided(file.name)
    agent.time(AT + 90 * DAY)
    assert read(file) == sent(agent, DEADLINES)[-1]


@pytest.mark.parametrize(
    "file",
    [*files(REVIEWED / "valid"), *files(EXTENDED / "valid"), *files(ANNOUNCED), *files(FINAL)],
    ids=lambda file: f"{file.parents[1].name}: {file.stem}",
)
def test_what_is_sent_fits_its_schema(file: Path) -> None:
    event = read(file)
    assert event["type"] == file.parents[1].name
    assert schema_errors(event["type"], event["data"]) == set()


@pytest.mark.parametrize(
    "file",
    [*files(REVIEWED / "invalid"), *files(EXTENDED / "invalid")],
    ids=lambda file: f"{file.parents[1].name}: {file.stem}",
)
def test_an_invalid_verdict_is_refused_at_its_paths(file: Path) -> None:
    expected = read(file)
    assert set(expected) == {"why", "reason", "paths", "event"}
    with pytest.raises(RejectedError) as caught:
        decode_review(json.dumps(expected["event"]).encode())
    paths = [error.path for error in caught.value.errors]
    assert (caught.value.reason, paths) == (expected["reason"], expected["paths"])


@each(REVIEWED / "refused")
def test_a_verdict_that_may_not_stand_is_refused_at_its_paths(file: Path) -> None:
    expected = read(file)
    assert set(expected) == {"why", "request", "reason", "paths", "event"}
    agent = decided(expected["request"])
    data = expected["event"]["data"]
    agent.review(data["request_id"], json.dumps(expected["event"]).encode(), AT)
    [letter] = agent.data(DEAD_LETTERS)
    assert (letter["reason"], [error["path"] for error in letter["errors"]]) == (expected["reason"], expected["paths"])
    assert sent(agent, DECISIONS) == []


def test_there_is_an_example_of_everything() -> None:
    folders = [REVIEWED / "valid", REVIEWED / "invalid", REVIEWED / "refused", EXTENDED / "valid", EXTENDED / "invalid"]
    assert [folder for folder in (*folders, FINAL, ANNOUNCED) if not files(folder)] == []
    actions = {line["action"] for file in files(REVIEWED / "valid") for line in read(file)["data"]["lines"]}
    assert actions == {"A1", "A3", "A6"}


def renew() -> None:
    """Write again what is made of the examples."""
    made = {FINAL / file.name: sent(reviewed(file), DECISIONS)[0] for file in files(REVIEWED / "valid")}
    for name in ("modified-leukocytes.json",):
        agent = decided(name)
        agent.time(AT + 90 * DAY)
        made[ANNOUNCED / name] = sent(agent, DEADLINES)[-1]
    for file, event in made.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(event, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    renew()
