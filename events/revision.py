"""`policy.revision.published.v1`: a revision of a medical policy came to be known."""

from typing import Annotated, ClassVar

from pydantic import Field

from events.personal import Model
from events.scalars import Day, Sha256


class PolicyRevision(Model):
    """One revision, with its place in the policy's chain."""

    TYPE: ClassVar = "policy.revision.published.v1"

    policy_number: str
    """The policy's present number, by which its revisions belong together."""
    revision: Day
    """The revision's date; it is in force from then on."""
    number: str | None = None
    """The policy's number under this revision, where one is recorded."""
    kinds: Annotated[tuple[str, ...], Field(strict=False)]
    says: str
    statements_on_record: bool
    sha256: Sha256
    """Digest of the revision's content and its predecessor's digest."""
    predecessor: Sha256 | None = None

    @property
    def key(self) -> bytes:
        """The Kafka key: compaction keeps the last event of each revision."""
        return f"{self.policy_number}@{self.revision.isoformat()}".encode()

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(exclude_none=True).encode()
