"""The public figures of a year, exact: no share, average or median is estimated.

19 Miss. Code R. 3-19.22, 42 CFR 422.122(c) (CMS-0057-F)   figures 1 to 9
Miss. Code § 83-5-935                                     counts, most denied services, most frequent reasons
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from events.case import Case
from policy_core.document.models import PolicyDocument, Window
from workers.figures.chains import DENIED, CaseSummary, Chain, chains, microseconds, newest

Value = Mapping[str, Any]
"""A figure's numbers, as in JSON."""
STANDARD, EXPEDITED = "standard", "expedited"
APPROVED, IN_PART, MODIFIED, CONTACT_PAYER, CANCELLED = "A1", "A2", "A6", "CT", "C"
COUNTED = frozenset({APPROVED, IN_PART, MODIFIED, DENIED})
"""The final actions that the figures count."""
ELECTRONIC = "electronic"
RANKED = 10
_EVERYBODY = "all"
_SECOND = 1_000_000
"""Microseconds."""


class LeftOut(NamedTuple):
    """Chains that no figure counts."""

    open: int = 0
    """Pended when the report was made, and first submitted before the end of the year."""
    cancelled: int = 0
    """Cancelled within the year."""
    contact_payer: int = 0
    """Referred to another program within the year."""
    no_end_known: int = 0
    """Superseded within the year by a request that is not among the cases."""


class Counts:
    """What is counted of chains that were determined in the year."""

    def __init__(self) -> None:
        self.actions: Counter[tuple[str, str, str]] = Counter()
        """By urgency, action and who determined it."""
        self.times: dict[tuple[str, str], array[int]] = {}
        """Microseconds to the determination, by urgency and who determined it."""
        self.appeals: Counter[tuple[str, str]] = Counter()
        """By urgency and action."""
        self.extended: Counter[str] = Counter()
        """By action."""
        self.channels: Counter[str] = Counter()
        self.services: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    def add(self, chain: Chain) -> None:
        """Count a chain that was determined in the year."""
        last = chain.last
        if last.action not in COUNTED:
            self.left_out["contact_payer" if last.action == CONTACT_PAYER else "cancelled"] += 1
            return
        if chain.appeal:
            self.appeals[last.urgency, last.action] += 1
            return
        by = last.by or "machine"
        self.actions[last.urgency, last.action, by] += 1
        taken = (last.determined or 0) - chain.first_submitted
        self.times.setdefault((last.urgency, by), array("q")).append(taken)
        self.extended[last.action] += chain.extended
        self.extended["of"] += chain.extended
        self.channels[chain.first.channel] += 1
        for line in last.denied:
            self.services[line.system, line.code] += 1
            self.reasons.update(line.reasons)


@dataclass(frozen=True)
class PublicFigures:
    """The figures of one year: each figure's value by its id, as `workers.figures.definitions` lists them."""

    policy: str
    title: str
    known_through: date
    """The policy's last revision in the document."""
    year: int
    time_zone: str
    cases: int
    """How many cases were read."""
    values: Mapping[str, Value]


class Year(NamedTuple):
    """A year in a time zone; its instants in microseconds since the epoch."""

    number: int
    begins: int
    ends: int
    """The first moment of the next year."""

    def holds(self, at: int | None) -> bool:
        """Whether a moment is in the year."""
        return at is not None and self.begins <= at < self.ends


def year_in(number: int, zone: ZoneInfo) -> Year:
    """A year as a time zone has it."""
    begins, ends = (microseconds(datetime(year, 1, 1, tzinfo=zone)) for year in (number, number + 1))
    return Year(number, begins, ends)


def public_figures(cases: Iterable[Case], document: PolicyDocument, year: int) -> PublicFigures:
    """Compute the figures from all cases, open and closed; of several with one request id, the last counts.

    Raises:
        ValueError: An instant of a case is none.
        ZoneInfoNotFoundError: This machine does not know the document's time zone.
    """
    return figures_of(newest(cases), document, year)


def figures_of(cases: dict[str, CaseSummary], document: PolicyDocument, year: int) -> PublicFigures:
    """Compute the figures from the summaries of all cases by request id.

    Raises:
        ZoneInfoNotFoundError: This machine does not know the document's time zone.
    """
    counts = _counted(cases, year_in(year, ZoneInfo(document.time_zone)))
    values: dict[str, Value] = {"1": {"services": _services(document, year)}}
    for urgency, (approved, denied, times) in {STANDARD: ("2", "3", "8"), EXPEDITED: ("6", "7", "9")}.items():
        values[approved] = _share(counts, urgency, APPROVED)
        values[f"{approved}a"] = _share(counts, urgency, IN_PART)
        values[f"{approved}b"] = _share(counts, urgency, MODIFIED)
        values[denied] = _share(counts, urgency, DENIED)
        values[times] = _times(counts, urgency)
    values |= {"4": _appeals(counts, STANDARD), "4a": _appeals(counts, EXPEDITED)}
    determined = sum(counts.actions.values())
    values["5"] = {**share(counts.extended[APPROVED], determined), "extended": counts.extended["of"]}
    values |= _of_the_statute(counts, determined)
    values["left out"] = LeftOut(**counts.left_out)._asdict()
    last = document.revisions[-1].date
    return PublicFigures(document.number, document.title, last, year, document.time_zone, len(cases), values)


