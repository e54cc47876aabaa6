"""Remembers what pure functions make of texts that recur from message to message: URLs, codes, sentences."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")
LONGEST = 1_000
"""Characters: what is longer hardly recurs, and would take memory."""
MOST = 1 << 11
"""Texts of each function."""


def remembered(function: Callable[[str], T]) -> Callable[[str], T]:
    """The same function; the newest short texts are looked up."""
    known = lru_cache(maxsize=MOST)(function)

    def found(text: str) -> T:
        return known(text) if len(text) <= LONGEST else function(text)

    return found
