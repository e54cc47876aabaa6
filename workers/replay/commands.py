"""`dli archive` and `dli replay …`: what they take. What they do needs the extra `replay`, imported by them alone."""

# ruff: noqa: PLC0415 (see above; and each argument is a flag)

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from events.topics import DEAD_LETTERS, DECISIONS, POLICY_REVISIONS, REQUESTS
from workers.console import Bootstrap, CommandError, Prefix, settings
from workers.replay.log import Format

if TYPE_CHECKING:
    from workers.replay.ranges import Asked

TOPICS = (REQUESTS, DECISIONS, DEAD_LETTERS, POLICY_REVISIONS)
"""What an archive keeps unless told otherwise: enough to verify it without anything else."""

From = Annotated[str | None, typer.Option("--from", help="First offset or instant of the requests.")]
To = Annotated[str | None, typer.Option("--to", help="First offset or instant behind them.")]
Partition = Annotated[list[int] | None, typer.Option("--partition", help="Of requests; may be given several times.")]
Processes = Annotated[int | None, typer.Option("--processes", min=1, help="At most; one for each core otherwise.")]
Folder = Annotated[Path, typer.Argument(metavar="ARCHIVE", help="A folder that `dli archive` made.")]

replay_cli = typer.Typer(no_args_is_help=True, help="Replay a log: prove it, or see what a change would make of it.")


def add_to(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(archive)
    cli.add_typer(replay_cli, name="replay")


def archive(
    folder: Annotated[Path, typer.Argument(help="A new folder, or that of an interrupted run.")],
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="A declared topic, instead of those needed.")
    ] = None,
    start: From = None,
    end: To = None,
    partition: Partition = None,
    form: Annotated[Format, typer.Option("--format", help="How records are written.")] = Format.PARQUET,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    processes: Processes = None,
) -> None:
    """Keep a range of topics in files, with counts and digests; interrupted, the same command goes on."""
    with _extra():
        from workers.replay import archiving
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    archiving.make(folder, form, tuple(topic or TOPICS), _asked(start, end, partition), found, _processes(processes))


@replay_cli.command("check")
def check(folder: Folder) -> None:
    """Read every file of an archive and hold it against its counts and digests; exit 3 where one differs."""
    with _extra():
        from workers.replay import archiving
    archiving.check(folder)


@contextmanager
def _extra() -> Iterator[None]:
    """Turn an absent package into a sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is absent; install dli-authorization with its extra `replay`") from None


def _asked(start: str | None, end: str | None, partition: list[int] | None) -> "Asked":
    from workers.replay.ranges import Asked, bound

    return Asked(bound(start, "--from"), bound(end, "--to"), tuple(sorted(set(partition or ()))))


def _processes(asked: int | None) -> int:
    from workers.replay.crew import cores

    return asked or cores()
