"""What all commands share: output streams, options and exit codes.

Data goes to standard output, messages and progress to standard error, progress only on a terminal. Exit codes: 0 done,
1 failed, 2 wrong usage, 3 done with differences, 130 interrupted and resumable, 141 output closed early, result
unknown.
"""

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TextIO

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.highlighter import JSONHighlighter
from rich.segment import Segment
from rich.text import Text

from workers import settings as configuration
from workers.errors import DliError
from workers.printable import printable, printable_json
from workers.settings import Settings


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DIFFERENT = 3
    INTERRUPTED = 130
    UNREAD = 141
    """As after SIGPIPE."""


class Output(StrEnum):
    """How rows of data are printed."""

    JSONL = "jsonl"
    TABLE = "table"


class Form(StrEnum):
    """How a report is printed."""

    TEXT = "text"
    JSON = "json"


class CommandError(DliError):
    """A command cannot continue; the message is for its user."""

    is_refusal = True


class _Standard(io.FileIO):
    """A standard stream whose reader may close it.

    Click and Rich exit with code 1 on a broken pipe, and Python's flush at exit raises a traceback. So they never see
    one: unread output is dropped, and a command exits with its own code. Commands with unbounded output check
    `nobody_reads`.
    """

    def __init__(self, number: int, *, is_data: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._is_data = is_data
        self.gone = False
        """Whether output is dropped."""

    def write(self, data: Any) -> int:
        """Write, or drop the text if nobody reads.

        Raises:
            CommandError: Data cannot be written.
        """
        try:
            return len(data) if self.gone else super().write(data)
        except BrokenPipeError:
            self.gone = True
            return len(data)
        except OSError as error:
            if not self._is_data:
                raise
            self.gone = True
            raise CommandError(f"standard output: {error.strerror}") from None


@contextmanager
def standard_streams() -> Iterator[None]:
    """Guard the standard streams inside the context, and flush them on exit.

    Raises:
        CommandError: Output could not be written.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_guarded(stream, is_data=stream is before[0]) for stream in before)
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            sys.stderr.flush()
            sys.stdout, sys.stderr = before


def nobody_reads() -> bool:
    """Whether standard output is known to be closed, for commands with unbounded output."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, _Standard) and raw.gone


def _guarded(stream: TextIO | None, *, is_data: bool) -> TextIO:
    """The guarded stream; drops output if the process has none."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 (as long as the process)
    stream.flush()
    binary = io.BufferedWriter(_Standard(stream.fileno(), is_data=is_data))
    return io.TextIOWrapper(
        binary, encoding=stream.encoding, errors=stream.errors, line_buffering=stream.isatty() or not is_data
    )


OURS = "\n\t"
"""The only control characters printed: our own line breaks and tabs."""


class DataConsole(Console):
    """Prints data literally: no markup, no terminal control characters.

    Text is escaped before layout, and the output of renderables again when drawn.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape a text for display."""
        return super().render_str(printable(text, OURS), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render; only Rich's own segments may control the terminal."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text, OURS))


# A pipe or file has no width.
out = DataConsole(width=None if sys.stdout is not None and sys.stdout.isatty() else 120)
err = DataConsole(stderr=True, soft_wrap=True)

Bootstrap = Annotated[str | None, typer.Option("--bootstrap", help="Kafka's bootstrap servers, host:port.")]
Prefix = Annotated[str | None, typer.Option("--topic-prefix", help="Put before every topic's name.")]
AppId = Annotated[str | None, typer.Option("--app-id", help="The workers' consumer group.")]
Partitions = Annotated[int | None, typer.Option("--partitions", min=1, help="Of requests, decisions and dead letters.")]
ArchiveKeys = Annotated[
    Path | None, typer.Option("--keys", help="A folder of public keys, NAME.pem; one must have signed the archive.")
]
Policies = Annotated[
    list[Path] | None,
    typer.Option("--policies", help="A folder of policy documents; may be given several times."),
]
AsRows = Annotated[Output, typer.Option("-o", "--output", help="How to print them: a table, or a line of JSON each.")]
"""Of every command that prints rows of data."""
AsReport = Annotated[Form, typer.Option("-o", "--output", help="How to print it: as text, or as one line of JSON.")]
"""Of every command that prints one thing."""
DefaultPolicy = Annotated[str | None, typer.Option("--policy", help="The policy of a request that names none.")]


def settings(**flags: object) -> Settings:
    """The settings of this process, with options first; unknown settings cause a warning.

    Raises:
        SettingsError: Some are invalid.
    """
    policies = flags.get("policies")
    found = configuration.read(**{**flags, "policies": tuple(policies) if isinstance(policies, list) else None})
    if (unread := configuration.unknown()) is not None:
        err.print(f"warning: {unread}")
    return found


@contextmanager
def needs_replay_extra() -> Iterator[None]:
    """Convert a missing package into an error message."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is absent; install dli-authorization with its extra `replay`") from None


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
        stream = file.open("rb")
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    with stream:
        yield stream


_ONE_LINE = bytes.maketrans(b"\n\r\t", b"   ")


def write_line(raw: bytes) -> None:
    """Print a JSON line with terminal control characters escaped."""
    # In JSON these occur only between its parts.
    text = raw.translate(_ONE_LINE).decode()
    sys.stdout.buffer.write(printable_json(text).encode() + b"\n")
    sys.stdout.buffer.flush()


def write_json(content: object) -> None:
    """Data as one line of JSON on standard output."""
    # What is no UTF-8, as a file's name may be, is escaped as JSON has it.
    write_line(json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def print_json(data: Any) -> None:
    """Print data as readable JSON."""
    text = printable_json(json.dumps(data, indent=2, ensure_ascii=False))
    out.print(JSONHighlighter()(text), soft_wrap=True)


Command = Callable[..., None]
