"""The input of the core: one authorization request, independent of its wire format."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple


class Diagnosis(NamedTuple):
    """A diagnosis code as the request states it; surrounding white space, case and dot are ignored."""

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
    """The parts of a request that a policy uses. It holds personal data, which its repr does not show."""

    certification: str
    urgency: str
    submitted_at: datetime
    """With its own offset: "before the day of submission" refers to local time where the request was written."""
    first_submitted_at: datetime
    """When the first request of its chain was submitted; of a request without a chain, its own `submitted_at`."""
    has_prior_authorization: bool
    line_of_business: str
    diagnoses: tuple[Diagnosis, ...]
    service_lines: tuple[ServiceLine, ...]
    clinical: Mapping[str, Any]
    """The request's clinical object as received, in plain JSON values."""

    def __repr__(self) -> str:
        return "<Case: personal data not shown>"
