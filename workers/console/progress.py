"""What a long run reports, on standard error: its sentences, and on a terminal a line with rate and remaining time."""

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


class _Counter:
    """Counts progress, on a bar if there is one."""

    def __init__(self, bar: Progress | None, total: int | None, what: str) -> None:
        self._bar = bar
        self._task = bar.add_task(what, total=total) if bar is not None else None

    def add(self, number: int) -> None:
        """Add to the count."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, number)


class TerminalReporter:
    """Prints what a run reports."""

    def note(self, sentence: str) -> None:
        """Print a sentence."""
        err.print(sentence, markup=False)

    @contextmanager
    def counting(self, what: str, total: int | None) -> Iterator[_Counter]:
        """Count, and show the progress on a terminal."""
        if not err.is_terminal:
            yield _Counter(None, total, what)
            return
        with Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), _Counted(), TimeRemainingColumn(), console=err
        ) as bar:
            yield _Counter(bar, total, what)
