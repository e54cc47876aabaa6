"""Requests as records, and a memory of answers."""

import json
from collections.abc import Sequence
from typing import Any

from events.topics import ANSWERED, CASE_EVENTS
from tests.support import generator
from tests.support.places import ROOT
from workers.decide.duplicates import Entry, unpacked
from workers.kafka.records import OutgoingRecord, Record
from workers.traffic.commands import as_record

EXAMPLES = ROOT / "events" / "examples" / "authorization.requested.v1" / "valid"


def record(line: bytes, offset: int = 0) -> Record:
    sent = as_record(line, "t.authorization.requests")
    return Record(sent.topic, 3, offset, 1_750_000_000_000, sent.key or None, sent.value, sent.headers)


def request(**changes: Any) -> bytes:
    return json.dumps(generator.request(11, 1) | changes).encode()


class Remembering:
    """A memory as the changelog's copy is one, in a dict."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:  # noqa: ARG002 (one partition, no time)
        return self.entries.get(key)

    def take(self, sent: Sequence[OutgoingRecord]) -> list[OutgoingRecord]:
        self.entries |= {one.key: unpacked(one.value) for one in sent if one.topic == "t." + ANSWERED}
        return [one for one in sent if one.topic not in ("t." + ANSWERED, "t." + CASE_EVENTS)]


def covered(request_id: str, day: str = "2026-03-02") -> bytes:
    """A request for a relapse after a covered transplant."""
    made = json.loads((EXAMPLES / "policy-named.json").read_text("utf-8"))["data"]
    made |= {"request_id": request_id, "submitted_at": "2025-05-16T09:00:00-06:00"}
    made["service_lines"][0]["service_date"] = day
    return json.dumps(made).encode()
