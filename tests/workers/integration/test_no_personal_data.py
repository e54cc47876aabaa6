"""Marked values go through the processes that speak platforms' formats; no log, metric, report or note shows one.

At DEBUG level, over Kafka and over HTTP: every text of a bundle and every element of an interchange is marked once, so
that some messages are decided, most are refused, and some cannot be read at all.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from kafka import KafkaAdminClient

from events.topics import DEAD_LETTERS, PAS_REQUESTS, PAS_RESPONSES, X12_REQUESTS, X12_RESPONSES
from tests.support import pas_bundles, x12_messages
from tests.support.commands import dli
from tests.support.gateways import TOKEN, call, digest
from tests.support.marked_person import MARK, NAME, PERSON, leaks
from tests.support.running import eventually, everything_on, settings_for, worker
from workers.configuration.settings import Settings
from workers.dev_brokers import free_ports
from workers.kafka.reader import data_of
from workers.kafka.records import OutgoingRecord
from workers.topics import apply_topics
from workers.traffic.commands import sent

pytestmark = pytest.mark.kafka

FROM_DELTA = (("partner", b"delta"), (PERSON, PERSON.encode()))
OVER_HTTP = 25
"""One message in so many is sent over HTTP as well."""


def texts_of(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every text in a resource."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        if isinstance(value, str):
            yield (*path, key)
        else:
            yield from texts_of(value, (*path, key))


def marked(tree: Any, path: tuple[str | int, ...], value: str) -> bytes:
    """The resource with one other text."""
    made = json.loads(json.dumps(tree))
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(made).encode()


def bundles() -> Iterator[bytes]:
    """A bundle with each of its texts marked, one with a marked key in each resource, and no bundles."""
    tree = json.loads(pas_bundles.message(3))
    for path in texts_of(tree):
        yield marked(tree, path, PERSON)
    for entry in tree["entry"]:
        entry["resource"][NAME] = {PERSON: [{NAME: PERSON}]}
    yield json.dumps(tree).encode()
    yield b"{" + PERSON.encode()
    yield json.dumps({"resourceType": PERSON, PERSON: {NAME: 1}}).encode()


def interchanges() -> Iterator[bytes]:
    """An interchange with each element of its transaction set marked, and no interchanges."""
    segments = x12_messages.message(3).decode().split("~")
    for number, segment in enumerate(segments):
        elements = segment.split("*")
        if elements[0] in {"ISA", "GS", "GE", "IEA"}:
            continue
        for place in range(1, len(elements)):
            other = "*".join([*elements[:place], PERSON, *elements[place + 1 :]])
            yield "~".join([*segments[:number], other, *segments[number + 1 :]]).encode()
    yield x12_messages.message(4)[:150] + PERSON.encode()
    yield PERSON.encode()


def test_no_marked_value_shows_outside_the_messages(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """No marked value shows anywhere but in messages, requests and answers themselves."""
    partner = x12_messages.PARTNER.model_dump_json(by_alias=True, exclude_none=True)
    (tmp_path / "delta.json").write_text(partner, "utf-8")
    client = {"partner": "delta", "tokens": [digest(TOKEN.encode())]}
    (tmp_path / "clients.json").write_text(json.dumps({"partners": [client]}), "utf-8")
    gateway, own = free_ports(), free_ports().client
    places = {"partners": tmp_path / "delta.json", "gateway_clients": tmp_path / "clients.json"}
    ports = {"gateway_port": gateway.client, "gateway_health_port": gateway.controller}
    found = settings_for(bootstrap, prefix, tmp_path, log_level="DEBUG", **places, **ports)
    apply_topics.apply(found)
    speaking = found.model_copy(update={"web_port": own, "integration_port": own})
    serving = found.model_copy(update={"web_port": gateway.controller})
    with (
        worker(found, tmp_path),
        worker(speaking, tmp_path, "integration", ("workers.main", "integration")),
        worker(serving, tmp_path, "gateway", ("workers.main", "gateway")),
    ):
        pas, x12 = list(bundles()), list(interchanges())
        for topic, values in ((PAS_REQUESTS, pas), (X12_REQUESTS, x12)):
            list(sent([OutgoingRecord(found.topic(topic), PERSON.encode(), one, FROM_DELTA) for one in values], found))
        over_http = [call(found, "POST", "/fhir/Claim/$submit", one) for one in pas[::OVER_HTTP]]
        over_http += [call(found, "POST", "/x12/278", one, kind="application/edi-x12") for one in x12[::OVER_HTTP]]
        call(found, "POST", f"/fhir/{PERSON}", b"{}", headers={PERSON: PERSON})
        accounts = ("accounts", "--app-id", found.app_id)
        assert eventually(lambda: " 0 on their way; 0 waiting" in " ".join(_printed(found, *accounts).split()))
        texts = {f"metrics of {port}": _metrics(port) for port in (found.web_port, own, gateway.controller)}
        letters = everything_on(found, DEAD_LETTERS)
        shown = data_id(letters[0].value)
        for command in (accounts, ("dead-letters", "list"), ("dead-letters", "list", "-o", "jsonl")):
            texts[" ".join(command)] = _printed(found, *command)
        texts["show"] = _printed(found, "dead-letters", "show", shown)
        texts["replay"] = _printed(found, "replay", "messages", "--partners", str(found.partners), "-o", "jsonl")
        texts["notes"] = _notes(found)
        answers = [one.value for topic in (PAS_RESPONSES, X12_RESPONSES) for one in everything_on(found, topic)]
    texts |= {log.name: log.read_text("utf-8") for log in tmp_path.glob("*.log")}
    for record in letters:
        letter = data_of(record.value)
        texts[f"dead letter {record.partition}/{record.offset}"] = json.dumps(
            {name: letter[name] for name in ("reason", "message", "errors")}
        )

    assert {name for name, text in texts.items() if not text.strip()} == set()
    assert leaks(texts) == {}
    # It is not for want of going through.
    assert len(letters) > 50
    assert len(answers) > 100
    assert sum(MARK.encode() in one for one in answers) > 20
    assert {one.status for one in over_http} <= {200, 400, 422}
    assert "message_refused" in texts["integration.log"]
    assert "consumed=" in texts["notes"]


def data_id(value: bytes) -> str:
    return str(json.loads(value)["id"])


def _printed(found: Settings, *command: str) -> str:
    ran = dli(*command, "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    return ran.out + ran.err


def _metrics(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def _notes(found: Settings) -> str:
    admin = KafkaAdminClient(bootstrap_servers=found.bootstrap)
    try:
        offsets = admin.list_group_offsets({found.integration_id: None})[found.integration_id]
        return str({str(where): one.metadata for where, one in offsets.items()})
    finally:
        admin.close()
