"""How far long work has come: a line on a terminal, with rate and time left, and nothing elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from workers.console import err


class _Counted(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = f" of {task.total:,.0f}" if task.total is not None else ""
        rate = f", {task.speed:,.0f}/s" if task.speed else ""
        return Text(f"{task.completed:,.0f}{total}{rate}")


class Counter:
    """Counts what is done."""

    def __init__(self, shown: Progress | None, total: int | None, what: str) -> None:
        self._shown = shown
        self._task = shown.add_task(what, total=total) if shown is not None else None
        self._begun = time.monotonic()
        self.done = 0

    def add(self, number: int) -> None:
        """So many more are done."""
        self.done += number
        if self._shown is not None and self._task is not None:
            self._shown.advance(self._task, number)

    @property
    def seconds(self) -> float:
        """Since counting began."""
        return time.monotonic() - self._begun


@contextmanager
def counting(what: str, total: int | None) -> Iterator[Counter]:
    """Count, and show it on a terminal."""
    if not err.is_terminal:
        yield Counter(None, total, what)
        return
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), _Counted(), TimeRemainingColumn(), console=err
    ) as shown:
        yield Counter(shown, total, what)
