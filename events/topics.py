"""Declarations of all topics: contents, key, retention, producers and consumers."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from events.attestation import PolicyAttestation
from events.audit import Acted
from events.dead_letter import DeadLetter
from events.deadline import Deadline
from events.decision import Decision
from events.request import AuthorizationRequest
from events.revision import PolicyRevision
from events.shadow import ShadowDifference
from events.verdict import AuthorizationExtended, AuthorizationReviewed

REQUESTS = "authorization.requests"
DECISIONS = "authorization.decisions"
DEAD_LETTERS = "authorization.dead-letters"
ANSWERED = "authorization.answered"
VERDICTS = "authorization.verdicts"
CASE_EVENTS = "authorization.case-events"
CASES = "authorization.cases"
DEADLINES = "authorization.deadlines"
LEDGER = "authorization.ledger"
LINKS = "authorization.links"
SHADOW = "authorization.shadow"
POLICY_REVISIONS = "policy.revisions"
POLICY_ATTESTATIONS = "policy.attestations"
AUDIT = "dli.audit"
PAS_REQUESTS = "pas.requests"
PAS_RESPONSES = "pas.responses"
X12_REQUESTS = "x12.278.requests"
X12_RESPONSES = "x12.278.responses"
SUBMISSIONS = "integration.submissions"
CHAINS = "integration.chains"
INTEGRATION_EVENTS = "integration.events"
CONTEXTS = "integration.contexts"
SUBSCRIPTIONS = "integration.subscriptions"
MESSAGES = (PAS_REQUESTS, X12_REQUESTS, SUBMISSIONS, INTEGRATION_EVENTS, PAS_RESPONSES, X12_RESPONSES)
"""The topics that platforms' own messages pass through, from what is asked to its answer."""


LARGEST_RECORD = 2 * 1024 * 1024
"""Bytes: enough for a dead letter with the largest readable event in base64, and for a decision with the most lines."""


LIMIT = "max.message.bytes"
"""Kafka's setting for the maximum size of a record."""
TIME = "message.timestamp.type"
"""Kafka's setting for whose clock sets a record's time."""
BROKERS_CLOCK = "LogAppendTime"
"""A record's time is when the broker appended it. Kafka's default is the producer's time, in any unit or year:
retention and the memory of answers would then depend on every producer's clock."""
PRODUCERS_CLOCK = "CreateTime"
"""Kafka's default; used only while restoring an archive, whose records keep their times."""


@dataclass(frozen=True)
class Topic:
    """One topic."""

    name: str
    """Without the deployment's prefix."""
    events: tuple[str, ...]
    """The types of its events; empty if records are not events, as in a changelog."""
    key: str
    partitions: int
    cleanup: Literal["delete", "compact", "compact,delete"]
    retention: timedelta | None
    """None keeps records for ever; for a compacted topic, how long tombstones are kept."""
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    personal: bool
    """Whether its records hold personal data."""
    holds: str = ""
    """What its records are, if they are not events."""
    alike: bool = False
    """Whether it always has as many partitions as requests."""
    state: Literal["beside its source", "by its key"] | None = None
    """The partition in which workers look for a record, if they do: that of the request it came from, or that of its
    key. When partitions are added, records are moved accordingly."""

    def settings(self) -> dict[str, str]:
        """The topic's Kafka configuration."""
        milliseconds = str(int(self.retention.total_seconds() * 1000)) if self.retention is not None else "-1"
        settings = {LIMIT: str(LARGEST_RECORD), TIME: BROKERS_CLOCK}
        if self.cleanup == "compact":
            return {"cleanup.policy": "compact", "delete.retention.ms": milliseconds, **settings}
        return {"cleanup.policy": self.cleanup, "retention.ms": milliseconds, **settings}


# Twelve divides evenly among 2, 3, 4, 6 and 12 workers. Decisions and dead letters have as many partitions as requests,
# so that the answers to one partition of requests stay together and in order.
PARTITIONS = 12

# Raw messages are kept as the requests that they become.
REQUESTS_KEPT = timedelta(days=14)

