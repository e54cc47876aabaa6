"""Every command is declared: it changes something and is recorded, or it looks only."""

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args

import typer
from typer.core import TyperGroup

from events.audit import What
from workers.main.cli import cli

CHANGES = {
    "topics apply": "topics apply",
    "topics scale": "topics scale",
    "policy publish": "policy publish",
    "policy withdraw": "policy withdraw",
    "policy publish-packaged": "policy publish-packaged",
    "dead-letters redrive": "dead-letters redrive",
    "reset-offset": "reset-offset",
    "restore": "restore",
    "archive": "archive",
    "replay what-if": "replay what-if --publish",
    "publish": "publish",
    "review": "review",
}
"""What is on the brokers is another behind it; by what name it is recorded."""
HERE = {"policy keygen", "policy sign", "policy skip"}
"""They make or sign something on this machine, and tell of it in the log."""
WRITES_FILES = {"schemas write", "replay sign", "generate", "policy new"}
"""Files of whoever runs them, and nothing that another one has."""
RUNS = {"worker", "integration", "exporter", "dashboard", "gateway", "demo", "kafka up", "kafka down"}
"""Processes: what a worker does stands beside what it does it to, the dashboard records its acts itself, and the others
change nothing that lasts.
"""
LOOKS = {
    *("accounts", "adapt", "audit", "cases", "decide", "explain", "rights", "tail", "trace"),
    *("dead-letters list", "dead-letters show"),
    *(
        "policy anchor",
        "policy check",
        "policy diff",
        "policy history",
        "policy list",
        "policy questionnaire",
        "policy show",
    ),
    *("policy verify-source", "replay check", "replay messages", "replay verify", "report public"),
    "partners check",
    *("schemas check", "settings", "topics check", "topics show"),
}


def commands(group: TyperGroup, before: tuple[str, ...] = ()) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, one in group.commands.items():
        if isinstance(one, TyperGroup):
            yield from commands(one, (*before, name))
        else:
            assert one.callback is not None
            yield " ".join((*before, name)), inspect.unwrap(one.callback)


ROOT = typer.main.get_command(cli)
assert isinstance(ROOT, TyperGroup)
EVERY = dict(commands(ROOT))


def test_every_command_is_declared_once() -> None:
    declared = [*CHANGES, *HERE, *WRITES_FILES, *RUNS, *LOOKS]

    assert sorted(declared) == sorted(EVERY)


def test_only_commands_that_change_something_have_a_record_name() -> None:
    """A command that changes something has a name in the record, and no other command has one."""
    assert sorted(CHANGES.values()) == sorted(one for one in get_args(What) if not one.startswith("dashboard "))


def recorded(command: Callable[..., Any]) -> set[str]:
    """The names under which the module of a command records, as its text has them."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(command) or command))
    texts = {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return texts & set(get_args(What))


def calls(command: Callable[..., Any]) -> set[str]:
    """What the module of a command calls by a plain name."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(command) or command))
    return {one.func.id for one in ast.walk(tree) if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}


def test_each_is_recorded_where_it_is_done() -> None:
    for name, what in CHANGES.items():
        assert what in recorded(EVERY[name]), name
        assert "acting" in calls(EVERY[name]), name
    for name in HERE:
        assert "acting_here" in calls(EVERY[name]), name
