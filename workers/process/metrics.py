"""All metrics with their meaning. METRICS.md lists them; a test compares the two.

Labels never identify a member, a request or a person: their values come from the software and the policy document, so
they are few and known. Workers count only what Kafka has accepted: a retried batch counts once.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily

disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there; a second series for every counter, which no dashboard reads

# --- what a worker counts ------------------------------------------------------------------------------------------

REQUESTS = Counter(
    "dli_requests_total", "Records read from the topic of requests and done with, whatever came of them."
)
REQUESTS_LOST = Counter(
    "dli_requests_lost_total",
    "Offsets of requests that the broker removed before they were read; some may have been transaction markers.",
)
DECISIONS = Counter(
    "dli_decisions_total", "Decisions published, by the X12 306 action of the whole request.", ["action"]
)
DECIDED_LINES = Counter(
    "dli_decided_lines_total",
    "Service lines determined, by the policy's revision in force on their service date (none where there was none).",
    ["determination", "action", "policy", "revision"],
)
INFORMATION_REQUESTS = Counter(
    "dli_information_requests_total", "Decisions that ask for a fact, once for each fact they ask for.", ["fact"]
)
DEAD_LETTERS = Counter("dli_dead_letters_total", "Events that could not be decided, by reason.", ["reason"])
DUPLICATES = Counter(
    "dli_duplicates_total", "Requests that came again with the same content, and were not answered again."
)
ERRORS = Counter(
    "dli_errors_total",
    "What went wrong, by the kind of error and where: evaluate is a defect of this software, for somebody to look at; "
    "take_over, receive, remember, deliver and settle made a partition start again from its committed offset; "
    "send is Faust's.",
    ["stage", "error"],
)
UNREADABLE = Counter(
    "dli_unreadable_total",
    "Times that something on a topic could not be read as a record, such as a damaged batch, and was stepped over: "
    "it is among the dead letters, with its offsets.",
    ["topic"],
)
OVERSIZED = Counter(
    "dli_oversized_total",
    "Records whose answer Kafka took for too large: a small dead letter took its place. Compare the topics' limits.",
    ["topic"],
)
SHADOW_REQUESTS = Counter(
    "dli_shadow_requests_total",
    "Decisions that the draft of DLI_SHADOW_POLICY was asked of too, by what it would make of the request: unchanged, "
    "evidence, reclassified, looser, stricter; failed where deciding under it raised an error. The decisions stand.",
    ["outcome"],
)
SHADOW_LINES = Counter(
    "dli_shadow_lines_total",
    "Service lines that the draft would determine otherwise, or for other reasons, by both determinations.",
    ["kind", "determination", "draft"],
)

# --- how long it takes ---------------------------------------------------------------------------------------------


class BatchHistogram(Histogram):
    """A histogram that accepts a whole batch: observing values singly costs a tenth of deciding."""

    def observe_many(self, values: Sequence[float]) -> None:
        """Observe every value."""
        ascending = sorted(values)
        self._sum.inc(sum(ascending))
        below = 0
        for bound, bucket in zip(self._upper_bounds, self._buckets, strict=True):
            upto = bisect_right(ascending, bound)
            if upto > below:
                bucket.inc(upto - below)
                below = upto


_LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
END_TO_END = BatchHistogram(
    "dli_end_to_end_seconds",
    "From a request's timestamp in Kafka, which by default the publisher's clock sets, until its outcome is committed.",
    buckets=_LATENCIES,
)
EVALUATION = BatchHistogram(
    "dli_evaluation_seconds",
    "Time to decide one request, its bytes to the answer's bytes: its batch's time shared evenly.",
    buckets=(1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.1, 1),
)
DELIVERY = Histogram(
    "dli_delivery_seconds",
    "From the first send of a batch's answers until Kafka has them and the batch's offset.",
    buckets=_LATENCIES,
)

# --- the worker's state ---------------------------------------------------------------------------------------------

COMMITS = Counter("dli_commits_total", "Batches of requests whose answers and offset Kafka has.")
COMMIT_FAILURES = Counter("dli_commit_failures_total", "Batches that Kafka did not take; their records come again.")
REBALANCES = Counter("dli_rebalances_total", "Times the group's partitions were given out anew.")
REBALANCE = Histogram(
    "dli_rebalance_seconds",
    "From the beginning of a rebalance until this worker has its partitions and goes on.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
RECOVERY = Histogram(
    "dli_recovery_seconds",
    "Time to bring a table up to its changelog when partitions are taken over.",
    ["table"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300),
)
PARTITIONS = Gauge(
    "dli_feed_partitions",
    "Partitions of requests that this worker has: working; stalled, where for DLI_STALLED_SECONDS records waited and "
    "none was done, an open transaction held up what is behind it, or the broker was silent; starting, not yet taken "
    "over; refused, where the committed offset lies nowhere in the log.",
    ["state"],
)
READY = Gauge("dli_ready", "1 when every check of /ready holds; else 0.")
CHECKS = Gauge("dli_ready_check", "1 when this check of /ready holds; else 0.", ["check"])

# --- versions -----------------------------------------------------------------------------------------------------

REVISIONS_KNOWN = Gauge("dli_policy_revisions_known", "Revisions in the register, by policy.", ["policy"])
POLICY_IN_FORCE = Gauge(
    "dli_policy_in_force_info",
    "1 for the revision that each loaded policy has in force today, with the digest of its document.",
    ["policy", "revision", "sha256"],
)
SHADOW_POLICY = Gauge(
    "dli_shadow_policy_info",
    "1 for the draft that decides beside, with the digest of its document.",
    ["policy", "sha256"],
)
BUILD = Gauge("dli_build_info", "1, for what runs.", ["version", "python", "faust", "aiokafka"])

# --- `dli exporter` ------------------------------------------------------------------------


class Family(NamedTuple):
    """A metric of the exporter, created for each scrape."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge"] = "gauge"

    def of(self, values: Iterable[tuple[tuple[str, ...], float]]) -> GaugeMetricFamily:
        """The metric with these values by label."""
        made = GaugeMetricFamily(self.name, self.documentation, labels=self.labels)
        for labels, value in values:
            made.add_metric(labels, value)
        return made


