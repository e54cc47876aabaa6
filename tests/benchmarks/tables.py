"""The arithmetic of a benchmark: medians, percentiles, ratios, targets, and tables to read."""

from collections.abc import Callable, Iterable, Sequence
from math import ceil
from statistics import median
from time import process_time
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

REPEATS = 5


class Spread(NamedTuple):
    """Several measurements of one thing."""

    median: float
    lowest: float
    highest: float

    @property
    def share(self) -> float:
        """From the lowest to the highest, as a share of the median."""
        return (self.highest - self.lowest) / self.median if self.median else 0.0


def spread(values: Sequence[float]) -> Spread:
    """The middle of the values and how far they lie apart."""
    return Spread(median(values), min(values), max(values))


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least that share of all are no greater than."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def ratio(value: float, base: float | None) -> float | None:
    """How many times the base a value is; None where there is no base."""
    return value / base if base else None


class Target(NamedTuple):
    """A limit that a measurement should meet."""

    name: str
    found: float | None
    limit: float
    unit: str
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """Whether it was met."""
        if self.found is None:
            return "not measured"
        met = self.found >= self.limit if self.at_least else self.found <= self.limit
        return "met" if met else "missed"

    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        limit = f"{'≥' if self.at_least else '≤'} {self.limit:g}{self.unit}"
        return self.name, limit, "-" if self.found is None else f"{self.found:,.3f}{self.unit}", self.verdict


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose source is a table too."""
    listed = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    listed.insert(1, tuple("-" * width for width in widths))
    lines = (" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in listed)
    return "".join(f"| {line} |\n" for line in lines)


def number(value: float | None, digits: int = 0) -> str:
    """A number for a cell; a dash for none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def microseconds(call: Callable[[T], Any], arguments: Sequence[T], repeats: int = REPEATS) -> float:
    """The median over some repeats of a call's mean processor time."""
    found = []
    for _ in range(repeats):
        begun = process_time()
        for one in arguments:
            call(one)
        found.append((process_time() - begun) / len(arguments) * 1e6)
    return median(found)
