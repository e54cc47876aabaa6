"""`dli adapt` and `dli partners`: platforms' messages without a broker, and trading partners' files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from policy_core.history.library import load_library
from workers.configuration.command_options import DefaultPolicy, Policies, settings
from workers.console.exit_codes import CommandError, Exit
from workers.console.moments import moment_of
from workers.console.printable import counted, printable
from workers.console.printing import AsRows, Output, err, out, write_json
from workers.console.streams import nobody_reads
from workers.integration.adapt import Adapted, Adaptor
from workers.integration.partners import load, loaded_partners
from workers.process.input_file import opened

RECEIVED = "2026-01-01T00:00:00Z"
"""When messages count as received, unless something else is said: the same file then always gives the same answers."""
LARGEST_FILE = 16 * 1024 * 1024
"""In bytes. A larger file is many messages, or none."""

partners_cli = typer.Typer(no_args_is_help=True, help="Trading partners: check their files.")


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(adapt)
    cli.add_typer(partners_cli, name="partners")


def adapt(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…|-", help="PAS bundles or X12 278 interchanges, one a file.")
    ],
    partner: Annotated[
        Path, typer.Option("--partner", help="The file of the trading partner that they come from, YAML or JSON.")
    ],
    output: AsRows = Output.JSONL,
    received: Annotated[
        str, typer.Option("--received", help="When they were received: a day, or an instant with its offset.")
    ] = RECEIVED,
    policies: Policies = None,
    policy: DefaultPolicy = None,
) -> None:
    """Read, decide and answer platforms' messages, without a broker: one object for each message, in order.

    Later files may follow earlier ones: the chain of traces is that of the files given. Each object has `message`, the
    digest by which answers on Kafka name the message, the canonical `request` or null, the `dead_letter` or null, the
    `decision`, the `response` (an object for PAS, a text for X12), and `ignored`: what was left out of the message, by
    its place.

    Exit code 3 if there are dead letters.
    """
    try:
        at = moment_of(received)
    except ValueError as error:
        raise CommandError(f"--received: {error}") from None
    found = settings(policies=policies, default_policy=policy)
    library = load_library(found.policies, found.default_policy)
    loaded = tuple(load(partner))
    if len(loaded) != 1:
        raise CommandError(f"{partner}: has {counted(len(loaded), 'trading partner')}; name the file of one")
    adaptor = Adaptor(library, loaded[0], round(at.timestamp() * 1000))
    rows = _table() if output is Output.TABLE else None
    messages = refused = 0
    for file in files:
        with opened(file) as stream:
            value = stream.read(LARGEST_FILE)
        for adapted in adaptor.adapt(value):
            messages += 1
            refused += adapted.dead_letter is not None
            if rows is not None:
                rows.add_row(*_row(file, adapted))
                continue
            write_json(adapted.as_json())
            if nobody_reads():
                raise typer.Exit(Exit.UNREAD)
    if rows is not None:
        out.print(rows)
    if refused:
        err.print(f"{refused:,} of {counted(messages, 'message')} became no decision", markup=False)
        raise typer.Exit(Exit.DIFFERENT)


def _table() -> Table:
    table = Table(header_style="bold", expand=False)
    for column in ("file", "request", "action", "what is wrong"):
        table.add_column(column, overflow="fold")
    return table


def _row(file: Path, adapted: Adapted) -> tuple[Text, ...]:
    decision, letter = adapted.decision, adapted.dead_letter
    request_id = str(adapted.request["request_id"]) if adapted.request is not None else ""
    wrong = [f"{error.path}: {error.message}".removeprefix(": ") for error in letter.errors] if letter else []
    return (
        Text(printable(file.name)),
        Text(printable(request_id or (decision.request_id if decision is not None else "?"))),
        Text(decision.action if decision is not None else "-"),
        Text(printable("; ".join(wrong))),
    )


# --- trading partners ----------------------------------------------------------------------------------------------


@partners_cli.callback()
def _group() -> None:
    """Trading partners: check their files."""


@partners_cli.command()
def check(
    path: Annotated[
        Path | None, typer.Argument(help="A trading partner's file, or a folder of them; by default DLI_PARTNERS.")
    ] = None,
) -> None:
    """Check trading partners' files: each is complete, and names and senders are unique."""
    place = path if path is not None else settings().partners
    if place is None:
        raise CommandError("no trading partners: name a file or a folder, or set DLI_PARTNERS")
    for partner, file in loaded_partners(place):
        out.print(f"{file}: {partner.name}: {counted(len(partner.lines_of_business), 'rule')} for the line of business")
