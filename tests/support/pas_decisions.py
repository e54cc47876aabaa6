"""Decisions of every shape on one PAS request with two items."""

import json
from typing import Any

from events.adapters.numbers import control_number
from events.decision import Decision
from tests.support.pas_bundles import CPT, PAS_URL, Json, bundle, coded

ID = "feb59f8e854908ca7a65aec7a06d101e"
NUMBER = control_number(ID)
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


def decided_line(line: int, action: str, determination: str, **more: Any) -> Json:
    """A line of a decision."""
    return {
        "line": line,
        "system": "cpt",
        "code": "38242",
        "determination": determination,
        "reasons": [],
        "action": action,
        "acts_next": "nobody",
        "step": "clinical_statements",
        "missing": [],
        "policy": {"number": "L.2.03.402"},
    } | more


def decision_of(action: str, *lines: Json, **more: Any) -> Decision:
    """A decision with these lines, as if on the request with two items."""
    stated = {
        "decision_id": ID,
        "request_id": "9640001112:TR-1~0123456789ab",
        "stage": "open",
        "line_of_business": "commercial",
        "action": action,
        "clock": {"state": "no_clock"},
        "lines": lines,
        "policies": [],
    }
    return Decision.model_validate_json(json.dumps(stated | more))
