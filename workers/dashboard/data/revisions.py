"""The revisions of the policies as their topic tells them, and what each was proved to change."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from policy_core.document.revisions import edition_on
from policy_core.history.chain import stood
from policy_core.publications.publication import Publication, instant


@dataclass(frozen=True)
class Change:
    """One way in which a revision answers otherwise than the one before it."""

    aspect: str
    before: str
    after: str
    where: tuple[str, ...]
    """Which lines it concerns, each by its lines of business, codes and days; empty for all."""
    cases: int


@dataclass(frozen=True)
class Proof:
    """What was attested of a revision."""

    equivalent: bool
    cases: int
    cases_that_change: int
    changes: tuple[Change, ...]
    parts: tuple[str, ...]
    """The categories in which the document reads otherwise."""


@dataclass(frozen=True)
class Revision:
    """One revision of a policy."""

    policy: str
    date: str
    number: str | None
    """The policy's number under it, where one is recorded."""
    kinds: tuple[str, ...]
    says: str
    author: str
    signed_by: str | None
    """The id of the key whose signature was proved."""
    published: str
    effective: str
    digest: str
    corrects: str | None
    """The digest of the publication that it takes back."""
    document: str
    """The digest of its document."""
    on_record: bool
    """Whether the statements in force from it on are on record."""
    proof: Proof | None = None
    taken_back_by: str | None = None
    """The digest of what took it back."""


class Publications:
    """Fed with what is accepted of the topic of revisions, and with the topic of attestations."""

    def __init__(self) -> None:
        self._known: dict[str, list[Revision]] = {}
        """By policy, oldest first."""
        self._proofs: dict[tuple[str, str], Proof] = {}

    def accepted(self, one: Publication) -> None:
        """Note a publication that its chain accepted."""
        self._known.setdefault(one.policy, []).append(_revision(one))

    def attested(self, event: Mapping[str, Any]) -> None:
        """Note one attestation's data."""
        changes = tuple(
            Change(one["aspect"], _answer(one["before"]), _answer(one["after"]), _where(one), one["cases"])
            for one in event.get("changes", ())
        )
        parts = tuple(dict.fromkeys(one["category"] for one in event.get("parts", ())))
        self._proofs[event["policy_number"], event["after"].get("digest", "")] = Proof(
            event["equivalent"], event["cases"], event["cases_that_change"], changes, parts
        )

    def policies(self) -> list[str]:
        """Their numbers."""
        return sorted(self._known)

    def revisions(self, policy: str) -> list[Revision]:
        """A policy's chain, oldest first."""
        known = self._known.get(policy, [])
        gone = stood((one.digest, one.document, one.corrects) for one in known).taken_back
        return [
            replace(
                one,
                proof=self._proofs.get((policy, one.digest)),
                taken_back_by=known[gone[at]].digest if at in gone else None,
            )
            for at, one in enumerate(known)
        ]


def _revision(one: Publication) -> Revision:
    edition = edition_on(one.document.editions, one.revision)
    return Revision(
        policy=one.policy,
        date=one.revision.isoformat(),
        number=one.number,
        kinds=tuple(kind.value for kind in one.kinds),
        says=" ".join(one.document.revisions[-1].says.split()),
        author=one.author,
        signed_by=one.signed_by,
        published=instant(one.published),
        effective=one.effective.isoformat(),
        digest=one.digest,
        corrects=one.corrects,
        document=one.sha256,
        on_record=edition is not None and edition.on_record,
    )


def _answer(answer: Mapping[str, Any]) -> str:
    if answer.get("determination") is None:
        return "refused: a fact's value is not known"
    reasons = f" ({', '.join(answer['reasons'])})" if answer.get("reasons") else ""
    return f"{answer['determination']}{reasons}".replace("_", " ")


def _where(change: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    for lines in change["where"]:
        days = [f"{one.get('since', '')} to {one.get('until', 'now')}".strip() for one in lines["days"] if one]
        parts = (lines.get("lines_of_business", ()), lines.get("codes", ()), days)
        found.append("; ".join(", ".join(one) for one in parts if one))
    return tuple(one for one in found if one)
