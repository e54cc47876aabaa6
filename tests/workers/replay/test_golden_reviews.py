"""The golden archive of decisions made from verdicts and extensions: every later version finds it identical."""

from hashlib import sha256
from pathlib import Path
from typing import get_args

import pytest

from events.envelope import Mode
from events.topics import DECISIONS
from tests.support.reviewed_logs import DECISIONS_MADE
from tests.support.verifying import report
from workers.archive.archive_source import ArchiveSource
from workers.kafka.records import Record
from workers.replay.redecide import read

GOLDEN = Path(__file__).parent / "golden" / "reviews-v1"
MODES = get_args(Mode)


def made(mode: Mode) -> list[Record]:
    source = ArchiveSource(GOLDEN / mode)
    topic = source.topic(DECISIONS)
    pieces = [piece for where in source.partitions(topic) for piece in source.read(topic, where, 0)]
    found = [record for piece in pieces if piece.chunk is not None for record in piece.chunk.records]
    return [record for record in found if "supersedes_decision" in read(record).data]


@pytest.mark.parametrize("mode", MODES)
def test_every_golden_decision_from_a_verdict_is_identical(mode: Mode, tmp_path: Path) -> None:
    came = report(ArchiveSource(GOLDEN / mode), tmp_path)

    assert came.complete
    assert (came.found, came.identical) == ({}, {"decision": 10, "final_decision": DECISIONS_MADE})


@pytest.mark.parametrize("mode", MODES)
def test_it_has_every_kind_of_decision_from_verdicts(mode: Mode) -> None:
    decisions = [read(record).data for record in made(mode)]
    lines = [line for one in decisions for line in one["lines"]]

    assert len(decisions) == DECISIONS_MADE
    assert {line["action"] for line in lines} == {"A1", "A3", "A4", "A6"}
    assert {line["review"]["role"] for line in lines if "review" in line} == {"physician", "case_management"}
    assert {one["stage"] for one in decisions} == {"final", "recommendation", "open"}
    assert any(not any("review" in line for line in one["lines"]) for one in decisions), "one is extended only"


def test_the_golden_files_are_those_that_were_made() -> None:
    files = sorted(file for file in GOLDEN.rglob("*") if file.is_file())
    digests = {f"{sha256(file.read_bytes()).hexdigest()}  {file.relative_to(GOLDEN).as_posix()}" for file in files}

    assert digests == set((GOLDEN.parent / "reviews-v1.sha256").read_text("utf-8").splitlines())