# Replay verifies past decisions from these: seven years, the usual retention for coverage decisions.
DECISIONS_KEPT = timedelta(days=7 * 365 + 2)

# Replay's decisions are temporary; its topics are its own and not declared here.
REPLAYED_KEPT = timedelta(days=7)

TOPICS = (
    Topic(
        name=REQUESTS,
        events=(AuthorizationRequest.TYPE,),
        key="request_id",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=REQUESTS_KEPT,
        producers=("claims platform", "dli publish", "integration: resolve"),
        consumers=("decision agent", "dli trace"),
        personal=True,
    ),
    Topic(
        name=DECISIONS,
        events=(Decision.TYPE,),
        key="request_id",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=DECISIONS_KEPT,
        producers=("decision agent", "case agent"),
        consumers=("claims platform", "ledger agent", "integration: forward", "dli tail", "dli trace"),
        personal=True,
    ),
    Topic(
        name=DEAD_LETTERS,
        events=(DeadLetter.TYPE,),
        key="the record's own key, or where it came from",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=timedelta(days=30),
        producers=("decision agent", "policy-history agent", "ledger agent", "case agent", "integration: all agents"),
        consumers=("operators", "ledger agent", "integration: forward", "dli tail", "dli trace"),
        personal=True,
    ),
    Topic(
        name=ANSWERED,
        events=(),
        key="digest of request_id",
        partitions=PARTITIONS,
        alike=True,
        state="beside its source",
        cleanup="compact,delete",
        # As long as decisions: an id that has a decision is never decided again.
        retention=DECISIONS_KEPT,
        producers=("decision agent",),
        consumers=("decision agent",),
        personal=False,
        holds="digests of what was answered",
    ),
    Topic(
        name=VERDICTS,
        events=(AuthorizationReviewed.TYPE, AuthorizationExtended.TYPE),
        key="request_id",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        # A final decision is made again from the recommendation and the verdict.
        retention=DECISIONS_KEPT,
        producers=("review system", "dli review"),
        consumers=("ledger agent", "dli trace"),
        personal=True,
    ),
    Topic(
        name=CASE_EVENTS,
        events=(),
        key="request_id",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=timedelta(days=30),
        producers=("decision agent", "ledger agent", "case agent"),
        consumers=("case agent",),
        personal=True,
        holds="what happens to cases, in order",
    ),
    Topic(
        name=CASES,
        events=(),
        key="request_id",
        partitions=PARTITIONS,
        alike=True,
        # Never moved: a case stays where its request was decided, which the ledger's pointers keep saying. A copy
        # would be counted, and its deadlines announced, once more.
        cleanup="compact,delete",
        retention=DECISIONS_KEPT,
        producers=("case agent",),
        consumers=("case agent", "exporter", "dashboard", "dli cases", "dli report"),
        personal=True,
        holds="the state of each case",
    ),
    Topic(
        name=DEADLINES,
        events=(Deadline.TYPE,),
        key="request_id",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        # A request's trace shows them.
        retention=DECISIONS_KEPT,
        producers=("case agent",),
        consumers=("ledger agent", "review system", "operators", "dli tail", "dli trace"),
        personal=True,
    ),
    Topic(
        name=LEDGER,
        events=(),
        key="digest of request_id",
        partitions=PARTITIONS,
        alike=True,
        state="by its key",
        # A request has several pointers under one key: compaction would keep only the last.
        cleanup="delete",
        retention=DECISIONS_KEPT,
        producers=("ledger agent", "case agent"),
        consumers=("ledger agent",),
        # Verdicts pass through on the way to their cases.
        personal=True,
        holds="pointers to answers and deadlines, and events on their way to cases",
    ),
    Topic(
        name=LINKS,
        events=(),
        key="request_id",
        # One: the order of links decides which one would close a circle.
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
        events=(ShadowDifference.TYPE,),
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
        events=(PolicyRevision.TYPE,),
        key="policy_number@revision",
        # One: revisions of all policies in one order, in which they become known.
        partitions=1,
        # Never compacted: an invalid event with a revision's key would displace the valid one.
        cleanup="delete",
        retention=None,
        producers=("dli policy publish", "dli topics apply, for the packaged documents"),
        consumers=("every worker", "policy-history agent", "auditors", "dli trace"),
        personal=False,
    ),
    Topic(
        name=POLICY_ATTESTATIONS,
        events=(PolicyAttestation.TYPE,),
        key="policy_number@revision",
        partitions=1,
        # Only accepted revisions are attested, always with the same bytes.
        cleanup="compact",
        retention=timedelta(days=1),
        producers=("policy-history agent",),
        consumers=("auditors", "dli tail"),
        personal=False,
    ),
    Topic(
        name=AUDIT,
        events=(Acted.TYPE,),
        key="the act's id",
        # One: acts in order.
        partitions=1,
        cleanup="delete",
        # As long as the decisions that acts may concern.
        retention=DECISIONS_KEPT,
        producers=("every command that changes something", "dashboard"),
        consumers=("auditors", "dli audit"),
        personal=False,
    ),
    Topic(
        name=PAS_REQUESTS,
        events=(),
        key="the platform's own",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=REQUESTS_KEPT,
        producers=("claims platform", "gateway", "dli publish"),
        consumers=("integration: read",),
        personal=True,
        holds="FHIR PAS bundles as platforms send them",
    ),
    Topic(
        name=X12_REQUESTS,
        events=(),
        key="the platform's own",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=REQUESTS_KEPT,
        producers=("claims platform", "gateway", "dli publish"),
        consumers=("integration: read",),
        personal=True,
        holds="X12 278 interchanges as platforms send them",
    ),
    Topic(
        name=SUBMISSIONS,
        events=(),
        key="digest of partner, trace and member",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=REQUESTS_KEPT,
        producers=("integration: read",),
        consumers=("integration: resolve",),
        personal=True,
        holds="messages as they were read",
    ),
    Topic(
        name=CHAINS,
        events=(),
        key="digest of partner, trace and member",
        partitions=PARTITIONS,
        alike=True,
        state="by its key",
        cleanup="compact,delete",
        # As long as decisions: the same message again is answered with the same decision.
        retention=DECISIONS_KEPT,
        producers=("integration: resolve",),
        consumers=("integration: resolve",),
        personal=True,
        holds="what is known of each trace",
    ),
    Topic(
        name=INTEGRATION_EVENTS,
        events=(),
        key="digest of request_id",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=timedelta(days=30),
        producers=("integration: resolve", "integration: forward"),
        consumers=("integration: answer",),
        personal=True,
        holds="what happens to platforms' requests, in order",
    ),
    Topic(
        name=CONTEXTS,
        events=(),
        key="digest of request_id",
        partitions=PARTITIONS,
        alike=True,
        state="by its key",
        cleanup="compact,delete",
        retention=DECISIONS_KEPT,
        producers=("integration: answer",),
        consumers=("integration: answer",),
        personal=True,
        holds="what answers in a platform's words need, and the newest decision",
    ),
    Topic(
        name=PAS_RESPONSES,
        events=(),
        key="request_id, or the message's digest",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=timedelta(days=30),
        producers=("integration: read, resolve, answer",),
        consumers=("claims platform", "gateway", "dli tail"),
        personal=True,
        holds="FHIR PAS responses",
    ),
    Topic(
        name=X12_RESPONSES,
        events=(),
        key="request_id, or the message's digest",
        partitions=PARTITIONS,
        alike=True,
        cleanup="delete",
        retention=timedelta(days=30),
        producers=("integration: read, resolve, answer",),
        consumers=("claims platform", "gateway", "dli tail"),
        personal=True,
        holds="X12 278 responses",
    ),
    Topic(
        name=SUBSCRIPTIONS,
        events=(),
        key="the subscription's id",
        partitions=1,
        cleanup="compact",
        retention=timedelta(days=1),
        producers=("gateway",),
        consumers=("gateway",),
        # A partner's address and secret, and no person's data.
        personal=False,
        holds="platforms' subscriptions to answers",
    ),
)
