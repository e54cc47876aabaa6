"""The demo's last step: a physician answers a recommendation, and the case agent makes it final."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from events.decision import Decision
from events.field_types import written_instant
from events.topics import DECISIONS
from workers.cases.publish_reviews import publish, sending
from workers.configuration.settings import Settings
from workers.demo.run import PATIENCE_SECONDS, DemoError
from workers.kafka.reader import data_of, kept, records

VERDICT_ID = "RV-DEMO-1"
PAUSE_SECONDS = 0.2
"""Between two looks at the decisions."""


def recommended(decisions: Iterable[Decision]) -> Decision:
    """The first decision all of whose pended lines a physician has to review.

    Raises:
        DemoError: There is none.
    """
    for decision in decisions:
        waiting = {line.acts_next for line in decision.lines if line.action == "A4"}
        if waiting == {"physician_reviewer"}:
            return decision
    raise DemoError("no example request waits for a physician; workers/demo/requests.jsonl has lost it")


def verdict_on(decision: Decision, decided_at: datetime) -> dict[str, Any]:
    """A physician's verdict that follows the recommendation."""
    return {
        "verdict_id": VERDICT_ID,
        "request_id": decision.request_id,
        "decision_id": decision.decision_id,
        "reviewer": {
            "role": "physician",
            "license_state": "MS",
            "license_number": "DEMO-12345",
            "npi": "1234567893",
            "specialty": "hematology",
        },
        "evaluated": True,
        "concurrence": True,
        "lines": [
            {
                "line": line.line,
                "action": "A3",
                "reasons": ["0V"],
                "text": "The records show no indication that the policy covers; an appeal may bring others.",
            }
            for line in decision.lines
            if line.action == "A4"
        ],
        "decided_at": written_instant(decided_at),
    }


def answered(found: Settings, decision: Decision) -> Decision:
    """Publish the verdict, and wait for the final decision.

    Raises:
        DemoError: It does not come in time.
    """
    verdict = verdict_on(decision, datetime.now(UTC).replace(microsecond=0))
    list(publish([sending(json.dumps(verdict).encode(), found)], found))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for record in records(found, kept(found, [found.topic(DECISIONS)])):
            data = data_of(record.value)
            if data.get("supersedes_decision") == decision.decision_id:
                return Decision.model_validate_json(json.dumps(data))
        time.sleep(PAUSE_SECONDS)
    raise DemoError(f"the verdict was not answered in {PATIENCE_SECONDS:.0f} seconds")
