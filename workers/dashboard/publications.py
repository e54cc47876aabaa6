"""The revisions of the policies as their topic tells them, and what each was proved to change."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


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
    published: str
    effective: str
    digest: str
    document: str
    """The digest of its document."""
    on_record: bool
    """Whether the statements in force from it on are on record."""
    proof: Proof | None = None


class Publications:
    """Fed with the topics of revisions and of attestations; knows each policy's chain."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Revision]] = {}
        """By policy, then by digest."""
        self._after: dict[tuple[str, str | None], list[str]] = {}
        """By policy and predecessor, the digests of what was published behind it."""
        self._proofs: dict[tuple[str, str], Proof] = {}

    def published(self, event: Mapping[str, Any]) -> None:
        """Note one publication's data."""
        policy, name = event["policy_number"], event["digest"]
        known = self._known.setdefault(policy, {})
        if name not in known:
            known[name] = _revision(event)
            self._after.setdefault((policy, event.get("predecessor")), []).append(name)

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
        """A policy's chain, oldest first.

        Workers refuse what does not continue it, and attest what does: of two that stand behind the same revision the
        attested one counts, and the first where neither is.
        """
        found: list[Revision] = []
        behind = self._after.get((policy, None), [])
        while behind:
            name = next((one for one in behind if (policy, one) in self._proofs), behind[0])
            found.append(replace(self._known[policy][name], proof=self._proofs.get((policy, name))))
            behind = self._after.get((policy, name), []) if len(found) < len(self._known[policy]) else []
        return found


def _revision(event: Mapping[str, Any]) -> Revision:
    document = event["document"]
    newest = document["revisions"][-1]
    editions = [one for one in document.get("editions", ()) if one["since"] <= event["revision"]]
    return Revision(
        policy=event["policy_number"],
        date=event["revision"],
        number=event.get("number"),
        kinds=tuple(event["kinds"]),
        says=" ".join(newest["says"].split()),
        author=event["author"],
        published=event["published"],
        effective=event["effective"],
        digest=event["digest"],
        document=event["sha256"],
        on_record=bool(editions) and editions[-1].get("on_record", True),
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
