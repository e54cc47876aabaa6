"""The page *Policy*: a policy's revisions, their changes, and the decisions under each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from policy_core.publications.signatures import SHOWN
from workers.console.printable import words
from workers.dashboard.data.counters import NONE, Revision
from workers.dashboard.data.revisions import Proof
from workers.dashboard.data.revisions import Revision as Published

NAMED = 4
"""Codes that are named where they alone change; more are hardly fewer than all."""


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
            revision.date,
            revision.number,
            ", ".join(map(words, revision.kinds)),
            revision.says,
            "The first on record." if first else changed(revision.proof),
            tuple(_change(revision.proof)),
            revision.on_record,
            revision.author,
            f"signed with the key {revision.signed_by[:SHOWN]}"
            if revision.signed_by is not None
            else "signed by nobody",
            revision.published,
            ", ".join(_corrected(revision)),
            revision.digest,
            revision.document,
            under.get((revision.policy, revision.date), 0),
        )
        for revision, first in zip(reversed(published), [*[False] * (len(published) - 1), True], strict=True)
    )


def _corrected(revision: Published) -> Iterator[str]:
    if revision.corrects is not None:
        yield f"takes back {revision.corrects[:SHOWN]}"
    if revision.taken_back_by is not None:
        yield f"taken back by {revision.taken_back_by[:SHOWN]}"


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
    return _only(proof) or _share(proof)


def _only(proof: Proof) -> str:
    """What alone changes, if the changes are limited to codes or lines of business."""
    codes = _limits([change.codes for change in proof.changes])
    members = _limits([change.lines_of_business for change in proof.changes])
    whom = f" for members of {_and([words(name) for name in members])}" if members else ""
    among = (
        "" if proof.cases_that_change == proof.cases else f", in {proof.cases_that_change:,} of {proof.cases:,} cases"
    )
    if codes and len(codes) <= NAMED:
        # Two systems' codes differ in form.
        return f"Only {_and([code.rpartition(' ')[2] for code in codes])} {_verb(codes)}{whom}{among}."
    return f"Only answers{whom} change{among}." if members else ""


def _limits(named: Sequence[tuple[str, ...]]) -> list[str]:
    """Everything that is named, each once; nothing if something is not limited."""
    return list(dict.fromkeys(name for names in named for name in names)) if all(named) else []


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _verb(names: Sequence[str]) -> str:
    return "changes" if len(names) == 1 else "change"


def _share(proof: Proof) -> str:
    if proof.cases_that_change == proof.cases:
        return "Every case is decided otherwise."
    return f"{proof.cases_that_change:,} of {proof.cases:,} cases are decided otherwise."


def _change(proof: Proof | None) -> list[str]:
    if proof is None:
        return []
    return [
        f"{words(change.aspect)}: {change.before} → {change.after}, in {_number(change.cases, proof.cases)}"
        + (f" ({' or '.join(change.where)})" if change.where else "")
        for change in proof.changes
    ]


def _number(cases: int, of: int) -> str:
    return "every case" if cases == of else f"{cases:,} cases"
