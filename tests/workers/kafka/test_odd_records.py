"""Records that are odd as records, whatever is in them: none stops a partition, and each reader of ours reads on."""

import json
from base64 import b64decode
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from events.topics import DEAD_LETTERS, DECISIONS, LINKS, POLICY_ATTESTATIONS, POLICY_REVISIONS, REQUESTS
from tests.support.kafka_tools import run
from tests.support.odd_records import Header, good, letters, send
from tests.support.running import eventually, everything_on, get, settings_for, worker
from tests.support.scrape import Scrape
from workers.configuration.settings import Settings
from workers.dashboard.data.consumer import Reader
from workers.dev_brokers import free_ports
from workers.monitoring.exporter import serving
from workers.topics import apply_topics

pytestmark = [pytest.mark.broker, pytest.mark.kafka, pytest.mark.xdist_group("broker")]


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path, exporter_port=free_ports().client)
    apply_topics.apply(made)
    return made


class Latin(str):
    """A header's name that a producer writes as ISO-8859-1."""

    __slots__ = ()

    def encode(self, *_: Any, **__: Any) -> bytes:
        return super().encode("latin-1")


ODD_HEADERS: list[Header] = [("null", None), ("empty", b""), (Latin("caf\xe9"), b"1"), ("", b"\xff")]
LARGE_HEADERS: list[Header] = [(f"h{n}", b"y" * 100_000) for n in range(8)]
DECIDED: dict[str, list[Header]] = {"O-1": ODD_HEADERS, "O-2": LARGE_HEADERS, "O-3": [("x", None)] * 20_000}
PUT_ASIDE: dict[str, tuple[bytes | None, bytes, list[Header]]] = {
    "no event, odd headers": (b"nope", b"a", ODD_HEADERS),
    "no event, large headers": (b"x" * 990_000, b"b", LARGE_HEADERS),
    "no event, large key": (b"nope", b"k" * 900_000, []),
    "32,000 lines": (json.dumps({"service_lines": [1] * 32_000}).encode(), b"c", []),
    "32,000 fields": (json.dumps({f"f{n}": 1 for n in range(32_000)}).encode(), b"d", []),
    "a tombstone": (None, b"e", ODD_HEADERS),
    "all of it large": (b"\x00" * 1_000_000, b"k" * 500_000, LARGE_HEADERS[:5]),
}


def limit(found: Settings, topic: str, size: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=found.bootstrap.split(","))
    named = ConfigResource(ConfigResourceType.TOPIC, found.topic(topic), configs={"max.message.bytes": str(size)})
    admin.alter_configs([named])
    admin.close()


def test_every_odd_record_is_decided_or_set_aside(found: Settings, tmp_path: Path) -> None:
    """Every odd record is decided or set aside, and each reader reads on."""
    odd = [(good(name), name.encode(), headers) for name, headers in DECIDED.items()] + list(PUT_ASIDE.values())
    with serving(found), worker(found, tmp_path):
        for number, one in enumerate(odd):
            send(found, REQUESTS, [one, (good(f"G-{number}"), b"%d" % number, [])])
        assert eventually(lambda: (now := Scrape(found)).lag == 0 and now.outcome("consumed") == 2 * len(odd))
        scraped = Scrape(found)
    decided = {one.key.decode() for one in everything_on(found, DECISIONS)}
    kept = letters(found)

    assert decided == set(DECIDED) | {f"G-{number}" for number in range(len(odd))}
    assert len(kept) == len(PUT_ASIDE)
    assert (scraped.up, scraped.balanced) == (1, 1)
    assert [
        one.value_base64.get_secret_value() if one.value_base64 is not None else None
        for one in kept[0].original.headers
    ] == [None, "", "MQ==", "/w=="]
    name = kept[0].original.headers[2].name_base64
    assert name is not None
    assert b64decode(name.get_secret_value()) == b"caf\xe9"
    assert [one.original.cut for one in kept] == [(), ("headers",), (), (), (), (), ("key", "headers")]
    assert counted_by_the_dashboard(found, len(decided) + len(kept)) == (len(decided), len(kept), 0)
    recounted = run(found, "accounts", "--app-id", found.app_id, "--recount")
    assert (recounted.code, "the recount agrees" in recounted.out) == (0, True), recounted.out + recounted.err
    listed = run(found, "dead-letters", "list", "-o", "jsonl")
    assert (listed.code, len(listed.out.splitlines())) == (0, len(kept)), listed.err
    resent = run(found, "dead-letters", "redrive", "--all")
    assert (resent.code, "3 of 7 dead letters would be sent again" in resent.err) == (3, True), resent.err
    archived = run(found, "archive", str(tmp_path / "kept"))
    assert archived.code == 0, archived.err
    verified = run(found, "replay", "verify", "--work", str(tmp_path / "work"))
    assert verified.code == 0, verified.out + verified.err


