"""One record of every type of event that is written, made by what writes it."""

from datetime import UTC, date, datetime
from functools import cache

from events.audit import Acted
from events.envelope import Mode
from events.topics import AUDIT, DEAD_LETTERS, DECISIONS, POLICY_ATTESTATIONS, POLICY_REVISIONS, REQUESTS, SHADOW
from policy_core.compare.answers import compare
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import policy_of
from policy_core.history.library import Library
from tests.support.packaged import packaged_library
from tests.support.publishing import revised
from tests.support.requests import covered
from workers.audit.record_acts import as_record as record_of_act
from workers.configuration.settings import Settings
from workers.decide.handler import DecisionHandler
from workers.decide.shadow import Shadow
from workers.kafka.records import OutgoingRecord, Record
from workers.policies.attestation import attestation
from workers.policies.history_agent import attested_record
from workers.policies.revision_events import as_record as record_of_revision
from workers.traffic.commands import as_record as record_of_request

TIMES = {
    REQUESTS: "2025-05-16T09:00:00-06:00",
    DECISIONS: "2025-05-16T09:00:00-06:00",
    SHADOW: "2025-05-16T09:00:00-06:00",
    DEAD_LETTERS: "2025-06-15T15:06:40.123Z",
    POLICY_REVISIONS: "2025-03-28T00:00:00Z",
    POLICY_ATTESTATIONS: "2025-03-28T00:00:00Z",
    AUDIT: "2026-01-05T14:30:00.250000Z",
}
"""When what each event tells of happened, by topic."""
ACTED = {"act": "a" * 32, "what": "policy publish", "who": {"user": "policy"}, "arguments": {}, "outcome": "begun"}


@cache
def library() -> Library:
    return packaged_library()


def every_event(mode: Mode) -> list[OutgoingRecord]:
    """A record for each topic of TIMES, in their order; requests are published in structured mode alone."""
    settings = Settings(source="/dli-authorization", mode=mode, topic_prefix="")
    draft = Shadow(Policy(revised(library()["L.2.03.402"].document, date(2025, 4, 1))), settings)
    handler = DecisionHandler(library(), settings, shadow=draft)
    asked = record_of_request(covered("PA-1"), REQUESTS)
    answers = [
        answer
        for offset, value in enumerate((asked.value, b"{"))
        for answer in handler([Record(REQUESTS, 0, offset, 1_750_000_000_123, b"PA-1", value, asked.headers)])
        if answer.topic in TIMES
    ]
    chain = library().chain("L.2.03.402")
    before, after = chain.links[-2:]
    attested = attestation(compare(policy_of(before), policy_of(after)), before.digest, after.digest)
    others = [
        record_of_revision(after, POLICY_REVISIONS, settings.source, mode),
        attested_record(attested, after.published, settings),
        record_of_act(Acted.model_validate(ACTED), datetime(2026, 1, 5, 14, 30, 0, 250_000, UTC), settings),
    ]
    records = {one.topic: one for one in (asked, *answers, *others)}
    return [records[topic] for topic in TIMES]
