"""The page *Decisions*: what was decided, under which revision, and what providers are asked for."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from workers.dashboard.data.counters import NONE, Mix, Revision, Tallies
from workers.dashboard.views.wording import moment, words

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
"""In the order in which they are shown, the same everywhere."""
ASKED = 12
"""Facts that are shown, those asked for most."""


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
    """Of all decisions."""


class Stack(NamedTuple):
    """Lines over time, a column for each bucket."""

    starts: tuple[datetime, ...]
    bands: tuple[tuple[str, tuple[int, ...]], ...]
    """Determinations that occur, each with its lines in every bucket."""


@dataclass(frozen=True)
class Decisions:
    """The whole page but its charts."""

    count: int
    since: str
    last: str
    mix: tuple[MixRow, ...]
    asked: tuple[AskedRow, ...]


def name_of(revision: Revision) -> str:
    """A revision as it is shown."""
    policy, date = revision
    return f"{policy} before its first" if date == NONE else f"{policy} {date}"


def _age(revision: Revision) -> tuple[str, bool, str]:
    # Before all others, whatever the word is that stands for it.
    policy, date = revision
    return policy, date != NONE, date


def revisions(tallies: Tallies) -> list[str]:
    """Those that decisions were counted under, newest first."""
    return [name_of(one) for one in sorted({one for one, _ in tallies.lines}, key=_age, reverse=True)]


def decisions(tallies: Tallies) -> Decisions:
    """The page."""
    by_revision: dict[Revision, Counter[str]] = {}
    for (revision, determination), count in tallies.lines.items():
        by_revision.setdefault(revision, Counter())[determination] += count
    return Decisions(
        tallies.decisions,
        moment(tallies.first),
        moment(tallies.last),
        tuple(
            MixRow(name_of(revision), lines.total(), tuple((words(name), count) for name, count in lines.most_common()))
            for revision, lines in sorted(by_revision.items(), key=lambda one: _age(one[0]), reverse=True)
        ),
        tuple(
            AskedRow(fact, count, f"{count / tallies.decisions:.1%}")
            for fact, count in sorted(tallies.asked.items(), key=lambda one: (-one[1], one[0]))[:ASKED]
        ),
    )


def stack(mix: Mix, revision: str | None = None) -> Stack:
    """Lines over time by determination, under one revision (as `name_of` has it) or all; buckets without any too."""
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
