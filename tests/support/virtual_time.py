"""A clock of its own: code that waits for hours is through at once, and every wait is as long as it says."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Skipping(selectors.DefaultSelector):
    """Moves the clock on instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0  # at zero, a sum would look like a difference

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("nothing would ever happen again")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualTime(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while everything waits; nothing in it may wait for the outside."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Seconds since it began."""
        return self._skipping.now


def run(through: Coroutine[Any, Any, Result]) -> Result:
    """What a coroutine returns, under a clock of its own: `asyncio.get_running_loop().time()`."""
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(through)


def now() -> float:
    """By the clock of the loop that runs; in place of `monotonic` and `perf_counter`."""
    return asyncio.get_running_loop().time()