EXPORTER_UP = Family(
    "dli_exporter_up", "1 when the brokers answered this scrape; else 0, and nothing below is told: no old numbers."
)
UNREAD = Family(
    "dli_exporter_unread",
    "1 for what could not be read, by the error's name: offsets or members of a group, ends of a topic, records of a "
    "partition. The metrics that come of it are missing, or of a partition's records the lag in seconds is less "
    "certain; everything else is told.",
    ("what", "name", "cause"),
)
PARTITION_END = Family(
    "kafka_topic_partition_current_offset",
    "The offset behind the last record, committed or not (the high watermark).",
    ("topic", "partition"),
)
PARTITION_STABLE = Family(
    "kafka_topic_partition_last_stable_offset",
    "The offset behind the last record that readers of committed records can see; less than the end while a "
    "transaction is open.",
    ("topic", "partition"),
)
OPEN_TRANSACTION = Family(
    "kafka_topic_partition_open_transaction_seconds",
    "For how long the last stable offset has been seen to stand still below the end, because of a transaction that "
    "somebody left open; 0 where none is.",
    ("topic", "partition"),
)
PARTITION_BEGINNING = Family(
    "kafka_topic_partition_oldest_offset", "The offset of the oldest record that is kept.", ("topic", "partition")
)
RETENTION = Family(
    "dli_topic_retention_seconds",
    "For how long the topic is declared to keep its records; dli topics check says where Kafka has it otherwise.",
    ("topic",),
)
GROUP_OFFSET = Family(
    "kafka_consumergroup_current_offset",
    "The offset that the group has committed; -1 where it has none.",
    ("consumergroup", "topic", "partition"),
)
GROUP_LAG = Family(
    "kafka_consumergroup_lag",
    "Offsets that wait for the group, up to the end, behind open transactions too; 0 where only transaction markers "
    "are left; all that is kept where the group has committed nothing.",
    ("consumergroup", "topic", "partition"),
)
GROUP_LAG_SUM = Family(
    "kafka_consumergroup_lag_sum", "The same over all partitions of a topic.", ("consumergroup", "topic")
)
GROUP_LAG_SECONDS = Family(
    "kafka_consumergroup_group_lag_seconds",
    "For how long the oldest waiting record has waited, by its timestamp, which by default its publisher's clock sets, "
    "or for how long it has been seen to wait, whichever is longer; 0 where none waits.",
    ("group", "topic", "partition"),
)
GROUP_MAX_LAG_SECONDS = Family(
    "kafka_consumergroup_group_max_lag_seconds", "The largest of these over all partitions of a group.", ("group",)
)
GROUP_MEMBERS = Family("kafka_consumergroup_members", "Members of the group.", ("consumergroup",))
ACCOUNTS = Family(
    "dli_accounts_records",
    "What became of the records of requests, counted in the transactions that answered them: consumed, decided, "
    "duplicates, dead_lettered; and lost, the offsets that the broker removed before they were read.",
    ("partition", "outcome"),
)
ACCOUNTS_DIFFERENCE = Family(
    "dli_accounts_difference",
    "Consumed less decided, duplicates and dead letters: anything but 0 is a request lost or invented.",
    ("partition",),
)
ACCOUNTS_BALANCED = Family(
    "dli_accounts_balanced",
    "1 when no partition's account shows a difference, anything lost, or more records than there are offsets, or is "
    "missing, and every committed offset lies in its log; 0 where there is no topic of requests.",
)
ARCHIVED = Family(
    "dli_archived_timestamp_seconds",
    "Until when all requests, decisions and dead letters are in archives, in Unix time, as `dli archive --continue` "
    "has told Kafka; 0 where it never did.",
)
PENDED = Family(
    "dli_pended_requests",
    "Requests whose newest decision of the last 14 days pends (A4) and that no later request superseded, by their "
    "clock's state. Who has answered elsewhere is not known here.",
    ("state",),
)
OVERDUE = Family(
    "dli_overdue_requests",
    "Of these, the ones whose due date has passed; that somebody decided in time elsewhere is not known here.",
)

FAMILIES = tuple(value for value in list(vars().values()) if isinstance(value, Family))
"""All metrics of the exporter."""
