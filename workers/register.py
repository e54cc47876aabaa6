"""The register's rows, as plain functions: what is known of each revision, and which was in force and known when."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from events.attestation import PolicyAttestation
from policy_core.publication import Publication, instant
from policy_core.register import edition_on

Row = Mapping[str, Any]


def row_of(one: Publication, attested: PolicyAttestation | None) -> Row:
    """A revision's row; `attested` is None for a policy's first."""
    edition = edition_on(one.document.editions, one.revision)
    row: dict[str, Any] = {
        "policy_number": one.policy,
        "revision": one.revision.isoformat(),
        "effective": one.effective.isoformat(),
        "number": one.number,
        "kinds": [kind.value for kind in one.kinds],
        "says": one.document.revisions[-1].says,
        "author": one.author,
        "signed_by": one.signed_by,
        "published": instant(one.published),
        "statements_on_record": edition is not None and edition.on_record,
        "sha256": one.sha256,
        "digest": one.digest,
        "predecessor": one.predecessor,
    }
    if attested is not None:
        row["changes"] = changes_of(attested)
    return {name: value for name, value in row.items() if value is not None}


def changes_of(attested: PolicyAttestation) -> Row:
    """What a revision changed, in short."""
    return {
        "equivalent": attested.equivalent,
        "cases": attested.cases,
        "cases_that_change": attested.cases_that_change,
        "aspects": list(dict.fromkeys(one.aspect for one in attested.changes)),
        "parts": list(dict.fromkeys(one.category for one in attested.parts)),
    }


def with_decisions(rows: Sequence[Row], counted: Mapping[tuple[str, str], int]) -> list[Row]:
    """Rows with the number of decisions that have a line under each, by policy and revision."""
    return [{**one, "decisions": counted.get((one["policy_number"], one["revision"]), 0)} for one in rows]


def key_of(one: Publication) -> bytes:
    """The row's key in the table."""
    return f"{one.policy}@{one.revision.isoformat()}".encode()


def written(row: Row) -> bytes:
    """A row as it stands in the table and its changelog: the same row gives the same bytes."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def of_policy(rows: Iterable[Row], number: str) -> list[Row]:
    """A policy's rows, oldest first."""
    return sorted((one for one in rows if one["policy_number"] == number), key=lambda one: str(one["revision"]))


def in_force(rows: Sequence[Row], day: date, known_at: datetime | None = None) -> Row | None:
    """The revision in force on a service date, of those that were known at a moment; by default, of all."""
    known = [one for one in rows if known_at is None or datetime.fromisoformat(str(one["published"])) <= known_at]
    return next((one for one in reversed(known) if date.fromisoformat(str(one["revision"])) <= day), None)
