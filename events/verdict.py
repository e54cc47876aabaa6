"""`authorization.reviewed.v1` and `authorization.extended.v1`: what the plan's review system says of a pended request.

Both are sent on `authorization.verdicts`, in any order of partitions, with the request's id as their key. Their ids are
unique within the request: the same id with the same content is counted and changes nothing.
"""

from hashlib import blake2b
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from events.decision import DecisionId, ReviewerRole
from events.envelope import dumps
from events.field_types import CONTROLS, Day, Instant, NationalProviderIdentifier, RequestId
from events.personal_types import Personal, Private
from events.request import LARGEST_NUMBER, MOST_LINES, at_most

Several = Field(strict=False)
DIGEST_BYTES = 16
MOST_REASONS = 10
VerdictAction = Literal["A1", "A3", "A6"]
ReasonCode = Annotated[str, Field(pattern=r"^[0-9A-Z]{1,3}$")]
"""X12 code list 886."""
Words = Annotated[str, Field(min_length=1, max_length=4_000)]
"""What a person wrote for the provider to read."""


class Reviewer(Private):
    """Who answers, in which role and standing."""

    role: ReviewerRole
    license_state: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    license_number: Personal | None = None
    npi: NationalProviderIdentifier | None = None
    specialty: Annotated[str, Field(min_length=1, max_length=128, pattern=rf"^[^{CONTROLS}]+$")] | None = None


class AuthorizedPart(Private):
    """What is certified of a line, if less than was asked."""

    code: Annotated[str, Field(pattern=r"^[0-9A-Za-z.]{1,16}$")]
    """In the line's own code system."""
    units: int = Field(ge=1, le=LARGEST_NUMBER)
    from_: Annotated[Day | None, Field(alias="from")] = None
    through: Day | None = None

    @field_validator("through")
    @classmethod
    def _not_before_it_begins(cls, through: Day | None, info: ValidationInfo) -> Day | None:
        begins = info.data.get("from_")
        if through is not None and begins is not None and through < begins:
            raise PydanticCustomError("earlier", "should not be before from")
        return through


class VerdictLine(Private):
    """The verdict on one line."""

    line: int = Field(ge=1, le=LARGEST_NUMBER)
    action: VerdictAction
    reasons: Annotated[
        tuple[ReasonCode, ...], Several, at_most(MOST_REASONS), Field(json_schema_extra={"maxItems": MOST_REASONS})
    ] = ()
    text: Words | None = None
    authorized: AuthorizedPart | None = None


def _each_line_once(lines: tuple[VerdictLine, ...]) -> tuple[VerdictLine, ...]:
    if not lines:
        raise PydanticCustomError("no_lines", "should not be empty")
    seen: set[int] = set()
    for index, line in enumerate(lines):
        if line.line in seen:
            raise PydanticCustomError("line_twice", "is answered twice; answer each line once", {"index": index})
        seen.add(line.line)
    return lines


class AuthorizationReviewed(Private):
    """A reviewer's verdict on pended lines of one request."""

    TYPE: ClassVar = "authorization.reviewed.v1"

    verdict_id: RequestId
    request_id: RequestId
    decision_id: DecisionId
    """The decision that the reviewer saw."""
    reviewer: Reviewer
    evaluated: bool = False
    """Whether the physician has evaluated the request."""
    concurrence: bool = False
    """Whether the physician concurs with an adverse action."""
    lines: Annotated[
        tuple[VerdictLine, ...],
        Several,
        AfterValidator(_each_line_once),
        at_most(MOST_LINES),
        Field(json_schema_extra={"minItems": 1, "maxItems": MOST_LINES}),
    ]
    decided_at: Instant
    amends: RequestId | None = None
    """The last verdict's id, if this one corrects it; then `decision_id` is the final decision that it corrects."""
    peer_discussion_requested_at: Instant | None = None
    """When the provider asked to discuss it with the physician: Miss. Code § 41-83-31."""

    @field_validator("amends")
    @classmethod
    def _another(cls, amends: str | None, info: ValidationInfo) -> str | None:
        if amends is not None and amends == info.data.get("verdict_id"):
            raise PydanticCustomError("itself", "should be another verdict than this one")
        return amends

    def digest(self) -> bytes:
        """The digest of its content: equal for equal content, however it is written."""
        return _digest(self)


class AuthorizationExtended(Private):
    """The timeframe of a pended request is extended."""

    TYPE: ClassVar = "authorization.extended.v1"

    extension_id: RequestId
    request_id: RequestId
    until: Instant
    """The new `due_at`; never earlier than the present one."""
    reason: Words

    def digest(self) -> bytes:
        """The digest of its content: equal for equal content, however it is written."""
        return _digest(self)


ReviewEvent = AuthorizationReviewed | AuthorizationExtended
"""What may stand on `authorization.verdicts`."""


def _digest(event: ReviewEvent) -> bytes:
    content = event.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return blake2b(dumps(content), digest_size=DIGEST_BYTES).digest()
