"""The commands of the runbook."""

from collections.abc import Sequence
from typing import Any

import typer

from workers.main.cli import cli


def leaf(words: Sequence[str]) -> tuple[Any, list[str]]:
    """The command that words lead to, and the words behind its name; None where they lead to none."""
    command: Any = typer.main.get_command(cli)
    rest = list(words)
    while command is not None and hasattr(command, "commands"):
        command = command.commands.get(rest.pop(0)) if rest else None
    return command, rest
