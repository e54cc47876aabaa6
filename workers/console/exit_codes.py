"""How a command ends.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with differences, 130 interrupted and resumable, 141 output closed
early, result unknown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from workers.console.errors import DliError


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DIFFERENT = 3
    INTERRUPTED = 130
    UNREAD = 141
    """As after SIGPIPE."""


class CommandError(DliError):
    """A command cannot continue; the message is for its user."""

    is_refusal = True


@contextmanager
def needs_replay_extra() -> Iterator[None]:
    """Convert a missing package into an error message."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is absent; install dli-authorization with its extra `replay`") from None
