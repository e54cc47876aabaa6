"""Numbers as finitely many intervals: from each threshold that conditions name up to the next."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise


@dataclass(frozen=True)
class Intervals:
    """The intervals between some thresholds, in order; each begins with its threshold."""

    cuts: tuple[Fraction, ...]

    @classmethod
    def between(cls, cuts: Iterable[Fraction]) -> "Intervals":
        """The intervals between thresholds, in any order."""
        return cls(tuple(sorted(set(cuts))))

    def index(self, value: Fraction) -> int:
        """The interval in which a value lies."""
        return bisect_right(self.cuts, value)

    @cached_property
    def samples(self) -> tuple[Fraction, ...]:
        """A value in each interval; every condition holds of all its values or of none."""
        first = self.cuts[0] - 1 if self.cuts else Fraction(0)
        return first, *self.cuts

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Each interval in words."""
        if not self.cuts:
            return ("any",)
        texts = [decimal(cut) for cut in self.cuts]
        between = [f"{low} to below {high}" for low, high in pairwise(texts)]
        return f"below {texts[0]}", *between, f"{texts[-1]} or more"


def decimal(value: Fraction) -> str:
    """A threshold, whose denominator is a power of ten, as it is written."""
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    scaled = str(abs(value * 10**digits).numerator).rjust(digits + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{scaled[:-digits]}.{scaled[-digits:]}" if digits else f"{sign}{scaled}"
