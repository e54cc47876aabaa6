"""Gateways that run, and what stands around them: a platform that answers, and a subscriber."""

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from events.topics import PAS_REQUESTS, PAS_RESPONSES, SUBSCRIPTIONS, X12_REQUESTS, X12_RESPONSES
from workers.configuration.settings import Settings, read
from workers.dev_brokers import LOOPBACK, free_ports
from workers.gateway.messages import Message
from workers.gateway.server import Parts, serving
from workers.gateway.subscriptions.delivery import Pace

PARTITIONS = 3
TOKEN, OTHER_TOKEN = "a-token-of-the-hospital", "a-token-of-another"
QUESTIONNAIRE = {"resourceType": "Questionnaire", "url": "https://plan.example/Questionnaire/L.1", "version": "1"}
QUICK = Pace(first=0.02, longest=0.05)


def digest(value: bytes) -> str:
    return sha256(value).hexdigest()


def of_each_line(value: bytes) -> tuple[Message, ...]:
    return tuple(Message(digest(line)) for line in value.split(b"\n"))


def of_all(value: bytes) -> tuple[Message, ...]:
    return (Message(digest(value), b"Parameters" in value),)


PARTS = Parts(of_all, of_each_line, lambda _partner: {"L.1": QUESTIONNAIRE})
"""Formats of the tests: a bundle is its bytes, and each line of an interchange is a transaction set."""


def settings_of(bootstrap: str, prefix: str, folder: Path, **flags: Any) -> Settings:
    clients = folder / "clients.yaml"
    if not clients.exists():
        write_clients(clients)
    ports = free_ports()
    named = {
        "bootstrap": bootstrap,
        "topic_prefix": prefix,
        "app_id": f"{prefix}dli",
        "gateway_port": ports.client,
        "gateway_health_port": ports.controller,
        "gateway_clients": clients,
        "session_timeout_seconds": 6.0,
    }
    return read(**(named | flags))


def write_clients(file: Path, *endpoints: str) -> None:
    of_both = {"hospital": TOKEN, "other": OTHER_TOKEN}
    written = [
        {
            "partner": name,
            "tokens": [digest(token.encode())],
            "oauth_clients": [f"{name}-client"],
            "endpoints": list(endpoints),
            "identifiers": ["urn:senders|DELTAHOSP"] if name == "hospital" else [],
        }
        for name, token in of_both.items()
    ]
    # A JSON file is a YAML file.
    file.write_text(json.dumps({"partners": written}), "utf-8")


def make_topics(found: Settings) -> None:
    names = dict.fromkeys((PAS_REQUESTS, PAS_RESPONSES, X12_REQUESTS, X12_RESPONSES), PARTITIONS)
    admin = KafkaAdminClient(bootstrap_servers=found.bootstrap)
    try:
        admin.create_topics(
            [NewTopic(found.topic(name), count, 1) for name, count in (names | {SUBSCRIPTIONS: 1}).items()]
        )
    finally:
        admin.close()


# --- HTTP -------------------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    found: Settings,
    method: str,
    path: str,
    body: bytes | Mapping[str, Any] | None = None,
    *,
    token: str | None = TOKEN,
    kind: str = "application/fhir+json",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    return call_port(found.gateway_port, method, path, body, token=token, kind=kind, headers=headers)


