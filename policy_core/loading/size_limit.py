"""Size limits, checked before a file is read as a document.

Every worker reads every document at every start. Anything beyond these limits is refused at once; anything within them
can be checked completely. The packaged policy has 41 kB, 1,500 parts, texts of up to 500 characters, and a depth of at
most 10. Like all limits on documents, these may be raised but never lowered.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from policy_core.document.problems import PathPart, Problem

LARGEST = 1_000_000
"""Bytes of a file: as much as the topic of revisions accepts."""
MOST_PARTS = 20_000
"""Mappings, lists and values together; reading that many takes a second."""
DEEPEST = 40
"""Nested lists and mappings."""
LONGEST = 10_000
"""Characters in one text."""
LARGEST_NUMBER = 1_000_000_000
"""Far larger than any count, length or ordinal."""

TOO_MANY = f"more than {MOST_PARTS:,} mappings, lists and values: not a policy document; make several policies of it"
TOO_DEEP = f"nested more than {DEEPEST} deep; give parts of it names under `conditions`"
TOO_LONG = f"a text of more than {LONGEST:,} characters; cite the published text instead of copying it"
TOO_LARGE = f"a number beyond {LARGEST_NUMBER:,}; if it is a code, write it in quotes"


class _Found(NamedTuple):
    path: tuple[PathPart, ...]
    node: Any


def too_large(tree: Any) -> Problem | None:
    """The limit that a tree of JSON values exceeds; None if it is within all limits."""
    left = MOST_PARTS
    waiting = [_Found((), tree)]
    while waiting:
        path, node = waiting.pop()
        left -= 1
        below = len(node) if isinstance(node, dict | list) else 0
        if left - len(waiting) - below < 0:
            return Problem((), TOO_MANY)
        if message := _alone(node, too_deep=len(path) >= DEEPEST):
            return Problem(path, message)
        waiting.extend(_below(path, node))
    return None


def _alone(node: Any, *, too_deep: bool) -> str | None:
    if isinstance(node, dict | list):
        if too_deep:
            return TOO_DEEP
        return TOO_LONG if isinstance(node, dict) and any(len(str(key)) > LONGEST for key in node) else None
    if isinstance(node, str) and len(node) > LONGEST:
        return TOO_LONG
    if isinstance(node, int | float) and not isinstance(node, bool) and not abs(node) <= LARGEST_NUMBER:
        return TOO_LARGE
    return None


def _below(path: tuple[PathPart, ...], node: Any) -> Iterator[_Found]:
    if isinstance(node, dict):
        yield from (_Found((*path, str(key)), value) for key, value in reversed(node.items()))
    elif isinstance(node, list):
        yield from (_Found((*path, at), value) for at, value in reversed(list(enumerate(node))))
