"""A progress line with rate and remaining time, on a terminal only."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from workers.console.printing import err


class _Counted(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = f" of {task.total:,.0f}" if task.total is not None else ""
        rate = f", {task.speed:,.0f}/s" if task.speed else ""
        return Text(f"{task.completed:,.0f}{total}{rate}")


class Counter:
    """Counts progress."""

    def __init__(self, bar: Progress | None, total: int | None, what: str) -> None:
        self._bar = bar
        self._task = bar.add_task(what, total=total) if bar is not None else None
        self._begun = time.monotonic()
        self.done = 0

    def add(self, number: int) -> None:
        """Add to the count."""
        self.done += number
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, number)

    @property
    def seconds(self) -> float:
        """The seconds since counting began."""
        return time.monotonic() - self._begun


@contextmanager
def counting(what: str, total: int | None) -> Iterator[Counter]:
    """Count, and show the progress on a terminal."""
    if not err.is_terminal:
        yield Counter(None, total, what)
        return
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), _Counted(), TimeRemainingColumn(), console=err
    ) as bar:
        yield Counter(bar, total, what)
