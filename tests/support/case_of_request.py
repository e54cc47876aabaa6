"""Converts a request into the policy core's case; the two packages do not depend on each other."""

from events.request import AuthorizationRequest
from policy_core.evaluate import case as core


def case_of(request: AuthorizationRequest) -> core.Case:
    """The parts of a request that the policy core evaluates."""
    birth_date, sex = request.member.birth_date, request.member.sex
    return core.Case(
        certification=request.certification,
        urgency=request.urgency,
        submitted_at=request.submitted_at,
        first_submitted_at=request.first_of_chain,
        has_prior_authorization=request.prior_authorization_number is not None,
        line_of_business=request.member.line_of_business,
        diagnoses=(
            *(core.Diagnosis(one.system, one.code) for one in request.diagnoses or ()),
            *(core.Diagnosis(one.system, one.code) for one in request.procedures or ()),
        ),
        service_lines=tuple(
            [
                core.ServiceLine(
                    line.line,
                    line.system,
                    line.code,
                    line.service_date,
                    line.performed_on or "member",
                    line.units,
                    line.place_of_service,
                    tuple(sorted(line.modifiers)) if line.modifiers is not None else None,
                    line.clinical or {},
                )
                for line in request.service_lines
            ]
        ),
        clinical=request.clinical or {},
        birth_date=birth_date.get_secret_value() if birth_date is not None else None,
        sex=sex.get_secret_value() if sex is not None else None,
        provider_specialty=request.provider.specialty,
    )