def counted_by_the_dashboard(found: Settings, answers: int) -> tuple[int, int, int]:
    """Decisions, dead letters and unreadable records, once it has read all."""
    reader, over = Reader(found), Event()
    thread = Thread(target=reader.run, args=(over,), daemon=True)
    thread.start()
    try:
        assert eventually(lambda: reader.counters.decisions + sum(reader.counters.letters.values()) >= answers)
        return reader.counters.decisions, sum(reader.counters.letters.values()), reader.progress.unreadable
    finally:
        over.set()
        thread.join()


def test_undersized_topics_are_reported_and_work_goes_on(found: Settings, tmp_path: Path) -> None:
    """Where topics take less than declared, a start says so and the work goes on."""
    limit(found, DEAD_LETTERS, 100_000)
    limit(found, DECISIONS, 1_000)
    records: list[tuple[bytes, bytes, list[Header]]] = [
        (b"x" * 90_000, b"big", []),
        (good("B-1"), b"B-1", []),
        (b"nope", b"small", []),
    ]
    with serving(found), worker(found, tmp_path):
        many: list[tuple[bytes, bytes, list[Header]]] = [(b"no %d" % number, b"n", []) for number in range(40)]
        send(found, REQUESTS, many + records)
        assert eventually(lambda: (now := Scrape(found)).lag == 0 and now.outcome("consumed") == 43)
        scraped = Scrape(found)
    said = (tmp_path / "worker.log").read_text("utf-8")
    kept = letters(found)

    assert scraped.balanced == 1
    assert said.count('"topic_too_small"') == 2
    assert len(kept) == 43
    big, decision = (next(one for one in kept if (one.original.offset or 0) == offset) for offset in (40, 41))
    assert (big.reason, big.original.value_bytes) == ("undecodable", 90_000)
    assert (decision.reason, decision.request_id) == ("internal_error", "B-1")
    assert everything_on(found, DECISIONS) == []


def test_the_other_agents_set_aside_what_they_cannot_use(found: Settings, tmp_path: Path) -> None:
    """The other agents set aside what they cannot use, after a restart as well."""
    fields = {f"f{n}": 1 for n in range(32_000)}
    junk = {"specversion": "1.0", "type": "policy.revision.published.v1", "id": "x", "source": "x", "data": fields}
    limit(found, DEAD_LETTERS, 100_000)
    with worker(found, tmp_path):
        send(found, POLICY_REVISIONS, [(json.dumps(junk).encode(), b"x", ODD_HEADERS), (b"{}", None, [])])
        send(found, LINKS, [(b"no link", b"x" * 300_000, ODD_HEADERS)])
        assert eventually(lambda: len(letters(found)) == 3)
        status, _ = get(found, "/policies/L.2.03.402/revisions")
    with worker(found, tmp_path, "again"):
        again, _ = get(found, "/policies/L.2.03.402/revisions")
    reasons = sorted((one.reason, one.original.topic or "") for one in letters(found))

    assert (status, again) == (200, 200)
    assert reasons == sorted(
        [
            ("revision_refused", found.topic(POLICY_REVISIONS)),
            ("unsupported_type", found.topic(POLICY_REVISIONS)),
            ("undecodable", found.topic(LINKS)),
        ]
    )
    assert everything_on(found, POLICY_ATTESTATIONS)
