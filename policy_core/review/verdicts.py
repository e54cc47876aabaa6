"""Whether a verdict may stand: checked against the lines that it answers, and against what the policy document says.

The software never refuses care. A physician may, of a state that the document names for the line of business; a verdict
that lacks the state, the evaluation or the concurrence is refused, and nothing changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from policy_core.determinations import Action, Determination
from policy_core.document.models import PolicyDocument
from policy_core.review.actions import ADVERSE, Verdict


class Role(StrEnum):
    """The role in which a reviewer answers."""

    PHYSICIAN = "physician"
    MEDICAL_POLICY = "medical_policy"
    CASE_MANAGEMENT = "case_management"


class Authorized(NamedTuple):
    """What is certified of a line, if less than was asked."""

    code: str
    units: int
    start: date | None
    through: date | None


class AskedLine(NamedTuple):
    """One line of a request, as a verdict meets it."""

    line: int
    code: str
    units: int
    service_date: date
    determination: Determination
    action: str
    """X12 code list 306."""
    would_certify: bool = False
    """Whether the clinical statements, evaluated beside an administrative determination, certify it."""
    reviewed: bool = False
    """Whether a verdict has answered it."""
    authorized: Authorized | None = None
    """What that verdict certified, if less than was asked."""


class LineVerdict(NamedTuple):
    """A verdict on one line."""

    line: int
    action: Verdict
    has_reason: bool
    has_text: bool
    authorized: Authorized | None


class Reviewer(NamedTuple):
    """Who answers, and in what standing."""

    role: Role
    license_state: str | None
    evaluated: bool
    """Whether the reviewer has evaluated the request."""
    concurs: bool


class Problem(NamedTuple):
    """Why a verdict may not stand."""

    path: str
    """The field at fault, such as `lines.0.action`."""
    message: str
    """Without any value of the verdict."""


_ANSWERS: Mapping[Role, frozenset[Determination]] = {
    Role.MEDICAL_POLICY: frozenset({Determination.NOT_ADDRESSED, Determination.POLICY_NOT_ON_RECORD}),
    Role.CASE_MANAGEMENT: frozenset({Determination.NO_PRIOR_AUTHORIZATION}),
}
"""The determinations that may be answered in each role; a physician may answer all but those of `_NOBODYS`."""
_NOBODYS = frozenset({Determination.INVALID_CODE})
"""The provider resubmits."""


def line_problems(verdicts: Sequence[LineVerdict], lines: Sequence[AskedLine], *, amends: bool) -> Iterator[Problem]:
    """What is wrong with the lines that a verdict names, and with what it says of them.

    A verdict answers pended lines. One that `amends` another answers lines that a verdict has answered, and takes
    nothing away from an approval.
    """
    asked = {line.line: line for line in lines}
    for index, verdict in enumerate(verdicts):
        line = asked.get(verdict.line)
        if line is None:
            yield Problem(f"lines.{index}.line", "is no line of the request")
        elif amends and not line.reviewed:
            yield Problem(f"lines.{index}.line", "no verdict has answered this line, so that none is amended")
        elif not amends and line.action != Action.PENDED:
            yield Problem(f"lines.{index}.line", "is not pended")
        elif not amends and line.determination in _NOBODYS:
            yield Problem(f"lines.{index}.line", "has no valid code: the provider resubmits it with another")
        else:
            yield from _content_problems(index, verdict, line, amends=amends)


def _content_problems(index: int, verdict: LineVerdict, line: AskedLine, *, amends: bool) -> Iterator[Problem]:
    if verdict.action in ADVERSE:
        if not verdict.has_reason:
            yield Problem(f"lines.{index}.reasons", "an adverse action needs a reason of code list 886")
        if not verdict.has_text:
            yield Problem(f"lines.{index}.text", "an adverse action needs its reason in words")
    if verdict.action is Verdict.MODIFIED:
        yield from _authorized_problems(f"lines.{index}.authorized", verdict.authorized, line)
    elif verdict.authorized is not None:
        yield Problem(f"lines.{index}.authorized", "is said of a modified line (A6) only")
    if amends and _takes_away(verdict, line):
        yield Problem(f"lines.{index}.action", "an approval is not revoked or limited while it is valid")


def _authorized_problems(path: str, authorized: Authorized | None, line: AskedLine) -> Iterator[Problem]:
    if authorized is None:
        yield Problem(path, "a modified line (A6) needs what is authorized of it")
        return
    if authorized.units > line.units:
        yield Problem(f"{path}.units", "more than was asked")
    for name, day in (("from", authorized.start), ("through", authorized.through)):
        if day is not None and day != line.service_date:
            yield Problem(f"{path}.{name}", "is not within the dates that were asked")
    if authorized.code == line.code and authorized.units == line.units:
        yield Problem(path, "is all that was asked; then the action is A1")


def _takes_away(verdict: LineVerdict, line: AskedLine) -> bool:
    """Whether a verdict leaves less of a line than was approved."""
    if line.action == Verdict.CERTIFIED_IN_TOTAL:
        return verdict.action in ADVERSE
    if line.action != Verdict.MODIFIED or verdict.action is Verdict.CERTIFIED_IN_TOTAL:
        return False
    before, now = line.authorized, verdict.authorized
    return before is None or now is None or now.code != before.code or now.units < before.units


def reviewer_problems(
    reviewer: Reviewer, verdicts: Sequence[LineVerdict], lines: Sequence[AskedLine], license_state: str | None
) -> Iterator[Problem]:
    """What the reviewer lacks to answer these lines.

    Args:
        reviewer: Who answers.
        verdicts: The lines answered, each of which is among `lines`.
        lines: The request's lines.
        license_state: The state that the policy document names for the line of business; None if it names none.
    """
    asked = {line.line: line for line in lines}
    if any(not _may_answer(reviewer.role, verdict, asked[verdict.line]) for verdict in verdicts):
        yield Problem("reviewer.role", "may not answer all of these lines in this way")
    if any(verdict.action in ADVERSE for verdict in verdicts):
        yield from adverse_problems(reviewer, license_state)


def license_state(document: PolicyDocument, line_of_business: str) -> str | None:
    """The state whose physicians may refuse care for a line of business; None if the document names none."""
    named = (one.license_state for one in document.adverse_review if one.line_of_business == line_of_business)
    return next(named, None)


def adverse_problems(reviewer: Reviewer, license_state: str | None) -> Iterator[Problem]:
    """What a physician lacks to refuse care, whole or in part; the arguments are those of `reviewer_problems`."""
    if license_state is None:
        message = "the policy names no state whose physicians may refuse care for this line of business"
        yield Problem("reviewer.license_state", message)
    elif reviewer.license_state != license_state:
        yield Problem("reviewer.license_state", f"an adverse action needs a physician licensed in {license_state}")
    for name, holds in (("evaluated", reviewer.evaluated), ("concurrence", reviewer.concurs)):
        if not holds:
            yield Problem(name, "an adverse action needs it")


def _may_answer(role: Role, verdict: LineVerdict, line: AskedLine) -> bool:
    if line.determination in _NOBODYS:
        return False
    if role is Role.PHYSICIAN:
        return True
    if verdict.action in ADVERSE or line.determination not in _ANSWERS[role]:
        return False
    return role is not Role.CASE_MANAGEMENT or line.would_certify
