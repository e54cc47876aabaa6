"""The standard streams of output, whose reader may close them.

Data goes to standard output, messages and progress to standard error, progress only on a terminal.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from workers.console.exit_codes import CommandError


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
