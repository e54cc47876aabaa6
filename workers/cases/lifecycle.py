"""The life of a case: what each event makes of it. Pure functions of the case, the event and its record's time.

state         event               then
none          decided             final, recommended or waiting
open          reviewed            final, or open by the lines that are left
open          superseding         superseded or cancelled
open          extended            the same, due later
open          time                the same; its deadline is announced
final         reviewed, amending  final
final         superseding         cancelled, if the requester cancels an approval
(any other)   any                 the same

An open case is `recommended` or `waiting`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from events.case import Case, CaseLine, State
from events.case_event import CaseEvent, LinkJudged, Superseding
from events.dead_letter import FieldError, Reason
from events.deadline import Deadline
from events.decision import Decision, Trace
from events.decode import RejectedError
from events.field_types import instant, instant_of, written_instant
from events.verdict import AuthorizationExtended, AuthorizationReviewed
from policy_core.determinations import Action, ActsNext, Determination
from policy_core.evaluate.determine import Policy
from policy_core.review.actions import Verdict
from policy_core.review.verdicts import Problem
from workers.cases.final_decision import extended_decision, reviewed_decision
from workers.cases.opening import Opening
from workers.cases.verdict_checks import verdict_problems

PUNCTUAL = timedelta(minutes=5)
"""A deadline announced within this time of its moment is not late."""

Became = Literal["opened", "final", "partial", "extended", "duplicate", "refused", "closed", "announced", "nothing"]
"""What an event did: a verdict is `final`, `partial`, a `duplicate` or `refused`."""


@dataclass(frozen=True)
class Change:
    """What an event makes of a case, and what is published because of it."""

    became: Became
    case: Case
    decision: Decision | None = None
    """A new decision on the request."""
    rejected: RejectedError | None = None
    """Why the event's record goes to the dead letters."""
    announced: tuple[Deadline, ...] = ()
    told: tuple[tuple[str, CaseEvent], ...] = ()
    """Events of other cases, each with its request's id."""


_NOTHING = msgspec.Raw(b"null")


# --- opened -------------------------------------------------------------------------------------------------------


def opened(opening: Opening, at: int, policy: Policy, beside: Decision | None = None) -> Change:
    """The case of a request that is decided.

    Args:
        opening: The event.
        at: The record's time, in milliseconds since the epoch.
        policy: The policy in the version that the decision names.
        beside: The decision on the same request as if it were authorized, where that is to be evaluated.
    """
    decided, decision = opening.decided, opening.decision
    request = opening.request()
    asked = {line.line: line for line in request.service_lines}
    certified = {line.line for line in beside.lines if line.action == "A1"} if beside else set()
    lines = tuple(
        CaseLine(
            line=line.line,
            system=line.system,
            code=line.code,
            units=asked[line.line].units,
            service_date=asked[line.line].service_date,
            determination=line.determination,
            action=line.action,
            acts_next=line.acts_next,
            would_certify=line.determination == Determination.NO_PRIOR_AUTHORIZATION and line.line in certified,
        )
        for line in decision.lines
    )
    state = _state(lines)
    named = decision.policies[0]
    closed = state == "final"
    case = Case(
        state=state,
        request_id=request.request_id,
        decision_id=decision.decision_id,
        opened_at=at,
        certification=request.certification,
        urgency=request.urgency,
        line_of_business=request.member.line_of_business,
        requester=request.provider.npi,
        submitted_at=request.submitted_at,
        lines=lines,
        action=decision.action,
        clock_state=decision.clock.state,
        first_submitted_at=request.first_submitted_at,
        channel=request.channel,
        clock=decision.clock.name,
        rule=decision.clock.rule,
        due_at=decision.due_at,
        supersedes=request.supersedes,
        closed_at=at if closed else None,
        determined_at=instant_of(at) if closed else None,
        by="machine" if closed else None,
        correlation=decided.correlation,
        policy=named.number,
        known_through=named.known_through,
        decision=_NOTHING if closed else decided.decision,
        beside=_trace_of(beside) if beside is not None and not closed else _NOTHING,
    )
    return Change("opened", armed(case, policy))


