"""Numbers as finitely many intervals: from each threshold that conditions name up to the next."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from policy_core.document.conditions import Cut


@dataclass(frozen=True)
class Intervals:
    """The intervals between some cuts, in order."""

    cuts: tuple[Cut, ...]

    @classmethod
    def between(cls, cuts: Iterable[Cut]) -> "Intervals":
        """The intervals between cuts, in any order."""
        return cls(tuple(sorted(set(cuts))))

    def index(self, value: Fraction) -> int:
        """The interval in which a value lies."""
        return bisect_right(self.cuts, Cut(value))

    @cached_property
    def samples(self) -> tuple[Fraction, ...]:
        """A value in each interval; every condition holds of all its values or of none."""
        if not self.cuts:
            return (Fraction(0),)
        last = self.cuts[-1].at
        return self.cuts[0].at - 1, *(_inside(*pair) for pair in pairwise((*self.cuts, Cut(last + 2))))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Each interval in words."""
        if not self.cuts:
            return ("any",)
        first, last = self.cuts[0], self.cuts[-1]
        between = [f"{_beginning(low)} to {_end(high)}" for low, high in pairwise(self.cuts)]
        until = f"{decimal(first.at)} or less" if first.behind else f"below {decimal(first.at)}"
        since = f"above {decimal(last.at)}" if last.behind else f"{decimal(last.at)} or more"
        return until, *between, since


def _inside(low: Cut, high: Cut) -> Fraction:
    """A value between two cuts."""
    return (low.at + high.at) / 2 if low.behind else low.at


def _beginning(cut: Cut) -> str:
    return f"above {decimal(cut.at)}" if cut.behind else decimal(cut.at)


def _end(cut: Cut) -> str:
    return decimal(cut.at) if cut.behind else f"below {decimal(cut.at)}"


def decimal(value: Fraction) -> str:
    """A threshold, whose denominator is a power of ten, as it is written."""
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    scaled = str(abs(value * 10**digits).numerator).rjust(digits + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{scaled[:-digits]}.{scaled[-digits:]}" if digits else f"{sign}{scaled}"
