"""The Kafka ACLs of each role, declared once, with reasons.

The lists are minimal: tests run a worker on Apache Kafka with only these rights, and find none missing and none unused.
In Kafka, READ, WRITE and ALTER imply DESCRIBE.
"""

from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple

from events.topics import (
    ANSWERED,
    AUDIT,
    CASE_EVENTS,
    CASES,
    CHAINS,
    CONTEXTS,
    DEAD_LETTERS,
    DEADLINES,
    DECISIONS,
    INTEGRATION_EVENTS,
    LEDGER,
    LINKS,
    MESSAGES,
    PAS_REQUESTS,
    PAS_RESPONSES,
    POLICY_ATTESTATIONS,
    POLICY_REVISIONS,
    REQUESTS,
    SHADOW,
    SUBMISSIONS,
    SUBSCRIPTIONS,
    TOPICS,
    VERDICTS,
    X12_REQUESTS,
    X12_RESPONSES,
)
from workers.configuration.settings import Settings

Role = Literal[
    "worker", "integration", "exporter", "dashboard", "archive", "gateway", "platform", "review", "policy", "operator"
]
Resource = Literal["topic", "group", "transactional-id"]
Operation = Literal["READ", "WRITE", "CREATE", "ALTER", "ALTER_CONFIGS", "DESCRIBE", "DESCRIBE_CONFIGS"]

ROLES: dict[Role, str] = {
    "worker": "decides requests and keeps the register: `dli worker`",
    "integration": "speaks platforms' formats, in and out: `dli integration`",
    "exporter": "measures lag and balances accounts, and writes nothing: `dli exporter`",
    "dashboard": "reads decisions and their reasons, and records logins and acts: `dli dashboard`",
    "archive": "archives records before Kafka removes them: `dli archive --continue`",
    "gateway": "takes messages over HTTP and gives their answers: `dli gateway`",
    "platform": "a claims platform: publishes requests and reads decisions",
    "review": "the plan's review system, and `dli review`: publishes reviewers' verdicts, and reads what it is asked",
    "policy": "the office responsible for a policy: `dli policy publish`",
    "operator": "a person: `dli topics`, `dli publish`, `dli tail`, `dli accounts`, `dli dead-letters`",
}

RECORDS = "to record who did what"


_RAW = (PAS_REQUESTS, X12_REQUESTS)
"""What platforms send in their own formats."""


class AclRule(NamedTuple):
    """The operations that a role may perform on a resource, or on all with a name prefix."""

    role: Role
    resource: Resource
    name: str
    is_prefix: bool
    operations: tuple[Operation, ...]
    why: str


def rights(settings: Settings, role: str | None = None) -> list[AclRule]:
    """The rights of one role, or of all, in this deployment."""
    rules = (
        *_of_workers(settings),
        *_of_integration(settings),
        *_of_the_exporter(settings),
        *_of_the_dashboard(settings),
        *_of_the_archive(settings),
        *_of_the_gateway(settings),
        *_of_platforms(settings),
        *_of_reviewers(settings),
        *_of_policies(settings),
        *_of_operators(settings),
    )
    return [rule for rule in rules if role in {None, rule.role}]


def _of_workers(settings: Settings) -> Iterator[AclRule]:
    uses: dict[str, tuple[tuple[Operation, ...], str]] = {
        REQUESTS: (("READ",), "to decide them"),
        DECISIONS: (("READ", "WRITE"), "to answer requests; to write pointers to the answers"),
        DEAD_LETTERS: (("READ", "WRITE"), "to keep undecidable events; to write pointers to them"),
        ANSWERED: (("READ", "WRITE"), "to remember answered requests"),
        VERDICTS: (("READ",), "to take them to their cases"),
        CASE_EVENTS: (("READ", "WRITE"), "to keep cases, in one order"),
        CASES: (("READ", "WRITE"), "to keep the state of cases"),
        DEADLINES: (("READ", "WRITE"), "to announce deadlines; to write pointers to them"),
        LEDGER: (("READ", "WRITE"), "to keep pointers to answers"),
        LINKS: (("READ", "WRITE"), "to keep which request supersedes which"),
        SHADOW: (("WRITE",), "to publish how a draft's decisions differ"),
        POLICY_REVISIONS: (("READ",), "to follow the policies"),
        POLICY_ATTESTATIONS: (("WRITE",), "to attest what each revision changes"),
    }
    for name, (operations, why) in uses.items():
        yield _topic("worker", settings.topic(name), (*operations, "DESCRIBE_CONFIGS"), f"{why}; its settings at start")
    yield from _unused("worker", uses, settings)
    own = f"{settings.app_id}-"
    yield AclRule("worker", "topic", own, True, ("READ", "WRITE", "CREATE"), "Faust's changelogs of tables")
    yield AclRule("worker", "group", settings.app_id, False, ("READ",), "to share partitions, and commit offsets")
    for name in (REQUESTS, LINKS, VERDICTS, LEDGER, CASE_EVENTS):
        transactions = f"{own}{settings.topic(name)}-"
        yield AclRule("worker", "transactional-id", transactions, True, ("WRITE",), "one for each partition")


