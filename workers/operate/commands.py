"""`dli exporter`, `dli accounts`, `dli dead-letters`, `dli reset-offset`."""

import json
import signal
from collections.abc import Sequence
from threading import Event
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workers import accounts as books
from workers import logs
from workers.accounts import Recounted, Standing
from workers.console import Bootstrap, CommandError, Exit, Output, Prefix, err, out, settings
from workers.operate import dead_letters, offsets
from workers.operate.exporter import serving
from workers.settings import Settings


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
    """Show that consumed = decided + duplicates + dead-lettered for every partition, and nothing lost; else exit 3."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id)
    standing = books.ask(found)
    counted = books.recount(found) if recount else []
    if output is Output.TABLE:
        out.print(table(standing))
    else:
        for one in standing:
            out.print(line(one), markup=False, soft_wrap=True)
    wrong = [one for one in standing if one.problem]
    # Of data for a machine, only the data is on standard output.
    beside = out if output is Output.TABLE else err
    beside.print(Text(books.sentence(standing), style="bold red" if wrong else "green"))
    differing = tell_recount(beside, counted, found) if recount else False
    if wrong or differing:
        raise typer.Exit(Exit.DIFFERENT)


def line(one: Standing) -> str:
    """One partition as JSON."""
    account = one.account
    fields = {
        "partition": one.partition,
        "committed": one.committed,
        "waiting": one.waiting,
        **({name: getattr(account, name) for name in ("since", *OUTCOMES, "difference")} if account else {}),
        "problem": one.problem,
    }
    return json.dumps(fields)


OUTCOMES = ("consumed", "decided", "duplicates", "dead_lettered", "lost")


def table(found: Sequence[Standing]) -> Table:
    """The partitions, one a row."""
    made = Table(header_style="bold")
    for column in ("partition", "committed", "waiting", "since", *OUTCOMES, "difference"):
        made.add_column(column.replace("_", "-"), justify="right")
    for one in found:
        account = one.account
        names = ("since", *OUTCOMES, "difference")
        numbers = [f"{getattr(account, name):,}" if account else "-" for name in names]
        committed = "-" if one.committed is None else f"{one.committed:,}"
        made.add_row(str(one.partition), committed, f"{one.waiting:,}", *numbers, style="red" if one.problem else None)
    return made


def tell_recount(console: Console, counted: Sequence[Recounted], found: Settings) -> bool:
    """Print what the topics hold beside the accounts; whether they differ."""
    wrong = [one for one in counted if one.problem]
    untold = [one for one in counted if one.moved or one.gone or (one.account and one.account.since)]
    requests, decisions = sum(one.requests for one in counted), sum(one.decisions for one in counted)
    letters = sum(one.dead_letters for one in counted)
    text = f"on the topics: {requests:,} requests, {decisions:,} decisions, {letters:,} dead letters"
    for one in wrong:
        text += f"\n  partition {one.partition}: {one.problem}"
    for one in untold:
        reason = (
            "workers went on meanwhile"
            if one.moved
            else f"{one.gone:,} offsets are no longer kept"
            if one.gone
            else "its account was opened later"
        )
        text += f"\n  partition {one.partition}: cannot be compared, {reason}"
    verdict = "differs" if wrong else "agrees" if not untold else "agrees where it can be compared"
    console.print(Text(f"{text}\nthe recount {verdict} ({found.bootstrap})", style="bold red" if wrong else "green"))
    return bool(wrong)
