"""Marked personal values go through the whole system; no log, metric, page, report, file name or note shows one.

Through every agent, at DEBUG level: decided with a draft beside, linked in a circle, put aside, archived, replayed,
sent again and printed by every command that prints something of events. Request ids are marked too: only where somebody
asks for a request by its id is it shown again, and never for whom it was.
"""

import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from events.revision import PolicyRevision
from events.topics import (
    ANSWERED,
    AUDIT,
    CASE_EVENTS,
    CASES,
    DEAD_LETTERS,
    DEADLINES,
    DECISIONS,
    LEDGER,
    LINKS,
    POLICY_ATTESTATIONS,
    POLICY_REVISIONS,
    REQUESTS,
    SHADOW,
    VERDICTS,
)
from policy_core.history.library import PACKAGED
from policy_core.loading.load import load
from tests.support.browsing import PAGES, dashboard
from tests.support.commands import dli
from tests.support.marked_person import MARK, NAME, PERSON, events, leaks
from tests.support.open_files import open_to_others
from tests.support.publishing import revised
from tests.support.reviews import adverse, event
from tests.support.running import eventually, everything_on, get, offsets, publish, settings_for, worker
from tests.support.shadow import DOCUMENT, FROM, written
from workers.accounts import account
from workers.cases.route import is_on_its_way
from workers.configuration.settings import Settings
from workers.dev_brokers import free_ports
from workers.kafka.reader import data_of
from workers.monitoring.exporter import serving
from workers.topics import apply_topics

pytestmark = pytest.mark.kafka

PATIENCE_SECONDS = 60.0


def test_a_value_that_shows_is_found() -> None:
    assert leaks({"log": "nothing", "page": f"<b>{PERSON}</b>"}) == {"page": f"<b>{PERSON}</b>"}
    assert leaks({"log": f"clinical.{NAME}: no fact"}) == {"log": f"clinical.{NAME}: no fact"}


DECIDED = 8
"""Sound requests, each once."""


