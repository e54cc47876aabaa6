"""The input of the core: one authorization request, independent of its wire format.

`Case` is for readers; `RecurringCase` has the same in parts that other requests have too, for a `Plan`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol, TypeVar


class Diagnosis(NamedTuple):
    """The code of a diagnosis or of a past procedure, as the request states it.

    Surrounding white space, case and dots are ignored. Its system says which of the two it is.
    """

    system: str
    code: str


NOTHING_STATED: Mapping[str, Any] = {}


class ServiceLine(NamedTuple):
    """One requested service."""

    line: int
    system: str
    code: str
    service_date: date
    performed_on: str
    """`member` or `donor`."""
    units: int = 1
    place_of_service: str | None = None
    """CMS's code; None if it is not stated."""
    modifiers: tuple[str, ...] | None = None
    """Sorted; empty if there is none, None if nothing is stated."""
    clinical: Mapping[str, Any] = NOTHING_STATED
    """The facts that belong to the line, in plain JSON values."""


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
    """All codes that are evidence: diagnoses, and behind them past procedures."""
    service_lines: tuple[ServiceLine, ...]
    clinical: Mapping[str, Any]
    """The request's clinical object as received, in plain JSON values."""
    birth_date: date | None = None
    """The member's; None if it is not stated, as all below."""
    sex: str | None = None
    """The member's: `female`, `male` or `other`."""
    provider_specialty: str | None = None
    """A code of the Health Care Provider Taxonomy."""

    def __repr__(self) -> str:
        return "<Case: personal data not shown>"


# --- the same in parts that recur ----------------------------------------------------------------------------------

Content_co = TypeVar("Content_co", covariant=True)


class Recurring(Protocol[Content_co]):
    """A part of a request that other requests have too."""

    @property
    def key(self) -> bytes:
        """Equal keys mean equal content."""

    @property
    def value(self) -> Content_co:
        """The content."""


class CodedDiagnosis(Protocol):
    """As `Diagnosis`."""

    @property
    def system(self) -> str:
        """The code system."""

    @property
    def code(self) -> str:
        """The code."""


class RequestedLine(Protocol):
    """As `ServiceLine`."""

    @property
    def line(self) -> int:
        """The line's number."""

    @property
    def system(self) -> str:
        """The code system."""

    @property
    def code(self) -> str:
        """The code."""

    @property
    def service_date(self) -> date:
        """The day of the service."""

    @property
    def performed_on(self) -> str:
        """`member` or `donor`."""

    @property
    def units(self) -> int:
        """How many are asked for."""

    @property
    def place_of_service(self) -> str | None:
        """CMS's code, if it is stated."""

    @property
    def modifiers(self) -> tuple[str, ...] | None:
        """Sorted, if they are stated."""

    @property
    def clinical(self) -> Recurring[Mapping[str, Any]]:
        """The facts that belong to the line, in plain JSON values."""


class RecurringCase(Protocol):
    """As `Case`, in parts."""

    @property
    def certification(self) -> str:
        """The kind of request."""

    @property
    def urgency(self) -> str:
        """`standard` or `expedited`."""

    @property
    def submitted_at(self) -> datetime:
        """With its own offset."""

    @property
    def first_submitted_at(self) -> datetime:
        """That of its chain's first request."""

    @property
    def has_prior_authorization(self) -> bool:
        """Whether it has an authorization's number."""

    @property
    def line_of_business(self) -> str:
        """The member's."""

    @property
    def birth_date(self) -> date | None:
        """The member's, if it is stated."""

    @property
    def sex(self) -> str | None:
        """The member's, if it is stated."""

    @property
    def provider_specialty(self) -> str | None:
        """A code of the Health Care Provider Taxonomy, if it is stated."""

    @property
    def diagnoses(self) -> Recurring[Sequence[CodedDiagnosis]]:
        """All of them, and behind them past procedures."""

    @property
    def service_lines(self) -> Sequence[RequestedLine]:
        """In their order."""

    @property
    def clinical(self) -> Recurring[Mapping[str, Any]]:
        """The clinical object, in plain JSON values."""
