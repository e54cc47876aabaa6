"""Whether a verdict may stand, by the case's state, the lines, the reviewer, the time and the decision reviewed."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from events.case import Case, CaseLine
from events.code_spelling import procedure
from events.field_types import instant, instant_of
from events.verdict import AuthorizationReviewed, VerdictLine
from policy_core.determinations import Determination
from policy_core.document.models import PolicyDocument
from policy_core.review.actions import Verdict
from policy_core.review.verdicts import (
    AskedLine,
    Authorized,
    LineVerdict,
    Problem,
    Reviewer,
    Role,
    license_state,
    line_problems,
    reviewer_problems,
)

AHEAD = timedelta(minutes=5)
"""How far a reviewer's clock may be ahead of the broker's."""


def verdict_problems(case: Case, verdict: AuthorizationReviewed, at: int, document: PolicyDocument) -> list[Problem]:
    """Why a verdict may not stand; empty if it may.

    Checked in this order: the case's state, the lines, the reviewer, when it was decided, the decision that the
    reviewer saw. The first of these that fails gives the problems.

    Args:
        case: The case of the request.
        verdict: What the reviewer decided.
        at: When the verdict was published, in milliseconds since the epoch.
        document: The policy's document.
    """
    return next((found for found in map(list, _checks(case, verdict, at, document)) if found), [])


def _checks(
    case: Case, verdict: AuthorizationReviewed, at: int, document: PolicyDocument
) -> Iterator[Iterable[Problem]]:
    yield _state_problems(case, verdict)
    lines = [_asked(line) for line in case.lines]
    verdicts = [_on_line(case, answer) for answer in verdict.lines]
    yield line_problems(verdicts, lines, amends=verdict.amends is not None)
    reviewer = verdict.reviewer
    stated = Reviewer(Role(reviewer.role), reviewer.license_state, verdict.evaluated, verdict.concurrence)
    yield reviewer_problems(stated, verdicts, lines, license_state(document, case.line_of_business))
    yield _time_problems(case, verdict, at)
    yield _decision_problems(case, verdict)


def _state_problems(case: Case, verdict: AuthorizationReviewed) -> Iterable[Problem]:
    if case.state in {"superseded", "cancelled"}:
        yield Problem("request_id", f"the request is {case.state}")
    elif case.state == "final" and (verdict.amends is None or verdict.amends != case.last_verdict):
        yield Problem("amends", "the request is final; only a verdict that amends the last one may follow")
    elif case.state != "final" and verdict.amends is not None:
        yield Problem("amends", "the request is not final; answer the lines that are still pended")


def _asked(line: CaseLine) -> AskedLine:
    authorized = None
    if line.authorized_code is not None and line.authorized_units is not None:
        authorized = Authorized(line.authorized_code, line.authorized_units, None, None)
    return AskedLine(
        line=line.line,
        code=line.code,
        units=line.units,
        service_date=date.fromisoformat(line.service_date),
        determination=Determination(line.determination),
        action=line.action,
        would_certify=line.would_certify,
        reviewed=line.reviewed,
        authorized=authorized,
    )


def _on_line(case: Case, found: VerdictLine) -> LineVerdict:
    part = found.authorized
    authorized = None
    if part is not None:
        system = next((line.system for line in case.lines if line.line == found.line), "")
        authorized = Authorized(procedure(system, part.code), part.units, part.from_, part.through)
    return LineVerdict(found.line, Verdict(found.action), bool(found.reasons), found.text is not None, authorized)


def _time_problems(case: Case, verdict: AuthorizationReviewed, at: int) -> Iterable[Problem]:
    if verdict.decided_at < instant(case.submitted_at):
        yield Problem("decided_at", "is before the request was submitted")
    elif verdict.decided_at > instant(instant_of(at)) + AHEAD:
        yield Problem("decided_at", "is more than five minutes after the verdict was published")


def _decision_problems(case: Case, verdict: AuthorizationReviewed) -> Iterable[Problem]:
    # An older decision will do: a line that is pended has not changed since the first.
    known = {case.decision_id} if verdict.amends is not None else {case.decision_id, *case.earlier_decisions}
    if verdict.decision_id not in known:
        yield Problem("decision_id", "is not the decision that stands, nor an earlier one on the request")
