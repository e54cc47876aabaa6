"""Every topic, declared once: what is in it, by which key, how it is kept, who writes and who reads it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from events.attestation import PolicyAttestation
from events.audit import Acted
from events.dead_letter import DeadLetter
from events.decision import Decision
from events.request import AuthorizationRequest
from events.revision import PolicyRevision
from events.shadow import ShadowDifference

REQUESTS = "authorization.requests"
DECISIONS = "authorization.decisions"
DEAD_LETTERS = "authorization.dead-letters"
ANSWERED = "authorization.answered"
LEDGER = "authorization.ledger"
LINKS = "authorization.links"
SHADOW = "authorization.shadow"
POLICY_REVISIONS = "policy.revisions"
POLICY_ATTESTATIONS = "policy.attestations"
AUDIT = "dli.audit"


LARGEST_RECORD = 2 * 1024 * 1024
"""Bytes: a dead letter holds the largest event that is read at all, in base64, and a decision the most lines."""


LIMIT = "max.message.bytes"
"""Kafka's name of the setting that says how large a record may be."""
TIME = "message.timestamp.type"
"""Kafka's name of the setting that says whose clock a record's time is of."""
BROKERS_CLOCK = "LogAppendTime"
"""A record's time is when the broker appended it. By Kafka's own default it is what the producer wrote, in whatever
unit or year: what hangs on time, as retention and the memory of answers do, would hang on every producer's clock."""
PRODUCERS_CLOCK = "CreateTime"
"""As above by Kafka's default; only while an archive is restored, whose records keep the times they had."""


@dataclass(frozen=True)
class Topic:
    """One topic."""

    name: str
    """Without the deployment's prefix."""
    event: str | None
    """None for what is no event, as a changelog."""
    key: str
    partitions: int
    cleanup: Literal["delete", "compact", "compact,delete"]
    retention: timedelta | None
    """None keeps records for ever; for a topic that is compacted only, how long a tombstone can be seen."""
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    personal: bool
    """Whether its records hold personal data."""
    holds: str = ""
    """What its records are, where they are no events."""
    alike: bool = False
    """Whether it has as many partitions as requests have, always."""
    state: Literal["beside its source", "by its key"] | None = None
    """Where workers look for one of its records, where they do: in the partition of the request that it came of, or in
    the one that its key names. When partitions are added, its records are put where they will be looked for."""

    def settings(self) -> dict[str, str]:
        """The topic's Kafka configuration."""
        milliseconds = str(int(self.retention.total_seconds() * 1000)) if self.retention is not None else "-1"
        every = {LIMIT: str(LARGEST_RECORD), TIME: BROKERS_CLOCK}
        if self.cleanup == "compact":
            return {"cleanup.policy": "compact", "delete.retention.ms": milliseconds, **every}
        return {"cleanup.policy": self.cleanup, "retention.ms": milliseconds, **every}


# Twelve divides evenly among 2, 3, 4, 6 and 12 workers. Decisions and dead letters have as many partitions as requests,
# so that what comes of one partition of requests stays together and in order.
PARTITIONS = 12

# Replay proves the past from here: seven years, as records of coverage decisions are commonly kept.
DECISIONS_KEPT = timedelta(days=7 * 365 + 2)

# What a replay would have decided is looked at and thrown away; its topics are its own and not among those declared.
REPLAYED_KEPT = timedelta(days=7)

TOPICS = (
    Topic(
        name=REQUESTS,
        event=AuthorizationRequest.TYPE,
        key="request_id",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=timedelta(days=14),
        producers=("claims platform", "dli publish"),
        consumers=("decision agent", "dli trace"),
        personal=True,
    ),
    Topic(
        name=DECISIONS,
        event=Decision.TYPE,
        key="request_id",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=DECISIONS_KEPT,
        producers=("decision agent",),
        consumers=("claims platform", "ledger agent", "dli tail", "dli trace"),
        personal=True,
    ),
    Topic(
        name=DEAD_LETTERS,
        event=DeadLetter.TYPE,
        key="the record's own key, or where it came from",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=timedelta(days=30),
        producers=("decision agent", "policy-history agent", "ledger agent"),
        consumers=("operators", "ledger agent", "dli tail", "dli trace"),
        personal=True,
    ),
    Topic(
        name=ANSWERED,
        event=None,
        key="digest of request_id",
        partitions=PARTITIONS,
        alike=True,
        state="beside its source",
        cleanup="compact,delete",
        # As long as the decisions they stand for: no id that has one is ever decided again.
        retention=DECISIONS_KEPT,
        producers=("decision agent",),
        consumers=("decision agent",),
        personal=False,
        holds="digests of what was answered",
    ),
    Topic(
        name=LEDGER,
        event=None,
        key="digest of request_id",
        partitions=PARTITIONS,
        alike=True,
        state="by its key",
        # Every pointer is a record of its own under its request's key: compaction would keep only the last.
        cleanup="delete",
        retention=DECISIONS_KEPT,
        producers=("ledger agent",),
        consumers=("ledger agent",),
        personal=False,
        holds="pointers to answers",
    ),
    Topic(
        name=LINKS,
        event=None,
        key="request_id",
        # One: whether a link closes a circle is decided by the order in which links came.
        partitions=1,
        cleanup="delete",
        retention=DECISIONS_KEPT,
        producers=("ledger agent",),
        consumers=("ledger agent",),
        personal=True,
        holds="which request supersedes which",
    ),
    Topic(
        name=SHADOW,
        event=ShadowDifference.TYPE,
        key="request_id",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=timedelta(days=30),
        producers=("decision agent, where a draft is its shadow",),
        consumers=("who answers for the policy", "dli tail"),
        personal=True,
    ),
    Topic(
        name=POLICY_REVISIONS,
        event=PolicyRevision.TYPE,
        key="policy_number@revision",
        # One: revisions of all policies in one order, which is the order in which they are known.
        partitions=1,
        # Never compacted: a bad event of a revision's key would push out the good one.
        cleanup="delete",
        retention=None,
        producers=("dli policy publish", "dli topics apply, for the packaged documents"),
        consumers=("every worker", "policy-history agent", "auditors", "dli trace"),
        personal=False,
    ),
    Topic(
        name=POLICY_ATTESTATIONS,
        event=PolicyAttestation.TYPE,
        key="policy_number@revision",
        partitions=1,
        # Only accepted revisions are attested, and always with the same bytes.
        cleanup="compact",
        retention=timedelta(days=1),
        producers=("policy-history agent",),
        consumers=("auditors", "dli tail"),
        personal=False,
    ),
    Topic(
        name=AUDIT,
        event=Acted.TYPE,
        key="the act's id",
        # One: acts in the order in which they were done.
        partitions=1,
        cleanup="delete",
        # What was done to decisions is known as long as they are.
        retention=DECISIONS_KEPT,
        producers=("every command that changes something", "dashboard"),
        consumers=("auditors", "dli audit"),
        personal=False,
    ),
)
