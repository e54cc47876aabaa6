"""Adds up the tallies that a group has committed, topic by topic.

It needs Kafka's client, which those that keep tallies do not.
"""

from collections import Counter
from collections.abc import Sequence

from workers.accounts.tally import read_tally
from workers.kafka.lag import Look


def tallies_of(look: Look, group: str, topics: Sequence[str]) -> dict[str, tuple[Counter[str], int]]:
    """What the records of each topic became in a group, over all partitions, and how many of its offsets wait.

    `consumed` is among the counts. Topics have their full names.
    """
    found = {topic: (Counter[str](), 0) for topic in topics}
    for lag in look.lags:
        if lag.group == group and lag.topic in found:
            counts, waiting = found[lag.topic]
            tally = read_tally(lag.note)
            counts.update({**tally.counts, "consumed": tally.consumed} if tally is not None else {})
            found[lag.topic] = counts, waiting + lag.waiting
    return found
