"""A published revision of a policy: the whole document as it then reads, and its place in the policy's chain.

Each publication's digest covers its document and its predecessor's digest, so the newest digest of a chain proves
everything before it. A packaged document contains its own history and is a chain by itself.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from hashlib import sha256

import rfc8785

from policy_core.document.models import PolicyDocument, RevisionKind
from policy_core.loading.document_at_revision import as_of
from policy_core.publications.signatures import Signature


@dataclass(frozen=True, eq=False)  # publications are equal if their digests are
class Publication:
    """One revision as it was published."""

    document: PolicyDocument
    sha256: str
    """The claimed digest of the document."""
    policy: str
    """The policy's current number, which all its revisions share."""
    number: str | None
    """The policy's number under this revision; None before the first number."""
    revision: date
    effective: date
    """The first service date whose answers it may change."""
    kinds: tuple[RevisionKind, ...]
    author: str
    published: datetime
    """When it became known, in UTC. For the history of a packaged document: the day of the revision."""
    predecessor: str | None
    """The digest of the publication before it; None for the first."""
    retroactive: bool = False
    """Whether its author declares that it may change answers for past services."""
    corrects: str | None = None
    """The digest of the publication that it revokes, with everything after it; None if it is not a correction."""
    signature: Signature | None = None
    """A detached signature, not covered by the digest."""
    signed_by: str | None = None
    """The id of the key whose signature was verified; None if not verified. The key's name is the author."""

    @cached_property
    def digest(self) -> str:
        """The digest of all the above except the signature: `known_through` in decisions while it was the newest."""
        return sha256(rfc8785.dumps(self.content())).hexdigest()

    def content(self) -> dict[str, str | list[str] | bool | None]:
        """The content covered by the digest; the document is represented by its own digest."""
        return {
            "policy": self.policy,
            "number": self.number,
            "document": self.sha256,
            "revision": self.revision.isoformat(),
            "effective": self.effective.isoformat(),
            "kinds": [kind.value for kind in self.kinds],
            "author": self.author,
            "published": instant(self.published),
            "predecessor": self.predecessor,
            # Included only if set, so that older publications keep their digests.
            **({"retroactive": True} if self.retroactive else {}),
            **({"corrects": self.corrects} if self.corrects is not None else {}),
        }


def instant(moment: datetime) -> str:
    """An instant in UTC, in one format."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def number_under(document: PolicyDocument) -> str | None:
    """The policy's number under the document's newest revision; None if it has none."""
    return next((entry.number for entry in reversed(document.revisions) if entry.number is not None), None)


def publication(
    document: PolicyDocument,
    predecessor: str | None,
    *,
    author: str | None = None,
    effective: date | None = None,
    published: datetime | None = None,
    retroactive: bool = False,
    corrects: str | None = None,
) -> Publication:
    """The publication of a document's newest revision, after the one with the digest `predecessor`.

    By default, the author is the text's publisher, and it is effective and known from its own date.
    """
    newest = document.revisions[-1]
    return Publication(
        document=document.model_copy(update={"examples": ()}),  # for its authors only
        sha256=document.digest(),
        policy=document.number,
        number=number_under(document),
        revision=newest.date,
        effective=effective or newest.date,
        kinds=newest.kinds,
        author=author or document.source.publisher,
        published=published or datetime.combine(newest.date, time(), UTC),
        predecessor=predecessor,
        retroactive=retroactive,
        corrects=corrects,
    )


def publications(document: PolicyDocument) -> tuple[Publication, ...]:
    """A document's whole history, one publication per revision, oldest first."""
    made: list[Publication] = []
    for revision in document.revisions:
        predecessor = made[-1].digest if made else None
        made.append(publication(as_of(document, revision.date), predecessor))
    return tuple(made)
