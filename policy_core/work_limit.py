"""How much work a document may ask for: counted in steps, never timed.

Decision diagrams can grow beyond all measure: 24 pairs of facts in the worst order have sixteen million nodes. Whoever
draws or compares counts a step for every value of every node that is looked at, and stops where the document has had
what it may ask for. The same document takes the same steps on every machine, so that what one accepts all accept; a
bound may be raised and never lowered, or a document that was accepted could be refused when it is read again.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

Part = tuple[str | int, ...]
"""A place in a document; empty for the whole."""

STEPS = 300_000
"""That every document may ask for, to be drawn: less than a second. The packaged policy takes some 1,100."""
STEPS_PER_BYTE = 2
"""Of the document's canonical form, on top: so the time to read a topic of documents follows from its size."""
NODES = 20_000
"""Kept of one drawing; some 10 MB. The packaged policy has some 150. A decision may look at all of them."""
NODES_COMPARED = 100_000
"""Made for one comparison, and gone after it; some 40 MB."""
MOST = STEPS + STEPS_PER_BYTE * 1_000_000
"""That no document may ask for more than, whatever its size."""
FACTS = 150
"""That the conditions of one document may test."""
FACTS_COMPARED = 200
"""That the conditions of two documents may test together."""
ELEMENTS = 10
"""Of one set, that conditions may ask for: a set is one variable with a value for each of their subsets."""
ELEMENTS_COMPARED = 12
"""Of one set, that the conditions of two documents may ask for together."""


def allowed(size: int) -> int:
    """The steps that a document may ask for, whose canonical form has `size` bytes."""
    return min(MOST, STEPS + STEPS_PER_BYTE * size)


class TooComplexError(Exception):
    """A document asks for more work than it may; `part` is what asks for most of it."""

    def __init__(self, part: Part, spent: int, allowed: int, what: str) -> None:
        self.part = part
        self.spent = spent
        self.allowed = allowed
        self.what = what
        """What is counted: steps, nodes, facts or values of a set."""
        where = f"{'.'.join(map(str, part))} takes {spent:,} of them" if part else "no part stands out"
        super().__init__(f"asks for more than the {allowed:,} {what} that it may; {where}")


class Work:
    """Counts the steps and nodes of one task, and for which part of a document they are."""

    def __init__(self, steps: int = MOST, nodes: int = NODES) -> None:
        self._steps = steps
        self._nodes = nodes
        self._part: Part = ()
        self._taken: Counter[Part] = Counter()
        self._made: Counter[Part] = Counter()
        self._left = steps
        self._room = nodes

    @property
    def taken(self) -> int:
        """The steps so far."""
        return self._steps - self._left

    @property
    def made(self) -> int:
        """The nodes so far."""
        return self._nodes - self._room

    @contextmanager
    def on(self, *part: str | int) -> Iterator[None]:
        """What is counted inside is for `part`."""
        outer, self._part = self._part, part
        try:
            yield
        finally:
            self._part = outer

    def step(self, count: int = 1) -> None:
        """Count steps.

        Raises:
            TooComplexError: They are more than allowed.
        """
        self._left -= count
        self._taken[self._part] += count
        if self._left < 0:
            raise self._too_complex(self._taken, self._steps, "steps")

    def node(self) -> None:
        """Count a node that is kept.

        Raises:
            TooComplexError: They are more than allowed.
        """
        self._room -= 1
        self._made[self._part] += 1
        if self._room < 0:
            raise self._too_complex(self._made, self._nodes, "nodes")

    def _too_complex(self, spent: Counter[Part], limit: int, what: str) -> TooComplexError:
        # Of parts that ask alike, the first.
        [(part, most)] = spent.most_common(1)
        return TooComplexError(part, min(most, limit), limit, what)
