"""The bytes of version 1 are frozen: a golden archive, made once, is the same to every later version.

A change of bytes takes a new writer, with the old one kept for replays. What a version adds goes into an archive of
its own, which `tests/support/golden_archive.py` makes; this one is never made again. It holds later versions in three
ways: `verify` finds it identical, every agent makes its topics again from what was asked, and files keep their digests.
"""

import json
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Any, get_args

import pytest

from events.dead_letter import Reason
from events.decision import Stage
from events.envelope import Mode
from events.origin_headers import WRITER
from events.topics import (
    AUDIT,
    CASE_EVENTS,
    CASES,
    DEAD_LETTERS,
    DEADLINES,
    DECISIONS,
    POLICY_REVISIONS,
    REQUESTS,
    SHADOW,
    TOPICS,
    VERDICTS,
)
from policy_core.compare.strictness import Kind
from policy_core.determinations import Determination
from policy_core.document.models import RevisionKind
from policy_core.history.library import PACKAGED, load_library
from policy_core.history.publication_terms import released
from tests.support import golden_archive
from tests.support.event_logs import MemorySource
from tests.support.golden_archive import FAILS, MODES, TOO_LARGE, Log, what_is_answered
from tests.support.verifying import found_in, report
from workers.archive.archive_source import ArchiveSource
from workers.kafka.records import Headers, Record
from workers.policies.revision_events import as_record

GOLDEN = Path(__file__).parent / "golden" / "v1"
OF_PLATFORMS = {topic.name for topic in TOPICS if topic.name.startswith(("pas.", "x12.", "integration."))}
LATER = {VERDICTS, CASE_EVENTS, CASES, DEADLINES} | OF_PLATFORMS
"""Topics that came after this archive."""
RECORDED = [topic.name for topic in TOPICS if topic.name not in {AUDIT, *LATER}]
"""Acts are in nobody's archive: an audit log is another's to keep."""
ANSWERS = (DECISIONS, DEAD_LETTERS)
FAILURES = {"different": 2}
"""What the worker failed on, and what Kafka did not take. Decided again, both are decisions: verify says so, and
compares the letters' bytes."""


@cache
def golden(mode: Mode) -> Log:
    """All records of the archive, by topic and partition."""
    return golden_archive.read_log(ArchiveSource(GOLDEN / mode), RECORDED)


def records(mode: Mode, name: str) -> list[Record]:
    return [record for (topic, _), some in golden(mode).items() if topic == f"t.{name}" for record in some]


def data(record: Record) -> dict[str, Any]:
    tree = json.loads(record.value or b"")
    found: dict[str, Any] = tree["data"] if "specversion" in tree else tree
    return found


def reason(record: Record) -> str:
    return str(data(record)["reason"])


OF_CASES = {"verdict_refused", "unknown_request", "denied_link"}
"""Reasons that came with verdicts."""


# --- it is the same ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_golden_archive_is_identical(mode: Mode, tmp_path: Path) -> None:
    """Every answer, decided again under the archive's own publications, has the bytes, key and headers that it had."""
    came = report(ArchiveSource(GOLDEN / mode), tmp_path)

    assert (came.complete, came.requests) == (True, len(records(mode, REQUESTS)))
    assert came.found == FAILURES
    assert came.identical.total() + came.found.total() == came.requests


@pytest.mark.parametrize("mode", MODES)
def test_verify_names_the_failures_whose_letters_are_whole(mode: Mode, tmp_path: Path) -> None:
    _, found = found_in(ArchiveSource(GOLDEN / mode), tmp_path)

    assert sorted(finding["request_id"] for finding in found) == sorted([FAILS, TOO_LARGE])
    assert {finding["why"] for finding in found} == {
        "the worker failed on it (internal_error), decided again it is a decision"
    }


@pytest.mark.parametrize("mode", MODES)
def test_every_agent_makes_its_golden_topics_again(mode: Mode) -> None:
    """What the archive has been asked makes all its other topics, to the byte: digests, pointers and links too."""
    made = what_is_answered(golden(mode), mode, GOLDEN / "draft.yaml")
    # Cases came later, and their events are internal: what is kept of them is their changelog.
    again = {place: some for place, some in made.items() if place[0] != f"t.{CASE_EVENTS}"}

    asked = {f"t.{REQUESTS}", f"t.{POLICY_REVISIONS}"}
    assert again == {place: some for place, some in golden(mode).items() if place[0] not in asked}


def test_the_golden_revisions_are_published_with_the_same_bytes() -> None:
    """What the packaged documents publish is what they published: digests stay when the format gains a field."""
    chain = load_library([PACKAGED], "L.2.03.402").chain("L.2.03.402")
    made = [as_record(one, "t", SOURCE.decode(), "structured") for one in chain]

    kept = [record for record in records("structured", POLICY_REVISIONS)[:-1] if data(record)["digest"] in released()]
    assert [record.value for record in kept] == [record.value for record in made[: len(kept)]]
    assert len(kept) == 19


def test_the_golden_files_are_those_that_were_made() -> None:
    """Whoever makes them again changes what later versions are held to."""
    files = sorted(file for file in GOLDEN.rglob("*") if file.is_file())
    digests = [f"{sha256(file.read_bytes()).hexdigest()}  {file.relative_to(GOLDEN).as_posix()}" for file in files]

    assert digests == (GOLDEN.parent / "v1.sha256").read_text("utf-8").splitlines()


# --- everything is in it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_golden_archive_has_every_topic_in_its_mode(mode: Mode) -> None:
    events = [
        record for topic in TOPICS if topic.events and topic.name != AUDIT for record in records(mode, topic.name)
    ]
    binary = [record for record in events if dict(record.headers).get("ce_specversion")]

    assert all(records(mode, name) for name in RECORDED)
    # What is no event is sent as it is.
    assert len(binary) == (0 if mode == "structured" else len(events) - len(_no_events(mode)))


