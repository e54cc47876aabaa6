"""`dli audit`: acts and their outcomes."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, get_args

import typer
from rich.table import Table

from events.audit import What
from workers.audit import read_acts
from workers.audit.columns import COLUMNS, row
from workers.audit.read_acts import Done
from workers.audit.record_acts import DONE, INTERRUPTED, WITH_DIFFERENCES
from workers.configuration.command_options import Bootstrap, Prefix, settings
from workers.console.exit_codes import CommandError, Exit
from workers.console.moments import moment_of
from workers.console.printable import counted
from workers.console.printing import AsRows, Output, err, out, write_line

KINDS: tuple[str, ...] = get_args(What)
END_BY_EXIT = {Exit.DONE: DONE, Exit.DIFFERENT: WITH_DIFFERENCES, Exit.INTERRUPTED: INTERRUPTED}
"""How an act ended whose command raised no error, by the command's exit code."""


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(audit)


def audit(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DATE|INSTANT", help="Only acts since then; a day begins at 00:00 UTC."),
    ] = None,
    what: Annotated[str | None, typer.Option("--what", help=f"One of: {', '.join(KINDS)}.")] = None,
    output: AsRows = Output.TABLE,
) -> None:
    """Show who changed something, or tried to, with arguments and outcome; newest first."""
    if what is not None and what not in KINDS:
        raise CommandError(f"nothing recorded is called {what}; there is {', '.join(KINDS)}")
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    acts = read_acts.acts(found, beginning(since) if since is not None else None, what)
    if output is Output.JSONL:
        for act in acts:
            write_line(line(act))
        return
    out.print(_table(acts))
    err.print(counted(len(acts), "act"))


def _table(acts: Sequence[Done]) -> Table:
    table = Table(header_style="bold")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for act in acts:
        table.add_row(*row(act))
    return table


def line(act: Done) -> bytes:
    """An act as a JSON line: its last event, with start and end."""
    until = act.until.isoformat() if act.until is not None else None
    return json.dumps({"at": act.at.isoformat(), "until": until, **json.loads(act.last.to_json())}).encode()


def beginning(text: str) -> datetime:
    """Parse `--since`.

    Raises:
        CommandError: It is neither a day nor an instant.
    """
    try:
        return moment_of(text)
    except ValueError as error:
        raise CommandError(f"--since {text}: {error}") from None
