"""Pended requests, and what reviewers say of them."""

import json
from collections.abc import Mapping
from typing import Any

from events.topics import VERDICTS
from workers.configuration.settings import Settings
from workers.kafka import clients


def pended_request(request_id: str, **changes: Any) -> dict[str, Any]:
    """A request that a physician has to review: the leukocytes are modified."""
    return {
        "request_id": request_id,
        "certification": "initial",
        "urgency": "standard",
        "submitted_at": "2025-06-02T09:30:00-05:00",
        "member": {"member_id": "M-1", "line_of_business": "commercial"},
        "provider": {"npi": "1234567893"},
        "service_lines": [
            {"line": 1, "system": "cpt", "code": "38242", "units": 2, "service_date": "2025-06-20"},
            {"line": 2, "system": "cpt", "code": "86812", "units": 1, "service_date": "2025-06-20"},
        ],
        "clinical": {"infusion": {"leukocyte_modification": "genetic"}},
    } | changes


def verdict(decision: Mapping[str, Any], verdict_id: str, action: str, **changes: Any) -> dict[str, Any]:
    """A physician's verdict with one action on every pended line of a decision."""
    adverse_line = {"reasons": ["0V"], "text": "Not within the policy."} if action != "A1" else {}
    return {
        "verdict_id": verdict_id,
        "request_id": decision["request_id"],
        "decision_id": decision["decision_id"],
        "reviewer": {"role": "physician", "license_state": "MS", "license_number": "MS-12345", "npi": "1234567893"},
        "evaluated": True,
        "concurrence": True,
        "lines": [
            {"line": line["line"], "action": action, **adverse_line}
            for line in decision["lines"]
            if line["action"] == "A4"
        ],
        "decided_at": "2025-06-04T10:00:00-05:00",
    } | changes


def adverse(decision: Mapping[str, Any], verdict_id: str, **changes: Any) -> dict[str, Any]:
    """A physician's refusal of every pended line."""
    return verdict(decision, verdict_id, "A3", **changes)


def event(data: Mapping[str, Any], kind: str = "authorization.reviewed.v1") -> bytes:
    """A CloudEvent of the review system, in structured mode."""
    envelope = {
        "specversion": "1.0",
        "id": f"event-{data.get('verdict_id') or data.get('extension_id')}",
        "source": "/review",
        "type": kind,
        "time": "2025-06-04T15:00:00Z",
    }
    return json.dumps({**envelope, "data": data}).encode()


def send_review(found: Settings, data: Mapping[str, Any], kind: str = "authorization.reviewed.v1") -> None:
    """Publish what the review system says, in any partition: it is not placed as requests are."""
    with clients.producer(found) as producer:
        producer.send(found.topic(VERDICTS), key=b"any", value=event(data, kind))
        producer.flush()
