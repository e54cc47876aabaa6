"""A log that is damaged on the broker's disk: what cannot be read is told of with its offsets, the rest is decided."""

import json
from pathlib import Path

import pytest

from events.dead_letter import DeadLetter
from events.topics import DECISIONS, LEDGER, REQUESTS
from tests.faults.flow import eventually
from tests.faults.report import Report
from tests.support.commands import dli
from tests.support.odd_records import good, letters, send
from tests.support.running import everything_on, settings_for, worker
from workers.accounts import account
from workers.configuration.settings import Settings
from workers.dev_brokers import KafkaBroker
from workers.topics import apply_topics

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

BATCHES = 12
DAMAGED = {
    # What is done to a batch, by its number and where in it.
    3: (40, b"\xff"),  # the producer's id, under the checksum
    5: (17, b"\xff\xff\xff\xff"),  # the checksum
    6: (23, b"\x7f"),  # what it says of its last offset
    9: (200, b"\x00\x00\x00"),  # its record
}


def damage(found: Settings, broker: KafkaBroker) -> None:
    """Change some bytes of the log of requests, while its broker is stopped."""
    assert broker.folder is not None
    [log] = (broker.folder / "data" / f"{found.topic(REQUESTS)}-0").glob("*.log")
    raw = bytearray(log.read_bytes())
    at = 0
    for number in range(BATCHES):
        if number in DAMAGED:
            where, new = DAMAGED[number]
            assert raw[at + where : at + where + len(new)] != new
            raw[at + where : at + where + len(new)] = new
        at += 12 + int.from_bytes(raw[at + 8 : at + 12], "big")
    assert at == len(raw)
    log.write_bytes(raw)


def test_damaged_batches_are_skipped_and_the_rest_is_decided(prefix: str, tmp_path: Path, report: Report) -> None:
    """Damaged batches are skipped and their offsets recorded, and all other requests are decided."""
    with KafkaBroker(folder=tmp_path / "kafka") as broker:
        found = settings_for(broker.bootstrap, prefix, tmp_path)
        apply_topics.apply(found)
        for number in range(BATCHES):
            send(found, REQUESTS, [(good(f"D-{number}"), b"%d" % number, [])])
        broker.stop()
        damage(found, broker)
        broker.restart()
        with worker(found, tmp_path):
            assert eventually(lambda: len(everything_on(found, LEDGER)) >= BATCHES)
            assert eventually(lambda: all(one.waiting == 0 for one in account.ask(found)))
        decided = {one.key.decode() for one in everything_on(found, DECISIONS)}
        kept: list[DeadLetter] = letters(found)
        standings = account.ask(found)
        recounted = dli("accounts", "--recount", *where(found), "--app-id", found.app_id)
        archived = dli("archive", str(tmp_path / "kept"), *where(found))
        checked = dli("replay", "check", str(tmp_path / "kept"))

    report.note(f"damaged log: {len(DAMAGED)} of {BATCHES} batches; {len(decided)} decided, {len(kept)} dead letters")
    assert decided == {f"D-{number}" for number in range(BATCHES) if number not in DAMAGED}
    assert {(one.reason, one.original.offset, one.original.last_offset) for one in kept} == {
        ("undecodable", number, number) for number in DAMAGED
    }
    assert [one.problem for one in standings if one.problem] == []
    assert (recounted.code, "the recount agrees" in recounted.out) == (0, True), recounted.out + recounted.err
    said = [json.loads(line) for line in (tmp_path / "worker.log").read_text("utf-8").splitlines() if line[:1] == "{"]
    assert sum("cannot be read" in str(one.get("event")) for one in said if one.get("level") == "error") >= len(DAMAGED)
    assert checked.code != 1, archived.err + checked.err


def where(found: Settings) -> tuple[str, ...]:
    return "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix
