"""The processor time of checking and comparing documents as large as policies become.

python -m tests.benchmarks.large_policies   # as JSON
"""

import json
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time
from typing import NamedTuple

from policy_core.compare.answers import compare
from policy_core.diagrams.diagram import Diagrams
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.determine import Policy
from policy_core.loading.check import check
from tests.benchmarks.tables import Target, number, table
from tests.support.bombs import document, pairs
from tests.support.large_documents import counting, criteria_of_codes, intervals, random_indications

REPEATS = 3


class Mark(NamedTuple):
    """Something to do to a document, and the seconds that it may take."""

    name: str
    limit: float
    run: Callable[[], float]
    """Returns the processor seconds."""


def _checked(one: PolicyDocument, *, refused: bool = False) -> float:
    begun = process_time()
    problems = check(one)
    seconds = process_time() - begun
    if bool(problems) is not refused:
        raise RuntimeError(f"the document has {len(problems)} mistakes: {problems[:1]}")
    return seconds


def _fresh(one: PolicyDocument, title: str) -> PolicyDocument:
    """The same document with another digest, so that nothing of it is remembered."""
    return one.model_copy(update={"title": title})


def _worst_pairs() -> PolicyDocument:
    worst, _, when = pairs(60)
    return document(worst, when)


def _counted() -> float:
    begun = process_time()
    diagrams = Diagrams([2] * 60)
    diagrams.at_least(30, [diagrams.member(at, {1}) for at in range(60)])
    return process_time() - begun


def _compared(rules: int, indications: int) -> float:
    old, new = (Policy(intervals(moved=moved, rules=rules, indications=indications)) for moved in (0, 1))
    begun = process_time()
    compare(old, new)
    return process_time() - begun


def _marks() -> Sequence[Mark]:
    count = iter(range(1_000_000))

    def checking(made: PolicyDocument, *, refused: bool = False) -> Callable[[], float]:
        return lambda: _checked(_fresh(made, f"Number {next(count)}"), refused=refused)

    return (
        Mark("30 of 60 facts, as named conditions, checked", 1, checking(counting(30, 60))),
        Mark("30 of 60 facts, counted at once", 1, _counted),
        Mark("300 codes, 10 sets of criteria, 20 facts, checked", 1, checking(criteria_of_codes(300, 10, 20))),
        Mark("60 pairs of facts in the worst order, checked", 1, checking(_worst_pairs())),
        Mark("10 facts of 8 intervals, 1 rule, compared", 1, lambda: _compared(1, 12)),
        Mark("10 facts of 8 intervals, 6 rules, compared", 1, lambda: _compared(6, 4)),
        Mark("60 facts, 40 random indications, refused", 5, checking(random_indications(60, 40), refused=True)),
    )


def measure() -> dict[str, float]:
    """Processor seconds by what was done: the median of the repeats."""
    return {mark.name: median(mark.run() for _ in range(REPEATS)) for mark in _marks()}


def targets(found: dict[str, float]) -> list[Target]:
    """The limits, and what came of them."""
    return [Target(mark.name, found.get(mark.name), mark.limit, " s") for mark in _marks()]


def report(found: dict[str, float]) -> str:
    """What was measured, to be read."""
    return table(("what", "CPU s"), [(name, number(seconds, 3)) for name, seconds in found.items()])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()))
