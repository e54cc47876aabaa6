"""`authorization.decided.v1`: the decision on a request, under which version of which policy, and why.

`decision_id` is the first 32 hexadecimal digits of the SHA-256 of the decision's compact JSON without `decision_id`,
with fields in the order given here. So the same content always has the same id, and a changed decision does not match
its id.

`reasons` and `missing` are always present; other lists that would be empty are left out. A decision states once per
policy which document it was made under. That document's digest pins every sentence, so sentences are cited by section
and ordinal, and the words of parts that no line names are in the document alone.
"""

from hashlib import sha256
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from events.field_types import Day, Instant, RequestId, Sha256
from events.personal_types import Model, Private
from events.request import LineOfBusiness

Action = Literal["A1", "A2", "A3", "A4", "A6", "C", "CT"]
"""X12 code list 306. Only reviewers issue A3 and A6; this software never does."""
Determination = Literal[
    "medically_necessary",
    "information_needed",
    "investigational",
    "not_medically_necessary",
    "criteria_not_met",
    "not_addressed",
    "policy_not_on_record",
    "no_prior_authorization",
    "redirected",
    "invalid_code",
    "cancelled",
]
ActsNext = Literal[
    "nobody", "provider", "physician_reviewer", "medical_policy_reviewer", "case_management", "other_program"
]
Stage = Literal["recommendation", "open", "final"]
"""`recommendation`: a line waits for a reviewer. `open`: otherwise, one waits for the provider. `final`: none waits."""
ReviewerRole = Literal["physician", "medical_policy", "case_management"]
FactValue = str | bool | tuple[str, ...]


Sentence = Annotated[str, Field(pattern=r"^\S+ [1-9][0-9]*$")]
"""A sentence of the published text by section and ordinal, `policy 2`; the policy document has its digest."""
DecisionId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class StatedDiagnosis(Private):
    """A diagnosis code of the request, in the spelling of its system."""

    system: str
    code: str


class StatedProcedure(Private):
    """The code of a past procedure of the request, in the spelling of its system."""

    system: str
    code: str


class Claim(Private):
    """One value that something says a fact has: the request itself, or the codes named."""

    value: FactValue
    diagnoses: tuple[StatedDiagnosis, ...] = ()
    procedures: tuple[StatedProcedure, ...] = ()


class MissingFact(Private):
    """A fact that can still change the determination."""

    fact: str
    question: str
    conflict: tuple[Claim, ...] | None = None
    """What contradicts what."""


class PolicyReference(Model):
    """The policy of a line, in valid time."""

    number: str
    revision: Day | None = None
    """The revision in force on the service date; absent if there was none."""


class PolicyDocumentReference(Model):
    """The document that a policy's lines were decided under, in transaction time."""

    number: str
    sha256: Sha256
    """Digest of the policy document's canonical form."""
    known_through: Sha256
    """Digest of the newest known revision."""


class Program(Model):
    """The other program that answers."""

    name: str
    says: str


class Authorized(Private):
    """What a reviewer certified of a line, if less than was asked."""

    code: str
    units: int
    from_: Annotated[Day | None, Field(alias="from")] = None
    through: Day | None = None


class Review(Private):
    """The verdict on a line, and whose it is."""

    verdict_id: str
    role: ReviewerRole
    license_state: str | None = None
    """Where a physician is licensed: two letters."""
    npi: str | None = None
    specialty: str | None = None
    decided_at: Instant
    reasons: tuple[str, ...] = ()
    """X12 code list 886."""
    text: str | None = None


class Measured(Private):
    """A time, or an attribute of the request or line, as the policy tests it."""

    name: str
    value: FactValue | None = None
    """Absent if it is not stated."""


