"""The policies' revisions from their topic, with the proven changes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from policy_core.document.revisions import edition_on
from policy_core.history.chain import stood
from policy_core.publications.publication import Publication, instant
from workers.console.printable import words

OTHERS = "any other"
"""In an attestation: the lines of business that the policy does not name."""


@dataclass(frozen=True)
class Change:
    """One difference between a revision's answers and its predecessor's."""

    aspect: str
    before: str
    after: str
    where: tuple[str, ...]
    """The affected lines, by lines of business, codes and days; empty for all."""
    cases: int
    codes: tuple[str, ...] = ()
    """The only codes it concerns; empty for all."""
    lines_of_business: tuple[str, ...] = ()
    """Likewise."""


@dataclass(frozen=True)
class Proof:
    """The attestation of a revision."""

    equivalent: bool
    cases: int
    cases_that_change: int
    changes: tuple[Change, ...]
    parts: tuple[str, ...]
    """The categories in which the document's text differs."""


@dataclass(frozen=True)
class Revision:
    """One revision of a policy."""

    policy: str
    date: str
    number: str | None
    """The policy's number in it, if recorded."""
    kinds: tuple[str, ...]
    says: str
    author: str
    signed_by: str | None
    """The id of the verified signing key."""
    published: str
    effective: str
    digest: str
    corrects: str | None
    """The digest of the publication it withdraws."""
    document: str
    """The digest of its document."""
    on_record: bool
    """Whether its statements are on record."""
    proof: Proof | None = None
    taken_back_by: str | None = None
    """The digest of the publication that withdrew it."""


class Publications:
    """Collects accepted publications and attestations."""

    def __init__(self) -> None:
        self._known: dict[str, list[Revision]] = {}
        """By policy, oldest first."""
        self._proofs: dict[tuple[str, str], Proof] = {}

    def accepted(self, publication: Publication) -> None:
        """Add an accepted publication."""
        self._known.setdefault(publication.policy, []).append(_revision(publication))

    def attested(self, event: Mapping[str, Any]) -> None:
        """Add an attestation's data."""
        changes = tuple(
            Change(
                change["aspect"],
                _answer(change["before"]),
                _answer(change["after"]),
                _where(change),
                change["cases"],
                _only(change, "codes"),
                _only(change, "lines_of_business"),
            )
            for change in event.get("changes", ())
        )
        parts = tuple(dict.fromkeys(part["category"] for part in event.get("parts", ())))
        self._proofs[event["policy_number"], event["after"].get("digest", "")] = Proof(
            event["equivalent"], event["cases"], event["cases_that_change"], changes, parts
        )

    def policies(self) -> list[str]:
        """Their numbers."""
        return sorted(self._known)

    def revisions(self, policy: str) -> list[Revision]:
        """A policy's chain, oldest first."""
        known = self._known.get(policy, [])
        gone = stood((entry.digest, entry.document, entry.corrects) for entry in known).taken_back
        return [
            replace(
                revision,
                proof=self._proofs.get((policy, revision.digest)),
                taken_back_by=known[gone[at]].digest if at in gone else None,
            )
            for at, revision in enumerate(known)
        ]


def _revision(publication: Publication) -> Revision:
    edition = edition_on(publication.document.editions, publication.revision)
    return Revision(
        policy=publication.policy,
        date=publication.revision.isoformat(),
        number=publication.number,
        kinds=tuple(kind.value for kind in publication.kinds),
        says=" ".join(publication.document.revisions[-1].says.split()),
        author=publication.author,
        signed_by=publication.signed_by,
        published=instant(publication.published),
        effective=publication.effective.isoformat(),
        digest=publication.digest,
        corrects=publication.corrects,
        document=publication.sha256,
        on_record=edition is not None and edition.on_record,
    )


def _answer(answer: Mapping[str, Any]) -> str:
    if answer.get("determination") is None:
        return "refused: a fact's value is not known"
    reasons = f" ({', '.join(answer['reasons'])})" if answer.get("reasons") else ""
    return words(f"{answer['determination']}{reasons}")


def _where(change: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    for lines in change["where"]:
        days = [f"{day.get('since', '')} to {day.get('until', 'now')}".strip() for day in lines["days"] if day]
        parts = (lines.get("lines_of_business", ()), lines.get("codes", ()), days)
        found.append("; ".join(", ".join(part) for part in parts if part))
    return tuple(text for text in found if text)


def _only(change: Mapping[str, Any], part: str) -> tuple[str, ...]:
    """The codes, or lines of business, that a change is limited to; empty if it is not."""
    named = [lines.get(part) or () for lines in change["where"]]
    if not all(named) or any(OTHERS in one for one in named):
        return ()
    return tuple(dict.fromkeys(text for one in named for text in one))
