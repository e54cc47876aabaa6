"""Delays after wrong tokens: per address, doubling each time.

During the delay nothing from the address is checked, right or wrong, however many requests are concurrent, so that
guesses cannot run in parallel. Other addresses and valid sessions are not affected. A right token does not reset the
delay, or its owner could guess the other token in between.
"""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address
from time import monotonic
from typing import NamedTuple

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0
HELD_SECONDS = 5.0
"""The maximum time a response is held back; the rest of the delay still applies."""
FORGOTTEN_SECONDS = 900.0
"""The time after which an address's wrong tokens are forgotten."""
MOST_ADDRESSES = 4_096
"""The number of tracked addresses; the oldest are dropped first."""
NOBODYS = "unknown"


class Paid(NamedTuple):
    """The result of a wrong token for its address."""

    wrong: int
    """The number in a row, including this one."""
    unjudged: int
    """The number not checked since the previous one."""
    seconds: float
    """The time until the next check."""


class _Debt:
    __slots__ = ("last", "unjudged", "until", "wrong")

    def __init__(self) -> None:
        self.wrong = self.unjudged = 0
        self.last = self.until = 0.0


class Toll:
    """The delayed addresses. No method awaits, so checks and updates are atomic."""

    def __init__(self, first_s: float = FIRST_SECONDS, clock: Callable[[], float] = monotonic) -> None:
        self._first = first_s
        self._clock = clock
        self._debts: OrderedDict[str, _Debt] = OrderedDict()

    def __len__(self) -> int:
        """The number of tracked addresses."""
        return len(self._debts)

    def owes(self, address: str) -> float:
        """The seconds until an address is checked again; counts attempts meanwhile."""
        debt = self._debts.get(payer(address))
        if debt is None or debt.until <= self._clock():
            return 0.0
        debt.unjudged += 1
        return debt.until - self._clock()

    def wrong(self, address: str) -> Paid:
        """Record a wrong token."""
        now, who = self._clock(), payer(address)
        while self._debts and next(iter(self._debts.values())).last < now - FORGOTTEN_SECONDS:
            self._debts.popitem(last=False)
        debt = self._debts.setdefault(who, _Debt())
        self._debts.move_to_end(who)
        while len(self._debts) > MOST_ADDRESSES:
            self._debts.popitem(last=False)
        debt.wrong += 1
        # Limits the power: a larger one would overflow.
        seconds = min(self._first * 2.0 ** min(debt.wrong - 1, 64), LONGEST_SECONDS)
        debt.last, debt.until = now, now + seconds
        unjudged, debt.unjudged = debt.unjudged, 0
        return Paid(debt.wrong, unjudged, seconds)


def payer(address: str) -> str:
    """The key for an address: for IPv6 its network, because a client usually owns the whole network."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return NOBODYS
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((found, 64), strict=False))