def test_no_marked_value_shows_outside_the_events(
    bootstrap: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No marked value shows anywhere but in the events themselves."""
    monkeypatch.setenv("DLI_LOG_LEVEL", "DEBUG")  # of commands
    draft = written(revised(load(DOCUMENT), FROM), tmp_path)
    ports = {"exporter_port": free_ports().client, "shadow_policy": draft}
    found = settings_for(bootstrap, prefix, tmp_path, log_level="DEBUG", **ports)
    apply_topics.apply(found)
    # An act, for the record of acts to show.
    assert dli("topics", "apply", "--bootstrap", bootstrap, "--topic-prefix", prefix).code == 0
    lines = list(events())
    file = tmp_path / "requests.jsonl"
    file.write_bytes(b"\n".join(lines))
    reports = tmp_path / "reports"
    reports.mkdir()
    with (
        serving(found),
        worker(found, tmp_path) as process,
        dashboard(found, tmp_path, "--reports", str(reports)) as pages,
    ):
        publish(found, lines)
        _publish_by_hand(found)
        assert eventually(lambda: account.total(account.ask(found)).consumed == len(lines) + 1)
        assert eventually(lambda: found.topic(POLICY_REVISIONS) in sources(found))
        assert eventually(lambda: {"circular_link", "verdict_refused", "unknown_request"} <= reasons(found))
        letters = everything_on(found, DEAD_LETTERS)
        texts = _told(found) | _printed(found, data_id(letters[0].value), file) | _shown(pages)
        decided, shadowed = everything_on(found, DECISIONS), everything_on(found, SHADOW)
        texts |= _kept(found, tmp_path / "kept", reports)
        _publish_strange(found)
        read = (DECISIONS, DEAD_LETTERS, LEDGER)
        assert eventually(lambda: _all_read(found)), {one: offsets(found, one) for one in read}
        again = _told(found) | _printed(found, data_id(letters[1].value), file, "--execute") | _shown(pages)
        texts |= {f"{name}, again": text for name, text in again.items()}
        asked = _asked_for(found, file, f"{MARK}-R-0") | _asked_for(found, file, f"{MARK}-C-1")
        process.terminate()
        process.wait(PATIENCE_SECONDS)
    assert open_to_others(found.data_dir) == {}
    texts |= {log.name: log.read_text("utf-8") for log in tmp_path.glob("*.log")}
    texts["file names"] = "\n".join(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*"))
    for record in letters:
        letter = data_of(record.value)
        texts[f"dead letter {record.partition}/{record.offset}"] = json.dumps(
            {name: letter[name] for name in ("reason", "message", "errors")}
        )
    for topic in (ANSWERED, LEDGER, POLICY_ATTESTATIONS):
        own = [one for one in everything_on(found, topic) if "dli-strange" not in dict(one.headers)]
        own = [one for one in own if not is_on_its_way(one.value)]  # on their way to a case, with its request's id
        texts[topic] = str([(one.key, one.value, one.headers) for one in own])
    texts["notes"] = str(_notes(found))

    assert {name for name, text in texts.items() if not text.strip()} == set()
    assert leaks(texts) == {}
    assert leaks(asked | _stored(found.data_dir), (PERSON, NAME)) == {}
    # It is not for want of going through: the events have their marks.
    assert len(decided) == DECIDED
    assert all(MARK in one.value.decode() for one in (*decided, *shadowed))
    assert len(shadowed) == DECIDED
    assert sum(b"original" in one.value for one in letters) == len(letters) >= 15
    assert "event_rejected" in texts["worker.log"]
    assert "record_passed_over" in "".join(texts.values())
    assert "consumed=" in texts["notes"]
    assert all(MARK in text for text in asked.values())


def sources(found: Settings) -> set[str]:
    """The topics that dead letters came from."""
    return {data_of(one.value)["original"]["topic"] for one in everything_on(found, DEAD_LETTERS)}


def reasons(found: Settings) -> set[str]:
    """Why there are dead letters."""
    return {data_of(one.value)["reason"] for one in everything_on(found, DEAD_LETTERS)}


def _publish_verdicts(found: Settings) -> None:
    """Marks wherever a verdict has words: one may not stand, one is of an unknown request, one is none."""
    named = {"request_id": f"{MARK}-R-0", "decision_id": "0" * 32, "lines": [{"line": 1, "action": "A4"}]}
    said = adverse(named, f"{MARK}-V-1")
    said["reviewer"] |= {"license_number": PERSON, "specialty": PERSON}
    said["lines"][0] |= {"text": PERSON}
    events = [event(said), event(said | {"request_id": f"{MARK}-U-1"}), event(said | {"decided_at": PERSON, PERSON: 1})]
    producer = KafkaProducer(bootstrap_servers=found.bootstrap)
    try:
        for value in events:
            producer.send(found.topic(VERDICTS), value, key=PERSON.encode()).get(10)
    finally:
        producer.close()


def data_id(value: bytes) -> str:
    return str(json.loads(value)["id"])


def _publish_by_hand(found: Settings) -> None:
    """Marks in a key and in headers, and a revision of a policy that is none."""
    producer = KafkaProducer(bootstrap_servers=found.bootstrap)
    try:
        headers = [("content-type", PERSON.encode()), (PERSON, PERSON.encode()), ("ce_id", PERSON.encode())]
        producer.send(found.topic(REQUESTS), b"\xff" + PERSON.encode(), key=PERSON.encode(), headers=headers)
        revision = json.dumps({"type": PERSON, PERSON: 1}).encode()
        producer.send(found.topic(POLICY_REVISIONS), revision, key=PERSON.encode())
        odd = {"type": PolicyRevision.TYPE, "data": {NAME: 1, "document": {NAME: {NAME: "x" * 20_000}}}}
        sent = producer.send(found.topic(POLICY_REVISIONS), json.dumps(odd).encode(), key=NAME.encode())
        producer.flush()
        sent.get(10)
    finally:
        producer.close()
    _publish_verdicts(found)


STRANGE = (
    *(DECISIONS, DEAD_LETTERS, ANSWERED, LEDGER, LINKS, SHADOW, POLICY_REVISIONS, POLICY_ATTESTATIONS, AUDIT),
    *(VERDICTS, CASE_EVENTS, CASES, DEADLINES),
)


def _publish_strange(found: Settings) -> None:
    """On every topic, what nobody of ours writes: marks as keys of records, of headers and of objects."""
    producer = KafkaProducer(bootstrap_servers=found.bootstrap)
    try:
        for topic in STRANGE:
            headers = [("dli-strange", b"1"), (PERSON, PERSON.encode())]
            odd: tuple[Any, ...] = (
                {PERSON: {NAME: [{PERSON: 1}]}},
                {"type": PERSON, "data": {NAME: NAME}},
                [PERSON],
                NAME,
            )
            for value in (*(json.dumps(one).encode() for one in odd), b"{" + PERSON.encode()):
                producer.send(found.topic(topic), value, key=PERSON.encode(), headers=headers)
        producer.flush()
    finally:
        producer.close()


def _all_read(found: Settings) -> bool:
    """Whether the ledger has seen every record that it reads; what is behind the last is markers of transactions."""
    for topic in (DECISIONS, DEAD_LETTERS, LEDGER):
        committed, _ = offsets(found, topic)
        if any(one.offset >= committed[one.partition] for one in everything_on(found, topic)):
            return False
    return True


def _told(found: Settings) -> dict[str, str]:
    """What the worker and the exporter answer over the web."""
    pages = ["live", "ready", "metrics", "policies/L.2.03.402/revisions", "policies/L.2.03.402/in-force?on=2025-01-01"]
    told = {}
    for page in pages:
        with urlopen(f"http://127.0.0.1:{found.web_port}/{page}", timeout=10) as answer:
            told[page] = answer.read().decode()
    with urlopen(f"http://127.0.0.1:{found.exporter_port}/metrics", timeout=10) as answer:
        told["exporter"] = answer.read().decode()
    return told


def _shown(pages: str) -> dict[str, str]:
    """What the dashboard shows to who opens its pages; what scripts ask for later is looked at in a browser."""

    def page(path: str) -> str:
        with urlopen(pages + path, timeout=10) as answer:  # noqa: S310 (on loopback)
            return str(answer.read().decode())

    assert eventually(lambda: f"{DECIDED} decisions" in page("/decisions"))
    return {f"dashboard {path}": page(path) for path in PAGES}


def _printed(found: Settings, letter: str, file: Path, *execute: str) -> dict[str, str]:
    """What an operator's commands print unless asked for more."""
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    commands = (
        ("accounts", "--app-id", found.app_id),
        ("accounts", "--recount", "--app-id", found.app_id),
        ("dead-letters", "list"),
        ("dead-letters", "list", "-o", "jsonl"),
        ("dead-letters", "show", letter),
        ("dead-letters", "redrive", "--all", "--app-id", found.app_id, *execute),
        ("topics", "check"),
        ("policy", "history"),
        ("audit",),
        ("audit", "-o", "jsonl"),
    )
    ran = {" ".join(one[:3]): dli(*one, *where) for one in commands}
    # What it prints are the answers themselves; what it says of them stands beside.
    ran["decide"] = dli("decide", str(file))._replace(out="")
    return {name: one.out + one.err for name, one in ran.items()}


def _asked_for(found: Settings, file: Path, name: str) -> dict[str, str]:
    """What is shown to who asks for a request by its id: that, and what was decided, and never for whom."""
    web = f"http://{found.web_host}:{found.web_port}"
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    ran = {
        "trace": dli("trace", name, "--url", web, *where),
        "explain": dli("explain", str(file), "--request", name),
    }
    told = {f"{command} {name}": one.out + one.err for command, one in ran.items()}
    for path in ("requests", "ledger/pointers", "ledger/chain"):
        told[f"{path} {name}"] = f"{name}: {get(found, f'/{path}/{name}')[1]}"
    return told


def _stored(folder: Path) -> dict[str, str]:
    """The files of a worker's copies, as far as they are not compressed."""
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert files
    return {f"file {number}": one.read_bytes().decode("latin-1") for number, one in enumerate(files)}


def _kept(found: Settings, archive: Path, reports: Path) -> dict[str, str]:
    """What an archive says of itself, and what replays say of it; the archive's files have the events, and are ours."""
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    work, page = ("--work", str(archive.parent / "work")), reports / "page.html"
    draft = ("--policy", str(PACKAGED / "L.2.03.402.yaml"), "--html", str(page))
    lines = archive.with_name("lines")
    ran = [
        dli("archive", str(archive), *where),
        dli("archive", str(lines), "--format", "jsonl", *where),
        dli("replay", "check", str(lines)),
        dli("replay", "verify", str(archive), *work),
        dli("replay", "verify", str(archive), "-o", "jsonl", *work),
        dli("replay", "what-if", str(archive), *work, *draft),
        dli("restore", str(archive), *where),
    ]
    assert [one.code for one in ran[:-1]] == [0] * 6, ran
    assert "Traceback" not in ran[-1].err
    (reports / "verify.jsonl").write_text(ran[4].out, "utf-8")
    assert [one for one in reports.iterdir() if one.name.startswith("page") and one.stat().st_mode & 0o077] == []
    assert [open_to_others(one) for one in (archive, lines)] == [{}, {}]
    return {
        "manifest": (archive / "manifest.json").read_text("utf-8"),
        "manifest of lines": (lines / "manifest.json").read_text("utf-8"),
        "report": page.read_text("utf-8"),
        **{f"replay {number}": one.out + one.err for number, one in enumerate(ran)},
    }


def _notes(found: Settings) -> dict[str, str]:
    admin = KafkaAdminClient(bootstrap_servers=found.bootstrap)
    try:
        offsets = admin.list_group_offsets(found.app_id)[found.app_id]
        return {str(tp): one.metadata for tp, one in offsets.items()}
    finally:
        admin.close()
