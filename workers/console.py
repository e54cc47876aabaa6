"""What every command shares: where data and messages go, what it takes from the command line, how it ends.

Data goes to standard output; progress and messages to standard error, progress on a terminal only. Exit codes: 0 done,
1 failed, 2 wrong usage, 3 done and found differences, 130 interrupted and to be taken up again.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console

from workers import settings as configuration
from workers.settings import Settings


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DIFFERENT = 3
    INTERRUPTED = 130


class Output(StrEnum):
    """How data is printed."""

    JSONL = "jsonl"
    TABLE = "table"


class Form(StrEnum):
    """How a report is printed."""

    TEXT = "text"
    JSON = "json"


class CommandError(Exception):
    """A command cannot go on; its message is for the person who called it."""


# Into a pipe or a file there is no terminal to fit.
out = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

Bootstrap = Annotated[str | None, typer.Option("--bootstrap", help="Kafka's bootstrap servers, host:port.")]
Prefix = Annotated[str | None, typer.Option("--topic-prefix", help="Put before every topic's name.")]
Policies = Annotated[
    list[Path] | None,
    typer.Option("--policies", help="A folder of policy documents; may be given several times."),
]
DefaultPolicy = Annotated[str | None, typer.Option("--policy", help="The policy of a request that names none.")]


def settings(**flags: object) -> Settings:
    """The settings of this process, the command line's flags first."""
    policies = flags.get("policies")
    return configuration.read(**{**flags, "policies": tuple(policies) if isinstance(policies, list) else None})


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """The file, or standard input for `-`.

    Raises:
        CommandError: It cannot be read.
    """
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        with file.open("rb") as stream:
            yield stream
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None


def lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of newline-delimited events; blank ones are none."""
    for line in stream:
        if line.strip():
            yield line.rstrip(b"\r\n")


def write_line(raw: bytes) -> None:
    """One line of data on standard output."""
    sys.stdout.buffer.write(raw + b"\n")
    sys.stdout.buffer.flush()


Command = Callable[..., None]
