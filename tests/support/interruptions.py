"""A replay that is interrupted over and over."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from workers.event_log.process_pool import WorkerHandle
from workers.replay import runs


class _StopsAfter:
    """Ctrl-C after so many chunks."""

    def __init__(self, chunks: int) -> None:
        self._left = chunks

    def set(self) -> None: ...

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def interrupted_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every run end after one chunk more, as if somebody pressed Ctrl-C again and again."""

    def stopping(
        tasks: Sequence[Any],
        work: Callable[..., None],
        heard: Callable[..., None],
        processes: int,  # noqa: ARG001 (one is enough)
    ) -> bool:
        waiting = [task for task in tasks if task.state is None or not task.state["done"]]
        for task in waiting[:1]:
            work(task, WorkerHandle(heard, _StopsAfter(0)))
        return not waiting

    monkeypatch.setattr(runs, "run", stopping)
