"""`policy.revision.attested.v1`: what one revision of a policy answers otherwise than the one before it, proved.

Every complete case, code, line of business and service date was compared; the conditions below are exact, and where
there are none the two decide alike.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from events.field_types import Day, Sha256
from events.personal_types import Model

Several = Field(strict=False)
Value = bool | str | Annotated[tuple[str, ...], Several]
"""A fact's value; a list for a fact that is a set."""

Aspect = Literal["record", "exceptions", "codes", "prior_authorization", "statements", "facts"]
Category = Literal["reading", "clocks", "questions", "guidance", "grounds", "trace", "wording", "citations", "history"]


class AttestedVersion(Model):
    """One of the two that were compared."""

    revision: Day
    """The date of its newest revision."""
    sha256: Sha256
    """The digest of its document."""
    digest: Sha256 | None = None
    """Of its publication, the `known_through` of decisions; absent for a draft."""


class AttestedAnswer(Model):
    """What one of the two says."""

    determination: str | None = None
    """Absent where it refuses the request, because it does not know a fact's value."""
    reasons: Annotated[tuple[str, ...], Several] = ()
    program: str | None = None
    by: str
    """The rule, or the step of the evaluation, that says it."""


class Days(Model):
    """Service dates from a day up to another, that one excluded; an end that is absent is open."""

    since: Day | None = None
    until: Day | None = None


class AttestedLines(Model):
    """Lines that a change concerns: every combination of these; an empty list stands for all there are."""

    days: Annotated[tuple[Days, ...], Several]
    lines_of_business: Annotated[tuple[str, ...], Several] = ()
    codes: Annotated[tuple[str, ...], Several] = ()
    unauthorized: bool | None = None
    """Whether the service comes before its request without an authorization; absent where it makes no difference."""


class AttestedFact(Model):
    """The values that a fact may have."""

    fact: str
    values: Annotated[tuple[Value, ...], Several]


class StatedFact(Model):
    """The value of one fact of an example."""

    fact: str
    value: Value


class AttestedExample(Model):
    """One complete case that is decided otherwise."""

    service_date: Day
    line_of_business: str
    system: str
    code: str
    unauthorized: bool
    facts: Annotated[tuple[StatedFact, ...], Several]


class AttestedChange(Model):
    """One way in which answers differ."""

    aspect: Aspect
    """What in the policy makes the difference."""
    before: AttestedAnswer
    after: AttestedAnswer
    where: Annotated[tuple[AttestedLines, ...], Several]
    """Any of these."""
    conditions: Annotated[tuple[Annotated[tuple[AttestedFact, ...], Several], ...], Several]
    """Any of these, and of each all; a fact that is not named may have any value."""
    more_conditions: Literal[True] | None = None
    """Present where `conditions` do not hold all of the cases: there are too many to be written down."""
    cases: int
    """Of how many complete cases this is true."""
    example: AttestedExample


class AttestedPart(Model):
    """One field of one part of the policy that reads otherwise."""

    category: Category
    part: str
    field: str
    before: str | None = None
    """Absent where it was not there."""
    after: str | None = None
    """Absent where it is not there any more."""


class PolicyAttestation(Model):
    """What a revision changes against its predecessor."""

    TYPE: ClassVar = "policy.revision.attested.v1"

    policy_number: str
    before: AttestedVersion
    after: AttestedVersion
    equivalent: bool
    """Whether every request is decided alike: each case, code and date, each fact read, each deadline."""
    cases: int
    """How many complete cases there are, over the facts of both."""
    cases_that_change: int
    changes: Annotated[tuple[AttestedChange, ...], Several] = ()
    parts: Annotated[tuple[AttestedPart, ...], Several] = ()
    corrects: Sha256 | None = None
    """The digest of the publication that the revision takes back; absent where none is."""
    shortened: Literal[True] | None = None
    """Present where `changes` and `parts` are left out, because the event would be larger than its topic takes."""

    @property
    def key(self) -> bytes:
        """The Kafka key: a revision is attested once, and what corrects another, which may have its date, beside it."""
        key = f"{self.policy_number}@{self.after.revision.isoformat()}"
        return (key if self.corrects is None else f"{key}~{self.after.digest}").encode()

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(exclude_none=True).encode()
