"""Between the wire and the policy core: a request becomes a case, a result a decision."""

from collections.abc import Iterator
from datetime import date
from functools import cache

from events.decision import (
    Citation,
    Claim,
    ClockReading,
    DecidedLine,
    Decision,
    MissingFact,
    PolicyReference,
    Program,
    Reference,
    StatedDiagnosis,
    Trace,
    TracedEdition,
    TracedFact,
    TracedStatement,
)
from events.request import AuthorizationRequest
from policy_core import case as core
from policy_core.clock import Deadline
from policy_core.determine import CaseResult, LineResult, Policy
from policy_core.document.check import cited_parts
from policy_core.document.models import PolicyDocument
from policy_core.facts import Claim as CoreClaim
from policy_core.facts import Fact


def case_of(request: AuthorizationRequest) -> core.Case:
    """What the policy core can look at of a request."""
    return core.Case(
        certification=request.certification,
        urgency=request.urgency,
        submitted_at=request.submitted_at,
        has_prior_authorization=request.prior_authorization_number is not None,
        line_of_business=request.member.line_of_business,
        diagnoses=tuple([core.Diagnosis(one.system, one.code) for one in request.diagnoses or ()]),
        service_lines=tuple(
            [
                core.ServiceLine(one.line, one.system, one.code, one.service_date, one.performed_on or "member")
                for one in request.service_lines
            ]
        ),
        clinical=request.clinical or {},
    )


def decision_of(request: AuthorizationRequest, result: CaseResult, policy: Policy) -> Decision:
    """The decision event's data for a result, with the id that its content gives it."""
    lines = tuple([_line(one, policy) for one in result.lines])
    trace = _trace(result, policy)
    return Decision(
        request_id=request.request_id,
        supersedes=request.supersedes,
        line_of_business=request.member.line_of_business,
        action=result.action.value,
        due_at=result.deadline.due_at,
        clock=_clock(result.deadline),
        lines=lines,
        trace=trace,
        references=_references(lines, trace, policy),
    ).identified()


def _line(result: LineResult, policy: Policy) -> DecidedLine:
    answer = result.answer
    return DecidedLine(
        line=result.line.line,
        system=result.line.system,
        code=result.line.code,
        determination=answer.determination.value,
        reasons=answer.reasons,
        action=result.action.value,
        acts_next=result.acts_next.value,
        step=answer.step.value,
        rules=answer.rules,
        rests_on=answer.rests_on,
        guidance=result.guidance,
        missing=tuple(
            [
                MissingFact(fact=one.path, question=one.question, conflict=_claims(one.conflict))
                for one in answer.missing
            ]
        ),
        program=Program(name=answer.program.name, says=answer.program.says) if answer.program else None,
        edition=answer.edition,
        policy=_policy(policy, result.revision.revision.date if result.revision else None),
    )


def _policy(policy: Policy, revision: date | None) -> PolicyReference:
    return PolicyReference(
        number=policy.number,
        revision=revision,
        sha256=policy.sha256,
        known_through=policy.register.known_through(),
    )


def _clock(deadline: Deadline) -> ClockReading:
    if deadline.clock is None:
        return ClockReading(state=deadline.state.value)
    return ClockReading(name=deadline.clock.id, rule=deadline.clock.rule, state=deadline.state.value)


def _trace(result: CaseResult, policy: Policy) -> Trace:
    if not result.findings:
        return Trace()
    return Trace(
        facts=tuple([_fact(result.facts[variable.path]) for variable in policy.variables]),
        editions=tuple(
            [
                TracedEdition(
                    since=since,
                    statements=tuple(
                        [TracedStatement(id=name, status=status.value) for name, status in finding.statuses.items()]
                    ),
                )
                for since, finding in result.findings.items()
            ]
        ),
    )


def _fact(fact: Fact) -> TracedFact:
    return TracedFact(
        fact=fact.path,
        origin=fact.origin.value,
        value=fact.value,
        diagnoses=_diagnoses(fact.diagnoses) or None,
        conflict=_claims(fact.claims),
    )


def _claims(claims: tuple[CoreClaim, ...]) -> tuple[Claim, ...] | None:
    return tuple([Claim(value=one.value, diagnoses=_diagnoses(one.diagnoses)) for one in claims]) or None


def _diagnoses(diagnoses: tuple[core.Diagnosis, ...]) -> tuple[StatedDiagnosis, ...]:
    return tuple([StatedDiagnosis(system=one.system, code=one.code) for one in diagnoses])


def _references(lines: tuple[DecidedLine, ...], trace: Trace, policy: Policy) -> tuple[Reference, ...]:
    named = dict.fromkeys(_named(lines, trace))
    known = references(policy)
    return tuple([known[name] for name in named])


def _named(lines: tuple[DecidedLine, ...], trace: Trace) -> Iterator[str]:
    for line in lines:
        yield from line.rests_on
        yield from line.guidance
    for edition in trace.editions:
        for statement in edition.statements:
            yield statement.id


@cache
def references(policy: Policy) -> dict[str, Reference]:
    """Every part of a policy that a decision can name, as the decision has it."""
    return _references_in(policy.document)


def _references_in(document: PolicyDocument) -> dict[str, Reference]:
    return {
        part.id: Reference(
            id=part.id,
            says=part.says,
            cites=tuple(Citation(section=one.section, ordinal=one.ordinal, sha256=one.sha256) for one in part.cites),
        )
        for _, part in cited_parts(document)
    }
