"""Logs with verdicts and extensions, and the decisions that the case agent makes from them."""

import json
from collections.abc import Mapping
from typing import Any

from events.case import Case, case_of
from events.case_event import CarriedRecord, Reviewed, decided, packed
from events.envelope import dumps
from events.topics import CASES, DEAD_LETTERS, DECISIONS, REQUESTS, VERDICTS
from events.typed_reader import read as read_request
from policy_core.history.library import Library
from tests.support.event_logs import FIRST, MemorySource, recorded
from tests.support.reviews import event, pended_request, verdict
from workers.cases.handler import CaseHandler, States
from workers.configuration.settings import read
from workers.kafka.records import Record
from workers.replay.redecide import read as read_answer

HOUR_MS = 3_600_000
FULL = {
    "malignancy": "hematologic",
    "transplant": {"type": "allogeneic", "original_determination": "medically_necessary"},
    "disease_status": "relapsed",
    "infusion": {"leukocyte_modification": "none"},
}
ADVERSE = {"reasons": ["0V"], "text": "Not within the policy."}


class ReviewedLog:
    """A log that grows by verdicts and extensions, each in another partition than its request."""

    def __init__(self, log: MemorySource, library: Library, **flags: Any) -> None:
        self._found = read(topic_prefix="t.", **flags)
        self._cases: dict[tuple[int, bytes], Case] = {}
        find = lambda partition, request: self._cases.get((partition, request))  # noqa: E731 (as short as a test may)
        self._handler = CaseHandler(library, self._found, States(find, lambda _partition, _until: []))
        self.records = {place: list(some) for place, some in log.records.items()}
        self.partitions = log.partitions(log.topic(REQUESTS))
        for one in self.partitions:
            self.records[log.topic(VERDICTS), one] = []
            self._open(log, one)

    def _open(self, log: MemorySource, partition: int) -> None:
        requests = {one.key: one for one in log.records[log.topic(REQUESTS), partition]}
        for at, record in enumerate(log.records[log.topic(DECISIONS), partition]):
            received = read_request(requests[record.key].value, requests[record.key].headers)
            data = dumps(read_answer(record).data)
            correlation = received.cause.correlation_id if received.cause is not None else None
            self._happened(partition, record.key, decided(correlation, received.request.content, data), at)

    def _happened(self, partition: int, key: bytes | None, value: bytes, at: int) -> None:
        made = Record("t.authorization.case-events", partition, at, FIRST, key, value)
        for one in self._handler([made]):
            if one.topic == self._found.topic(CASES):
                self._cases[partition, one.key] = case_of(one.value or b"")
            elif one.topic in {self._found.topic(name) for name in (DECISIONS, DEAD_LETTERS)}:
                there = self.records[one.topic, partition]
                offset = there[-1].offset + 2 if there else 0
                there.append(Record(one.topic, partition, offset, FIRST, one.key, one.value, one.headers))

    def case(self, request_id: str) -> tuple[int, Case]:
        """The partition and the case of a request."""
        return next((where, case) for (where, key), case in self._cases.items() if key == request_id.encode())

    def say(self, data: Mapping[str, Any], kind: str = "authorization.reviewed.v1") -> None:
        """Publish a verdict or an extension."""
        partition, _ = self.case(data["request_id"])
        elsewhere = (partition + 1) % len(self.partitions)
        topic = self._found.topic(VERDICTS)
        there = self.records[topic, elsewhere]
        record = Record(topic, elsewhere, 3 * len(there), FIRST + HOUR_MS, b"any", event(data, kind))
        there.append(record)
        carried = CarriedRecord(topic, elsewhere, record.offset, record.timestamp, record.key, record.value or b"")
        self._happened(partition, data["request_id"].encode(), packed(Reviewed(carried)), 0)

    def verdict(self, request_id: str, verdict_id: str, *lines: tuple[int, str], **changes: Any) -> None:
        """Publish a verdict on some lines of a request, by a physician unless `changes` say otherwise."""
        _, case = self.case(request_id)
        said = [{"line": line, "action": action, **({} if action == "A1" else ADVERSE)} for line, action in lines]
        for one in said:
            if one["action"] == "A6":
                one["authorized"] = {"code": "38242", "units": 1}
        decision = {"request_id": request_id, "decision_id": case.decision_id, "lines": []}
        self.say(verdict(decision, verdict_id, "A1", lines=said, **changes))

    def extend(self, request_id: str, extension_id: str, until: str) -> None:
        """Publish an extension."""
        data = {"extension_id": extension_id, "request_id": request_id, "until": until, "reason": "Records are needed."}
        self.say(data, "authorization.extended.v1")

    def source(self) -> MemorySource:
        """The log as it is now."""
        return MemorySource({place: list(some) for place, some in self.records.items()})


def every_kind(library: Library, **flags: Any) -> ReviewedLog:
    """A log with every kind of decision made from verdicts and extensions."""
    late = {"service_lines": [_line(1, "38242", "2025-05-20"), _line(2, "86812", "2025-05-20")], "clinical": FULL}
    waits = {"clinical": {}, "service_lines": [_line(1, "38242"), _line(2, "99213")]}
    requests = [
        *(pended_request(f"PA-{name}") for name in ("A1", "A3", "A6", "partial", "amended", "extended")),
        pended_request("PA-waits", **waits),
        pended_request("PA-waits-48", **waits, urgency="expedited"),
        pended_request("PA-open", **waits),
        pended_request("PA-late", **late),
    ]
    log = ReviewedLog(recorded([json.dumps(one).encode() for one in requests], library, **flags), library, **flags)
    log.verdict("PA-A1", "V-1", (1, "A1"), (2, "A1"))
    log.verdict("PA-A3", "V-1", (1, "A3"), (2, "A3"))
    log.verdict("PA-A6", "V-1", (1, "A6"), (2, "A3"))
    log.verdict("PA-partial", "V-1", (1, "A1"))
    log.verdict("PA-partial", "V-2", (2, "A3"))
    log.verdict("PA-amended", "V-1", (1, "A3"), (2, "A3"))
    log.verdict("PA-amended", "V-2", (1, "A1"), (2, "A1"), amends="V-1")
    log.extend("PA-extended", "E-1", "2025-06-20T09:30:00-05:00")
    log.verdict("PA-extended", "V-1", (1, "A1"), (2, "A1"))
    log.verdict("PA-waits", "V-1", (1, "A1"))
    log.verdict("PA-waits-48", "V-1", (1, "A1"))
    log.verdict("PA-open", "V-1", (2, "A1"))
    log.verdict("PA-late", "V-1", (1, "A1"), (2, "A1"), reviewer={"role": "case_management"})
    return log


DECISIONS_MADE = 13
"""How many decisions `every_kind` has that were made from verdicts and extensions."""


def _line(number: int, code: str, day: str = "2025-06-20") -> dict[str, Any]:
    return {"line": number, "system": "cpt", "code": code, "units": 1, "service_date": day}
