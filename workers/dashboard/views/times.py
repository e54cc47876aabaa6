"""Formats values for display."""

from datetime import UTC, datetime
from typing import Literal

Level = Literal["good", "waiting", "bad", "unknown"]
"""A status; `unknown` is never shown as good."""


def lasting(seconds: float) -> str:
    """A readable duration."""
    for upto, unit, length in (
        (1, "ms", 0.001),
        (120, "s", 1),
        (7_200, "min", 60),
        (172_800, "h", 3_600),
    ):
        if seconds < upto:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def moment(at: datetime | None) -> str:
    """A time in UTC, to the second."""
    return "never" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
