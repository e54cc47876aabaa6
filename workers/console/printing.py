"""Data as a command prints it: a table or JSON, with no character that controls a terminal."""

import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.highlighter import JSONHighlighter
from rich.segment import Segment
from rich.text import Text

from workers.console.printable import printable, printable_json


class Output(StrEnum):
    """How rows of data are printed."""

    JSONL = "jsonl"
    TABLE = "table"


class Form(StrEnum):
    """How a report is printed."""

    TEXT = "text"
    JSON = "json"


AsRows = Annotated[Output, typer.Option("-o", "--output", help="Print a table, or a line of JSON each.")]
"""Of every command that prints rows of data."""
AsReport = Annotated[Form, typer.Option("-o", "--output", help="Print text, or one line of JSON.")]
"""Of every command that prints one thing."""


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


_ONE_LINE = bytes.maketrans(b"\n\r\t", b"   ")


def write_line(raw: bytes) -> None:
    """Print a JSON line with terminal control characters escaped."""
    # In JSON these occur only between its parts.
    text = raw.translate(_ONE_LINE).decode()
    sys.stdout.buffer.write(printable_json(text).encode() + b"\n")
    sys.stdout.buffer.flush()


def write_lines(text: str) -> None:
    """Print a text with terminal control characters escaped; its line breaks stay."""
    sys.stdout.buffer.write(printable(text, "\n").encode("utf-8", "backslashreplace") + b"\n")
    sys.stdout.buffer.flush()


def write_json(content: object) -> None:
    """Data as one line of JSON on standard output."""
    # What is no UTF-8, as a file's name may be, is escaped as JSON has it.
    write_line(json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def print_json(data: Any) -> None:
    """Print data as readable JSON."""
    text = printable_json(json.dumps(data, indent=2, ensure_ascii=False))
    out.print(JSONHighlighter()(text), soft_wrap=True)
