"""Chains of requests: what the public figures count.

A chain is a request with all that supersede it before it is finally determined. What supersedes a final determination
is a request of its own: a revision or a renewal of an approval, and an appeal against a denial. A cancellation asks for
no service, and is none.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from events.case import OPEN, Case
from events.field_types import instant

DENIED = "A3"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
End = Literal["open", "determined", "cancelled", "no end known"]


class DeniedLine(NamedTuple):
    """A service that a reviewer refused, with the reasons."""

    system: str
    code: str
    reasons: tuple[str, ...]
    """X12 code list 886, each once."""


class CaseSummary(NamedTuple):
    """What the figures need of a case; instants in microseconds since the epoch."""

    request_id: str
    earlier: str | None
    """The request that it supersedes, if the link stands."""
    certification: str
    urgency: str
    channel: str
    state: str
    action: str
    first_submitted: int
    determined: int | None
    """When it was finally determined, even if it was cancelled later."""
    closed: int | None
    by: str | None
    extended: bool
    denied: tuple[DeniedLine, ...]


def summary(case: Case) -> CaseSummary:
    """Keep of a case what the figures need, so that a million fit into memory.

    Raises:
        ValueError: An instant of the case is none.
    """
    return CaseSummary(
        case.request_id,
        case.supersedes if case.link == "stands" else None,
        case.certification,
        case.urgency,
        case.channel,
        case.state,
        case.action,
        microseconds(case.first_submitted),
        microseconds(instant(case.determined_at)) if case.determined_at is not None else None,
        case.closed_at * 1000 if case.closed_at is not None else None,
        case.by,
        case.extended,
        tuple(
            DeniedLine(line.system, line.code, tuple(dict.fromkeys(line.reasons)))
            for line in case.lines
            if line.action == DENIED
        ),
    )


def microseconds(at: datetime) -> int:
    """An instant in microseconds since the epoch."""
    return (at - _EPOCH) // _MICROSECOND


class Chain(NamedTuple):
    """A chain of requests and how it ended."""

    end: End
    first: CaseSummary
    """The request that began it."""
    last: CaseSummary
    """The one that ended it, or that it waits for."""
    first_submitted: int
    """The first submission of them all."""
    extended: bool
    """Whether the timeframe of any was extended."""
    appeal: bool
    """Whether it began as a reconsideration of a denial."""


def chains(cases: dict[str, CaseSummary]) -> Iterator[Chain]:
    """Every chain, from the newest summary of every case by request id."""
    first_of = _first_requests(cases)
    followers: dict[str, list[CaseSummary]] = {}
    for request_id, first in first_of.items():
        if first != request_id:
            followers.setdefault(first, []).append(cases[request_id])
    for request_id, first in first_of.items():
        if first == request_id:
            yield _chain(cases, [cases[request_id], *followers.get(request_id, ())])


def _first_requests(cases: dict[str, CaseSummary]) -> dict[str, str]:
    """For each request that is no cancellation, the one that began its chain."""
    found: dict[str, str] = {}
    for case in cases.values():
        if case.certification == "cancellation":
            continue
        path: dict[str, None] = {}
        at = case.request_id
        while at not in found and at not in path:
            path[at] = None
            at = _continued(cases[at], cases) or at
        # The ledger lets no circle stand; if there were one, its smallest id would begin it.
        first = found[at] if at in found else min(list(path)[list(path).index(at) :])
        found.update(dict.fromkeys(path, first))
    return found


def _continued(case: CaseSummary, cases: dict[str, CaseSummary]) -> str | None:
    """The request whose chain this one continues."""
    earlier = _superseded(case, cases)
    return earlier.request_id if earlier is not None and earlier.determined is None else None


def _superseded(case: CaseSummary, cases: dict[str, CaseSummary]) -> CaseSummary | None:
    """The request that this one supersedes, unless that was a cancellation, which is no request."""
    earlier = cases.get(case.earlier) if case.earlier is not None else None
    return None if earlier is None or earlier.certification == "cancellation" else earlier


def _chain(cases: dict[str, CaseSummary], members: list[CaseSummary]) -> Chain:
    first = members[0]
    end, last = _ended(members)
    appealed = _superseded(first, cases)
    return Chain(
        end,
        first,
        last,
        min(member.first_submitted for member in members),
        any(member.extended for member in members),
        first.certification == "reconsideration" and appealed is not None and appealed.action == DENIED,
    )


def _ended(members: list[CaseSummary]) -> tuple[End, CaseSummary]:
    """How the requests of a chain ended, and which of them says so."""
    waiting = [member for member in members if member.state in OPEN]
    if waiting:
        return "open", waiting[-1]
    final = [member for member in members if member.state == "final"]
    if final:
        return "determined", max(final, key=lambda member: (member.determined or 0, member.request_id))
    cancelled = [member for member in members if member.state == "cancelled"]
    if cancelled:
        return "cancelled", max(cancelled, key=lambda member: (member.closed or 0, member.request_id))
    return "no end known", max(members, key=lambda member: (member.closed or 0, member.request_id))


def newest(cases: Iterable[Case]) -> dict[str, CaseSummary]:
    """The summaries of cases by request id; of several with one id, the last."""
    return {case.request_id: summary(case) for case in cases}
