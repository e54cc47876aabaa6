"""What a long run reports while it runs; whoever starts the run shows it, or does not."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Counter(Protocol):
    """Counts progress."""

    def add(self, number: int) -> None:
        """Add to the count."""


class Reporter(Protocol):
    """Takes what a run reports."""

    def note(self, sentence: str) -> None:
        """Take a sentence for the user."""

    def counting(self, what: str, total: int | None) -> AbstractContextManager[Counter]:
        """Count inside the context; the total is None if it is unknown."""


class _Uncounted:
    def add(self, number: int) -> None:
        """Ignore it."""


class _Silent:
    def note(self, sentence: str) -> None:
        """Ignore it."""

    @contextmanager
    def counting(self, what: str, total: int | None) -> Iterator[Counter]:  # noqa: ARG002 (nothing is shown)
        yield _Uncounted()


SILENT: Reporter = _Silent()
"""Shows nothing."""
