"""`dli report public`."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfoNotFoundError

import typer

from events.topics import CASES
from policy_core.history.library import load_library
from workers.configuration.command_options import Bootstrap, Policies, Prefix, settings
from workers.configuration.settings import Settings
from workers.console.exit_codes import CommandError, needs_replay_extra
from workers.console.printing import out, write_json
from workers.figures import figures_text, layout, read_cases
from workers.figures.figures import PublicFigures, figures_of
from workers.figures.read_cases import CasesRead, Extent
from workers.kafka import reader


class Layout(StrEnum):
    """How the report is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"


def add_commands(cli: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Reports for the public: the figures of a year.")
    group.callback()(_only_a_group)
    group.command("public")(public)
    cli.add_typer(group, name="report")


def _only_a_group() -> None:
    """Reports for the public: the figures of a year."""


def public(
    year: Annotated[int, typer.Option("--year", min=1990, max=9000, help="The year of the determinations.")],
    cases: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE|-", help="A file of cases, a JSON object each, instead of the brokers."),
    ] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="The policy whose codes and time zone count.")] = None,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    output: Annotated[
        Layout, typer.Option("-o", "--output", help="Print a table, JSON, CSV, or a page to publish.")
    ] = Layout.TABLE,
) -> None:
    """Print the public figures of a year, exact, each with its definition.

    From the cases on the brokers up to their stable end, or from a file of cases. No person, provider or request is
    named.
    """
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, policies=policies, default_policy=policy)
    library = load_library(found.policies, found.default_policy)
    chosen = library.named(None)
    if chosen is None:
        raise CommandError(f"no policy is chosen; name one with --policy: {', '.join(library.numbers)}")
    read = read_cases.of_file(cases) if cases is not None else _of_brokers(found)
    try:
        figures = figures_of(read.cases, chosen.document, year)
    except ZoneInfoNotFoundError:
        zone = chosen.document.time_zone
        raise CommandError(f"this machine does not know the policy's time zone {zone}; install tzdata") from None
    _print(figures, read.extent, output)


def _of_brokers(found: Settings) -> CasesRead:
    if (lacking := reader.lacking(found, [found.topic(CASES)])) is not None:
        raise CommandError(f"{lacking}: there are no figures; {reader.MAKE_TOPICS}")
    return read_cases.of_brokers(found)


def _print(figures: PublicFigures, extent: Extent, output: Layout) -> None:
    if output is Layout.TABLE:
        out.print(figures_text.report(figures, extent))
    elif output is Layout.JSON:
        write_json(layout.as_json(figures, extent))
    elif output is Layout.CSV:
        sys.stdout.write(layout.as_csv(figures, extent))
    else:
        with needs_replay_extra():
            from workers.figures.page import html  # noqa: PLC0415 (its package is an extra)
        sys.stdout.write(html(figures, extent))
