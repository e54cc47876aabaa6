"""Remembers what pure functions make of texts that recur from message to message: URLs, codes, sentences."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LONGEST = 1_000
"""Characters: what is longer hardly recurs, and would take memory."""
MOST = 1 << 12
"""Texts of each function."""


class _Known(dict[str, T]):
    """What was found; forgets everything when it is full."""

    def __init__(self, function: Callable[[str], T]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, text: str) -> T:
        found = self._function(text)
        if len(text) <= LONGEST:
            if len(self) >= MOST:
                self.clear()
            self[text] = found
        return found


def remembered(function: Callable[[str], T]) -> Callable[[str], T]:
    """The same function; what it made of short texts is looked up, many times as fast as a call."""
    return _Known(function).__getitem__