def call_port(
    port: int,
    method: str,
    path: str,
    body: bytes | Mapping[str, Any] | None = None,
    *,
    token: str | None = TOKEN,
    kind: str = "application/fhir+json",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    sent = dict(headers or {})
    if token is not None:
        sent.setdefault("Authorization", f"Bearer {token}")
    if body is not None:
        sent.setdefault("Content-Type", kind)
    value = json.dumps(body).encode() if isinstance(body, Mapping) else body
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
    try:
        connection.request(method, path, value, sent)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


# --- the gateway ------------------------------------------------------------------------------------------------------


@contextmanager
def gateway(found: Settings, pace: Pace = QUICK, parts: Parts = PARTS) -> Iterator[Settings]:
    """A gateway in a thread of its own, ready when it is given."""
    begun, over = Event(), Event()
    failures: list[BaseException] = []

    async def serve() -> None:
        async with serving(found, parts, LOOPBACK, pace=pace):
            begun.set()
            while not over.is_set():  # noqa: ASYNC110 (the event is a thread's)
                await asyncio.sleep(0.02)

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 (told to the test)
            failures.append(error)
            begun.set()

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        begun.wait(60)
        if failures:
            raise failures[0]
        assert until(lambda: call_port(found.gateway_health_port, "GET", "/ready").status == 200)
        yield found
    finally:
        over.set()
        thread.join(60)


def until(holds: Callable[[], bool], patience: float = 60.0) -> bool:
    deadline = time.monotonic() + patience
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


# --- who answers ------------------------------------------------------------------------------------------------------

Answering = Callable[[str, bytes, Mapping[str, bytes]], Iterable[tuple[str, bytes]]]
"""From the topic without its prefix, the value and the headers to the digest and the answer of each message."""


def answer_all(topic: str, value: bytes, headers: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Answers everything at once, save what says that it is to wait."""
    if b"silent" in value:
        return
    if topic == X12_REQUESTS:
        yield from ((digest(line), b"<" + line + b">") for line in reversed(value.split(b"\n")))
    elif headers.get("ask") == b"inquire":
        yield digest(value), b'{"resourceType": "Parameters"}'
    elif b"broken" in value:
        yield digest(value), b'{"resourceType": "OperationOutcome", "issue": []}'
    else:
        yield digest(value), response_to(value)


def response_to(value: bytes, requestor: str = "urn:senders|DELTAHOSP") -> bytes:
    system, _, number = requestor.rpartition("|")
    organization = {"resourceType": "Organization", "id": "1", "identifier": [{"system": system, "value": number}]}
    told = {"resourceType": "ClaimResponse", "disposition": digest(value), "requestor": {"reference": "Organization/1"}}
    entries = [{"fullUrl": "urn:uuid:1", "resource": told}, {"fullUrl": "urn:uuid:2", "resource": organization}]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


class Platform:
    """Plays the process behind the gateway: reads requests, writes responses."""

    def __init__(self, found: Settings, answering: Answering = answer_all) -> None:
        self.found, self.answering = found, answering
        self.asked: list[tuple[str, bytes, dict[str, bytes], bytes]] = []
        """Topic, value, headers and key of every request."""
        self._producer = KafkaProducer(bootstrap_servers=found.bootstrap, acks="all")

    def answer(self, topic: str, partner: str, message: str, value: bytes) -> None:
        """Write a response."""
        headers = [("partner", partner.encode()), ("dli-message", message.encode())]
        self._producer.send(self.found.topic(topic), value, message.encode(), headers=headers)
        self._producer.flush(30)

    def run(self, over: Event) -> None:
        """Answer until it is over."""
        consumer = KafkaConsumer(
            *(self.found.topic(one) for one in (PAS_REQUESTS, X12_REQUESTS)),
            bootstrap_servers=self.found.bootstrap,
            auto_offset_reset="earliest",
            group_id=None,
        )
        try:
            while not over.is_set():
                for records in consumer.poll(timeout_ms=100).values():
                    for record in records:
                        self._take(record)
        finally:
            consumer.close()

    def _take(self, record: Any) -> None:
        topic = record.topic.removeprefix(self.found.topic_prefix)
        headers = dict(record.headers)
        self.asked.append((topic, record.value, headers, record.key))
        responses = PAS_RESPONSES if topic == PAS_REQUESTS else X12_RESPONSES
        for message, value in self.answering(topic, record.value, headers):
            self.answer(responses, headers["partner"].decode(), message, value)

    def close(self) -> None:
        self._producer.close()


@contextmanager
def platform(found: Settings, answering: Answering = answer_all) -> Iterator[Platform]:
    one, over = Platform(found, answering), Event()
    thread = Thread(target=one.run, args=(over,), daemon=True)
    thread.start()
    try:
        yield one
    finally:
        over.set()
        thread.join(30)
        one.close()


# --- who is notified --------------------------------------------------------------------------------------------------


class Subscriber:
    """An address for notifications."""

    def __init__(self) -> None:
        self.status = 200
        self.received: list[tuple[Mapping[str, str], Any]] = []
        """Headers and Bundle of every notification, accepted or not."""
        self.accepted: list[Any] = []
        """The Bundles that were accepted."""
        noting = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bundle = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = noting.status
                noting.received.append((dict(self.headers), bundle))
                if status < 300:
                    noting.accepted.append(bundle)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"{noting.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (the base's name)
                """Say nothing."""

        self.server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self.server.server_address[1]}/pas"

    def events(self) -> list[str]:
        """The dispositions of the responses that were accepted, in order."""
        return [
            bundle["entry"][1]["resource"]["entry"][0]["resource"]["disposition"]
            for bundle in self.accepted
            if kind(bundle) == "event-notification"
        ]


def parameters(bundle: Any) -> dict[str, Any]:
    """What a notification says of its subscription, by name."""
    return {
        one["name"]: next((value for key, value in one.items() if key != "name"), None)
        for one in bundle["entry"][0]["resource"]["parameter"]
    }


def kind(bundle: Any) -> Any:
    return parameters(bundle)["type"]


@contextmanager
def subscriber() -> Iterator[Subscriber]:
    one = Subscriber()
    thread = Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.server.shutdown()
        one.server.server_close()
        thread.join(10)


def subscription(endpoint: str, *filters: str, **changed: Any) -> dict[str, Any]:
    """A Subscription as the guide has it."""
    backport = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
    found: dict[str, Any] = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "answers to pended requests",
        "criteria": "http://hl7.org/fhir/us/davinci-pas/SubscriptionTopic/PASSubscriptionTopic",
        "_criteria": {
            "extension": [{"url": f"{backport}/backport-filter-criteria", "valueString": one} for one in filters]
        },
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": f"{backport}/backport-payload-content", "valueCode": "full-resource"}]},
            "header": ["Authorization: Bearer of-the-subscriber"],
        },
    }
    return found | changed
