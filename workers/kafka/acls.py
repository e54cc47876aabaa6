"""The Kafka ACLs of each role, declared once, with reasons.

The lists are minimal: tests run a worker on Apache Kafka with only these rights, and find none missing and none unused.
In Kafka, READ, WRITE and ALTER imply DESCRIBE.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from events.topics import (
    ANSWERED,
    AUDIT,
    DEAD_LETTERS,
    DECISIONS,
    LEDGER,
    LINKS,
    POLICY_ATTESTATIONS,
    POLICY_REVISIONS,
    REQUESTS,
    SHADOW,
    TOPICS,
)
from workers.configuration.settings import Settings

Role = Literal["worker", "exporter", "dashboard", "archive", "platform", "policy", "operator"]
Resource = Literal["topic", "group", "transactional-id"]
Operation = Literal["READ", "WRITE", "CREATE", "ALTER", "ALTER_CONFIGS", "DESCRIBE", "DESCRIBE_CONFIGS"]

ROLES: dict[Role, str] = {
    "worker": "decides requests and keeps the register: `dli worker`",
    "exporter": "measures lag and balances accounts, and writes nothing: `dli exporter`",
    "dashboard": "reads what was decided and why, and writes who came in and what they did: `dli dashboard`",
    "archive": "keeps what Kafka will forget: `dli archive --continue`",
    "platform": "a claims platform, which publishes requests and reads decisions",
    "policy": "who answers for a policy's document: `dli policy publish`",
    "operator": "a person: `dli topics`, `dli publish`, `dli tail`, `dli accounts`, `dli dead-letters`",
}

RECORDS = "to record who did what"


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
    every = (
        *_of_workers(settings),
        *_of_the_exporter(settings),
        *_of_the_dashboard(settings),
        *_of_the_archive(settings),
        *_of_platforms(settings),
        *_of_policies(settings),
        *_of_operators(settings),
    )
    return [rule for rule in every if role in {None, rule.role}]


def _of_workers(settings: Settings) -> Iterator[AclRule]:
    uses: dict[str, tuple[tuple[Operation, ...], str]] = {
        REQUESTS: (("READ",), "to decide them"),
        DECISIONS: (("READ", "WRITE"), "to answer, and to point to the answers"),
        DEAD_LETTERS: (("READ", "WRITE"), "to keep what cannot be decided, and to point to it"),
        ANSWERED: (("READ", "WRITE"), "to remember what was answered"),
        LEDGER: (("READ", "WRITE"), "to keep pointers to answers"),
        LINKS: (("READ", "WRITE"), "to keep which request supersedes which"),
        SHADOW: (("WRITE",), "to tell what a draft would make otherwise"),
        POLICY_REVISIONS: (("READ",), "to follow the policies"),
        POLICY_ATTESTATIONS: (("WRITE",), "to tell what each revision changes"),
    }
    for name, (operations, why) in uses.items():
        yield _topic("worker", settings.topic(name), (*operations, "DESCRIBE_CONFIGS"), f"{why}; its settings at start")
    # Workers do not use it, but refuse to start without a declared topic.
    why = "to see that it is there; its settings at start"
    yield _topic("worker", settings.topic(AUDIT), ("DESCRIBE", "DESCRIBE_CONFIGS"), why)
    own = f"{settings.app_id}-"
    yield AclRule("worker", "topic", own, True, ("READ", "WRITE", "CREATE"), "the changelogs of tables, made by Faust")
    yield AclRule("worker", "group", settings.app_id, False, ("READ",), "to share partitions, and commit offsets")
    for name in (REQUESTS, LINKS):
        transactions = f"{own}{settings.topic(name)}-"
        yield AclRule("worker", "transactional-id", transactions, True, ("WRITE",), "one for each partition")


def _of_the_exporter(settings: Settings) -> Iterator[AclRule]:
    yield AclRule("exporter", "group", settings.app_id, False, ("DESCRIBE",), "offsets committed, members")
    yield AclRule("exporter", "group", settings.archive_group, False, ("DESCRIBE",), "until when all is archived")
    for name, why in ((REQUESTS, "ends, and how old what waits is"), (DECISIONS, "what is pended, and until when")):
        yield _topic("exporter", settings.topic(name), ("READ",), why)
    for name in (DEAD_LETTERS, LEDGER, LINKS, POLICY_REVISIONS):
        yield _topic("exporter", settings.topic(name), ("READ",), "as for requests")
    yield _topic("exporter", settings.topic(ANSWERED), ("DESCRIBE",), "ends: archives go up to there")


def _of_the_dashboard(settings: Settings) -> Iterator[AclRule]:
    yield AclRule("dashboard", "group", settings.app_id, False, ("DESCRIBE",), "offsets committed, members")
    uses = {
        REQUESTS: "ends, and how long answers take",
        DECISIONS: "what was decided, and the trace of a request",
        DEAD_LETTERS: "what could not be decided",
        LEDGER: "ends, and how old what waits is",
        LINKS: "as for the ledger",
        POLICY_REVISIONS: "the revisions",
        POLICY_ATTESTATIONS: "what each changes",
    }
    for name, why in uses.items():
        yield _topic("dashboard", settings.topic(name), ("READ",), why)
    yield _topic("dashboard", settings.topic(AUDIT), ("READ", "WRITE"), f"{RECORDS}; to show that")


def _of_the_archive(settings: Settings) -> Iterator[AclRule]:
    for name in (REQUESTS, DECISIONS, DEAD_LETTERS, ANSWERED, POLICY_REVISIONS):
        yield _topic("archive", settings.topic(name), ("READ",), "to keep it")
    yield _topic("archive", settings.topic(AUDIT), ("WRITE",), RECORDS)
    yield AclRule("archive", "group", settings.archive_group, False, ("READ",), "to commit how far archives go")


def _of_platforms(settings: Settings) -> Iterator[AclRule]:
    yield _topic("platform", settings.topic(REQUESTS), ("WRITE",), "to ask")
    yield _topic("platform", settings.topic(DECISIONS), ("READ",), "to read the answers")
    yield AclRule("platform", "group", "claims-platform", True, ("READ",), "its own consumers, by names of its choice")


def _of_policies(settings: Settings) -> Iterator[AclRule]:
    yield _topic("policy", settings.topic(POLICY_REVISIONS), ("READ", "WRITE"), "to publish what continues the chain")
    yield _topic("policy", settings.topic(AUDIT), ("WRITE",), RECORDS)
    yield _topic("policy", settings.topic(SHADOW), ("READ",), "to see what a draft would make otherwise")


def _of_operators(settings: Settings) -> Iterator[AclRule]:
    for topic in TOPICS:
        operations: tuple[Operation, ...] = ("CREATE", "ALTER_CONFIGS", "DESCRIBE_CONFIGS", "READ")
        if topic.name in {REQUESTS, POLICY_REVISIONS, AUDIT} or topic.state is not None:
            operations = (*operations, "WRITE")
        why = "to make, compare and look at it"
        if topic.name == POLICY_REVISIONS:
            why += "; to add what the packaged documents know"
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
        "to send dead letters again, once",
    )
    reset = f"{settings.app_id}-reset-offset"
    yield AclRule("operator", "transactional-id", reset, False, ("WRITE",), "to set an offset that workers refuse")
    yield AclRule("operator", "group", settings.app_id, False, ("READ",), "accounts stand with the offsets; to set one")


def _topic(role: Role, name: str, operations: tuple[Operation, ...], why: str) -> AclRule:
    return AclRule(role, "topic", name, False, operations, why)
