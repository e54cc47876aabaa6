"""The page *Policy*: a policy's revisions, their changes, and the decisions under each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from policy_core.publications.signing_keys import SHOWN
from workers.console.printable import words
from workers.dashboard.data.counters import NONE, Revision
from workers.dashboard.data.revisions import Proof
from workers.dashboard.data.revisions import Revision as Published


class RevisionRow(NamedTuple):
    """One revision."""

    date: str
    number: str | None
    kinds: str
    says: str
    """The summary in the document."""
    changed: str
    """The proven changes."""
    changes: tuple[str, ...]
    """Each difference between answers."""
    on_record: bool
    author: str
    signed: str
    """The verified signer."""
    published: str
    corrected: str
    """What it withdraws and what withdrew it, or empty."""
    digest: str
    document: str
    decisions: int


def revisions(published: Sequence[Published], under: Mapping[Revision, int]) -> tuple[RevisionRow, ...]:
    """A policy's revisions, newest first, with the decisions counted under each."""
    return tuple(
        RevisionRow(
            one.date,
            one.number,
            ", ".join(map(words, one.kinds)),
            one.says,
            "The first on record." if first else changed(one.proof),
            tuple(_change(one.proof)),
            one.on_record,
            one.author,
            f"signed with the key {one.signed_by[:SHOWN]}" if one.signed_by is not None else "signed by nobody",
            one.published,
            ", ".join(_corrected(one)),
            one.digest,
            one.document,
            under.get((one.policy, one.date), 0),
        )
        for one, first in zip(reversed(published), [*[False] * (len(published) - 1), True], strict=True)
    )


def _corrected(one: Published) -> Iterator[str]:
    if one.corrects is not None:
        yield f"takes back {one.corrects[:SHOWN]}"
    if one.taken_back_by is not None:
        yield f"taken back by {one.taken_back_by[:SHOWN]}"


def before_any(policy: str, under: Mapping[Revision, int]) -> int:
    """Decisions for days without a revision in force."""
    return under.get((policy, NONE), 0)


def changed(proof: Proof | None) -> str:
    """What a revision changes, in a sentence."""
    if proof is None:
        return "Not attested yet: what it changes is not proved here."
    if proof.equivalent:
        return f"Equivalent: all {proof.cases:,} cases are decided as before."
    if not proof.cases_that_change and not proof.changes:
        return f"Every case is determined as before; otherwise: {', '.join(map(words, proof.parts))}."
    return f"{proof.cases_that_change:,} of {proof.cases:,} cases are decided otherwise."


def _change(proof: Proof | None) -> list[str]:
    return [
        f"{words(one.aspect)}: {one.before} → {one.after}, in {one.cases:,} cases"
        + (f" ({' or '.join(one.where)})" if one.where else "")
        for one in (proof.changes if proof is not None else ())
    ]
