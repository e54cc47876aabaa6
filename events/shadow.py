"""`authorization.shadowed.v1`: how a draft policy's decision on a request would differ.

It is not an answer: the decision stands. It shows the policy's office, on live requests, what a revision would change
before it is published.
"""

from hashlib import sha256
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from events.decision import Determination
from events.field_types import RequestId, Sha256
from events.personal_types import Private

ChangeKind = Literal["unchanged", "evidence", "reclassified", "looser", "stricter"]
ShadowDetermination = Determination | Literal["dead_letter"]
"""A line's determination; `dead_letter` if the draft does not have the facts that the request states."""


class ShadowLine(Private):
    """One line that the draft determines otherwise, or for other reasons."""

    line: int
    kind: ChangeKind
    from_: Annotated[Determination, Field(alias="from")]
    """The decision's determination."""
    to: ShadowDetermination
    """The draft's."""
    rules_before: tuple[str, ...]
    """What decided: the rules, or the step if no rule was evaluated."""
    rules_after: tuple[str, ...]


class ShadowDifference(Private):
    """What a draft would make of one request otherwise."""

    TYPE: ClassVar = "authorization.shadowed.v1"

    request_id: RequestId
    decision_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """The decision that stands."""
    policy_number: str
    sha256: Sha256
    """Digest of the document under which the decision was made."""
    known_through: Sha256
    """Digest of the newest revision known then."""
    draft_sha256: Sha256
    """Digest of the draft."""
    kind: ChangeKind
    """The weightiest of the lines' kinds; `evidence` if only facts, statements or the deadline differ."""
    lines: tuple[ShadowLine, ...]
    """The lines that differ; empty if only their evidence does."""

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


def difference_id(content: bytes) -> str:
    """The event id of a difference: the same request under the same two documents is the same event."""
    return sha256(content).hexdigest()[:32]