def _trace_of(beside: Decision) -> msgspec.Raw:
    return msgspec.Raw(beside.trace.model_dump_json(exclude_none=True).encode()) if beside.trace else _NOTHING


def _state(lines: Iterable[CaseLine]) -> State:
    waiting = {line.acts_next for line in lines if line.action == Action.PENDED}
    if ActsNext.PROVIDER in waiting:
        return "waiting"
    return "recommended" if waiting else "final"


def armed(case: Case, policy: Policy) -> Case:
    """The case with the moment at which it is announced that it will be due."""
    due = case.due
    clock = next((clock for clock in policy.document.clocks if clock.id == case.clock), None)
    if due is None or clock is None or clock.due_soon is None:
        return replace(case, due_soon_at=None)
    lead = clock.due_soon.expedited if case.urgency == "expedited" else clock.due_soon.standard
    return replace(case, due_soon_at=written_instant(due - lead.elapsed))


# --- links --------------------------------------------------------------------------------------------------------


def judged(case: Case, link: LinkJudged) -> Change:
    """Its link to an earlier request stands, which that request's case hears; or it is refused."""
    if case.supersedes != link.supersedes or case.link == ("stands" if link.stands else "refused"):
        return Change("nothing", case)
    if not link.stands:
        return Change("nothing", replace(case, link="refused"))
    told = Superseding(case.request_id, case.certification, case.requester)
    return Change("nothing", replace(case, link="stands"), told=((link.supersedes, told),))


_ANEW = frozenset({"revision", "extension", "renewal"})
_APPROVED = frozenset({Action.CERTIFIED_IN_TOTAL, Action.CERTIFIED_PARTIAL, Verdict.MODIFIED})


def superseded(case: Case, by: Superseding, at: int) -> Change:
    """Another request supersedes or cancels it.

    A final case stays final: only an approval ends, when its own requester cancels it. A request that would revise a
    denied one is decided, but its link is refused.
    """
    cancels = by.certification == "cancellation"
    if case.is_open:
        return Change("closed", _closed(case, "cancelled" if cancels else "superseded", by.by, at))
    if case.state == "final":
        if cancels and case.action in _APPROVED and by.requester == case.requester:
            return Change("closed", _closed(case, "cancelled", by.by, at))
        if by.certification in _ANEW and case.action == Verdict.NOT_CERTIFIED:
            message = "names a request that a physician has refused; an appeal is a reconsideration"
            rejected = RejectedError("denied_link", [FieldError(path="supersedes", message=message)], by.by)
            told = ((by.by, LinkJudged(case.request_id, stands=False)),)
            return Change("nothing", case, rejected=rejected, told=told)
    return Change("nothing", case)


def _closed(case: Case, state: State, by: str, at: int) -> Case:
    return replace(
        case, state=state, superseded_by=by, closed_at=at, due_soon_at=None, decision=_NOTHING, beside=_NOTHING
    )


# --- verdicts and extensions --------------------------------------------------------------------------------------


def reviewed(case: Case, verdict: AuthorizationReviewed, at: int, policy: Policy) -> Change:
    """A verdict: a new decision, or the reason why it may not stand."""
    digest = verdict.digest().hex()
    if (known := _known(case, case.verdicts.get(verdict.verdict_id), digest, "verdict_id")) is not None:
        return known
    problems = verdict_problems(case, verdict, at, policy.document)
    if problems:
        return _refused(case, "verdict_refused", problems)
    recorded = Decision.model_validate_json(bytes(case.decision))
    beside = Trace.model_validate_json(bytes(case.beside)) if case.beside != _NOTHING else None
    decision = reviewed_decision(recorded, verdict, policy, case.urgency, beside)
    lines = tuple(_reviewed_line(line, decision) for line in case.lines)
    state = _state(lines)
    final = state == "final"
    changed = replace(
        case,
        state=state,
        lines=lines,
        **_of(case, decision),
        announced=case.announced if decision.due_at == recorded.due_at else (),
        verdicts={**case.verdicts, verdict.verdict_id: digest},
        last_verdict=verdict.verdict_id,
        closed_at=at if final else None,
        determined_at=written_instant(verdict.decided_at) if final else None,
        by="reviewer" if final else None,
        beside=_NOTHING if final else case.beside,
    )
    return Change("final" if final else "partial", armed(changed, policy), decision=decision)