def _counted(cases: dict[str, CaseSummary], year: Year) -> Counts:
    counts = Counts()
    for chain in chains(cases):
        if chain.end == "determined" and year.holds(chain.last.determined):
            counts.add(chain)
        elif chain.end == "open" and chain.first_submitted < year.ends:
            counts.left_out["open"] += 1
        elif chain.end in {"cancelled", "no end known"} and year.holds(chain.last.closed):
            counts.left_out[chain.end.replace(" ", "_")] += 1
    return counts


def share(count: int, of: int) -> dict[str, Any]:
    """A count, of how many it is a part, and the percentage to one decimal; none of nothing."""
    return {"count": count, "of": of, "percent": float(round(Fraction(100 * count, of), 1)) if of else None}


def _share(counts: Counts, urgency: str, action: str) -> Value:
    def part(*by: str) -> dict[str, Any]:
        of = sum(counts.actions[urgency, one, who] for one in COUNTED for who in by)
        return share(sum(counts.actions[urgency, action, who] for who in by), of)

    return {**part("machine", "reviewer"), "machine": part("machine"), "reviewer": part("reviewer")}


def _times(counts: Counts, urgency: str) -> Value:
    of = {by: sorted(counts.times.get((urgency, by), ())) for by in ("machine", "reviewer")}
    everybody = sorted((*of["machine"], *of["reviewer"]))
    return {**_average_and_median(everybody), **{by: _average_and_median(times) for by, times in of.items()}}


def _average_and_median(times: list[int]) -> dict[str, Any]:
    """In seconds, to a millisecond; of sorted microseconds."""
    count = len(times)
    if not count:
        return {"count": 0, "average_seconds": None, "median_seconds": None}
    middle = Fraction(times[(count - 1) // 2] + times[count // 2], 2)
    return {
        "count": count,
        "average_seconds": _seconds(Fraction(sum(times), count)),
        "median_seconds": _seconds(middle),
    }


def _seconds(found: Fraction) -> float:
    return float(round(found / _SECOND, 3))


def _appeals(counts: Counts, urgency: str) -> Value:
    of = {action: counts.appeals[urgency, action] for action in COUNTED}
    shared = share(of[APPROVED], sum(of.values()))
    return {**shared, "in_part": of[IN_PART], "modified": of[MODIFIED], "denied": of[DENIED]}


def _of_the_statute(counts: Counts, determined: int) -> dict[str, Value]:
    appeals: Counter[str] = Counter()
    for (_, action), count in counts.appeals.items():
        appeals[action] += count
    otherwise = {channel: count for channel, count in sorted(counts.channels.items()) if channel != ELECTRONIC}
    denials = sum(count for (_, action, _), count in counts.actions.items() if action == DENIED)
    return {
        "requests": {"count": determined},
        "denials": {"count": denials},
        "appeals": {"count": appeals.total()},
        "reversals": {"count": appeals[APPROVED], "in_part": appeals[IN_PART], "modified": appeals[MODIFIED]},
        "not electronic": {"count": sum(otherwise.values()), "by_channel": otherwise},
        "denied services": {
            "services": [
                {"system": system, "code": code, "count": count}
                for (system, code), count in _most_frequent(counts.services)
            ]
        },
        "reasons": {"reasons": [{"code": code, "count": count} for code, count in _most_frequent(counts.reasons)]},
    }


def _most_frequent(counted: Counter[Any]) -> list[tuple[Any, int]]:
    """The most frequent, equal ones in their own order."""
    return sorted(counted.items(), key=lambda found: (-found[1], found[0]))[:RANKED]


def _services(document: PolicyDocument, year: int) -> list[dict[str, Any]]:
    """The codes that were on the policy's list and in their code set on a day of the year."""
    systems = {system.system: system.valid for system in document.codes.systems}
    found = []
    for code in document.codes.listed:
        windows = (Window(since=date(year, 1, 1), until=date(year + 1, 1, 1)), code.listed, code.valid)
        since, until = _common((*windows, systems.get(code.system, Window())))
        if since < until:
            found.append({"system": code.system, "code": code.code})
    return sorted(found, key=lambda service: (service["system"], service["code"]))


def _common(windows: Iterable[Window]) -> tuple[date, date]:
    """The first day that all hold, and the first after it that one of them does not."""
    known = list(windows)
    return max(window.since or date.min for window in known), min(window.until or date.max for window in known)
