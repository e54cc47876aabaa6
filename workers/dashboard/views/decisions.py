"""The page *Decisions*: decisions by revision, and what providers are asked for."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from workers.console.printable import words
from workers.dashboard.data.counters import NONE, Counters, Mix, Revision
from workers.dashboard.views.times import moment

DETERMINATIONS = (
    "medically_necessary",
    "information_needed",
    "criteria_not_met",
    "investigational",
    "not_addressed",
    "policy_not_on_record",
    "no_prior_authorization",
    "redirected",
    "invalid_code",
    "cancelled",
)
"""In display order."""
ASKED = 12
"""The number of most requested facts shown."""


class MixRow(NamedTuple):
    """The lines determined under one revision."""

    revision: str
    lines: int
    shares: tuple[tuple[str, int], ...]
    """Determinations with their lines, the most frequent first."""


class AskedRow(NamedTuple):
    """A fact that providers are asked for."""

    fact: str
    decisions: int
    share: str
    """The share of all decisions."""


class Stack(NamedTuple):
    """Lines over time, one column per bucket."""

    starts: tuple[datetime, ...]
    bands: tuple[tuple[str, tuple[int, ...]], ...]
    """Occurring determinations with their lines per bucket."""


@dataclass(frozen=True)
class Decisions:
    """The whole page except its charts."""

    count: int
    since: str
    last: str
    mix: tuple[MixRow, ...]
    asked: tuple[AskedRow, ...]


def name_of(revision: Revision) -> str:
    """The display name of a revision."""
    policy, date = revision
    return f"{policy} before its first" if date == NONE else f"{policy} {date}"


def _age(revision: Revision) -> tuple[str, bool, str]:
    # Always first.
    policy, date = revision
    return policy, date != NONE, date


def revisions(counters: Counters) -> list[str]:
    """The revisions with counted decisions, newest first."""
    return [
        name_of(revision) for revision in sorted({revision for revision, _ in counters.lines}, key=_age, reverse=True)
    ]


def decisions(counters: Counters) -> Decisions:
    """The page."""
    by_revision: dict[Revision, Counter[str]] = {}
    for (revision, determination), count in counters.lines.items():
        by_revision.setdefault(revision, Counter())[determination] += count
    return Decisions(
        counters.decisions,
        moment(counters.first),
        moment(counters.last),
        tuple(
            MixRow(name_of(revision), lines.total(), tuple((words(name), count) for name, count in lines.most_common()))
            for revision, lines in sorted(by_revision.items(), key=lambda item: _age(item[0]), reverse=True)
        ),
        tuple(
            AskedRow(fact, count, f"{count / counters.decisions:.1%}")
            for fact, count in sorted(counters.asked.items(), key=lambda item: (-item[1], item[0]))[:ASKED]
        ),
    )


def stack(mix: Mix, revision: str | None = None) -> Stack:
    """Lines over time by determination, for one revision (as in `name_of`) or all, including empty buckets."""
    kept = mix.buckets()
    if not kept:
        return Stack((), ())
    counted: Mapping[datetime, Counter[str]] = {start: _of(lines, revision) for start, lines in kept.items()}
    starts = [min(kept)]
    while starts[-1] < max(kept):
        starts.append(starts[-1] + mix.width)
    occurring = {name for lines in counted.values() for name in lines}
    ordered = [name for name in DETERMINATIONS if name in occurring] + sorted(occurring - set(DETERMINATIONS))
    bands = tuple((name, tuple(counted.get(start, Counter())[name] for start in starts)) for name in ordered)
    return Stack(tuple(starts), bands)


def _of(lines: Counter[tuple[Revision, str]], revision: str | None) -> Counter[str]:
    found: Counter[str] = Counter()
    for (under, determination), count in lines.items():
        if revision in {None, name_of(under)}:
            found[determination] += count
    return found