def _of_integration(settings: Settings) -> Iterator[AclRule]:
    uses: dict[str, tuple[tuple[Operation, ...], str]] = {
        PAS_REQUESTS: (("READ",), "to read platforms' messages"),
        X12_REQUESTS: (("READ",), "as for PAS"),
        SUBMISSIONS: (("READ", "WRITE"), "to take messages to their traces"),
        CHAINS: (("READ", "WRITE"), "to keep what is known of traces"),
        REQUESTS: (("WRITE",), "to publish what messages ask for"),
        DECISIONS: (("READ",), "to answer platforms"),
        DEAD_LETTERS: (("READ", "WRITE"), "to keep what becomes no request; to answer what cannot be decided"),
        INTEGRATION_EVENTS: (("READ", "WRITE"), "to answer in one order"),
        CONTEXTS: (("READ", "WRITE"), "to keep what answers need"),
        PAS_RESPONSES: (("WRITE",), "to answer"),
        X12_RESPONSES: (("WRITE",), "as for PAS"),
    }
    for name, (operations, why) in uses.items():
        rule = (*operations, "DESCRIBE_CONFIGS")
        yield _topic("integration", settings.topic(name), rule, f"{why}; its settings at start")
    yield from _unused("integration", uses, settings)
    own = f"{settings.integration_id}-"
    group = settings.integration_id
    yield AclRule("integration", "group", group, False, ("READ",), "to share partitions, and commit offsets")
    for name in (PAS_REQUESTS, X12_REQUESTS, SUBMISSIONS, DECISIONS, DEAD_LETTERS, INTEGRATION_EVENTS):
        transactions = f"{own}{settings.topic(name)}-"
        yield AclRule("integration", "transactional-id", transactions, True, ("WRITE",), "one for each partition")


def _unused(role: Role, uses: Collection[str], settings: Settings) -> Iterator[AclRule]:
    """The topics that a process does not use: it refuses to start without a declared one."""
    why = "to check that it exists; its settings at start"
    for topic in TOPICS:
        if topic.name not in uses:
            yield _topic(role, settings.topic(topic.name), ("DESCRIBE", "DESCRIBE_CONFIGS"), why)


def _of_the_exporter(settings: Settings) -> Iterator[AclRule]:
    yield AclRule("exporter", "group", settings.app_id, False, ("DESCRIBE",), "committed offsets, members")
    yield AclRule("exporter", "group", settings.integration_id, False, ("DESCRIBE",), "as for the workers' group")
    yield AclRule("exporter", "group", settings.archive_group, False, ("DESCRIBE",), "until when all is archived")
    for name, why in ((REQUESTS, "end offsets, age of waiting records"), (CASES, "open cases, due dates")):
        yield _topic("exporter", settings.topic(name), ("READ",), why)
    for name in (DECISIONS, DEAD_LETTERS, DEADLINES, VERDICTS, CASE_EVENTS, LEDGER, LINKS, POLICY_REVISIONS):
        yield _topic("exporter", settings.topic(name), ("READ",), "as for requests")
    for name in (PAS_REQUESTS, X12_REQUESTS, SUBMISSIONS, INTEGRATION_EVENTS):
        yield _topic("exporter", settings.topic(name), ("READ",), "as for requests")
    for name in (ANSWERED, CHAINS, CONTEXTS, PAS_RESPONSES, X12_RESPONSES):
        yield _topic("exporter", settings.topic(name), ("DESCRIBE",), "end offsets, up to which archives go")


def _of_the_dashboard(settings: Settings) -> Iterator[AclRule]:
    yield AclRule("dashboard", "group", settings.app_id, False, ("DESCRIBE",), "committed offsets, members")
    uses = {
        REQUESTS: "end offsets, and latency",
        DECISIONS: "decisions, and traces of requests",
        DEAD_LETTERS: "what could not be decided",
        DEADLINES: "as for the ledger; what was announced for a request",
        CASES: "the work list, due dates",
        LEDGER: "end offsets, age of waiting records",
        LINKS: "as for the ledger",
        VERDICTS: "as for the ledger; what reviewers said of a request",
        CASE_EVENTS: "as for the ledger",
        POLICY_REVISIONS: "the revisions",
        POLICY_ATTESTATIONS: "what each revision changes",
    }
    for name, why in uses.items():
        yield _topic("dashboard", settings.topic(name), ("READ",), why)
    yield _topic("dashboard", settings.topic(AUDIT), ("READ", "WRITE"), f"{RECORDS}; to show it")


