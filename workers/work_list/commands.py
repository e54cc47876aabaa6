"""`dli cases`: the work list."""

# ruff: noqa: PLR0913 (each argument is an option)

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from workers.configuration.command_options import Bootstrap, Prefix, settings
from workers.console.exit_codes import CommandError
from workers.console.printable import counted
from workers.console.printing import AsRows, Output, err, out, write_json
from workers.work_list.columns import COLUMNS, as_json, row
from workers.work_list.filters import CHOICES, Filter, FilterError, chosen, filter_of
from workers.work_list.open_cases import OpenCases
from workers.work_list.read_cases import read_once, time_zone


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(cases)


def _one_of(part: str) -> str:
    return f"One of: {', '.join(CHOICES[part])}."


def cases(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    acts_next: Annotated[str | None, typer.Option("--acts-next", help=_one_of("acts_next"))] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only overdue ones; the same as --due overdue.")] = False,
    due: Annotated[str | None, typer.Option("--due", help=_one_of("due"))] = None,
    due_before: Annotated[
        str | None,
        typer.Option(
            "--due-before", metavar="DATE|INSTANT", help="Only those due before then; a day begins at 00:00 UTC."
        ),
    ] = None,
    urgency: Annotated[str | None, typer.Option("--urgency", help=_one_of("urgency"))] = None,
    line_of_business: Annotated[
        str | None, typer.Option("--line-of-business", help=_one_of("line_of_business"))
    ] = None,
    determination: Annotated[
        str | None, typer.Option("--determination", help=f"Of one line. {_one_of('determination')}")
    ] = None,
    state: Annotated[str | None, typer.Option("--state", help=_one_of("state"))] = None,
    output: AsRows = Output.TABLE,
) -> None:
    """List the open cases: who acts next and by when; overdue ones first."""
    if overdue and due not in {None, "overdue"}:
        raise CommandError(f"--overdue and --due {due} contradict each other; give one of them")
    wanted = _filter(
        acts_next=acts_next,
        due="overdue" if overdue else due,
        due_before=due_before,
        urgency=urgency,
        line_of_business=line_of_business,
        determination=determination,
        state=state,
    )
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    zone = time_zone(found) if wanted.due == "today" else UTC
    board, now = read_once(found), datetime.now(UTC)
    listed = chosen(board, wanted, now, zone)
    if output is Output.JSONL:
        for case in listed:
            write_json(as_json(case, now))
        return
    if listed:
        table = Table(header_style="bold")
        for name in COLUMNS.values():
            table.add_column(name.lower(), overflow="fold")
        for case in listed:
            table.add_row(*row(case, now).values())
        out.print(table)
    err.print(summary(board, len(listed), now))


def _filter(**parts: str | None) -> Filter:
    try:
        return filter_of(parts)
    except FilterError as error:
        name, _, rest = str(error).partition(" ")
        raise CommandError(f"--{name.replace('_', '-')} {rest}") from None


def summary(board: OpenCases, listed: int, now: datetime) -> str:
    """What was read and listed, in a sentence."""
    if not any(board.offsets.values()):
        return "no case was ever opened: the topic of cases is empty"
    if not len(board):
        return "no case is open: nobody has to act"
    counts = board.counts(now)
    which = "" if listed == len(board) else f" of {len(board):,}"
    more = "; more are open, for which there was no room" if board.left_out else ""
    return f"{counted(listed, 'open case')}{which}; {counts.overdue:,} of all are overdue{more}"
