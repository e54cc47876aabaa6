"""Messages as adapters read them, without a format."""

from hashlib import sha256
from typing import Any

from events.adapters.submission import Chain, Submission

CONFIGURATION = "a" * 64
LINE = {"line": 1, "system": "cpt", "code": "38242", "units": 1, "service_date": "2025-06-16"}


def request(**changes: Any) -> dict[str, Any]:
    """A canonical request that has no id yet."""
    return {
        "certification": "initial",
        "urgency": "standard",
        "submitted_at": "2025-06-02T14:05:00-05:00",
        "member": {"member_id": "MHP0044001", "line_of_business": "commercial"},
        "provider": {"npi": "1300000019"},
        "service_lines": [LINE],
    } | changes


def submission(text: str = "first", **changes: Any) -> Submission:
    """A message; equal texts are the same message."""
    stated: dict[str, Any] = {
        "format": "pas",
        "partner": "delta",
        "configuration": CONFIGURATION,
        "message": sha256(text.encode()).hexdigest(),
        "trace": "9640001112:TR-1",
        "request": request(),
    }
    return Submission(**(stated | changes))


def chain(*messages: str, **changes: Any) -> Chain:
    """What is known of the trace after these messages."""
    stated: dict[str, Any] = {
        "newest": "9640001112:TR-1~0123456789ab",
        "first_submitted_at": "2025-06-01T08:00:00-05:00",
        "service_lines": (LINE,),
        "messages": tuple(sha256(text.encode()).hexdigest() for text in messages),
    }
    return Chain(**(stated | changes))
