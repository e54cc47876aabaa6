"""`dli policy new`: a small, complete document to begin with."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from policy_core.authoring.new_document import new_document
from workers.console.exit_codes import CommandError
from workers.console.printing import err
from workers.process import private_files


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("new")(new)


def new(
    number: Annotated[str, typer.Argument(help="The policy's number.")],
    file: Annotated[Path | None, typer.Argument(help="The file to write; by default NUMBER.yaml, here.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="The policy's title; by default, a new policy.")] = None,
) -> None:
    """Write a small, complete policy document with comments and examples, to begin with; no file is overwritten."""
    try:
        text = new_document(number, title if title is not None else "A new policy", datetime.now(UTC).date())
    except ValueError as error:
        raise CommandError(str(error)) from None
    place = file or Path(f"{number}.yaml")
    try:
        with private_files.opened(place, "xb") as stream:
            stream.write(text.encode())
    except FileExistsError:
        raise CommandError(f"{place}: is there already; name another file") from None
    except OSError as error:
        raise CommandError(f"{place}: {error.strerror}") from None
    err.print(f"{place}: written; `dli policy check {place}` checks it", markup=False)
