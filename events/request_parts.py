"""A request in parts that other requests have too, so that what follows from a part can be remembered.

Few clinical objects and lists of diagnoses cover nearly all of a log. `RequestParts` is what is decided; `parts_of`
takes it from a request that the models have read, and `typed_reader` reads it directly.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import Secret

from events.field_types import written_instant
from events.request import (
    AuthorizationRequest,
    Diagnosis,
    PastProcedure,
    ServiceLine,
    content_of_clinical,
    content_of_diagnoses,
    content_of_procedures,
)

Content = TypeVar("Content")


class Part(NamedTuple, Generic[Content]):
    """One part of a request."""

    key: bytes
    """Equal keys mean equal content."""
    value: Content
    canonical: bytes
    """Its part of the request's canonical content; empty if it says nothing."""

    def __repr__(self) -> str:
        return "Part('personal data not shown')"


class DiagnosisPart(NamedTuple):
    """The code of a diagnosis or of a past procedure, in the spelling of its system."""

    system: str
    code: str


class LinePart(NamedTuple):
    """What is decided of a service line; None where nothing is stated."""

    line: int
    system: str
    code: str
    service_date: date
    performed_on: str
    units: int
    place_of_service: str | None
    modifiers: tuple[str, ...] | None
    """Sorted."""
    clinical: Part[Mapping[str, Any]]
    """The facts that belong to the line."""


class RequestParts(NamedTuple):
    """A request in parts; `AuthorizationRequest` explains the fields."""

    request_id: str
    certification: str
    urgency: str
    submitted_at: datetime
    submitted: str
    """`submitted_at` as it is written in answers."""
    first_submitted_at: datetime
    has_prior_authorization: bool
    policy_number: str | None
    supersedes: str | None
    line_of_business: str
    birth_date: date | None
    sex: str | None
    """The member's, as `birth_date` is."""
    provider_specialty: str | None
    diagnoses: Part[Sequence[DiagnosisPart]]
    """All codes that are evidence: diagnoses, and behind them past procedures."""
    service_lines: tuple[LinePart, ...]
    clinical: Part[Mapping[str, Any]]
    content: bytes
    """`AuthorizationRequest.content`."""

    def __repr__(self) -> str:
        return "RequestParts('personal data not shown')"


NO_DIAGNOSES: Part[Sequence[DiagnosisPart]] = Part(b"", (), b"")
NOTHING_STATED: Part[Mapping[str, Any]] = Part(b"", {}, b"")


def parts_of(request: AuthorizationRequest) -> RequestParts:
    """The parts of a request that the models have read."""
    return RequestParts(
        request_id=request.request_id,
        certification=request.certification,
        urgency=request.urgency,
        submitted_at=request.submitted_at,
        submitted=written_instant(request.submitted_at),
        first_submitted_at=request.first_of_chain,
        has_prior_authorization=request.prior_authorization_number is not None,
        policy_number=request.policy_number,
        supersedes=request.supersedes,
        line_of_business=request.member.line_of_business,
        birth_date=_revealed(request.member.birth_date),
        sex=_revealed(request.member.sex),
        provider_specialty=request.provider.specialty,
        diagnoses=evidence(
            diagnoses_part(request.diagnoses) if request.diagnoses else NO_DIAGNOSES,
            procedures_part(request.procedures) if request.procedures else NO_DIAGNOSES,
        ),
        service_lines=tuple([_line_part(line) for line in request.service_lines]),
        clinical=_clinical_part(request.clinical),
        content=request.content(),
    )


def _revealed(personal: Secret[Content] | None) -> Content | None:
    return personal.get_secret_value() if personal is not None else None


def _line_part(line: ServiceLine) -> LinePart:
    return LinePart(
        line.line,
        line.system,
        line.code,
        line.service_date,
        line.performed_on or "member",
        line.units,
        line.place_of_service,
        tuple(sorted(line.modifiers)) if line.modifiers is not None else None,
        _clinical_part(line.clinical),
    )


def _clinical_part(clinical: Mapping[str, Any] | None) -> Part[Mapping[str, Any]]:
    return clinical_part(_exactly(clinical), clinical) if clinical else NOTHING_STATED


def _exactly(clinical: Mapping[str, Any]) -> bytes:
    # JSON writers have no infinity, which a reader makes of `1e999`: two objects would be one text.
    return f"exactly {clinical!r}".encode("utf-8", "surrogatepass")


def evidence(
    diagnoses: Part[Sequence[DiagnosisPart]], procedures: Part[Sequence[DiagnosisPart]]
) -> Part[Sequence[DiagnosisPart]]:
    """Diagnoses and past procedures as one part; its canonical content is that of the diagnoses alone."""
    if not procedures.value:
        return diagnoses
    # No list of diagnoses has this key: their systems are others.
    return Part(diagnoses.key + procedures.key, (*diagnoses.value, *procedures.value), diagnoses.canonical)


def procedures_part(procedures: Sequence[PastProcedure]) -> Part[Sequence[DiagnosisPart]]:
    """The part of a list of past procedures; a policy sees only their codes."""
    canonical = content_of_procedures(procedures)
    return Part(canonical, tuple([DiagnosisPart(one.system, one.code) for one in procedures]), canonical)


def diagnoses_part(diagnoses: Sequence[Diagnosis]) -> Part[Sequence[DiagnosisPart]]:
    """The part of a list of diagnoses."""
    canonical = content_of_diagnoses(diagnoses)
    return Part(canonical, tuple([DiagnosisPart(one.system, one.code) for one in diagnoses]), canonical)


def clinical_part(written: bytes, clinical: Mapping[str, Any]) -> Part[Mapping[str, Any]]:
    """The part of a clinical object, of a request or of a line.

    Its key is what is written, not the canonical content: a policy may refuse what that leaves out.
    """
    return Part(written, clinical, content_of_clinical(clinical))
