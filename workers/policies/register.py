"""The register's rows as plain functions: each revision's data, and which was in force and known when."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from events.attestation import PolicyAttestation
from policy_core.document.revisions import edition_on
from policy_core.history.chain import Stood, stood
from policy_core.publications.publication import Publication, instant

Row = Mapping[str, Any]


def row_of(publication: Publication, attested: PolicyAttestation | None) -> Row:
    """A revision's row; `attested` is None for a policy's first revision."""
    edition = edition_on(publication.document.editions, publication.revision)
    row: dict[str, Any] = {
        "policy_number": publication.policy,
        "revision": publication.revision.isoformat(),
        "effective": publication.effective.isoformat(),
        "number": publication.number,
        "kinds": [kind.value for kind in publication.kinds],
        "says": publication.document.revisions[-1].says,
        "author": publication.author,
        "signed_by": publication.signed_by,
        "published": instant(publication.published),
        "statements_on_record": edition is not None and edition.on_record,
        "sha256": publication.sha256,
        "digest": publication.digest,
        "predecessor": publication.predecessor,
        "retroactive": True if publication.retroactive else None,
        "corrects": publication.corrects,
    }
    if attested is not None:
        row["changes"] = changes_of(attested)
    return {name: value for name, value in row.items() if value is not None}


def changes_of(attested: PolicyAttestation) -> Row:
    """A summary of a revision's changes."""
    return {
        "equivalent": attested.equivalent,
        "cases": attested.cases,
        "cases_that_change": attested.cases_that_change,
        "aspects": list(dict.fromkeys(change.aspect for change in attested.changes)),
        "parts": list(dict.fromkeys(part.category for part in attested.parts)),
    }


def with_decisions(rows: Sequence[Row], counted: Mapping[tuple[str, str], int]) -> list[Row]:
    """The rows with the number of decisions under each revision."""
    return [{**row, "decisions": counted.get((row["policy_number"], row["revision"]), 0)} for row in rows]


def key_of(publication: Publication) -> bytes:
    """The row's key in the table: the digest is unique; a correction may have the same date."""
    key = f"{publication.policy}@{publication.revision.isoformat()}"
    return (key if publication.corrects is None else f"{key}~{publication.digest}").encode()


def written(row: Row) -> bytes:
    """A row's bytes in the table and its changelog; deterministic."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def of_policy(rows: Iterable[Row], number: str) -> list[Row]:
    """A policy's rows in chain order, each with its ordinal and what withdrew it, if anything."""
    mine = {row.get("predecessor"): row for row in rows if row["policy_number"] == number}
    ordered: list[Row] = []
    while (following := mine.pop(ordered[-1]["digest"] if ordered else None, None)) is not None:
        ordered.append(following)
    ordered += sorted(mine.values(), key=lambda row: str(row["revision"]))  # their predecessors have no row
    return _with_standing(ordered)


def _with_standing(ordered: Sequence[Row]) -> list[Row]:
    gone = _stood(ordered).taken_back
    return [
        {**row, "ordinal": at + 1, **({"taken_back_by": ordered[gone[at]]["digest"]} if at in gone else {})}
        for at, row in enumerate(ordered)
    ]


def _stood(ordered: Sequence[Row]) -> Stood:
    return stood([(row["digest"], row["sha256"], row.get("corrects")) for row in ordered])


def in_force(rows: Sequence[Row], day: date, known_at: datetime | None = None) -> Row | None:
    """The revision in force on a service date, among those known at a moment; by default, all."""
    by_then = [
        at
        for at, row in enumerate(rows, 1)
        if known_at is None or datetime.fromisoformat(str(row["published"])) <= known_at
    ]
    known = _with_standing(rows[: by_then[-1] if by_then else 0])
    standing = [known[at] for at in _stood(known).standing]
    return next((row for row in reversed(standing) if date.fromisoformat(str(row["revision"])) <= day), None)


def of_day(rows: Sequence[Row], day: str) -> Row | None:
    """The current revision of a date; if withdrawn, the last one."""
    dated = [row for row in rows if row["revision"] == day]
    standing = [row for row in dated if "taken_back_by" not in row]
    return (standing or dated)[-1] if dated else None
