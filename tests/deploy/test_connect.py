"""Connect your platform: what the page runs without a broker does what the page says."""

import json
import shlex

import pytest

from deploy.generate import FOLDER as DEPLOY
from tests.support.commands import dli
from tests.support.runbook import arguments, command_lines
from workers.integration.partners import load

PAGE = (DEPLOY / "connect.md").read_text("utf-8")
BLANKS = {"FOLDER": "deploy/partners", "CANONICAL": "https://payer.example/Questionnaire/L.2.03.402"}
WITHOUT_BROKER = ("dli adapt ", "dli partners ", "dli policy questionnaire ")
LINES = [line for line in command_lines(PAGE) if line.startswith(WITHOUT_BROKER)]


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_page_runs(line: str) -> None:
    ran = dli(*arguments(line, lambda _, blank: BLANKS[blank])[1:])

    assert (ran.code, ran.err) == (0, ""), shlex.quote(line)


def test_the_messages_are_pended_and_then_certified() -> None:
    [line] = [line for line in LINES if line.startswith("dli adapt ")]
    asked, answered = map(json.loads, dli(*shlex.split(line)[1:]).out.splitlines())

    assert (asked["decision"]["action"], answered["decision"]["action"]) == ("A4", "A1")
    assert len(asked["decision"]["lines"][0]["missing"]) == 3
    assert set(asked) == {"message", "request", "dead_letter", "decision", "response", "ignored"}


def test_the_example_partner_reads_answers() -> None:
    [partner] = load(DEPLOY / "partners")

    assert partner.questionnaire == BLANKS["CANONICAL"]
