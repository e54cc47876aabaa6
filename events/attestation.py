"""`policy.revision.attested.v1`: how a revision's answers differ from its predecessor's, proved.

All complete cases, codes, lines of business and service dates were compared. The conditions are exact; if there are
none, both decide alike.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from events.field_types import Day, Sha256
from events.personal_types import Model

Several = Field(strict=False)
Value = bool | str | Annotated[tuple[str, ...], Several]
"""A fact's value; a list for a set."""

Aspect = Literal["record", "exceptions", "codes", "prior_authorization", "statements", "facts"]
Category = Literal[
    "reading", "clocks", "review", "questions", "guidance", "grounds", "trace", "wording", "citations", "history"
]


class AttestedVersion(Model):
    """One of the two that were compared."""

    revision: Day
    """The date of its newest revision."""
    sha256: Sha256
    """The digest of its document."""
    digest: Sha256 | None = None
    """The digest of its publication, `known_through` in decisions; absent for a draft."""


class AttestedAnswer(Model):
    """What one of the two says."""

    determination: str | None = None
    """Absent if it refuses the request because it does not know a fact's value."""
    reasons: Annotated[tuple[str, ...], Several] = ()
    program: str | None = None
    months: int | None = None
    """How long what is certified holds, if the rule says so."""
    by: str
    """The rule or evaluation step that gives the answer."""


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
    """Whether the service precedes its request without an authorization; absent if it makes no difference."""


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
    """The part of the policy that causes the difference."""
    before: AttestedAnswer
    after: AttestedAnswer
    where: Annotated[tuple[AttestedLines, ...], Several]
    """Any of these."""
    conditions: Annotated[tuple[Annotated[tuple[AttestedFact, ...], Several], ...], Several]
    """Any of these conditions, each with all of its facts; a fact not named may have any value."""
    more_conditions: Literal[True] | None = None
    """Present if `conditions` do not cover all cases because there are too many."""
    further_cases: int | None = None
    """Then, the number of cases that none of them covers."""
    cases: int
    """Number of complete cases with this change."""
    example: AttestedExample


class AttestedPart(Model):
    """One field of one part of the policy that reads otherwise."""

    category: Category
    part: str
    field: str
    before: str | None = None
    """Absent if it did not exist."""
    after: str | None = None
    """Absent if it was removed."""


class PolicyAttestation(Model):
    """What a revision changes against its predecessor."""

    TYPE: ClassVar = "policy.revision.attested.v1"

    policy_number: str
    before: AttestedVersion
    after: AttestedVersion
    equivalent: bool
    """Whether all requests are decided alike: cases, codes, dates, facts read, deadlines."""
    cases: int
    """Number of complete cases over the facts of both."""
    cases_that_change: int
    changes: Annotated[tuple[AttestedChange, ...], Several] = ()
    parts: Annotated[tuple[AttestedPart, ...], Several] = ()
    corrects: Sha256 | None = None
    """The digest of the publication that the revision corrects; absent if it is not a correction."""
    shortened: Literal[True] | None = None
    """Present if `changes` and `parts` are omitted because the event would be too large for its topic."""

    @property
    def key(self) -> bytes:
        """The Kafka key: one attestation per revision, and another per correction, which may have the same date."""
        key = f"{self.policy_number}@{self.after.revision.isoformat()}"
        return (key if self.corrects is None else f"{key}~{self.after.digest}").encode()

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(exclude_none=True).encode()
