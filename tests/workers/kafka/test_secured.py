"""On Apache Kafka that asks who is there.

The right credentials work, all others fail in a sentence, and the worker's user can do what its work needs and nothing
else.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError as RefusedToRead
from aiokafka.errors import SaslAuthenticationFailed
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from events.topics import (
    CASE_EVENTS,
    DEAD_LETTERS,
    DEADLINES,
    DECISIONS,
    INTEGRATION_EVENTS,
    LEDGER,
    LINKS,
    PAS_REQUESTS,
    PAS_RESPONSES,
    POLICY_REVISIONS,
    REQUESTS,
    SHADOW,
    SUBMISSIONS,
    TOPICS,
    VERDICTS,
    X12_REQUESTS,
    X12_RESPONSES,
)
from tests.support import generator, pas_bundles, x12_messages
from tests.support.browsing import dashboard
from tests.support.cases import packaged
from tests.support.commands import Ran, dli
from tests.support.gateways import TOKEN, Answer, call, digest, gateway, subscriber, subscription
from tests.support.odd_records import letters
from tests.support.policy_files import written
from tests.support.publishing import revised
from tests.support.reviews import event, verdict
from tests.support.running import at_rest, eventually, everything_on
from tests.support.secured_kafka import ADMIN, WORKER, Issuer, Secured, give, password, secured_broker, take
from workers.audit.read_acts import acts
from workers.cases.route import is_on_its_way
from workers.configuration.settings import Settings, read
from workers.demo.run import running_worker
from workers.dev_brokers import free_ports
from workers.gateway.adapters import parts
from workers.kafka import connect
from workers.kafka.acls import AclRule, rights
from workers.kafka.records import OutgoingRecord
from workers.monitoring.exporter import serving
from workers.stream.partition_loop import EXIT_PROCESSOR_LOST
from workers.topics import apply_topics
from workers.traffic.commands import as_record, sent

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("secured")]

REVIEW = "review-system-1"
PLATFORM, OPERATOR, EXPORTER, STRANGER = "claims-platform-1", "dli-operator", "dli-exporter", "stranger"
ARCHIVE, LOSING, VIEWER, POLICY = "dli-archive", "dli-worker-2", "dli-viewer", "dli-policy"
INTEGRATION, GATEWAY = "dli-integration", "dli-gateway"
ROLE_OF = {
    WORKER: "worker",
    LOSING: "worker",
    PLATFORM: "platform",
    OPERATOR: "operator",
    EXPORTER: "exporter",
    ARCHIVE: "archive",
    VIEWER: "dashboard",
    POLICY: "policy",
    REVIEW: "review",
    INTEGRATION: "integration",
    GATEWAY: "gateway",
}
ONE_LINE = {"lines": [{"line": 1, "action": "A1"}]}
FOREIGN = "someone-elses-topic"
AUDIT = r"Principal = User:{} is (Allowed|Denied) operation = (\w+) from host = \S+ on resource = (\w+):LITERAL:(\S+)"


class OverHttp(NamedTuple):
    """What came back over HTTP."""

    subscribed: Answer
    bundle: Answer
    interchange: Answer


def audit(secured: Secured, user: str) -> set[tuple[str, ...]]:
    """What a user asked for so far, by the broker's own record: the answer, the operation, of what, of which name."""
    return set(re.findall(AUDIT.format(user), secured.log()))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_broker(tmp_path_factory.mktemp("secured"), (*ROLE_OF, STRANGER)) as running:
        found = running.settings(WORKER)
        for user, role in ROLE_OF.items():
            give(running, user, rights(found, role))
        with apply_topics.admin(running.settings(ADMIN)) as client:
            client.create_topics({FOREIGN: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
        apply_topics.apply(running.settings(OPERATOR, partitions=2))
        yield running


@pytest.fixture(scope="module")
def used(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, ...]]:
    """What the broker was asked for by a worker from its start, through its work, to its end: (answer, …)."""
    folder = tmp_path_factory.mktemp("worker")
    found = secured.settings(WORKER, partitions=2, data_dir=folder, web_port=free_ports().client)
    lines = [generator.encode(generator.request(1, number)) for number in range(40)]
    supersede = sum(json.loads(line).get("supersedes") is not None for line in lines)
    assert supersede > 0
    platform, operator = secured.settings(PLATFORM), secured.settings(OPERATOR)
    with running_worker(found, folder / "log"):
        list(sent([as_record(line, REQUESTS) for line in [*lines, b"no request"]], platform))
        deadline = time.monotonic() + 120
        users = dict.fromkeys((DEAD_LETTERS, LEDGER, LINKS), operator) | {DECISIONS: platform}
        wanted = {DECISIONS: len(lines), DEAD_LETTERS: 1, LEDGER: len(lines) + 1, LINKS: supersede}
        while not (done := {name: answered(users[name], name) for name in wanted} == wanted):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        # Some have been due for long; nobody is told without the right to it.
        while not answered(operator, DEADLINES):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert done
    return audit(secured, WORKER)


def answered(found: Settings, topic: str) -> int:
    """How many records are there; on the ledger, how many pointers."""
    records = everything_on(found, topic)
    return sum(topic != LEDGER or not is_on_its_way(one.value) for one in records)


def is_meant(one: AclRule, resource: str, name: str) -> bool:
    kind = {"topic": "Topic", "group": "Group", "transactional-id": "TransactionalId"}[one.resource]
    return resource == kind and (name.startswith(one.name) if one.is_prefix else name == one.name)


def test_a_worker_decides_with_exactly_its_rights(used: set[tuple[str, ...]]) -> None:
    """A worker with its rights and no others decides and is refused nothing."""
    assert {one for one in used if one[0] == "Denied"} == set()


def unused(secured: Secured, user: str, role: str) -> list[tuple[str, str]]:
    used = audit(secured, user)
    return [
        (one.name, operation)
        for one in rights(secured.settings(WORKER), role)
        for operation in one.operations
        if not any(said == operation and is_meant(one, resource, name) for _, said, resource, name in used)
    ]


@pytest.mark.usefixtures("used")
def test_a_worker_uses_every_right_that_it_has(secured: Secured) -> None:
    assert unused(secured, WORKER, "worker") == []


@pytest.fixture(scope="module")
def archived(secured: Secured, used: set[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """How two archives ended that were made, one behind the other, with the archive's rights."""
    assert used
    folder = tmp_path_factory.mktemp("archives")
    environment = {**os.environ, **secured.settings(ARCHIVE, partitions=2).environment()}
    command = [sys.executable, "-m", "workers.main", "archive", str(folder), "--continue", "--messages"]
    done = [
        subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)  # noqa: S603 (our own command)
        for _ in range(2)
    ]
    assert [ran.returncode for ran in done] == [0, 0], [ran.stderr for ran in done]
    return [ran.returncode for ran in done]


@pytest.mark.usefixtures("archived")
def test_archives_are_made_with_their_rights_and_use_all_of_them(secured: Secured) -> None:
    assert unused(secured, ARCHIVE, "archive") == []
    assert {one for one in audit(secured, ARCHIVE) if one[0] == "Denied"} == set()


def send_unknown_verdict(secured: Secured) -> None:
    """A valid one, on a request that nobody knows: an operator may not resend it, and resends what is undecodable."""
    unknown = event(verdict({"request_id": "PA-UNKNOWN", "decision_id": "0" * 32, "lines": []}, "V-1", "A1") | ONE_LINE)
    list(sent([OutgoingRecord(VERDICTS, b"k", unknown, ())], secured.settings(REVIEW)))


def abandon(topic: str, found: Settings) -> None:
    """An aborted transaction, whose records wait behind the group's offsets."""
    client = KafkaProducer(**connect.client(found), transactional_id=f"{found.integration_id}-{topic}-0")
    try:
        client.init_transactions()
        client.begin_transaction()
        client.send(topic, b"v").get(timeout=10)
        client.abort_transaction()
    finally:
        client.close()


def leave_waiting(secured: Secured) -> None:
    """Where nothing waits, nobody need look how old that is; the worker has ended."""
    list(sent([as_record(generator.encode(generator.request(2, 1)), REQUESTS)], secured.settings(PLATFORM)))
    of_processes = {
        WORKER: (LEDGER, LINKS, CASE_EVENTS),
        PLATFORM: (PAS_REQUESTS, X12_REQUESTS),
    }
    for user, topics in of_processes.items():
        list(sent([OutgoingRecord(topic, b"k", b"v", ()) for topic in topics], secured.settings(user)))
    # Between the agents, what nobody counts: others' records there would upset accounts.
    for topic in (SUBMISSIONS, INTEGRATION_EVENTS):
        abandon(topic, secured.settings(INTEGRATION))
    send_unknown_verdict(secured)
    list(sent([OutgoingRecord(POLICY_REVISIONS, b"k", b"v", ())], secured.settings(OPERATOR)))
    # Answers and deadlines wait again: others of them would upset accounts. Verdicts wait where none was read before;
    # to read them twice would upset accounts too.
    found = secured.settings(WORKER)
    client = KafkaConsumer(**connect.client(found), group_id=found.app_id)
    try:
        named = (DECISIONS, DEAD_LETTERS, DEADLINES, VERDICTS)
        every = [TopicPartition(topic, number) for topic in named for number in range(2)]
        client.assign(every)
        again = [one for one in every if one.topic != VERDICTS or client.committed(one) is None]
        client.commit(dict.fromkeys(again, OffsetAndMetadata(0, "", -1)))
    finally:
        client.close()


@pytest.mark.usefixtures("archived", "over_http")
def test_an_exporter_measures_with_its_rights_and_writes_nothing(secured: Secured) -> None:
    leave_waiting(secured)
    found = secured.settings(EXPORTER, partitions=2, exporter_port=free_ports().client)
    with serving(found):
        deadline = time.monotonic() + 60
        while unused(secured, EXPORTER, "exporter") and time.monotonic() < deadline:
            with urlopen(f"http://{found.web_host}:{found.exporter_port}/metrics", timeout=20) as answer:
                said = answer.read().decode()

    assert "dli_exporter_up 1.0" in said
    assert 'kafka_consumergroup_lag{consumergroup="dli-authorization"' in said
    assert unused(secured, EXPORTER, "exporter") == []
    assert {one for one in audit(secured, EXPORTER) if one[0] == "Denied"} == set()


# --- platforms' own formats ----------------------------------------------------------------------------------------


INTEGRATION_COMMAND = ("workers.main", "integration")


def integration_flags(folder: Path) -> dict[str, Any]:
    """The flags of a process that speaks platforms' formats; it is asked whether it is ready at its own port."""
    partners = folder / "delta.json"
    partners.write_text(x12_messages.PARTNER.model_dump_json(by_alias=True, exclude_none=True), "utf-8")
    port = free_ports().client
    own = {"web_port": port, "integration_port": port}
    return {"data_dir": folder / "integrating", "partners": partners, "partitions": 2, **own}


@pytest.fixture(scope="module")
def over_http(secured: Secured, used: set[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory) -> OverHttp:
    """Messages over Kafka and over HTTP, answered by processes that have their rights and no others."""
    assert used
    folder = tmp_path_factory.mktemp("over-http")
    working = secured.settings(WORKER, partitions=2, data_dir=folder, web_port=free_ports().client)
    integrating = secured.settings(INTEGRATION, **integration_flags(folder))
    platform = secured.settings(PLATFORM)
    clients, http = folder / "clients.json", free_ports()
    with (
        subscriber() as hook,
        running_worker(working, folder / "worker.log"),
        running_worker(integrating, folder / "integration.log", INTEGRATION_COMMAND),
    ):
        client = {"partner": "delta", "tokens": [digest(TOKEN.encode())], "endpoints": [hook.url]}
        clients.write_text(json.dumps({"partners": [client | {"identifiers": ["urn:senders|DELTAHOSP"]}]}), "utf-8")
        found = secured.settings(
            GATEWAY,
            partitions=2,
            partners=integrating.partners,
            gateway_clients=clients,
            gateway_port=http.client,
            gateway_health_port=http.controller,
        )
        with gateway(found, parts=parts(found)):
            wanted = subscription(hook.url, "org-identifier=urn:senders|DELTAHOSP")
            subscribed = call(found, "POST", "/fhir/Subscription", wanted)
            asked = [(PAS_REQUESTS, pas_bundles.message(1)), (X12_REQUESTS, x12_messages.message(1))]
            headers = (("partner", b"delta"),)
            list(sent([OutgoingRecord(topic, b"", value, headers) for topic, value in asked], platform))
            assert eventually(lambda: all(everything_on(platform, one) for one in (PAS_RESPONSES, X12_RESPONSES)))
            bundle = call(found, "POST", "/fhir/Claim/$submit", pas_bundles.message(2))
            interchange = call(found, "POST", "/x12/278", x12_messages.message(2), kind="application/edi-x12")
            assert eventually(lambda: unused(secured, GATEWAY, "gateway") == []), subscribed
    return OverHttp(subscribed, bundle, interchange)


def test_messages_over_http_are_answered(over_http: OverHttp) -> None:
    assert (over_http.subscribed.status, over_http.bundle.status, over_http.interchange.status) == (201, 200, 200), (
        over_http
    )
    assert over_http.bundle.json["resourceType"] == "Bundle"
    assert over_http.interchange.body.startswith(b"ISA")


@pytest.mark.usefixtures("over_http")
@pytest.mark.parametrize(("user", "role"), [(INTEGRATION, "integration"), (GATEWAY, "gateway")])
def test_each_process_between_uses_every_right(secured: Secured, user: str, role: str) -> None:
    assert unused(secured, user, role) == []
    assert {one for one in audit(secured, user) if one[0] == "Denied"} == set()


@pytest.mark.usefixtures("over_http")
def test_a_platform_asks_and_reads_answers_and_uses_every_right(secured: Secured) -> None:
    """With a consumer group of its own, as platforms read."""
    where = TopicPartition(DECISIONS, 0)
    client = KafkaConsumer(**connect.client(secured.settings(PLATFORM)), group_id="claims-platform-answers")
    try:
        client.assign([where])
        client.commit({where: OffsetAndMetadata(0, "", -1)})
    finally:
        client.close()

    assert unused(secured, PLATFORM, "platform") == []
    assert {one for one in audit(secured, PLATFORM) if one[0] == "Denied"} == set()


@pytest.mark.usefixtures("used")
def test_a_dashboard_works_with_its_rights_and_uses_every_one(secured: Secured, tmp_path: Path) -> None:
    """What its pages show is read; a login is recorded."""
    token = "a-token-to-look-with"  # noqa: S105 (of this dashboard alone)
    leave_waiting(secured)
    with dashboard(secured.settings(VIEWER, partitions=2), tmp_path, token=token) as url:
        entering = Request(f"{url}/login", data=urlencode({"token": token}).encode())  # noqa: S310 (our own server)
        with build_opener(HTTPCookieProcessor()).open(entering, timeout=20):
            pass
        # As the page does once a browser has opened it.
        shown = acts(secured.settings(VIEWER), datetime.now(UTC) - timedelta(days=1))
        assert eventually(lambda: unused(secured, VIEWER, "dashboard") == []), unused(secured, VIEWER, "dashboard")

    assert "dashboard login" in {one.last.what for one in shown}
    assert {one for one in audit(secured, VIEWER) if one[0] == "Denied"} == set()


@pytest.mark.usefixtures("used")
def test_who_answers_for_a_policy_publishes_and_uses_every_right(secured: Secured, tmp_path: Path) -> None:
    """A revision behind what is published; and what a draft would change is looked at."""
    values = environment(secured.settings(POLICY, partitions=2))
    file = written(tmp_path, revised(packaged().document))
    published = with_environment(values, "policy", "publish", file, "--author", "Office", "--execute")
    nothing = with_environment(values, "policy", "publish-packaged")
    looked = reading(SHADOW, secured.settings(POLICY))

    assert (published.code, nothing.code) == (0, 0), (published, nothing)
    assert looked == "{}"
    assert unused(secured, POLICY, "policy") == []
    assert {one for one in audit(secured, POLICY) if one[0] == "Denied"} == set()


@pytest.mark.usefixtures("used")
def test_an_operator_balances_accounts_and_sends_letters_again(secured: Secured) -> None:
    values = environment(secured.settings(OPERATOR, partitions=2))
    balanced = with_environment(values, "accounts")
    sent_again = with_environment(values, "dead-letters", "redrive", "--reason", "undecodable", "--execute")

    assert (balanced.code, sent_again.code) == (0, 0), (balanced, sent_again)
    assert {one for one in audit(secured, OPERATOR) if one[0] == "Denied"} == set()


def test_the_audit_finds_a_refusal(secured: Secured) -> None:
    outcome(lambda client: client.delete_topics([FOREIGN]), KafkaAdminClient, secured.settings(WORKER))

    assert ("Denied", "DELETE", "Topic", FOREIGN) in audit(secured, WORKER)


# --- what a worker's user may not ----------------------------------------------------------------------------------


def outcome(attempt: Callable[[Any], Any], kind: Callable[..., Any], found: Settings, **arguments: Any) -> str:
    """What somebody gets for what they try, be it an answer or an error."""
    client = kind(**connect.client(found), **arguments)
    try:
        return repr(attempt(client))
    except KafkaError as error:
        return repr(error)
    finally:
        client.close()


def reading(topic: str, found: Settings) -> str:
    """The same for who reads a topic, with the client of workers: kafka-python's tries again for ever."""

    async def tried() -> str:
        try:
            async with AIOKafkaConsumer(topic, **connect.client(found), auto_offset_reset="earliest") as consumer:
                return repr(await consumer.getmany(timeout_ms=10_000))
        except RefusedToRead as error:
            return repr(error)

    return asyncio.run(tried())


COMMIT = {TopicPartition(REQUESTS, 0): OffsetAndMetadata(0, "", -1)}
ONE_DAY = ConfigResource(ConfigResourceType.TOPIC, DECISIONS, {"retention.ms": "86400000"})
EVERY_RULE = ACLFilter(
    None,
    None,
    ACLOperation.ANY,
    ACLPermissionType.ANY,
    ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)
MORE = {"more": {"num_partitions": 1, "replication_factor": 1}}

FORBIDDEN: dict[str, Callable[[Settings], str]] = {
    "read another's topic": lambda found: reading(FOREIGN, found),
    "ask as a platform does": lambda found: outcome(
        lambda one: one.send(REQUESTS, b"{}").get(timeout=10), KafkaProducer, found
    ),
    "publish a revision of a policy": lambda found: outcome(
        lambda one: one.send(POLICY_REVISIONS, b"{}").get(timeout=10), KafkaProducer, found
    ),
    "write another's topic": lambda found: outcome(
        lambda one: one.send(FOREIGN, b"{}").get(timeout=10), KafkaProducer, found, max_block_ms=3000
    ),
    "use another's transactional id": lambda found: outcome(
        lambda one: one.init_transactions(), KafkaProducer, found, transactional_id="another-app-0"
    ),
    "commit for another group": lambda found: outcome(
        lambda one: one.commit(COMMIT), KafkaConsumer, found, group_id="another-group"
    ),
    "make a topic of another name": lambda found: outcome(lambda one: one.create_topics(MORE), KafkaAdminClient, found),
    "remove a topic": lambda found: outcome(lambda one: one.delete_topics([DECISIONS]), KafkaAdminClient, found),
    "shorten what is kept": lambda found: outcome(lambda one: one.alter_configs([ONE_DAY]), KafkaAdminClient, found),
    "delete records": lambda found: outcome(
        lambda one: one.delete_records({TopicPartition(DECISIONS, 0): 1}), KafkaAdminClient, found
    ),
    "add partitions": lambda found: outcome(lambda one: one.create_partitions({DECISIONS: 9}), KafkaAdminClient, found),
    "see who may do what": lambda found: outcome(lambda one: one.describe_acls(EVERY_RULE), KafkaAdminClient, found),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_workers_user_cannot(secured: Secured, what: str) -> None:
    assert re.search(r"Authorization(Failed|Error)|AUTHORIZATION_FAILED", FORBIDDEN[what](secured.settings(WORKER)))


def test_a_workers_user_has_exactly_the_operations_of_the_table(secured: Secured) -> None:
    """On every topic a worker's user has exactly the operations of the table."""
    found = secured.settings(WORKER)
    declared = {one.name: set(one.operations) for one in rights(found, "worker") if one.resource == "topic"}
    names = [topic.name for topic in TOPICS]
    with apply_topics.admin(found) as client:
        described = client.describe_topics(names)

    allowed = {one["name"]: set(one["authorized_operations"]) for one in described}
    assert allowed == {name: declared[name] | {"DESCRIBE"} for name in names}


# --- who gets in ---------------------------------------------------------------------------------------------------


def test_a_worker_that_loses_a_right_ends_and_is_replaced(secured: Secured, tmp_path: Path) -> None:
    """A worker that loses a right while it runs ends, and a new one answers each request once."""
    found = secured.settings(LOSING, partitions=2, data_dir=tmp_path, web_port=free_ports().client)
    platform = secured.settings(PLATFORM)
    lost = [one for one in rights(found, "worker") if (one.resource, one.name) == ("topic", DECISIONS)]
    asked = [as_record(generator.encode(generator.request(5, number)), REQUESTS) for number in range(40)]
    keys = {one.key for one in asked}

    def answers() -> list[bytes]:
        return [one.key for one in everything_on(platform, DECISIONS) if one.key in keys]

    with running_worker(found, tmp_path / "first.log") as process:
        take(secured, LOSING, lost)
        try:
            list(sent(asked, platform))
            assert process.wait(timeout=60) == EXIT_PROCESSOR_LOST
            without = answers()
        finally:
            give(secured, LOSING, lost)
    said = (tmp_path / "first.log").read_text("utf-8")
    with running_worker(found, tmp_path / "second.log"):
        assert eventually(lambda: len(answers()) >= len(keys))

    assert without == []
    assert sorted(answers()) == sorted(keys)
    assert "TopicAuthorizationFailed" in said


def environment(found: Settings, **other: str) -> dict[str, str]:
    return {name: value for name, value in (found.environment() | other).items() if value}


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "password": ({"DLI_SASL_PASSWORD": "guessed"}, f"the cluster refuses user {WORKER}: see DLI_SASL_USERNAME"),
    "user": ({"DLI_SASL_USERNAME": "nobody"}, "the cluster refuses user nobody"),
    "mechanism": ({"DLI_SASL_MECHANISM": "SCRAM-SHA-256"}, "DLI_SASL_MECHANISM"),
    "authority": ({"DLI_TLS_CA": ""}, "certificate is not trusted"),
    "no password": ({"DLI_SASL_PASSWORD": ""}, "DLI_SECURITY_PROTOCOL is SASL_SSL, and lacks DLI_SASL_PASSWORD"),
}


@pytest.mark.parametrize("command", [("topics", "check"), ("worker",)], ids=" ".join)
@pytest.mark.parametrize("what", WRONG)
def test_bad_credentials_end_a_command_with_a_sentence(
    secured: Secured, what: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    """Wrong or missing credentials end a command with a sentence."""
    other, sentence = WRONG[what]
    ran = with_environment(environment(secured.settings(WORKER, data_dir=tmp_path), **other), *command)

    assert ran.code == 1, ran
    assert sentence in ran.err
    assert "Traceback" not in ran.err
    assert "guessed" not in ran.err
    assert password(WORKER) not in ran.err


def with_environment(values: dict[str, str], *arguments: str) -> Ran:
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(f"DLI_{name.upper()}", raising=False)
        for name, value in values.items():
            patch.setenv(name, value)
        return dli(*arguments)


def test_a_client_without_a_login_gets_no_answer(secured: Secured) -> None:
    """A client that does not log in gets no answer, and the message asks about the protocol."""
    unknown = {"DLI_SECURITY_PROTOCOL": "SSL", "DLI_SASL_USERNAME": "", "DLI_SASL_PASSWORD": ""}
    ran = with_environment(environment(secured.settings(WORKER), **unknown), "topics", "check")

    assert ran.code == 1
    assert "does it speak SSL (DLI_SECURITY_PROTOCOL)?" in ran.err


def test_a_user_without_rights_is_told_so(secured: Secured) -> None:
    checked = with_environment(environment(secured.settings(STRANGER)), "topics", "apply")
    worker = with_environment(environment(secured.settings(STRANGER)), "worker")

    assert (checked.code, worker.code) == (1, 1)
    for ran in (checked, worker):
        assert f"user {STRANGER} lacks a right (topic): `dli rights`" in ran.err


def test_only_a_certificate_gets_in_where_one_is_required(secured: Secured) -> None:
    """Where certificates are required, a certificate gets in and nothing else does."""
    with_it = read(
        bootstrap=secured.mutual,
        security_protocol="SSL",
        tls_ca=secured.folder / "ca.pem",
        tls_certificate=secured.folder / "client.pem",
        tls_key=secured.folder / "client-key.pem",
    )
    without = read(bootstrap=secured.mutual, security_protocol="SSL", tls_ca=secured.folder / "ca.pem")

    shown = with_environment(environment(with_it), "topics", "check")
    refused = with_environment(environment(without), "topics", "check")

    assert shown.code == 3  # let in; without rights every topic is absent to it
    assert "topic is absent" in shown.out
    assert refused.code == 1
    assert "is Kafka there" in refused.err


def test_passwords_and_keys_come_from_mounted_files(secured: Secured, tmp_path: Path) -> None:
    (tmp_path / "dli_sasl_password").write_text(password(OPERATOR), "utf-8")
    values = environment(secured.settings(OPERATOR, partitions=2))
    del values["DLI_SASL_PASSWORD"]

    ran = with_environment(values | {"DLI_SECRETS_DIR": str(tmp_path)}, "topics", "check")

    assert ran.code == 0, ran


# --- tokens and renewed credentials --------------------------------------------------------------------------------


def by_token(secured: Secured, file: Path) -> Settings:
    return read(
        bootstrap=secured.by_token,
        security_protocol="SASL_SSL",
        sasl_mechanism="OAUTHBEARER",
        oauth_token_file=file,
        tls_ca=secured.folder / "ca.pem",
        partitions=2,
    )


def test_a_bearer_token_gets_in_with_the_rights_of_whom_it_names(secured: Secured, tmp_path: Path) -> None:
    """Signed by an issuer that the cluster trusts; commands and both clients get in alike."""
    file = tmp_path / "token"
    file.write_text(secured.issuer.token(OPERATOR), "utf-8")

    ran = with_environment(environment(by_token(secured, file)), "topics", "check")
    read_it = reading(DECISIONS, by_token(secured, file))

    assert ran.code == 0, ran
    assert read_it.startswith("{")


@pytest.mark.parametrize("what", ["another issuer", "expired", "no token", "no file"])
def test_an_untrusted_token_is_refused_with_a_sentence(secured: Secured, what: str, tmp_path: Path) -> None:
    """And nothing of the token is said."""
    file = tmp_path / "token"
    given: dict[str, Callable[[], str]] = {
        "another issuer": lambda: Issuer(tmp_path).token(OPERATOR),
        "expired": lambda: secured.issuer.token(OPERATOR, seconds=-600),
        "no token": lambda: "marked-token",
    }
    if what in given:
        file.write_text(given[what](), "utf-8")

    ran = with_environment(environment(by_token(secured, file)), "topics", "check")

    assert ran.code == 1, ran
    wanted = "DLI_OAUTH_TOKEN_FILE: " if what == "no file" else "the cluster refuses the client that our token names"
    assert wanted in ran.err
    assert "marked-token" not in ran.err
    assert "Traceback" not in ran.err


def test_existing_clients_use_a_new_password(secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next connection has it: what a client was made with is the same object before and after."""
    user, file = "renewed", tmp_path / "dli_sasl_password"
    monkeypatch.setenv("DLI_SECRETS_DIR", str(tmp_path))
    set_password(secured, user, "first", file)
    found = read(
        bootstrap=secured.broker.bootstrap,
        security_protocol="SASL_SSL",
        sasl_username=user,
        tls_ca=secured.folder / "ca.pem",
    )
    arguments = connect.client(found)
    before = connects(arguments)
    set_password(secured, user, "second", file)
    after = connects(arguments)
    file.write_text("guessed", "utf-8")

    assert (before, after, connects(arguments)) == (True, True, False)


def set_password(secured: Secured, user: str, value: str, file: Path) -> None:
    """On the cluster and in the mounted file."""
    with apply_topics.admin(secured.settings(ADMIN)) as client:
        client.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, value.encode(), 4096)]
        )
    file.write_text(value, "utf-8")


def connects(arguments: dict[str, Any]) -> bool:
    """Whether both clients get in with these arguments."""

    async def with_aiokafka() -> bool:
        host, _, port = arguments["bootstrap_servers"][0].rpartition(":")
        others = {name: value for name, value in arguments.items() if name != "bootstrap_servers"}
        try:
            (await create_conn(host, int(port), **others)).close()
        except SaslAuthenticationFailed:
            return False
        return True

    def with_kafka_python() -> bool:
        try:
            KafkaAdminClient(**arguments, bootstrap_timeout_ms=5_000).close()
        except KafkaError:
            return False
        return True

    found = {asyncio.run(with_aiokafka()), with_kafka_python()}
    assert len(found) == 1
    return found.pop()


# --- what a person does; at the end, for partitions are added ----------------------------------------------------

OPERATING = (
    "topics apply",
    "topics check",
    *(f"tail {topic.name} --from-beginning --until-end" for topic in TOPICS),
    "dead-letters redrive --reason undecodable --execute",
    "reset-offset authorization.requests 0 --to current --execute",
    "publish {requests}",
    "replay what-if --policy {draft} --publish draft --work {work}",
    "tail replay.draft.decisions --from-beginning --until-end",
)
FINDINGS = 3
"""A command's exit code that did its work, and has something to report."""


def test_an_operator_does_all_that_one_does_and_uses_every_right(
    secured: Secured, used: set[tuple[str, ...]], over_http: OverHttp, tmp_path: Path
) -> None:
    assert used
    assert over_http
    send_unknown_verdict(secured)
    # Of nobody, and no messages: they become letters that can be sent again.
    unreadable = [OutgoingRecord(topic, b"unreadable", b"v", ()) for topic in (PAS_REQUESTS, X12_REQUESTS)]
    list(sent(unreadable, secured.settings(PLATFORM)))
    values = environment(secured.settings(OPERATOR, partitions=2))
    places = {name: tmp_path / name for name in ("requests", "work")}
    # Enough for each partition: accounts are opened with the first record behind an offset that was set.
    places["requests"].write_bytes(b"\n".join(generator.encode(generator.request(3, number)) for number in range(40)))
    places["draft"] = Path(written(tmp_path, revised(packaged().document)))
    with apply_topics.admin(secured.settings(ADMIN)) as client:
        for topic in TOPICS:
            apply_topics.set_on_topic(client, topic.name, {"max.message.bytes": "1000"})

    done = {line: with_environment(values, *line.format(**places).split()) for line in OPERATING}
    worker = secured.settings(WORKER, partitions=2, data_dir=tmp_path / "data", web_port=free_ports().client)
    integrating = secured.settings(INTEGRATION, **integration_flags(tmp_path))
    with (
        running_worker(worker, tmp_path / "log"),
        running_worker(integrating, tmp_path / "integrating.log", INTEGRATION_COMMAND),
    ):
        assert eventually(lambda: with_environment(values, "accounts").code == 0), with_environment(values, "accounts")
        # What waits for its request has to be given up, and what is on its way to arrive, before partitions are added.
        awaited = {VERDICTS, PAS_REQUESTS, X12_REQUESTS}
        assert eventually(lambda: awaited <= {one.original.topic for one in letters(secured.settings(OPERATOR))})
        assert eventually(lambda: at_rest(secured.settings(OPERATOR, partitions=2)))
    more = with_environment(values, "topics", "scale", "4", "--execute")
    # Letters of other topics cannot be sent again.
    for reason in ("undecodable", "schema_violation"):
        ran = with_environment(values, "dead-letters", "redrive", "--reason", reason, "--execute")
        assert ran.code in {0, FINDINGS}, ran

    assert {line: ran for line, ran in done.items() if ran.code not in {0, FINDINGS}} == {}
    assert more.code == 0, more
    assert unused(secured, OPERATOR, "operator") == []
    assert {one for one in audit(secured, OPERATOR) if one[0] == "Denied"} == set()
