"""What the core is asked about: one authorization request, freed of its wire format."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple


class Diagnosis(NamedTuple):
    """A diagnosis code as the request states it; white space around it, its case and its dot make no difference."""

    system: str
    code: str


class ServiceLine(NamedTuple):
    """One requested service."""

    line: int
    system: str
    code: str
    service_date: date
    performed_on: str
    """`member` or `donor`."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request, as far as a policy can look at it. It holds personal data: its repr shows none."""

    certification: str
    urgency: str
    submitted_at: datetime
    """With its own offset: "before the day of submission" is meant where the request was written."""
    has_prior_authorization: bool
    line_of_business: str
    diagnoses: tuple[Diagnosis, ...]
    service_lines: tuple[ServiceLine, ...]
    clinical: Mapping[str, Any]
    """The request's clinical object as it came, plain JSON values."""

    def __repr__(self) -> str:
        return "<Case: personal data not shown>"
