"""The case agent without a broker: its handler over cases in memory, record by record."""

import json
from typing import Any

from events.case import Case, case_of
from events.case_event import CarriedRecord, CaseEvent, Reviewed, TimePassed, decided, packed
from events.request import AuthorizationRequest
from events.request_parts import parts_of
from events.topics import CASE_EVENTS, CASES, VERDICTS
from policy_core.history.library import Library
from workers.cases.case_counters import CaseChanges, CaseCounters
from workers.cases.handler import CaseHandler, States
from workers.cases.lifecycle import next_moment
from workers.configuration.settings import Settings
from workers.decide.handler import decide_parts
from workers.kafka.records import OutgoingRecord, Record


class CaseAgent:
    """One partition's cases."""

    def __init__(self, library: Library, settings: Settings) -> None:
        self.cases: dict[bytes, Case] = {}
        self.sent: list[OutgoingRecord] = []
        self.counters: list[CaseCounters] = []
        self._library = library
        self._settings = settings
        self.handler = CaseHandler(library, settings, States(lambda _, request: self.cases.get(request), self._due))
        self._offset = 0

    def _due(self, _partition: int, until: int) -> list[bytes]:
        moments = {request: next_moment(case) for request, case in self.cases.items()}
        return [request for request, at in moments.items() if at is not None and at.timestamp() * 1000 <= until]

    def record(self, request: str, value: bytes, at: int) -> Record:
        """A record of case events."""
        self._offset += 1
        return Record(self._settings.topic(CASE_EVENTS), 3, self._offset, at, request.encode(), value)

    def take(self, *records: Record) -> list[OutgoingRecord]:
        """Handle a batch; what it changes is stored. Returns everything that is sent."""
        changes = self.handler(records)
        assert isinstance(changes, CaseChanges)
        self.counters.append(changes.counters)
        for outgoing in changes:
            if outgoing.topic == self._settings.topic(CASES):
                self.cases[outgoing.key] = case_of(outgoing.value)
        self.sent += changes
        return list(changes)

    def decide(self, request: dict[str, Any], at: int, correlation: str = "matter") -> list[OutgoingRecord]:
        """A request is decided."""
        return self.take(self.record(request["request_id"], self.decided(request, correlation), at))

    def decided(self, request: dict[str, Any], correlation: str = "matter") -> bytes:
        """The event of a decided request."""
        parts = parts_of(AuthorizationRequest.model_validate_json(json.dumps(request)))
        policy = self._library.named(request.get("policy_number"))
        assert policy is not None
        return decided(correlation, parts.content, decide_parts(parts, policy).to_json())

    def review(self, request: str, event: bytes, at: int) -> list[OutgoingRecord]:
        """A verdict or an extension reaches its case."""
        return self.take(self.record(request, packed(self.carried(event, at)), at))

    def carried(self, event: bytes, at: int) -> Reviewed:
        """The event of a verdict or an extension that was published."""
        self._offset += 1
        return Reviewed(CarriedRecord(self._settings.topic(VERDICTS), 7, self._offset, at, b"any", event))

    def tell(self, request: str, event: CaseEvent, at: int) -> list[OutgoingRecord]:
        """Another event reaches a case."""
        return self.take(self.record(request, packed(event), at))

    def time(self, at: int) -> list[OutgoingRecord]:
        """Time passes."""
        return self.tell("", TimePassed(), at)

    def data(self, topic: str) -> list[Any]:
        """The data of all events sent to a topic."""
        values = [outgoing.value for outgoing in self.sent if outgoing.topic == self._settings.topic(topic)]
        return [json.loads(value)["data"] for value in values]
