"""What a wrong token costs: a delay for its address, twice as long each time.

While an address owes time, nothing that it shows is looked at, right or wrong, however many ask at once: so guesses
cannot be tried side by side. A wrong token pays nothing for others: another address is judged at once, and who has a
session is not judged at all. A right token forgives nothing, or who has one could guess the other between.
"""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address
from time import monotonic
from typing import NamedTuple

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0
HELD_SECONDS = 5.0
"""For how long the answer is held back at most; the rest is owed."""
FORGOTTEN_SECONDS = 900.0
"""After so long without a wrong token an address is as any other."""
MOST_ADDRESSES = 4_096
"""That are remembered; the one whose wrong token is oldest is forgotten first."""
NOBODYS = "unknown"


class Paid(NamedTuple):
    """What a wrong token brought upon its address."""

    wrong: int
    """So many in a row, this one too."""
    unjudged: int
    """So many were not looked at since the one before."""
    seconds: float
    """Until the next is looked at."""


class _Debt:
    __slots__ = ("last", "unjudged", "until", "wrong")

    def __init__(self) -> None:
        self.wrong = self.unjudged = 0
        self.last = self.until = 0.0


class Toll:
    """Who owes time. Nothing in here waits, so nothing comes between a look and what is written down."""

    def __init__(self, first_s: float = FIRST_SECONDS, clock: Callable[[], float] = monotonic) -> None:
        self._first = first_s
        self._clock = clock
        self._debts: OrderedDict[str, _Debt] = OrderedDict()

    def __len__(self) -> int:
        """Addresses that are remembered."""
        return len(self._debts)

    def owes(self, address: str) -> float:
        """Seconds until what an address shows is looked at; who asks meanwhile is counted."""
        debt = self._debts.get(payer(address))
        if debt is None or debt.until <= self._clock():
            return 0.0
        debt.unjudged += 1
        return debt.until - self._clock()

    def wrong(self, address: str) -> Paid:
        """Write a wrong token down."""
        now, who = self._clock(), payer(address)
        while self._debts and next(iter(self._debts.values())).last < now - FORGOTTEN_SECONDS:
            self._debts.popitem(last=False)
        debt = self._debts.setdefault(who, _Debt())
        self._debts.move_to_end(who)
        while len(self._debts) > MOST_ADDRESSES:
            self._debts.popitem(last=False)
        debt.wrong += 1
        # A power that is large enough; a larger one would be no float.
        seconds = min(self._first * 2.0 ** min(debt.wrong - 1, 64), LONGEST_SECONDS)
        debt.last, debt.until = now, now + seconds
        unjudged, debt.unjudged = debt.unjudged, 0
        return Paid(debt.wrong, unjudged, seconds)


def payer(address: str) -> str:
    """Who pays for an address: of IPv6 its network, for whoever has one address there has them all."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return NOBODYS
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((found, 64), strict=False))
