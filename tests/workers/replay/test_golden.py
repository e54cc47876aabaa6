"""The bytes of version 1 are frozen: a golden archive, made once, is verified identical by every later version.

A change of bytes takes a new version of the event, with the old writer kept for replays. What a version adds goes into
an archive of its own, which `tests/support/golden_archive.py` makes; this one is never made again.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from events.dead_letter import SENTENCES
from events.origin_headers import WRITER
from events.topics import DEAD_LETTERS, DECISIONS, POLICY_REVISIONS, REQUESTS
from policy_core.determinations import Determination
from policy_core.history.library import PACKAGED
from tests.support import golden_archive
from tests.support.verifying import found_in, report
from workers.archive.archive_source import ArchiveSource
from workers.kafka.records import Record

GOLDEN = Path(__file__).parent / "golden" / "v1"
POLICIES = (PACKAGED, GOLDEN / "policies")
UNDECIDABLE = {"unknown_policy", "undecodable", "schema_violation", "unsupported_type", "conflicting_duplicate"}
"""The reasons that deciding gives; the others are given by other agents, or after a defect."""


def records(mode: str, topic: str) -> Iterator[Record]:
    source = ArchiveSource(GOLDEN / mode)
    name = source.topic(topic)
    for partition in source.partitions(name):
        for piece in source.read(name, partition, 0):
            yield from piece.chunk.records if piece.chunk is not None else ()


def data(record: Record) -> dict[str, Any]:
    tree = json.loads(record.value or b"")
    found: dict[str, Any] = tree["data"] if "specversion" in tree else tree
    return found


@pytest.mark.parametrize("mode", golden_archive.MODES)
def test_the_golden_archive_is_identical(mode: str, tmp_path: Path) -> None:
    """Every answer, decided again under the archive's own publications, has the bytes, key and headers that it had."""
    came = report(ArchiveSource(GOLDEN / mode), tmp_path, policies=POLICIES)
    requests = sum(1 for _ in records(mode, REQUESTS))

    assert (came.differs, came.complete, came.requests) == (False, True, requests)
    assert sum(came.identical.values()) == requests


def test_a_changed_byte_of_the_golden_archive_is_found(tmp_path: Path) -> None:
    """The archive's bytes are compared, and not only its meaning."""
    source = golden_archive.log(GOLDEN / "policies", "structured")
    topic = source.topic(DECISIONS)
    kept = {place: list(some) for place, some in source.records.items()}
    first = kept[topic, 0][0]
    kept[topic, 0][0] = first._replace(value=(first.value or b"") + b" ")

    found, _ = found_in(type(source)(kept), tmp_path, policies=POLICIES)

    assert found == {"different": 1}


@pytest.mark.parametrize("mode", golden_archive.MODES)
def test_the_golden_archive_has_everything(mode: str) -> None:
    """Every determination that a packaged policy gives, edition, stage, clock state and reason is in it."""
    decisions = [data(record) for record in records(mode, DECISIONS)]
    lines = [line for decision in decisions for line in decision["lines"]]
    reserved = {Determination.NOT_MEDICALLY_NECESSARY}

    assert {line["determination"] for line in lines} == set(Determination) - reserved
    assert {line.get("edition") for line in lines} >= {None, "2011-08-11", "2016-03-08"}
    assert {decision["stage"] for decision in decisions} == {"recommendation", "open", "final"}
    assert {decision["clock"]["state"] for decision in decisions} > {"running", "waiting_for_information", "answered"}
    assert {policy["number"] for decision in decisions for policy in decision["policies"]} == {"L.2.03.402", "EV-12"}
    assert {data(record)["reason"] for record in records(mode, DEAD_LETTERS)} == UNDECIDABLE
    assert set(SENTENCES) > UNDECIDABLE


@pytest.mark.parametrize("mode", golden_archive.MODES)
def test_every_golden_answer_names_its_writer(mode: str) -> None:
    answers = [record for topic in (DECISIONS, DEAD_LETTERS) for record in records(mode, topic)]

    assert {dict(record.headers).get(WRITER) for record in answers} == {b"1"}


def test_the_golden_revisions_are_published_with_the_same_bytes() -> None:
    """What the packaged documents publish is what they published: digests stay when the format gains a field."""
    made = golden_archive.log(GOLDEN / "policies", "structured")
    topic = made.topic(POLICY_REVISIONS)

    kept = {(record.key, record.value) for record in records("structured", POLICY_REVISIONS)}
    assert kept <= {(record.key, record.value) for record in made.records[topic, 0]}


def test_the_golden_shadows_are_the_same_bytes() -> None:
    found = golden_archive.shadowed(GOLDEN / "policies", GOLDEN / "draft.yaml")

    assert found == (GOLDEN / "shadow.jsonl").read_bytes().splitlines()
    assert len(found) > 30


def test_the_golden_files_are_those_that_were_made() -> None:
    """Whoever makes them again changes what later versions are held to."""
    files = sorted(file for file in GOLDEN.rglob("*") if file.is_file())
    digests = [f"{sha256(file.read_bytes()).hexdigest()}  {file.relative_to(GOLDEN).as_posix()}" for file in files]

    assert digests == (GOLDEN.parent / "v1.sha256").read_text("utf-8").splitlines()