def _of_the_archive(settings: Settings) -> Iterator[AclRule]:
    for name in (REQUESTS, DECISIONS, DEAD_LETTERS, VERDICTS, ANSWERED, CASES, CHAINS, CONTEXTS, POLICY_REVISIONS):
        yield _topic("archive", settings.topic(name), ("READ",), "to archive it")
    for name in MESSAGES:
        yield _topic("archive", settings.topic(name), ("READ",), "to archive it with --messages")
    yield _topic("archive", settings.topic(AUDIT), ("WRITE",), RECORDS)
    yield AclRule("archive", "group", settings.archive_group, False, ("READ",), "to commit the archived offsets")


def _of_the_gateway(settings: Settings) -> Iterator[AclRule]:
    for name in (PAS_REQUESTS, X12_REQUESTS):
        yield _topic("gateway", settings.topic(name), ("WRITE",), "to pass messages on")
    for name in (PAS_RESPONSES, X12_RESPONSES):
        yield _topic("gateway", settings.topic(name), ("READ",), "to give the answers; to notify subscribers")
    yield _topic("gateway", settings.topic(SUBSCRIPTIONS), ("READ", "WRITE"), "to keep subscriptions")
    why = "to choose who notifies; what each subscriber was told"
    yield AclRule("gateway", "group", settings.gateway_group, True, ("READ",), why)


def _of_platforms(settings: Settings) -> Iterator[AclRule]:
    yield _topic("platform", settings.topic(REQUESTS), ("WRITE",), "to send requests")
    yield _topic("platform", settings.topic(DECISIONS), ("READ",), "to read the answers")
    for requests, responses in ((PAS_REQUESTS, PAS_RESPONSES), (X12_REQUESTS, X12_RESPONSES)):
        yield _topic("platform", settings.topic(requests), ("WRITE",), "to send requests in its own format")
        yield _topic("platform", settings.topic(responses), ("READ",), "to read the answers in it")
    yield AclRule("platform", "group", "claims-platform", True, ("READ",), "its own consumer groups")


def _of_reviewers(settings: Settings) -> Iterator[AclRule]:
    # Nobody else may write there: a verdict can refuse care.
    yield _topic("review", settings.topic(VERDICTS), ("READ", "WRITE"), "to publish verdicts, and resend refused ones")
    resent = f"{settings.app_id}-redrive"
    yield AclRule("review", "transactional-id", resent, False, ("WRITE",), "to resend refused verdicts, once each")
    yield _topic("review", settings.topic(DECISIONS), ("READ",), "to read recommendations, and what became of them")
    yield _topic("review", settings.topic(DEADLINES), ("READ",), "to hear of deadlines")
    yield _topic("review", settings.topic(DEAD_LETTERS), ("READ",), "to hear of refused verdicts")
    yield _topic("review", settings.topic(AUDIT), ("WRITE",), RECORDS)
    yield AclRule("review", "group", "review-system", True, ("READ",), "its own consumer groups")


def _of_policies(settings: Settings) -> Iterator[AclRule]:
    yield _topic("policy", settings.topic(POLICY_REVISIONS), ("READ", "WRITE"), "to publish revisions")
    yield _topic("policy", settings.topic(AUDIT), ("WRITE",), RECORDS)
    yield _topic("policy", settings.topic(SHADOW), ("READ",), "to see how a draft's decisions differ")


def _of_operators(settings: Settings) -> Iterator[AclRule]:
    for topic in TOPICS:
        operations: tuple[Operation, ...] = ("CREATE", "ALTER_CONFIGS", "DESCRIBE_CONFIGS", "READ")
        if topic.name in {REQUESTS, *_RAW, POLICY_REVISIONS, AUDIT} or topic.state is not None:
            operations = (*operations, "WRITE")
        why = "to create, compare and inspect it"
        if topic.name == POLICY_REVISIONS:
            why += "; to publish the packaged documents"
        if topic.name == AUDIT:
            why += f"; {RECORDS}"
        if topic.alike:
            operations = (*operations, "ALTER")
            why += "; to add partitions"
        yield _topic("operator", settings.topic(topic.name), operations, why)
    own = settings.topic("replay.")
    yield AclRule("operator", "topic", own, True, ("CREATE", "READ", "WRITE"), "what a replay would have decided")
    yield AclRule(
        "operator",
        "transactional-id",
        f"{settings.app_id}-redrive",
        False,
        ("WRITE",),
        "to resend dead letters, once each",
    )
    reset = f"{settings.app_id}-reset-offset"
    yield AclRule("operator", "transactional-id", reset, False, ("WRITE",), "to replace an offset that workers refuse")
    yield AclRule("operator", "group", settings.app_id, False, ("READ",), "to read accounts; to reset an offset")
    group = settings.integration_id
    yield AclRule("operator", "group", group, False, ("DESCRIBE",), "to read accounts; to add partitions")


def _topic(role: Role, name: str, operations: tuple[Operation, ...], why: str) -> AclRule:
    return AclRule(role, "topic", name, False, operations, why)
