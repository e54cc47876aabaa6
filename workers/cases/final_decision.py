"""The decision that follows a verdict or an extension, from what is recorded.

It is made of the recorded decision, the verdict and the policy document that the decision names. Of the request only
its urgency is needed, where a partial verdict starts the clock, and the trace of its clinical statements, where they
were evaluated beside an administrative determination. The same give the same bytes, so that a replay verifies it.
"""

from collections.abc import Iterable
from datetime import datetime

from events.case import PENDED
from events.code_spelling import procedure
from events.decision import (
    Authorized,
    ClockReading,
    DecidedLine,
    Decision,
    Review,
    Trace,
    content_id,
)
from events.verdict import AuthorizationExtended, AuthorizationReviewed, AuthorizedPart, VerdictLine
from policy_core.determinations import REVIEWERS, ActsNext, Stage
from policy_core.evaluate.deadline import ClockState
from policy_core.evaluate.determine import Policy
from policy_core.review.actions import overall_of


def reviewed_decision(
    recorded: Decision, verdict: AuthorizationReviewed, policy: Policy, urgency: str, beside: Trace | None = None
) -> Decision:
    """The decision with a verdict's lines in place of the recorded ones.

    Args:
        recorded: The newest decision on the request.
        verdict: A verdict that may stand.
        policy: The policy in the version that the decision names.
        urgency: The request's.
        beside: The trace of the clinical statements beside an administrative determination, if they were evaluated.
    """
    answers = {line.line: line for line in verdict.lines}
    lines = tuple(
        _answered(line, answers[line.line], recorded.line_of_business, verdict, policy)
        if line.line in answers
        else line
        for line in recorded.lines
    )
    clock, due_at = _clock(recorded, lines, verdict.decided_at, policy, urgency)
    shown = beside if verdict.reviewer.role == "case_management" and recorded.trace is None else recorded.trace
    return _identified(
        recorded,
        stage=stage_of_lines(lines).value,
        action=overall_of([line.action for line in lines]),
        due_at=due_at,
        clock=clock,
        lines=lines,
        trace=shown,
    )


def extended_decision(recorded: Decision, extension: AuthorizationExtended) -> Decision:
    """The decision with the extended deadline."""
    return _identified(recorded, due_at=extension.until)


def stage_of_lines(lines: Iterable[DecidedLine]) -> Stage:
    """The stage of a decision with these lines."""
    waiting = {line.acts_next for line in lines if line.action == PENDED}
    if waiting & {one.value for one in REVIEWERS}:
        return Stage.RECOMMENDATION
    return Stage.OPEN if waiting else Stage.FINAL


def _identified(recorded: Decision, **changes: object) -> Decision:
    made = recorded.model_copy(update={**changes, "supersedes_decision": recorded.decision_id})
    return made.model_copy(update={"decision_id": content_id(made.content())})


def _answered(
    line: DecidedLine, answer: VerdictLine, business: str, verdict: AuthorizationReviewed, policy: Policy
) -> DecidedLine:
    reviewer = verdict.reviewer
    approved = answer.action != "A3"
    review = Review(
        verdict_id=verdict.verdict_id,
        role=reviewer.role,
        license_state=reviewer.license_state,
        npi=reviewer.npi,
        specialty=reviewer.specialty,
        decided_at=verdict.decided_at,
        reasons=answer.reasons,
        text=answer.text,
    )
    changes = {
        "action": answer.action,
        "valid_through": policy.valid_through(business, verdict.decided_at.date()) if approved else None,
        "acts_next": ActsNext.NOBODY.value,
        "missing": (),
        "authorized": _authorized(line.system, answer.authorized) if answer.authorized is not None else None,
        "review": review,
    }
    return line.model_copy(update=changes)


def _authorized(system: str, part: AuthorizedPart) -> Authorized:
    stated = {"code": procedure(system, part.code), "units": part.units, "from": part.from_, "through": part.through}
    return Authorized.model_validate(stated)


def _clock(
    recorded: Decision, lines: Iterable[DecidedLine], decided_at: datetime, policy: Policy, urgency: str
) -> tuple[ClockReading, datetime | None]:
    """The clock by the lines that are still pended.

    It stops when none is. It starts with the verdict when no line needs information any more.
    """
    reading, due_at = recorded.clock, recorded.due_at
    pended = [line for line in lines if line.action == PENDED]
    if reading.state == "no_clock":
        return reading, due_at
    if not pended:
        return reading.model_copy(update={"state": ClockState.ANSWERED.value}), due_at
    asked = any(line.determination == "information_needed" for line in pended)
    if reading.state != "waiting_for_information" or asked:
        return reading, due_at
    clock = next(clock for clock in policy.document.clocks if clock.id == reading.name)
    length = clock.expedited if urgency == "expedited" else clock.standard
    return reading.model_copy(update={"state": ClockState.RUNNING.value}), decided_at + length.elapsed
