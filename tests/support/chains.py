"""A policy's chain, what continues it, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from policy_core.document.models import PolicyDocument, RevisionKind
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import chain_of
from policy_core.loading.document_at_revision import as_of
from policy_core.publications.publication import Publication, publication
from tests.support.cases import other

Edit = Callable[[dict[str, Any]], object]


NEW = date(2025, 6, 1)


OTHER = chain_of(other().document)


def nothing(_tree: dict[str, Any]) -> None:
    """Change nothing but the history."""


def gestational_covered(tree: dict[str, Any]) -> None:
    """From the new revision on, gestational diabetes meets no criteria instead of being investigational."""
    [first] = [rule for rule in tree["rules"] if rule["id"] == "gestational-diabetes"]
    tree["editions"].append({"since": NEW.isoformat(), "on_record": True, "says": "Gestational diabetes reworded."})
    first["outcomes"][0]["until"] = NEW.isoformat()
    first["outcomes"].append({"since": NEW.isoformat(), "determination": "criteria_not_met", "reason": "gestational"})


def revised(edit: Edit = nothing, day: date = NEW, policy: Policy | None = None) -> PolicyDocument:
    """The document with one more revision."""
    tree = (policy or other()).document.model_dump(mode="json", by_alias=True)
    tree["revisions"].append({"date": day.isoformat(), "kinds": ["statement"], "says": "Revised.", "cites": []})
    edit(tree)
    return PolicyDocument.model_validate(tree, strict=False)


def next_one(edit: Edit = nothing, **fields: Any) -> Publication:
    made = publication(revised(edit), OTHER.known_through, published=datetime(2025, 6, 3, 12, tzinfo=UTC))
    return replace(made, **fields)


def early(tree: dict[str, Any]) -> None:
    tree["rules"][1]["outcomes"][0]["determination"] = "criteria_not_met"


def unreachable(tree: dict[str, Any]) -> None:
    tree["rules"].insert(0, {**tree["rules"][-1], "id": "first"})


def rewritten(tree: dict[str, Any]) -> None:
    tree["revisions"][0]["says"] = "Otherwise."


FORKED = next_one(predecessor=OTHER.links[1].digest)


REFUSED = [
    ("a digest that its document has not", next_one(sha256="0" * 64), "sha256", "is not the document's digest"),
    ("a fork", FORKED, "predecessor", "forks the chain: .*, of 2020-07-01, has a successor, of 2022-01-15"),
    ("a gap", next_one(predecessor="1" * 64), "predecessor", "names 1111.*, which is not known"),
    ("no predecessor", next_one(predecessor=None), "predecessor", "names none, but the newest revision is of 2023"),
    (
        "a date again with other content",
        publication(revised(day=date(2025, 6, 1)), OTHER.known_through, author="Somebody else"),
        "revision",
        "the revision of 2025-06-01 is known already, with other content",
    ),
    (
        "a date before the newest",
        replace(publication(as_of(other().document, date(2022, 1, 15)), OTHER.known_through), author="Somebody"),
        "revision",
        "is known already, with other content",
    ),
    ("effective before the last one", next_one(effective=date(2023, 3, 31)), "effective", "reaches into the past"),
    ("answers that change before it", next_one(early), "document", "reaches into the past: .* instead of inv"),
    ("a rule that can never apply", next_one(unreachable), "document.rules.1", "can never apply .*and 9 more mistakes"),
    ("another history", next_one(rewritten), "document.revisions", "an earlier entry .* reads otherwise"),
    ("another policy", next_one(policy="EV-13"), "policy_number", "is EV-13, but the document says EV-12"),
    ("another kind", next_one(kinds=(RevisionKind.REVIEW,)), "kinds", "is review, but the document says statement"),
    ("another day", next_one(revision=date(2025, 6, 2)), "revision", "the document says 2025-06-01"),
    ("another number", next_one(number="EV-11"), "number", "is EV-11, but the document says EV-12"),
    (
        "published before its predecessor",
        next_one(published=datetime(2023, 3, 31, tzinfo=UTC)),
        "published",
        "is before its predecessor was published",
    ),
]
