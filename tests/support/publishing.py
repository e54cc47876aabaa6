"""Revisions of the packaged policy that were never published, for tests to publish."""

from datetime import UTC, date, datetime
from typing import Any

from policy_core.document.models import PolicyDocument
from policy_core.history.chain import Chain
from policy_core.publications.publication import Publication, publication

DAY = date(2026, 1, 5)
PUBLISHED = datetime(2025, 12, 1, 12, tzinfo=UTC)


def revised(document: PolicyDocument, day: date = DAY) -> PolicyDocument:
    """The document with one more revision: from its day on a relapse meets no criteria any more."""
    tree: dict[str, Any] = document.model_dump(mode="json", by_alias=True)
    since = day.isoformat()
    tree["revisions"].append(
        {"date": since, "kinds": ["statement"], "says": "Relapse is covered no more.", "cites": []}
    )
    tree["editions"].append({"since": since, "on_record": True, "says": "Relapse is covered no more."})
    tree["rules"].insert(
        [rule["id"] for rule in tree["rules"]].index("covered-indication"),
        {
            "id": "relapse-covered-no-more",
            "says": "A relapse alone is covered no more.",
            "when": {"fact": "clinical.disease_status", "is": "relapsed"},
            "outcomes": [{"since": since, "determination": "criteria_not_met", "reason": "relapse_covered_no_more"}],
        },
    )
    return PolicyDocument.model_validate(tree, strict=False)


def next_revision(chain: Chain, day: date = DAY, published: datetime = PUBLISHED, **fields: Any) -> Publication:
    """The publication of such a revision, behind a chain's newest."""
    newest = chain.newest
    if newest is None:
        raise ValueError("there is nothing to revise")
    return publication(revised(newest.document, day), newest.digest, published=published, **fields)