def _no_events(mode: Mode) -> list[Record]:
    asked = [*records(mode, REQUESTS), *records(mode, POLICY_REVISIONS)]
    return [record for record in asked if not dict(record.headers).get("ce_specversion")]


@pytest.mark.parametrize("mode", MODES)
def test_the_golden_archive_has_every_reason(mode: Mode) -> None:
    """A new reason takes an archive beside this one, of the version that gives it."""
    assert {reason(record) for record in records(mode, DEAD_LETTERS)} == set(get_args(Reason)) - OF_CASES


@pytest.mark.parametrize("mode", MODES)
def test_the_golden_archive_has_every_kind_of_decision(mode: Mode) -> None:
    """Every determination, edition, stage and state of the clock, under both policies and under what was known when."""
    decisions = [data(record) for record in records(mode, DECISIONS)]
    lines = [line for decision in decisions for line in decision["lines"]]
    named = {(policy["number"], policy["known_through"]) for one in decisions for policy in one["policies"]}

    assert {line["determination"] for line in lines} == set(Determination)
    assert {line.get("edition") for line in lines} >= {None, "2011-08-11", "2016-03-08", "2020-07-01", "2023-04-01"}
    assert {line.get("edition") for line in lines} >= {"2025-06-01", "2026-01-05"}
    assert {decision["stage"] for decision in decisions} == set(get_args(Stage))
    assert {decision["clock"]["state"] for decision in decisions} > {"running", "waiting_for_information", "answered"}
    assert Counter(number for number, _ in named) == {"L.2.03.402": 2, "EV-12": 2}


@pytest.mark.parametrize("mode", MODES)
def test_the_golden_archive_has_every_kind_of_revision(mode: Mode) -> None:
    revisions = [data(record) for record in records(mode, POLICY_REVISIONS)[:-1]]
    refused = [record for record in records(mode, DEAD_LETTERS) if reason(record) == "revision_refused"]

    assert {kind for one in revisions for kind in one["kinds"]} == {kind.value for kind in RevisionKind}
    assert all(any(name in one for one in revisions) for name in ("corrects", "retroactive", "signature"))
    assert {data(record)["errors"][0]["path"].split(".")[0] for record in refused} >= {
        *("digest", "predecessor", "revision", "effective", "document", "policy_number", "kinds", "number"),
    }


@pytest.mark.parametrize("mode", MODES)
def test_the_golden_archive_has_every_kind_of_shadow(mode: Mode) -> None:
    found = {data(record)["kind"] for record in records(mode, SHADOW)}

    assert found == {kind.value for kind in Kind} - {Kind.UNCHANGED.value}


@pytest.mark.parametrize("mode", MODES)
def test_every_golden_answer_names_its_writer(mode: Mode) -> None:
    answers = [record for topic in (*ANSWERS, SHADOW) for record in records(mode, topic)]

    assert {dict(record.headers).get(WRITER) for record in answers} == {b"1"}


# --- any other byte is noticed -------------------------------------------------------------------------------------


FILES = sorted(GOLDEN.glob("*/*/*/*.zst"))
SOURCE = b"/dli-authorization"
"""Who wrote an answer: a deployment's setting, which verify takes from the record."""


def another_byte(raw: bytes, seed: str) -> bytes:
    """The same bytes but for one, at a place of the seed's."""
    rng = Random(seed)
    before, source, _ = raw.partition(SOURCE)
    at = rng.choice([at for at in range(len(raw)) if not 0 <= at - len(before) < len(source)])
    return raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :]


def with_another_byte(record: Record, part: str, seed: str) -> Record:
    if part == "key":
        return record._replace(key=another_byte(record.key or b"", seed))
    if part == "value":
        return record._replace(value=another_byte(record.value or b"", seed))
    return record._replace(headers=_other_headers(record.headers, seed))


def _other_headers(headers: Headers, seed: str) -> Headers:
    others = [at for at, (name, _) in enumerate(headers) if name != "ce_source"]
    at = Random(seed).choice(others)
    name, value = headers[at]
    return (*headers[:at], (name, another_byte(value or b"", seed)), *headers[at + 1 :])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("part", ["key", "value", "headers"])
def test_verify_notices_any_other_byte_of_an_answer(part: str, mode: Mode, tmp_path: Path) -> None:
    """One byte of every decision and dead letter is another: none is identical any more."""
    spoiled = {
        place: [with_another_byte(one, part, f"{place} {one.offset}") for one in some]
        if place[0] in {f"t.{name}" for name in ANSWERS}
        else some
        for place, some in golden(mode).items()
    }

    came = report(MemorySource(spoiled), tmp_path)

    assert (came.complete, came.identical["decision"], came.identical["dead_letter"]) == (True, 0, 0)


@pytest.mark.parametrize("file", FILES, ids=[file.relative_to(GOLDEN).parent.as_posix() for file in FILES])
def test_another_byte_of_a_golden_file_is_damage(file: Path, tmp_path: Path) -> None:
    """Whatever a file holds, its archive says that it is not what was kept."""
    mode = file.relative_to(GOLDEN).parts[0]
    copy = copytree(GOLDEN / mode, tmp_path / "copy")
    spoiled = copy / file.relative_to(GOLDEN / mode)
    spoiled.write_bytes(another_byte(file.read_bytes(), file.name))
    topic, partition = file.parents[1].name, int(file.parent.name)

    damages = [piece.damage for piece in ArchiveSource(copy).read(topic, partition, 0) if piece.damage is not None]

    assert damages