class DecidedLine(Private):
    """One service line's determination."""

    line: int
    system: str
    code: str
    determination: Determination
    reasons: tuple[str, ...]
    """The policy's reason words; of a verdict's reasons, see `review`."""
    action: Action
    valid_through: Day | None = None
    """The last day of the approval; present on approvals if the policy limits them."""
    acts_next: ActsNext
    step: str
    """The step of the evaluation that decided."""
    rules: tuple[str, ...] = ()
    """The policy's rules that decide or may still decide."""
    rests_on: tuple[str, ...] = ()
    """The parts of the policy that support the determination; `references` has their text."""
    guidance: tuple[str, ...] = ()
    """The guidance that applies; `references` has its text."""
    missing: tuple[MissingFact, ...]
    program: Program | None = None
    edition: Day | None = None
    """The edition of the clinical statements that was evaluated."""
    tested: tuple[Measured, ...] = ()
    """What the policy tests of this line beside clinical facts: times between days, attributes of request and line."""
    authorized: Authorized | None = None
    """Only in a decision made from a verdict, as is `review`."""
    review: Review | None = None
    policy: PolicyReference


class ClockReading(Model):
    """The clock that says when the decision is due."""

    name: str | None = None
    rule: str | None = None
    state: Literal["running", "waiting_for_information", "answered", "no_clock"]


class TracedFact(Private):
    """One fact: where it came from, and its value where it has one."""

    fact: str
    origin: Literal["stated", "derived", "presumed", "conflicting", "not_stated"]
    value: FactValue | None = None
    """A number's is its text as it was written, with a unit if one was; of a list, the JSON of each entry."""
    diagnoses: tuple[StatedDiagnosis, ...] | None = None
    """The diagnoses from which it is derived."""
    procedures: tuple[StatedProcedure, ...] | None = None
    """The past procedures, likewise."""
    conflict: tuple[Claim, ...] | None = None


class TracedStatement(Private):
    """A statement or an indication, and whether it speaks of this case."""

    id: str
    status: Literal["applies", "does_not_apply", "unknown"]
    cites: tuple[Sentence, ...] = ()


class TracedEdition(Private):
    """What every statement on record in an edition says of the facts."""

    since: Day
    lines: tuple[int, ...] = ()
    """The lines of which they say so, if the policy tests anything of a line; otherwise they say so of all."""
    statements: tuple[TracedStatement, ...]


class Reference(Model):
    """A part of the policy that a line names: in the project's words, with the sentences it rests on."""

    id: str
    says: str
    cites: tuple[Sentence, ...] = ()


class Trace(Private):
    """Why: the facts, and statement by statement what they meet."""

    facts: tuple[TracedFact, ...]
    editions: tuple[TracedEdition, ...]


class Decision(Private):
    """The decision on one request."""

    TYPE: ClassVar = "authorization.decided.v1"

    decision_id: DecisionId
    request_id: RequestId
    supersedes: RequestId | None = None
    """The request that this request supersedes."""
    supersedes_decision: DecisionId | None = None
    """The recommendation that this decision replaces; only in a decision made from a verdict."""
    stage: Stage
    line_of_business: LineOfBusiness
    action: Action
    due_at: Instant | None = None
    clock: ClockReading
    lines: tuple[DecidedLine, ...]
    policies: tuple[PolicyDocumentReference, ...]
    """One for each policy that a line names."""
    trace: Trace | None = None
    """Absent if no clinical statement was evaluated."""
    references: tuple[Reference, ...] = ()
    """The parts that a line's `rests_on` and `guidance` name."""

    def content(self) -> bytes:
        """The decision's JSON without its id, from which the id is computed."""
        return self._json(exclude={"decision_id"})

    def to_json(self) -> bytes:
        """The canonical event data: compact JSON, fields in the models' order, absent fields omitted."""
        return self._json(exclude=None)

    def _json(self, exclude: set[str] | None) -> bytes:
        return self.model_dump_json(by_alias=True, exclude=exclude, exclude_none=True, exclude_defaults=True).encode()


def content_id(content: bytes) -> str:
    """The id of a decision whose JSON without an id is `content`."""
    digest = _NO_CONTENT.copy()
    digest.update(content)
    return digest.hexdigest()[:32]


_NO_CONTENT = sha256()
"""Copied, because making one anew looks the algorithm up each time."""
