"""`policy.revision.published.v1`: a published revision of a medical policy, with the whole document."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from events.field_types import Day, Instant, Sha256
from events.personal_types import Model

Kind = Literal[
    "approval",
    "statement",
    "guideline",
    "definition",
    "description",
    "code",
    "number",
    "title",
    "exception",
    "editorial",
    "review",
]


class RevisionSignature(Model):
    """A detached signature."""

    key: Sha256
    """The id of the key: the digest of the public key."""
    value: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
    """Ed25519's signature on the publication's digest, in base64."""


class PolicyRevision(Model):
    """One revision: the complete document as it reads from now on, and its place in the policy's chain."""

    TYPE: ClassVar = "policy.revision.published.v1"

    policy_number: Annotated[str, Field(min_length=1, max_length=128)]
    """The policy's current number, which all its revisions share."""
    number: Annotated[str, Field(max_length=128)] | None = None
    """The policy's number under this revision, if known."""
    revision: Day
    """The revision's date; it is in force from then on."""
    effective: Day
    """The first service date whose answers it may change."""
    kinds: Annotated[tuple[Kind, ...], Field(strict=False, min_length=1, max_length=11)]
    author: Annotated[str, Field(min_length=1, max_length=512)]
    """Who is responsible for the document."""
    published: Instant
    """When it became known; for the history of a packaged document, the day of the revision."""
    sha256: Sha256
    """Digest of the document's canonical form (RFC 8785)."""
    predecessor: Sha256 | None = None
    """The digest of the publication before it; absent for the first."""
    retroactive: Literal[True] | None = None
    """Present if it may change answers for services before it was published."""
    corrects: Sha256 | None = None
    """The digest of the publication that it revokes, with everything after it; absent if it is not a correction."""
    digest: Sha256
    """The digest of all the above: `known_through` in decisions made under it."""
    signature: RevisionSignature | None = None
    """The author's signature; required if the deployment has publishers' keys."""
    document: dict[str, Any]
    """The policy document, in the format of `policy.schema.json`."""

    @property
    def key(self) -> bytes:
        """The Kafka key."""
        return f"{self.policy_number}@{self.revision.isoformat()}".encode()

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(exclude_none=True).encode()
