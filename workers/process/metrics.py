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

REQUESTS = Counter("dli_requests_total", "Records read from the topic of requests and processed, whatever the outcome.")
REQUESTS_LOST = Counter(
    "dli_requests_lost_total",
    "Offsets of requests that the broker removed before they were read; some may have been transaction markers.",
)
DECISIONS = Counter(
    "dli_decisions_total", "Decisions published, by the X12 306 action of the whole request.", ["action"]
)
DECIDED_LINES = Counter(
    "dli_decided_lines_total",
    "Service lines determined, by the policy's revision in force on their service date; none if there was none.",
    ["determination", "action", "policy", "revision"],
)
INFORMATION_REQUESTS = Counter(
    "dli_information_requests_total", "Decisions that ask for a fact, counted once for each fact.", ["fact"]
)
DEAD_LETTERS = Counter("dli_dead_letters_total", "Events that could not be decided, by reason.", ["reason"])
DUPLICATES = Counter("dli_duplicates_total", "Requests repeated with the same content, which were not answered again.")
REVIEWS = Counter(
    "dli_reviews_total",
    "Verdicts and extensions of reviewers, by outcome: final, partial, extended, duplicate, refused.",
    ["outcome"],
)
CASES_OPENED = Counter("dli_cases_opened_total", "Cases opened: one for each decided request.")
CASES_CLOSED = Counter(
    "dli_cases_closed_total", "Cases closed: decided finally, at once or by reviewers, superseded or cancelled."
)
DEADLINES = Counter("dli_deadlines_total", "Deadlines announced, by kind: due_soon, overdue.", ["kind"])
MESSAGES = Counter(
    "dli_messages_total",
    "Messages of platforms in their own formats, by format and outcome: submitted, refused (a dead letter and an "
    "answer).",
    ["format", "outcome"],
)
SUBMISSIONS = Counter(
    "dli_submissions_total",
    "Messages that were read, by what they became: requested, again (the same message, or an inquiry), refused.",
    ["outcome"],
)
PLATFORM_ANSWERS = Counter(
    "dli_platform_answers_total",
    "Events of platforms' requests, by outcome: opened (the request is on its way), answered, refused, answered_again, "
    "not_answered (nothing is due), not_ours, undelivered (a dead letter in place of the answer).",
    ["outcome"],
)
ERRORS = Counter(
    "dli_errors_total",
    "Errors by type and stage: evaluate is a defect in this software and needs attention; after take_over, receive, "
    "remember, deliver and settle a partition restarted from its committed offset; send is Faust's.",
    ["stage", "error"],
)
UNREADABLE = Counter(
    "dli_unreadable_total",
    "Unreadable data skipped on a topic, such as a damaged batch; a dead letter has its offsets.",
    ["topic"],
)
OVERSIZED = Counter(
    "dli_oversized_total",
    "Records whose answer Kafka refused as too large; a small dead letter replaced it. Compare the topics' limits.",
    ["topic"],
)
SHADOW_REQUESTS = Counter(
    "dli_shadow_requests_total",
    "Requests also decided under the draft in DLI_SHADOW_POLICY, by the difference: unchanged, evidence, "
    "reclassified, looser, stricter; failed if the draft raised an error. The decisions stand.",
    ["outcome"],
)
SHADOW_LINES = Counter(
    "dli_shadow_lines_total",
    "Service lines with another determination or other reasons under the draft, by kind and both determinations.",
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
    "Time from a request's timestamp in Kafka, which the broker sets, until its outcome is committed.",
    buckets=_LATENCIES,
)
EVALUATION = BatchHistogram(
    "dli_evaluation_seconds",
    "Time to decide one request, from its bytes to the answer's bytes; a batch's time is divided evenly.",
    buckets=(1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.1, 1),
)
DELIVERY = Histogram(
    "dli_delivery_seconds",
    "Time from sending a batch's first answer until Kafka has all answers and the batch's offset.",
    buckets=_LATENCIES,
)

# --- the worker's state ---------------------------------------------------------------------------------------------

