"""One PAS request with two items, and what is said of it in decisions."""

from typing import Any

from tests.support.pas_bundles import CPT, PAS_URL, Json, bundle, coded

REVIEW = {"verdict_id": "V-1", "role": "physician", "decided_at": "2025-06-10T09:00:00-05:00"}
QUESTION = {"fact": "clinical.malignancy", "question": "What kind of malignancy?"}


def two_items(**claim: Any) -> Json:
    """A request with two items, with these elements of its Claim."""
    tree = bundle(seed=4)
    items = [
        {
            "sequence": number,
            "productOrService": coded(CPT, "38242"),
            "modifier": [coded(CPT, "59")],
            "servicedDate": "2025-06-16",
            "extension": [
                {
                    "url": f"{PAS_URL}extension-itemTraceNumber",
                    "valueIdentifier": {"system": "https://d.example/l", "value": f"L{number}"},
                }
            ],
        }
        for number in (1, 2)
    ]
    tree["entry"][0]["resource"] |= {"item": items, "created": "2025-06-02T10:00:00-05:00"} | claim
    tree["timestamp"] = "2025-06-02T10:00:00-05:00"
    return tree
