"""The account of verdicts and extensions: what became of each, over all partitions and hops.

    consumed = final + partial + extended + refused + duplicates + held + on their way

A verdict is routed by the ledger to its case, so the notes of three topics count it: verdicts, ledger and case events.
Held ones wait for the decision on their request. What is on its way is on one of these topics, not read yet; if nothing
waits there, it is missing. Cases balance too: opened = closed + open.
"""

from collections.abc import Iterator
from typing import NamedTuple

from events.topics import CASE_EVENTS, LEDGER, VERDICTS
from workers.accounts.group_tallies import tallies_of
from workers.configuration.settings import Settings
from workers.kafka.lag import Look


class ReviewAccount(NamedTuple):
    """What became of the verdicts and extensions that were consumed."""

    consumed: int
    final: int
    partial: int
    extended: int
    refused: int
    duplicates: int
    held: int
    """They wait in the ledger for the decision on their request."""
    on_their_way: int
    """They are routed and not read yet."""
    waiting: int
    """Not consumed yet."""
    opened: int
    """Cases."""
    closed: int
    missing: int
    """They are routed, and nothing of them waits to be read; negative if one has two outcomes."""

    @property
    def open(self) -> int:
        """Cases that are still open."""
        return self.opened - self.closed

    @property
    def problem(self) -> str | None:
        """What does not balance; None if everything does."""
        return "; ".join(self._problems()) or None

    def _problems(self) -> Iterator[str]:
        if self.missing:
            yield f"{self.missing:+,} between verdicts consumed and what became of them"
        if self.held < 0 or self.open < 0:
            yield "more came out of the ledger or of cases than went in"


def review_account(look: Look, settings: Settings) -> ReviewAccount:
    """The account, from the notes of the workers' group."""
    names = (VERDICTS, LEDGER, CASE_EVENTS)
    found = tallies_of(look, settings.app_id, [settings.topic(name) for name in names])
    waiting = {name: found[settings.topic(name)][1] for name in names}
    sent, routed, cases = (found[settings.topic(name)][0] for name in names)
    outcomes = sum(cases[name] for name in ("final", "partial", "extended", "duplicate", "refused"))
    to_ledger, to_cases = sent["routed"] - routed["came"], routed["went"] - outcomes
    missing = sent["consumed"] - sent["routed"] - sent["refused"]
    on_their_way = 0
    for number, name in ((to_ledger, LEDGER), (to_cases, CASE_EVENTS)):
        if number > 0 and waiting[name]:
            on_their_way += number
        else:
            missing += number
    return ReviewAccount(
        consumed=sent["consumed"],
        final=cases["final"],
        partial=cases["partial"],
        extended=cases["extended"],
        refused=sent["refused"] + routed["unknown"] + cases["refused"],
        duplicates=cases["duplicate"],
        held=routed["came"] - routed["went"] - routed["unknown"],
        on_their_way=on_their_way,
        waiting=waiting[VERDICTS],
        opened=cases["opened"],
        closed=cases["closed"],
        missing=missing,
    )
