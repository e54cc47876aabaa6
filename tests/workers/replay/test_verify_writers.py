"""Verify: each decision is made again by the writer that its header names."""

from pathlib import Path

import pytest

from events.origin_headers import WRITER
from events.topics import DECISIONS
from policy_core.history.library import PACKAGED, Library, load_library
from tests.support.event_logs import MemorySource, archived, changed, recorded
from tests.support.second_writer import BOTH
from tests.support.verifying import decisions, found_in, report
from workers.archive.archive_source import ArchiveSource
from workers.decide.writers import WRITERS
from workers.traffic.generate import Generator

LINES = list(Generator(7, duplicates=0.1, conflicts=0.05, malformed=0.05).lines(120))


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library([PACKAGED], "L.2.03.402")


@pytest.fixture(scope="module")
def mixed(library: Library) -> MemorySource:
    """A log that two workers of a group wrote: every third decision is the new one's."""
    old, new = (recorded(LINES, library, partitions=1, writers=writers) for writers in (WRITERS, BOTH))
    pairs = zip(decisions(old), decisions(new), strict=True)
    return changed(old, DECISIONS, 0, [pair[number % 3 == 0] for number, pair in enumerate(pairs)])


@pytest.mark.parametrize("processes", [1, 2])
def test_both_writers_logs_are_identical(processes: int, mixed: MemorySource, tmp_path: Path) -> None:
    source = ArchiveSource(archived(mixed, tmp_path / "kept"))

    came = report(source, tmp_path / "work", processes=processes, writers=BOTH)

    assert (came.complete, came.found, came.identical.total()) == (True, {}, len(LINES))


def test_an_unknown_writer_is_found_with_its_version(mixed: MemorySource, tmp_path: Path) -> None:
    """A program without the writer says which version it lacks, and what to do; all others are identical."""
    found, findings = found_in(mixed, tmp_path)

    theirs = sum(dict(record.headers)[WRITER] == b"2" for record in decisions(mixed))
    assert found == {"not_replayable": theirs}
    assert {finding["why"] for finding in findings} == {
        "written by version 2 (dli-writer), which is not here: verify it with a version of the software that has it"
    }


def test_a_writer_changed_to_another_is_different(mixed: MemorySource, tmp_path: Path) -> None:
    """Whoever changes the header of a decision does not change who wrote it."""
    spoiled = [
        record._replace(headers=tuple((name, b"1" if name == WRITER else value) for name, value in record.headers))
        for record in decisions(mixed)
    ]

    found, _ = found_in(changed(mixed, DECISIONS, 0, spoiled), tmp_path, writers=BOTH)

    assert found == {"different": sum(dict(record.headers)[WRITER] == b"2" for record in decisions(mixed))}


@pytest.mark.parametrize("value", [b"two", b"\xff", b"9" * 40, None])
def test_a_writer_that_is_no_version_is_different(value: bytes | None, library: Library, tmp_path: Path) -> None:
    log = recorded(LINES[:20], library, partitions=1)
    first, *others = decisions(log)
    spoiled = first._replace(headers=tuple((name, value if name == WRITER else old) for name, old in first.headers))

    found, _ = found_in(changed(log, DECISIONS, 0, [spoiled, *others]), tmp_path)

    assert found == {"different": 1}
