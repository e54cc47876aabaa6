"""`dli exporter`, `dli accounts`, `dli dead-letters`, `dli reset-offset`."""

import signal
from threading import Event
from typing import Annotated

import typer
from rich.text import Text

from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS
from workers import accounts as books
from workers import logs, reading
from workers.console import Bootstrap, CommandError, Exit, Output, Prefix, err, out, settings
from workers.operate import balance, dead_letters, offsets
from workers.operate.exporter import serving


def add_to(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(exporter)
    cli.command()(accounts)
    dead_letters.add_to(cli)
    cli.command()(offsets.reset_offset)


AppId = Annotated[str | None, typer.Option("--app-id", help="The workers' consumer group.")]


def exporter(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    app_id: AppId = None,
    port: Annotated[int | None, typer.Option("--port", help="Where /metrics answers.")] = None,
) -> None:
    """Tell Prometheus lag and accounts, asked of the brokers: true also of workers that are stalled or gone."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id, exporter_port=port)
    logs.configure(level=found.log_level, form=found.log_format)
    over = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    try:
        with serving(found):
            err.print(f"http://{found.web_host}:{found.exporter_port}/metrics, of {found.bootstrap}")
            over.wait()
    except OSError as error:
        where = f"{found.web_host}:{found.exporter_port}"
        raise CommandError(f"{where}: {error.strerror}; choose another port with DLI_EXPORTER_PORT (--port)") from None


def accounts(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    app_id: AppId = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print the partitions.")] = Output.TABLE,
    recount: Annotated[
        bool, typer.Option("--recount", help="Read the topics through, and count what is really there.")
    ] = False,
) -> None:
    """Show that consumed = decided + duplicates + dead-lettered for every partition, and nothing lost; else exit 3.

    Where nothing is consumed yet it says so; that is exit 3 too where requests are there.
    """
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id)
    needed = (REQUESTS, DECISIONS, DEAD_LETTERS) if recount else (REQUESTS,)
    if (lacking := reading.lacking(found, list(map(found.topic, needed)))) is not None:
        raise CommandError(f"{lacking}: there are no accounts; {reading.MAKE_TOPICS}")
    standing = books.ask(found)
    counted = books.recount(found) if recount else []
    if output is Output.TABLE:
        out.print(balance.table(standing))
    else:
        for one in standing:
            out.print(balance.line(one), markup=False, soft_wrap=True)
    balances = balance.balanced(standing)
    # Of data for a machine, only the data is on standard output.
    beside = out if output is Output.TABLE else err
    beside.print(Text(balance.sentence(standing, found.app_id), style="green" if balances else "bold red"))
    differing = balance.tell_recount(beside, counted, found) if recount else False
    if differing or not balances:
        raise typer.Exit(Exit.DIFFERENT)
