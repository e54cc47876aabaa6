"""One record of every type of event that is written, made by what writes it."""

import json
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from events.audit import Acted
from events.envelope import Mode
from events.topics import DEAD_LETTERS, DEADLINES, DECISIONS, POLICY_REVISIONS, REQUESTS, SHADOW, VERDICTS
from policy_core.compare.answers import compare
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import policy_of
from policy_core.history.library import Library
from tests.support.case_agent import CaseAgent
from tests.support.packaged import packaged_library
from tests.support.publishing import revised
from tests.support.requests import covered
from tests.support.reviews import adverse, pended_request
from workers.audit.record_acts import as_record as record_of_act
from workers.cases.publish_reviews import sending
from workers.configuration.settings import Settings
from workers.decide.handler import DecisionHandler
from workers.decide.shadow import Shadow
from workers.kafka.records import OutgoingRecord, Record
from workers.policies.attestation import attestation
from workers.policies.history_agent import attested_record
from workers.policies.revision_events import as_record as record_of_revision
from workers.traffic.commands import as_record as record_of_request

TIMES = {
    "authorization.requested.v1": "2025-05-16T09:00:00-06:00",
    "authorization.decided.v1": "2025-05-16T09:00:00-06:00",
    "authorization.shadowed.v1": "2025-05-16T09:00:00-06:00",
    "authorization.dead_lettered.v1": "2025-06-15T15:06:40.123Z",
    "authorization.reviewed.v1": "2025-06-04T10:00:00-05:00",
    "authorization.extended.v1": None,
    "authorization.deadline.v1": "2025-06-15T15:06:40.123Z",
    "policy.revision.published.v1": "2025-03-28T00:00:00Z",
    "policy.revision.attested.v1": "2025-03-28T00:00:00Z",
    "dli.acted.v1": "2026-01-05T14:30:00.250000Z",
}
"""When what each event tells of happened, by its type; an extension's time is that of `dli review`."""
AT = 1_750_000_000_123
EXTENSION = {"extension_id": "E-1", "request_id": "PA-1", "until": "2025-06-20T10:00:00-05:00", "reason": "Records."}
ACTED = {"act": "a" * 32, "what": "policy publish", "who": {"user": "policy"}, "arguments": {}, "outcome": "begun"}


@cache
def library() -> Library:
    return packaged_library()


def every_event(mode: Mode) -> dict[str, OutgoingRecord]:
    """A record of each type of TIMES; what commands publish is in structured mode alone."""
    settings = Settings(source="/dli-authorization", mode=mode, topic_prefix="")
    draft = Shadow(Policy(revised(library()["L.2.03.402"].document, date(2025, 4, 1))), settings)
    handler = DecisionHandler(library(), settings, shadow=draft)
    asked = record_of_request(covered("PA-1"), REQUESTS)
    answers = {
        answer.topic: answer
        for offset, value in enumerate((asked.value, b"{"))
        for answer in handler([Record(REQUESTS, 0, offset, AT, b"PA-1", value, asked.headers)])
    }
    chain = library().chain("L.2.03.402")
    before, after = chain.links[-2:]
    attested = attestation(compare(policy_of(before), policy_of(after)), before.digest, after.digest)
    verdict = adverse({"request_id": "PA-1", "decision_id": "0" * 32, "lines": [{"line": 1, "action": "A4"}]}, "V-1")
    agent = CaseAgent(library(), settings)
    agent.decide(pended_request("PA-2"), AT - 1)
    agent.time(AT)
    return {
        "authorization.requested.v1": asked,
        "authorization.decided.v1": answers[DECISIONS],
        "authorization.shadowed.v1": answers[SHADOW],
        "authorization.dead_lettered.v1": answers[DEAD_LETTERS],
        "authorization.reviewed.v1": _of_command(verdict, settings),
        "authorization.extended.v1": _of_command(EXTENSION, settings),
        "authorization.deadline.v1": next(one for one in agent.sent if one.topic == DEADLINES),
        "policy.revision.published.v1": record_of_revision(after, POLICY_REVISIONS, settings.source, mode),
        "policy.revision.attested.v1": attested_record(attested, after.published, settings),
        "dli.acted.v1": record_of_act(
            Acted.model_validate(ACTED), datetime(2026, 1, 5, 14, 30, 0, 250_000, UTC), settings
        ),
    }


def _of_command(data: Any, settings: Settings) -> OutgoingRecord:
    made = sending(json.dumps(data).encode(), settings)
    return OutgoingRecord(VERDICTS, made.request_id.encode(), made.value, made.headers)
