"""What a restore writes names the new positions of requests and verdicts, so that it verifies again."""

from pathlib import Path

import pytest

from events.topics import CASES, CHAINS, CONTEXTS, DECISIONS, MESSAGES, REQUESTS, VERDICTS
from tests.support.event_logs import MemorySource, archived
from tests.support.packaged import packaged_library
from tests.support.reviewed_logs import DECISIONS_MADE, every_kind
from tests.support.verifying import report
from workers.archive.archive_source import ArchiveSource
from workers.configuration.settings import read
from workers.event_log.source import ReplayError
from workers.replay.archive_commands import ARCHIVED
from workers.topics import restore_archive as restoring
from workers.topics.restore_archive import to_restore


def test_decisions_from_verdicts_verify_again_once_restored(tmp_path: Path) -> None:
    kept = every_kind(packaged_library()).source()
    archives = restoring.Archives([ArchiveSource(archived(kept, tmp_path / "kept"))])
    positions = restoring._Positions(archives, read(topic_prefix="t."), {})  # noqa: SLF001 (what a restore writes, without a broker)
    for name in (REQUESTS, VERDICTS):
        positions.learn(name, len(kept.partitions(kept.topic(name))))
    names = (REQUESTS, VERDICTS, DECISIONS)
    restored = MemorySource(
        {(f"t.{name}", where): list(positions.records(name, where)) for name in names for where in (0, 1)}
    )

    before, after = (
        [one.offset for where in (0, 1) for one in log.records["t.authorization.verdicts", where]]
        for log in (kept, restored)
    )
    assert before != after, "the positions have changed"
    came = report(restored, tmp_path / "work")
    assert (came.found, came.identical) == ({}, {"decision": 10, "final_decision": DECISIONS_MADE})


def test_platforms_messages_are_never_restored() -> None:
    """Each would be answered again. What is known of their traces is."""
    restored = to_restore({*ARCHIVED, *MESSAGES})

    assert restored == set(ARCHIVED)
    assert {CHAINS, CONTEXTS} <= restored
    for topic in MESSAGES:
        with pytest.raises(ReplayError, match=rf"{topic}: platforms' messages are archived for .* and not restored"):
            to_restore({*ARCHIVED, *MESSAGES}, [topic])


def test_archives_have_what_a_restore_of_cases_needs() -> None:
    assert {VERDICTS, CASES} <= set(ARCHIVED)