def extended(case: Case, extension: AuthorizationExtended, policy: Policy) -> Change:
    """An extension of its timeframe: a decision that is due later, or the reason why it may not stand."""
    digest = extension.digest().hex()
    if (known := _known(case, case.extensions.get(extension.extension_id), digest, "extension_id")) is not None:
        return known
    if not case.is_open:
        return _refused(case, "verdict_refused", [Problem("request_id", f"the request is {case.state}")])
    due = case.due
    if due is None:
        return _refused(case, "verdict_refused", [Problem("request_id", "no clock runs for the request")])
    if extension.until < due:
        return _refused(case, "verdict_refused", [Problem("until", "is earlier than the request is due")])
    decision = extended_decision(Decision.model_validate_json(bytes(case.decision)), extension)
    changed = replace(
        case,
        **_of(case, decision),
        announced=() if extension.until != due else case.announced,
        extended=True,
        extensions={**case.extensions, extension.extension_id: digest},
    )
    return Change("extended", armed(changed, policy), decision=decision)


def _of(case: Case, decision: Decision) -> dict[str, object]:
    """What a case keeps of a new decision."""
    return {
        "decision_id": decision.decision_id,
        "earlier_decisions": (*case.earlier_decisions, case.decision_id),
        "action": decision.action,
        "clock_state": decision.clock.state,
        "due_at": written_instant(decision.due_at) if decision.due_at is not None else None,
        "decision": msgspec.Raw(decision.to_json()),
    }


def _known(case: Case, before: str | None, digest: str, path: str) -> Change | None:
    if before is None:
        return None
    if before == digest:
        return Change("duplicate", case)
    return _refused(case, "conflicting_duplicate", [Problem(path, "used before with other content")])


def _refused(case: Case, reason: Reason, problems: Iterable[Problem]) -> Change:
    errors = [FieldError(path=problem.path, message=problem.message) for problem in problems]
    return Change("refused", case, rejected=RejectedError(reason, errors, case.request_id))


def _reviewed_line(line: CaseLine, decision: Decision) -> CaseLine:
    found = next(one for one in decision.lines if one.line == line.line)
    if found.review is None:
        return line
    authorized = found.authorized
    return replace(
        line,
        action=found.action,
        acts_next=found.acts_next,
        reviewed=True,
        reasons=found.review.reasons,
        authorized_code=authorized.code if authorized is not None else None,
        authorized_units=authorized.units if authorized is not None else None,
    )


# --- time ---------------------------------------------------------------------------------------------------------


def passed(case: Case, now: datetime) -> Change:
    """The announcements of its deadline that are due by now, each once for each `due_at`."""
    due = case.due
    if due is None or case.clock is None:
        return Change("nothing", case)
    soon = instant(case.due_soon_at) if case.due_soon_at is not None else None
    moments: tuple[tuple[Literal["due_soon", "overdue"], datetime | None], ...] = (("due_soon", soon), ("overdue", due))
    announced = tuple(
        Deadline(
            request_id=case.request_id,
            decision_id=case.decision_id,
            clock=case.clock,
            rule=case.rule or "",
            kind=kind,
            due_at=due,
            late=now - moment > PUNCTUAL,
        )
        for kind, moment in moments
        if moment is not None and moment <= now and kind not in case.announced
    )
    if not announced:
        return Change("nothing", case)
    kinds = (*case.announced, *(one.kind for one in announced))
    return Change("announced", replace(case, announced=kinds), announced=announced)


def next_moment(case: Case) -> datetime | None:
    """When time next makes something of it; None if it does not."""
    due = case.due
    if due is None:
        return None
    waiting = []
    if case.due_soon_at is not None and "due_soon" not in case.announced:
        waiting.append(instant(case.due_soon_at))
    if "overdue" not in case.announced:
        waiting.append(due)
    return min(waiting, default=None)
