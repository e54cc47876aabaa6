"""Limits on the work that a document may cause, counted in steps and never timed.

Decision diagrams can grow exponentially: 24 pairs of facts in the worst order need sixteen million nodes. Drawing and
comparing count one step for each value of each node visited, and stop at the limit. The same document takes the same
steps on every machine, so all machines accept the same documents. A limit may be raised but never lowered: otherwise a
document that was accepted before could be refused when it is read again.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

Part = tuple[str | int, ...]
"""A place in a document; empty for the whole document."""

STEPS = 300_000
"""Steps to draw any document: less than a second. The packaged policy takes about 710."""
STEPS_PER_BYTE = 2
"""Additional steps per byte of canonical form: the time to read a topic is then proportional to its size."""
NODES = 20_000
"""Nodes kept per document, about 10 MB. The packaged policy has about 150. A decision may visit all of them."""
STEPS_COMPARED = 2 * STEPS
"""Steps to compare two documents, beside what each may take."""
NODES_COMPARED = 100_000
"""Nodes created for one comparison and then freed, about 40 MB."""
STEPS_OF_CONDITIONS = 150_000
"""Steps to write the changes of one comparison as conditions, shared equally: a fraction of a second."""
NODES_OF_CONDITIONS = 20_000
"""Nodes created for that."""
MOST = STEPS + STEPS_PER_BYTE * 1_000_000
"""Maximum steps for a document of any size."""
FACTS = 150
"""Maximum number of facts tested by the conditions of one document."""
FACTS_COMPARED = 200
"""Maximum number of facts tested by two compared documents together."""
ELEMENTS = 10
"""Maximum number of values of one set that conditions test: each subset of them is a value of its variable."""
ELEMENTS_COMPARED = 12
"""Maximum number of values of one set that two compared documents test together."""


def allowed(size: int) -> int:
    """The step limit of a document whose canonical form has `size` bytes."""
    return min(MOST, STEPS + STEPS_PER_BYTE * size)


class TooComplexError(Exception):
    """A document exceeds its work limit; `part` is the part that uses most of it."""

    def __init__(self, part: Part, spent: int, allowed: int, what: str) -> None:
        self.part = part
        self.spent = spent
        self.allowed = allowed
        self.what = what
        """What was counted: steps, nodes, facts or values of a set."""
        where = f"{'.'.join(map(str, part))} takes {spent:,} of them" if part else "no part stands out"
        super().__init__(f"asks for more than the {allowed:,} {what} that it may; {where}")


class Work:
    """Counts the steps and nodes of one task, per part of a document."""

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

    def share(self, among: int) -> "Work":
        """An equal share of what remains, for one of so many tasks; `spend` what it took before the next."""
        return Work(self._left // among, self._room // among)

    def spend(self, share: "Work") -> None:
        """Count what a share took."""
        self._left -= min(self._left, share.taken)
        self._room -= min(self._room, share.made)

    @contextmanager
    def on(self, *part: str | int) -> Iterator[None]:
        """Attribute the work in this block to `part`."""
        outer, self._part = self._part, part
        try:
            yield
        finally:
            self._part = outer

    def step(self, count: int = 1) -> None:
        """Count steps.

        Raises:
            TooComplexError: The limit is exceeded.
        """
        self._left -= count
        self._taken[self._part] += count
        if self._left < 0:
            raise self._too_complex(self._taken, self._steps, "steps")

    def node(self) -> None:
        """Count a node that is kept.

        Raises:
            TooComplexError: The limit is exceeded.
        """
        self._room -= 1
        self._made[self._part] += 1
        if self._room < 0:
            raise self._too_complex(self._made, self._nodes, "nodes")

    def _too_complex(self, spent: Counter[Part], limit: int, what: str) -> TooComplexError:
        # Among equals, the first part.
        [(part, most)] = spent.most_common(1)
        return TooComplexError(part, min(most, limit), limit, what)
