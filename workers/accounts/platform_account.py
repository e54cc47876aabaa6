"""The account of platforms' messages: what became of each, over the hops of `dli integration`.

    messages  = requested + again + not known + refused + on their way
    forwarded + requested + again = answers opened, given, not due or undelivered + on their way

A message is read, then joined to its trace; the notes of both topics count it. What is on its way is on a topic between
two agents, not read yet; if nothing waits there, it is missing.
"""

from collections import Counter
from typing import NamedTuple

from events.topics import DEAD_LETTERS, DECISIONS, INTEGRATION_EVENTS, PAS_REQUESTS, SUBMISSIONS, X12_REQUESTS
from workers.accounts.group_tallies import tallies_of
from workers.configuration.settings import Settings
from workers.kafka.lag import Look

RAW = (PAS_REQUESTS, X12_REQUESTS)
ANSWERS = (DECISIONS, DEAD_LETTERS)
OUTCOMES = {
    SUBMISSIONS: ("requested", "again", "not_known", "refused"),
    DECISIONS: ("forwarded", "not_ours", "undelivered"),
    DEAD_LETTERS: ("forwarded", "not_ours", "undelivered"),
    INTEGRATION_EVENTS: (
        "opened",
        "answered",
        "refused",
        "answered_again",
        "not_answered",
        "not_ours",
        "undelivered",
    ),
}
"""What the records of each topic become, by the agents that read them: each has one outcome."""


class PlatformAccount(NamedTuple):
    """What became of the messages that were read, and of the answers."""

    messages: int
    """In the records that were read; a record of X12 may have several."""
    requested: int
    again: int
    """Repeats and inquiries of known traces."""
    not_known: int
    """Inquiries of traces that are not known."""
    refused: int
    forwarded: int
    """Decisions and dead letters on platforms' requests."""
    answered: int
    answered_again: int
    undelivered: int
    """Dead letters instead of an answer: nothing is lost, and somebody has to look (alert DliAnswersUndelivered)."""
    on_their_way: int
    """They are sent to the next agent, and not read yet."""
    waiting: int
    """Records of platforms that are not read yet."""
    missing: int
    """They are sent to an agent, and nothing waits there; negative if one has two outcomes."""

    @property
    def problem(self) -> str | None:
        """What does not balance; None if everything does."""
        return f"{self.missing:+,} between messages read and what became of them" if self.missing else None


def platform_account(look: Look, settings: Settings) -> PlatformAccount | None:
    """The account, from the notes of the integration's group; None if it has committed nothing."""
    names = (*RAW, SUBMISSIONS, *ANSWERS, INTEGRATION_EVENTS)
    found = tallies_of(look, settings.integration_id, [settings.topic(name) for name in names])
    sums = {name: found[settings.topic(name)][0] for name in names}
    waiting = {name: found[settings.topic(name)][1] for name in names}
    if not any(sums.values()):
        return None
    read = sum((sums[name] for name in RAW), Counter())
    resolved, given = sums[SUBMISSIONS], sums[INTEGRATION_EVENTS]
    forwarded = sum(sums[name]["forwarded"] for name in ANSWERS)
    missing = sum(
        sums[name]["consumed"] - sum(sums[name][outcome] for outcome in outcomes) for name, outcomes in OUTCOMES.items()
    )
    on_their_way = 0
    to_traces = read["submitted"] - resolved["consumed"]
    to_answers = forwarded + resolved["requested"] + resolved["again"] - given["consumed"]
    for number, name in ((to_traces, SUBMISSIONS), (to_answers, INTEGRATION_EVENTS)):
        if number > 0 and waiting[name]:
            on_their_way += number
        else:
            missing += number
    return PlatformAccount(
        messages=read["submitted"] + read["refused"],
        requested=resolved["requested"],
        again=resolved["again"],
        not_known=resolved["not_known"],
        refused=read["refused"] + resolved["refused"],
        forwarded=forwarded,
        answered=given["answered"] + given["refused"],
        answered_again=given["answered_again"],
        undelivered=given["undelivered"] + sum(sums[name]["undelivered"] for name in ANSWERS),
        on_their_way=on_their_way,
        waiting=sum(waiting[name] for name in RAW),
        missing=missing,
    )
