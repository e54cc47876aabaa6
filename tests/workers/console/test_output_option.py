"""Every command that prints data takes `-o`, in one of two shapes; the others are named here, each with its reason."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from tests.support.commands import dli
from workers.console.printing import AsReport, AsRows, Form, Output
from workers.demo.run import REQUESTS_FILE
from workers.main.cli import cli

LINES = "each line is an event as JSON, to be piped on"
SENTENCES = "sentences on what it found; a program reads the exit code"
PLAN = "says in sentences what would be done, or was"
ONE_VALUE = "prints one value, as the setting or the file that it is for has it"
RUNS = "a process, which prints nothing but where it is"
WITHOUT = {
    "generate": LINES,
    "tail": LINES,
    "policy sign": LINES,
    "dead-letters show": "one letter, whose event is JSON whichever way it is printed",
    "policy questionnaire": "one Questionnaire, as JSON",
    "policy check": SENTENCES,
    "policy verify-source": SENTENCES,
    "replay check": SENTENCES,
    "schemas check": SENTENCES,
    "partners check": SENTENCES,
    "topics check": SENTENCES,
    "archive": PLAN,
    "policy new": PLAN,
    "policy publish": PLAN,
    "policy publish-packaged": PLAN,
    "policy withdraw": PLAN,
    "publish": PLAN,
    "review": PLAN,
    "replay sign": PLAN,
    "reset-offset": PLAN,
    "restore": PLAN,
    "schemas write": PLAN,
    "topics apply": PLAN,
    "topics scale": PLAN,
    "policy anchor": ONE_VALUE,
    "policy keygen": ONE_VALUE,
    "policy skip": ONE_VALUE,
    "kafka up": ONE_VALUE,
    "kafka down": RUNS,
    "dashboard": RUNS,
    "demo": RUNS,
    "exporter": RUNS,
    "gateway": RUNS,
    "integration": RUNS,
    "worker": RUNS,
}
SHAPES: dict[type, Any] = {Output: AsRows, Form: AsReport}
OF_THEIR_OWN = {"report public": "a report to publish has a page and a sheet too: table, json, csv, html"}


def commands(group: TyperGroup, before: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, one in group.commands.items():
        if isinstance(one, TyperGroup):
            yield from commands(one, (*before, name))
        else:
            yield " ".join((*before, name)), one


def every(app: typer.Typer) -> dict[str, Any]:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return dict(commands(root))


def wrong(app: typer.Typer, without: set[str]) -> dict[str, str]:
    """Commands whose option is not as it should be, each with what it is."""
    found = {}
    for name, command in every(app).items():
        options = [one for one in command.params if {"-o", "--output"} & set(one.opts) or one.name == "output"]
        if not options:
            if name not in without:
                found[name] = "has none, and no reason"
            continue
        if name in OF_THEIR_OWN:
            continue
        [option] = options
        shape = SHAPES.get(type(option.default))
        meant = shape.__metadata__[0] if shape is not None else None
        if name in without:
            found[name] = "has one, and a reason to have none"
        elif meant is None:
            found[name] = "has a shape of its own"
        elif (option.opts, option.help) != (["-o", "--output"], meant.help):
            found[name] = "has it in other words"
    return found


def test_every_command_prints_data_in_one_of_two_shapes() -> None:
    assert wrong(cli, set(WITHOUT)) == {}
    assert [name for name in OF_THEIR_OWN if name not in every(cli)] == []
    assert [name for name in WITHOUT if name not in every(cli)] == []


def test_a_command_with_another_option_or_none_is_found() -> None:
    app = typer.Typer()

    @app.command()
    def rows(output: AsRows = Output.TABLE) -> None:
        """Take it as it should."""

    @app.command()
    def report(output: AsReport = Form.TEXT) -> None:
        """Take it as it should."""

    @app.command()
    def none() -> None:
        """Take none."""

    @app.command()
    def own(output: str = "table") -> None:
        """Take one of its own."""

    @app.command()
    def excused(output: AsRows = Output.TABLE) -> None:
        """Take one, and be named among those that do not."""

    assert wrong(app, {"excused"}) == {
        "none": "has none, and no reason",
        "own": "has a shape of its own",
        "excused": "has one, and a reason to have none",
    }


# --- what those print that had none --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "fields", "first"),
    [
        (("rights",), {"role", "resource", "name", "is_prefix", "operations", "why"}, "role"),
        (
            ("topics", "show"),
            {"topic", "events", "holds", "key", "partitions", "cleanup", "retention_days", "written_by", "read_by"},
            "topic",
        ),
        (("policy", "list"), {"policy", "title", "revisions", "newest", "sha256"}, "policy"),
    ],
)
def test_lines_have_what_the_table_has(command: tuple[str, ...], fields: set[str], first: str) -> None:
    table, same, lines = dli(*command), dli(*command, "-o", "table"), dli(*command, "-o", "jsonl")

    rows = [json.loads(line) for line in lines.out.splitlines()]
    assert (table.code, lines.code, lines.err) == (0, 0, "")
    assert table == same
    assert rows != []
    assert all(set(row) == fields for row in rows)
    cells = [line.split("│")[1].strip() for line in table.out.splitlines() if line.startswith("│")]  # long ones go on
    assert "".join(cells) == "".join(row[first] for row in rows)


def test_explain_gives_the_decision_that_decide_gives() -> None:
    decided = dli("decide", str(REQUESTS_FILE)).out.splitlines()

    for request in ("PA-2025-00123", "PA-2025-00136"):  # a decision, and what could not be decided
        ran = dli("explain", str(REQUESTS_FILE), "--request", request, "-o", "json")
        [line] = ran.out.splitlines()
        assert (ran.code, line in decided, json.loads(line).get("request_id", request), ran.err) == (
            0,
            True,
            request,
            "",
        )
