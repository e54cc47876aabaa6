"""`authorization.shadowed.v1`: what a draft of a policy would make of a request otherwise than the decision on it.

Nobody is answered by it: the decision stands. It is for those who answer for the policy, to see on live requests what
a revision would change before it is published.
"""

from hashlib import sha256
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from events.decision import Determination
from events.field_types import RequestId, Sha256
from events.personal_types import Private

ChangeKind = Literal["unchanged", "evidence", "reclassified", "looser", "stricter"]
ShadowDetermination = Determination | Literal["dead_letter"]
"""What a line gets; `dead_letter` where the draft has no such facts as the request states."""


class ShadowLine(Private):
    """One line that the draft determines otherwise, or for other reasons."""

    line: int
    kind: ChangeKind
    from_: Annotated[Determination, Field(alias="from")]
    """The decision's determination."""
    to: ShadowDetermination
    """The draft's."""
    rules_before: tuple[str, ...]
    """What decided: the rules, or the step where no rule was asked."""
    rules_after: tuple[str, ...]


class ShadowDifference(Private):
    """What a draft would make of one request otherwise."""

    TYPE: ClassVar = "authorization.shadowed.v1"

    request_id: RequestId
    decision_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """The decision that stands."""
    policy_number: str
    sha256: Sha256
    """Digest of the document that the decision was made under."""
    known_through: Sha256
    """Digest of the newest revision that was known then."""
    draft_sha256: Sha256
    """Digest of the draft."""
    kind: ChangeKind
    """The weightiest of the lines' kinds; `evidence` where only facts, statements or the deadline are others."""
    lines: tuple[ShadowLine, ...]
    """Those that differ; none where only what is behind them does."""

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


def difference_id(content: bytes) -> str:
    """The event id of a difference: the same request under the same two documents is the same event."""
    return sha256(content).hexdigest()[:32]