COMMITS = Counter("dli_commits_total", "Batches of requests whose answers and offset Kafka has accepted.")
COMMIT_FAILURES = Counter(
    "dli_commit_failures_total", "Batches that Kafka did not accept; their records are processed again."
)
REBALANCES = Counter("dli_rebalances_total", "Rebalances of the group's partitions.")
REBALANCE = Histogram(
    "dli_rebalance_seconds",
    "Time from the start of a rebalance until this worker continues with its partitions.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
RECOVERY = Histogram(
    "dli_recovery_seconds",
    "Time for a table to catch up with its changelog when partitions are taken over.",
    ["table"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300),
)
PARTITIONS = Gauge(
    "dli_feed_partitions",
    "This worker's partitions of requests: working; stalled, if for DLI_STALLED_SECONDS records waited without "
    "progress, an open transaction blocked the partition, or the broker was silent; starting, if not yet taken "
    "over; refused, if the committed offset is outside the log.",
    ["state"],
)
READY = Gauge("dli_ready", "1 if all checks of /ready pass, otherwise 0.")
CHECKS = Gauge("dli_ready_check", "1 if this check of /ready passes, otherwise 0.", ["check"])

# --- versions -----------------------------------------------------------------------------------------------------

REVISIONS_KNOWN = Gauge("dli_policy_revisions_known", "Revisions in the register, by policy.", ["policy"])
POLICY_IN_FORCE = Gauge(
    "dli_policy_in_force_info",
    "1 for each loaded policy's revision in force today, with the digest of its document.",
    ["policy", "revision", "sha256"],
)
SHADOW_POLICY = Gauge(
    "dli_shadow_policy_info",
    "1 for the shadow draft, with the digest of its document.",
    ["policy", "sha256"],
)
BUILD = Gauge("dli_build_info", "1, with the running versions.", ["version", "python", "faust", "aiokafka"])

# --- `dli gateway` -------------------------------------------------------------------------------------------------

GATEWAY_REQUESTS = Counter(
    "dli_gateway_requests_total",
    "HTTP requests at the gateway, by operation and status.",
    ["operation", "status"],
)
GATEWAY_SECONDS = Histogram(
    "dli_gateway_seconds",
    "Time from the end of a request's headers until its response, by operation.",
    ["operation"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20),
)
GATEWAY_WAITING = Gauge("dli_gateway_waiting", "Requests that wait for an answer now.")
GATEWAY_UP = Gauge("dli_gateway_kafka_up", "1 if Kafka responds, so that requests are accepted; otherwise 0.")
NOTIFICATIONS = Counter(
    "dli_gateway_notifications_total",
    "Notifications sent to subscribers: delivered; failed, which are tried again.",
    ["outcome"],
)
SUBSCRIPTIONS = Gauge(
    "dli_gateway_subscriptions",
    "Subscriptions by status: requested, active, off; error, if the subscriber could not be reached for "
    "DLI_GATEWAY_RETRY_HOURS, until it updates the subscription.",
    ["status"],
)
NOTIFICATIONS_LATE = Gauge(
    "dli_gateway_notification_failing_seconds",
    "For how long the notification that has been failing longest has failed; 0 if none fails. Only the gateway that "
    "notifies has it.",
)

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
    "dli_exporter_up",
    "1 if the brokers responded to this scrape; otherwise 0, and the metrics below are missing rather than stale.",
)
UNREAD = Family(
    "dli_exporter_unread",
    "1 for data that could not be read, by error type: offsets or members of a group, ends of a topic, records of a "
    "partition. Metrics based on it are missing (for a partition's records, the lag in seconds is less precise); "
    "all others are reported.",
    ("what", "name", "cause"),
)
PARTITION_END = Family(
    "kafka_topic_partition_current_offset",
    "The offset after the last record, committed or not (the high watermark).",
    ("topic", "partition"),
)
PARTITION_STABLE = Family(
    "kafka_topic_partition_last_stable_offset",
    "The offset after the last record visible to readers of committed records; less than the end while a "
    "transaction is open.",
    ("topic", "partition"),
)
OPEN_TRANSACTION = Family(
    "kafka_topic_partition_open_transaction_seconds",
    "For how long the last stable offset has been observed unchanged below the end, because of an open transaction; "
    "0 if there is none.",
    ("topic", "partition"),
)
PARTITION_BEGINNING = Family(
    "kafka_topic_partition_oldest_offset", "The offset of the oldest stored record.", ("topic", "partition")
)
RETENTION = Family(
    "dli_topic_retention_seconds",
    "The declared retention of the topic; dli topics check reports if Kafka's differs.",
    ("topic",),
)
GROUP_OFFSET = Family(
    "kafka_consumergroup_current_offset",
    "The group's committed offset; -1 if it has none.",
    ("consumergroup", "topic", "partition"),
)
GROUP_LAG = Family(
    "kafka_consumergroup_lag",
    "Offsets that the group has yet to process, up to the end and including those behind open transactions; 0 if "
    "only transaction markers are left; all stored offsets if the group has committed nothing.",
    ("consumergroup", "topic", "partition"),
)
GROUP_LAG_SUM = Family(
    "kafka_consumergroup_lag_sum", "The sum of that lag over all partitions of a topic.", ("consumergroup", "topic")
)
GROUP_LAG_SECONDS = Family(
    "kafka_consumergroup_group_lag_seconds",
    "How long the oldest waiting record has waited, by its timestamp (our topics have the broker's time), or how long "
    "it has been observed waiting, if that is longer; 0 if none waits.",
    ("group", "topic", "partition"),
)
GROUP_MAX_LAG_SECONDS = Family(
    "kafka_consumergroup_group_max_lag_seconds", "The maximum of that lag over all partitions of a group.", ("group",)
)
GROUP_MEMBERS = Family("kafka_consumergroup_members", "Members of the group.", ("consumergroup",))
ACCOUNTS = Family(
    "dli_accounts_records",
    "Records of requests by outcome, counted in the transactions that answered them: consumed, decided, duplicates, "
    "dead_lettered; and lost, offsets that the broker removed before they were read.",
    ("partition", "outcome"),
)
ACCOUNTS_DIFFERENCE = Family(
    "dli_accounts_difference",
    "Consumed minus decided, duplicates and dead letters: above 0 requests were lost, below 0 invented.",
    ("partition",),
)
ACCOUNTS_BALANCED = Family(
    "dli_accounts_balanced",
    "1 if every partition has an account without a difference, losses or more records than offsets, and every "
    "committed offset is inside its log; otherwise 0, also without a topic of requests.",
)
PLATFORM_ACCOUNT = Family(
    "dli_platform_account_messages",
    "Platforms' messages by outcome, counted in the transactions that made it: messages, requested, again, not_known, "
    "refused, forwarded, answered, answered_again, undelivered; on_their_way, between two agents; and missing.",
    ("outcome",),
)
PLATFORM_ACCOUNT_BALANCED = Family(
    "dli_platform_account_balanced",
    "1 if every message that was read has one outcome or is on its way; otherwise 0. "
    "Absent where no platform's format is spoken.",
)
ARCHIVED = Family(
    "dli_archived_timestamp_seconds",
    "The Unix time up to which all requests, decisions and dead letters are archived, as committed by `dli archive "
    "--continue`; 0 if never.",
)
CASES_KNOWN = Family(
    "dli_cases_known",
    "1 if the exporter has read authorization.cases up to its end; otherwise 0, and the metrics of cases are missing.",
)
PENDED = Family(
    "dli_pended_requests",
    "Open cases, which are pended requests that nothing has ended, by their clock's state.",
    ("state",),
)
OVERDUE = Family("dli_overdue_requests", "Open cases whose clock runs and whose due date has passed.")
WORK_LIST = Family(
    "dli_work_list_requests",
    "Open cases by who acts next and how they stand with their deadline: overdue, in_time, or not_due while their "
    "clock does not run. A case that waits for two counts once for each.",
    ("acts_next", "due"),
)
CASES_OFFSET = Family(
    "dli_cases_read_offset",
    "The offset of authorization.cases up to which open cases are counted: numbers at the same offsets are equal "
    "wherever they are shown.",
    ("partition",),
)
CASES_LEFT_OUT = Family(
    "dli_cases_left_out",
    "Records of open cases for which the exporter had no room (it keeps 500,000): above 0, there are more than are "
    "counted.",
)

FAMILIES = tuple(value for value in list(vars().values()) if isinstance(value, Family))
"""All metrics of the exporter."""
