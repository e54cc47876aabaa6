"""`dli review FILE|-`: check verdicts and extensions of reviewers, and publish them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from events.decode import RejectedError
from events.topics import VERDICTS
from workers.audit.record_acts import acting
from workers.cases.publish_reviews import publish, sending
from workers.configuration.command_options import Bootstrap, Prefix, settings
from workers.console.exit_codes import CommandError
from workers.console.printable import counted, printable
from workers.console.printing import err
from workers.event_log import json_files
from workers.kafka import reader

Verdicts = Annotated[
    Path,
    typer.Argument(
        help="Verdicts and extensions, as CloudEvents or bare data: JSON lines or one object; - reads stdin."
    ),
]
MOST_SHOWN = 20
"""How many invalid events are named."""


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(review)


def review(
    file: Verdicts,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    check: Annotated[bool, typer.Option("--check", help="Check them, and publish nothing.")] = False,
) -> None:
    """Publish reviewers' verdicts and extensions of timeframes; nothing unless all of the file are valid.

    Their form is checked here; whether they may stand, the case says: a refused one goes to the dead letters.
    """
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    with json_files.events(file) as events:
        made, wrong = [], []
        for event in events:
            try:
                made.append(sending(event.raw, found))
            except RejectedError as rejected:
                wrong += [f"{event.where}: {problem}" for problem in _problems(rejected)]
    if wrong:
        more = f"; and {len(wrong) - MOST_SHOWN} more" if len(wrong) > MOST_SHOWN else ""
        raise CommandError("; ".join(wrong[:MOST_SHOWN]) + more + ": nothing was published")
    if not made:
        raise CommandError(f"{file}: has no verdict and no extension: nothing was published")
    if check:
        err.print(f"{counted(len(made), 'event')} valid; nothing was published")
        return
    topic = found.topic(VERDICTS)
    if (lacking := reader.lacking(found, [topic])) is not None:
        raise CommandError(f"{lacking}: nothing was published; {reader.MAKE_TOPICS}")
    with acting(found, "review", topics=(topic,), count=len(made)) as act:
        published = 0
        try:
            for place in publish(made, found):
                published += 1
                err.print(printable(place))
        finally:
            act.note(count=published)
    err.print(f"{published} published to {topic}")


def _problems(rejected: RejectedError) -> Iterator[str]:
    for error in rejected.errors:
        yield f"{error.path or 'the whole event'}: {error.message}"
