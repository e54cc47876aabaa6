"""From the wire to the policy core, which know nothing of each other: a request becomes a case."""

from events.request import AuthorizationRequest
from policy_core.evaluate import case as core


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
