"""A revision of a policy as it is published: the whole document as it then reads, and its place in the policy's chain.

Each publication's digest covers its document and its predecessor's digest, so who knows the newest digest of a chain
knows, and can prove, all that came before it. A packaged document has its own past inside and is a chain by itself.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from hashlib import sha256

import rfc8785

from policy_core.document.models import PolicyDocument, RevisionKind
from policy_core.loading.document_at_revision import as_of
from policy_core.publications.signatures import Signature


@dataclass(frozen=True, eq=False)  # two are the same where their digests are
class Publication:
    """One revision as it was published."""

    document: PolicyDocument
    sha256: str
    """What is claimed to be the document's digest."""
    policy: str
    """The policy's present number, by which its revisions belong together."""
    number: str | None
    """The policy's number under this revision; None before any was given."""
    revision: date
    effective: date
    """The first service date that it may answer otherwise than its predecessor."""
    kinds: tuple[RevisionKind, ...]
    author: str
    published: datetime
    """When it came to be known, in UTC. Of a packaged document's past: the day of the revision."""
    predecessor: str | None
    """The digest of the publication before it; None for the first."""
    retroactive: bool = False
    """Whether whoever answers for it says that it may answer otherwise for services of days gone by."""
    corrects: str | None = None
    """The digest of the publication that it takes back, with all that stands behind that one; None where none is."""
    signature: Signature | None = None
    """What stands beside it; no part of what the digest covers."""
    signed_by: str | None = None
    """The id of the key whose signature was proved; None where nobody has proved one. Its name is the author's."""

    @cached_property
    def digest(self) -> str:
        """Covers all of the above but the signature: the `known_through` of decisions made when it was the newest."""
        return sha256(rfc8785.dumps(self.content())).hexdigest()

    def content(self) -> dict[str, str | list[str] | bool | None]:
        """What the digest covers, as it is hashed; the document by its own digest."""
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
            # Said only where it is so: what was published before it could be said keeps its digest.
            **({"retroactive": True} if self.retroactive else {}),
            **({"corrects": self.corrects} if self.corrects is not None else {}),
        }


def instant(moment: datetime) -> str:
    """An instant in UTC, in one spelling."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def number_under(document: PolicyDocument) -> str | None:
    """The policy's number under the document's newest revision; None before any was given."""
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
    """The publication of a document's newest revision behind the one with the digest `predecessor`.

    Where nothing else is said, the text's publisher is its author, and it is effective and known from its own day on.
    """
    newest = document.revisions[-1]
    return Publication(
        document=document,
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
    """A document's whole past, one publication for each of its revisions, oldest first."""
    made: list[Publication] = []
    for revision in document.revisions:
        predecessor = made[-1].digest if made else None
        made.append(publication(as_of(document, revision.date), predecessor))
    return tuple(made)
