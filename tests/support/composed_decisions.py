"""Decisions composed field by field, for answers that no request of a test would have."""

import json
from typing import Any

from events.adapters.numbers import control_number
from events.decision import Decision

ID = "feb59f8e854908ca7a65aec7a06d101e"
NUMBER = control_number(ID)


def decided_line(line: int, action: str, determination: str, **more: Any) -> dict[str, Any]:
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


def decision_of(action: str, *lines: dict[str, Any], **more: Any) -> Decision:
    """A decision with these lines, on a platform's request."""
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
