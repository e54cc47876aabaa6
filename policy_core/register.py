"""The register of a policy's revisions, in two times: from when a revision is in force, and what was known when.

Each revision's digest covers its own content and its predecessor's digest, so that a register is a chain: who knows the
newest digest knows all that came before it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

import rfc8785

from policy_core.document.models import Edition, PolicyDocument, Revision


@dataclass(frozen=True)
class RegisteredRevision:
    """One revision with its place in the chain."""

    revision: Revision
    number: str | None
    """The policy's number under this revision; None before any was given."""
    until: date | None
    """The first day on which the next revision is in force."""
    statements_on_record: bool
    sha256: str
    predecessor: str | None
    """The digest of the revision before it; None for the first."""


class Register:
    """A policy's revisions in order of their dates."""

    def __init__(self, document: PolicyDocument) -> None:
        self.policy = document.number
        self.revisions = _chain(document)
        self._dates = [one.revision.date for one in self.revisions]

    def in_force(self, day: date) -> RegisteredRevision | None:
        """The revision in force on `day`; None before the first."""
        index = bisect_right(self._dates, day)
        return self.revisions[index - 1] if index else None

    def known_through(self) -> str:
        """The digest of the newest revision: what a decision made now knows of the policy."""
        return self.revisions[-1].sha256


def edition_on(editions: Sequence[Edition], day: date) -> Edition | None:
    """The edition in force on `day`; None before the first."""
    return next((edition for edition in reversed(editions) if edition.since <= day), None)


def _chain(document: PolicyDocument) -> tuple[RegisteredRevision, ...]:
    chain: list[RegisteredRevision] = []
    number: str | None = None
    for index, revision in enumerate(document.revisions):
        number = revision.number or number
        following = document.revisions[index + 1].date if index + 1 < len(document.revisions) else None
        edition = edition_on(document.editions, revision.date)
        predecessor = chain[-1].sha256 if chain else None
        content = {
            "policy": document.number,
            "predecessor": predecessor,
            "revision": revision.model_dump(mode="json", exclude_defaults=True),
        }
        chain.append(
            RegisteredRevision(
                revision=revision,
                number=number,
                until=following,
                statements_on_record=edition is not None and edition.on_record,
                sha256=sha256(rfc8785.dumps(content)).hexdigest(),
                predecessor=predecessor,
            )
        )
    return tuple(chain)
