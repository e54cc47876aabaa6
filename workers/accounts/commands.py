"""`dli accounts`."""

from typing import Annotated

import typer
from rich.text import Text

from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS
from workers.accounts import account as account_module
from workers.accounts import accounts_text
from workers.accounts.platform_account import platform_account
from workers.accounts.review_account import review_account
from workers.configuration.command_options import AppId, Bootstrap, Prefix, settings
from workers.console.exit_codes import CommandError, Exit
from workers.console.printing import AsRows, Output, err, out
from workers.kafka import reader


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(accounts)


def accounts(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    app_id: AppId = None,
    output: AsRows = Output.TABLE,
    recount: Annotated[
        bool, typer.Option("--recount", help="Read the topics to their end, and count the records.")
    ] = False,
) -> None:
    """Check for every partition that consumed = decided + duplicates + dead-lettered, and nothing is lost; else exit 3.

    Verdicts, cases and platforms' messages are to balance too. If nothing is consumed yet, it reports that: exit 3 if
    requests wait.
    """
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id)
    needed = (REQUESTS, DECISIONS, DEAD_LETTERS) if recount else (REQUESTS,)
    if (lacking := reader.lacking(found, list(map(found.topic, needed)))) is not None:
        raise CommandError(f"{lacking}: there are no accounts; {reader.MAKE_TOPICS}")
    seen = account_module.look(found)
    standing, reviews = account_module.standings(seen, found), review_account(seen, found)
    platforms = platform_account(seen, found)
    counted = account_module.recount(found) if recount else []
    if output is Output.TABLE:
        out.print(accounts_text.table(standing))
    else:
        for balance in standing:
            out.print(accounts_text.line(balance), markup=False, soft_wrap=True)
        out.print(accounts_text.review_line(reviews), markup=False, soft_wrap=True)
        if platforms is not None:
            out.print(accounts_text.platform_line(platforms), markup=False, soft_wrap=True)
    balances = accounts_text.balanced(standing)
    # For machine-readable output, only data goes to standard output.
    beside = out if output is Output.TABLE else err
    beside.print(Text(accounts_text.sentence(standing, found.app_id), style="green" if balances else "bold red"))
    style = "bold red" if reviews.problem else "green"
    beside.print(Text(accounts_text.review_sentence(reviews), style=style))
    wrong = reviews.problem
    if platforms is not None:
        wrong = wrong or platforms.problem
        style = "bold red" if platforms.problem else "green"
        beside.print(Text(accounts_text.platform_sentence(platforms), style=style))
    if recount:
        beside.print(accounts_text.recount_text(counted, found))
    if accounts_text.differing(counted) or not balances or wrong:
        raise typer.Exit(Exit.DIFFERENT)
