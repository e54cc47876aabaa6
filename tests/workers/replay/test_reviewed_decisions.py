"""Decisions made from verdicts and extensions are verified as those on requests are."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from events.envelope import Mode
from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS, VERDICTS
from tests.support.event_logs import MemorySource, archived, changed
from tests.support.packaged import packaged_library
from tests.support.reviewed_logs import DECISIONS_MADE, every_kind
from tests.support.verifying import found_in, report
from workers.archive.archive_source import ArchiveSource
from workers.event_log.source import Format
from workers.kafka.records import Record
from workers.replay.redecide import read
from workers.replay.reviewed_decisions import ELSEWHERE, NO_PREDECESSOR, NO_REQUEST, NO_VERDICT, TWICE


@pytest.fixture(scope="module")
def log() -> MemorySource:
    return every_kind(packaged_library()).source()


def edited(log: MemorySource, topic: str, edit: Callable[[Sequence[Record]], Sequence[Record]]) -> MemorySource:
    for partition in log.partitions(log.topic(topic)):
        log = changed(log, topic, partition, edit(log.records[log.topic(topic), partition]))
    return log


def is_made(record: Record) -> bool:
    return "supersedes_decision" in read(record).data


def without(log: MemorySource, topic: str) -> MemorySource:
    return MemorySource({place: some for place, some in log.records.items() if place[0] != log.topic(topic)})


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_every_kind_of_decision_from_verdicts_is_identical(mode: Mode, tmp_path: Path) -> None:
    log = every_kind(packaged_library(), mode=mode, source="/elsewhere").source()
    came = report(log, tmp_path)
    assert not any(log.records[log.topic(DEAD_LETTERS), one] for one in (0, 1)), "every verdict stands"
    assert (came.found, came.identical) == ({}, {"decision": 10, "final_decision": DECISIONS_MADE})


def test_the_log_has_every_kind(log: MemorySource) -> None:
    made = [read(one).data for where in (0, 1) for one in log.records[log.topic(DECISIONS), where] if is_made(one)]
    lines = [line for one in made for line in one["lines"]]
    assert {line["action"] for line in lines} == {"A1", "A3", "A4", "A6"}
    assert {line["review"]["role"] for line in lines if "review" in line} == {"physician", "case_management"}
    assert {one["stage"] for one in made} == {"final", "recommendation", "open"}
    assert {one["clock"]["state"] for one in made} >= {"answered", "running"}


def test_an_archive_of_it_too(log: MemorySource, tmp_path: Path) -> None:
    source = ArchiveSource(archived(log, tmp_path / "kept", Format.JSONL))
    assert report(source, tmp_path / "work") == report(log, tmp_path / "memory")


def test_any_other_value_is_found(log: MemorySource, tmp_path: Path) -> None:
    def spoil(records: Sequence[Record]) -> Sequence[Record]:
        return [
            one._replace(value=(one.value or b"").replace(b"2025-06-04T10:00:00-05:00", b"2025-06-04T11:00:00-05:00"))
            if is_made(one)
            else one
            for one in records
        ]

    found, _ = found_in(edited(log, DECISIONS, spoil), tmp_path)
    assert found["different"] == DECISIONS_MADE - 1, "all but the extension"


def test_a_decision_without_its_verdict_cannot_be_replayed(log: MemorySource, tmp_path: Path) -> None:
    found, findings = found_in(without(log, VERDICTS), tmp_path)
    assert found == {"not_replayable": DECISIONS_MADE}
    assert {one["why"] for one in findings} == {NO_VERDICT}


def test_a_decision_without_the_one_before_it_cannot_be_replayed(log: MemorySource, tmp_path: Path) -> None:
    def drop(records: Sequence[Record]) -> Sequence[Record]:
        return [one for one in records if one.key != b"PA-A3" or is_made(one)]

    spoiled = edited(edited(log, DECISIONS, drop), REQUESTS, lambda some: [one for one in some if one.key != b"PA-A3"])
    found, findings = found_in(spoiled, tmp_path)
    assert (found, [one["why"] for one in findings]) == ({"not_replayable": 1}, [NO_PREDECESSOR])


def test_only_decisions_that_depend_on_a_request_need_it(log: MemorySource, tmp_path: Path) -> None:
    found, findings = found_in(edited(log, REQUESTS, lambda _: []), tmp_path)
    # The two whose clock a verdict starts, and case management's.
    assert [one["why"] for one in findings if one["kind"] == "not_replayable"] == [NO_REQUEST] * 3
    assert found["not_replayable"] == 3


def test_a_second_decision_from_one_is_found(log: MemorySource, tmp_path: Path) -> None:
    def twice(records: Sequence[Record]) -> Sequence[Record]:
        again = [one for one in records if one.key == b"PA-A3" and is_made(one)]
        return [*records, *(one._replace(offset=records[-1].offset + 1) for one in again)]

    found, findings = found_in(edited(log, DECISIONS, twice), tmp_path)
    assert (found, [one["why"] for one in findings]) == ({"second_decision": 1}, [TWICE])


def test_a_verdict_on_another_request_decides_nothing_here(log: MemorySource, tmp_path: Path) -> None:
    def swap(records: Sequence[Record]) -> Sequence[Record]:
        return [one._replace(value=(one.value or b"").replace(b'"PA-A3"', b'"PA-A9"')) for one in records]

    found, findings = found_in(edited(log, VERDICTS, swap), tmp_path)
    assert (found, [one["why"] for one in findings]) == ({"different": 1}, [ELSEWHERE])


def test_a_log_without_verdicts_is_read_once(log: MemorySource, tmp_path: Path) -> None:
    def machines(records: Sequence[Record]) -> Sequence[Record]:
        return [one for one in records if not is_made(one)]

    plain = without(edited(log, DECISIONS, machines), VERDICTS)
    assert json.dumps(report(plain, tmp_path).as_json()["identical"]) == json.dumps(
        {"all": 10, "decision": 10, "final_decision": 0, "duplicate": 0, "dead_letter": 0}
    )


@pytest.mark.parametrize(
    ("written", "forged", "path"),
    [
        (b'"license_state": "MS"', b'"license_state": "TN"', "reviewer.license_state"),
        (b'"role": "physician"', b'"role": "medical_policy"', "reviewer.role"),
        (b'"evaluated": true', b'"evaluated": false', "evaluated"),
        (b'"concurrence": true', b'"concurrence": false', "concurrence"),
    ],
)
def test_a_forged_verdict_refuses_no_care(
    log: MemorySource, tmp_path: Path, written: bytes, forged: bytes, path: str
) -> None:
    """A decision that refuses care is found if its verdict lacks what that takes, though its bytes follow from it."""

    def forge(records: Sequence[Record]) -> Sequence[Record]:
        return [one._replace(value=(one.value or b"").replace(written, forged)) for one in records]

    found, findings = found_in(edited(log, VERDICTS, forge), tmp_path)
    refused = [one for one in findings if str(one["why"]).startswith("its verdict may not refuse care")]
    assert found["different"] >= len(refused) >= 3, "A3, A6 and the amended one at least"
    assert all(path in str(one["why"]) for one in refused)
