"""Every metric, in one place. Labels never carry a member, a request or anything else of a person."""

from prometheus_client import Counter, Gauge, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there; a second series for every counter, which no dashboard reads

DECISIONS = Counter(
    "dli_decisions_total", "Decisions published, by the X12 306 action of the whole request.", ["action"]
)
DECIDED_LINES = Counter(
    "dli_decided_lines_total",
    "Service lines determined.",
    ["determination", "action", "policy", "revision"],
)
DEAD_LETTERS = Counter("dli_dead_letters_total", "Events that could not be decided, by reason.", ["reason"])
DUPLICATES = Counter(
    "dli_duplicates_total", "Requests that came again with the same content, and were not answered again."
)
DEFECTS = Counter(
    "dli_defects_total",
    "Events that met a defect of this software; any rise needs somebody to look.",
    ["error"],
)
BATCHES = Counter("dli_batches_total", "Batches of requests whose answers were sent and whose offsets were given back.")
REVISIONS_KNOWN = Gauge("dli_policy_revisions_known", "Revisions in the register, by policy.", ["policy"])
READY = Gauge("dli_ready", "1 when the worker is assigned, recovered and has its policies; else 0.")
