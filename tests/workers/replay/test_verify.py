"""Verify: what is as it was is found identical, and whatever else a log has is found and named."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS
from policy_core.evaluate.determine import Policy
from policy_core.history.library import PACKAGED, Library
from policy_core.loading.load import load
from tests.support.event_logs import MemorySource, archived, changed, publishing, recorded
from tests.support.interruptions import _StopsAfter, interrupted_often
from tests.support.packaged import packaged_library
from tests.support.publishing import next_revision
from tests.support.verifying import decisions, findings, found_in, replayed, report
from workers.archive.archive_source import ArchiveSource
from workers.event_log.process_pool import WorkerHandle
from workers.event_log.source import Format
from workers.kafka.records import Record
from workers.replay import partition_replay, runs, verify
from workers.replay.verify_report import Report, report_of
from workers.traffic.generate import Generator

DECIDED = "t.authorization.decisions"
DOCUMENT = PACKAGED / "L.2.03.402.yaml"
LINES = list(Generator(402, duplicates=0.05, conflicts=0.05, malformed=0.05).lines(900))
CLEAN = list(Generator(5).lines(200))


@pytest.fixture(scope="module")
def library() -> Library:
    return packaged_library()


@pytest.fixture(scope="module")
def log(library: Library) -> MemorySource:
    return recorded(LINES, library)


# --- what is as it was ---------------------------------------------------------------------------------------------


def test_every_request_of_a_log_is_identical(log: MemorySource, tmp_path: Path) -> None:
    came = report(log, tmp_path)

    answered = sum(len(log.records[log.topic(DECISIONS), one]) for one in (0, 1))
    letters = sum(len(log.records[log.topic(DEAD_LETTERS), one]) for one in (0, 1))
    assert came.complete
    assert not came.differs
    assert came.identical == {
        "decision": answered,
        "dead_letter": letters,
        "duplicate": len(LINES) - answered - letters,
    }
    assert min(came.identical.values()) > 30
    assert came.requests == len(LINES)


@pytest.mark.parametrize("form", list(Format))
def test_an_archive_of_it_too_in_several_processes(log: MemorySource, tmp_path: Path, form: Format) -> None:
    source = ArchiveSource(archived(log, tmp_path / "kept", form))

    came = report_of(replayed(source, tmp_path / "work", processes=2 if form is Format.PARQUET else 1))

    assert came == report(log, tmp_path / "memory")
    assert not came.differs


def test_a_log_of_another_manner_of_writing_is_identical(library: Library, tmp_path: Path) -> None:
    early = recorded(LINES[:250], library, mode="binary", source="/early")
    late = recorded(LINES[:500], library)
    # A deployment that changed its settings half way through.
    came = report(spliced(early, late), tmp_path)

    assert (came.found, came.identical.total()) == ({}, 500)


def spliced(early: MemorySource, late: MemorySource) -> MemorySource:
    """The first log, and behind it what the second one has more."""
    records = {
        place: [*early.records[place], *(one for one in late.records[place] if _behind(one, place, early))]
        for place in late.records
    }
    return MemorySource(records)


def _behind(one: Record, place: tuple[str, int], early: MemorySource) -> bool:
    there = early.records[place]
    return not there or one.offset > there[-1].offset


def test_answers_out_of_order_are_not_taken_for_missing(log: MemorySource, tmp_path: Path) -> None:
    there = decisions(log)
    Random(1).shuffle(there)
    shuffled = [one._replace(offset=at) for at, one in enumerate(there)]

    assert report(changed(log, DECISIONS, 0, shuffled), tmp_path).found.total() == 0


def test_a_log_with_a_revision_says_itself_what_was_known(library: Library, tmp_path: Path) -> None:
    """A log whose policy was revised on the way says itself what was known."""
    chain = library.chain("L.2.03.402")
    later = library.knowing_also(chain.accept(next_revision(chain)))
    early = recorded(CLEAN[:100], library)
    log = spliced(early, recorded(CLEAN, later))

    came = report(publishing(log, later.chain("L.2.03.402")), tmp_path / "with")
    assert (came.found, came.identical.total()) == ({}, len(CLEAN))

    counts, found = found_in(log, tmp_path / "without")
    behind = sum(len(log.records[place]) - len(early.records[place]) for place in log.records if place[0] == DECIDED)
    assert counts == {"not_replayable": behind}
    assert later["L.2.03.402"].known_through[:12] in found[0]["why"]


# --- what is not ---------------------------------------------------------------------------------------------------


def test_one_decision_that_was_tampered_with_is_found_and_named(log: MemorySource, tmp_path: Path) -> None:
    there = decisions(log)
    at = next(
        index for index, one in enumerate(there) if b'"determination":"medically_necessary"' in (one.value or b"")
    )
    forged = (there[at].value or b"").replace(b'"determination":"medically', b'"determination":"medical_', 1)
    there[at] = there[at]._replace(value=forged)

    counts, [finding] = found_in(changed(log, DECISIONS, 0, there), tmp_path)

    assert counts == {"different": 1}
    assert finding["recorded"] == {"topic": "t.authorization.decisions", "partition": 0, "offset": there[at].offset}
    assert finding["request_id"] == (there[at].key or b"").decode()
    assert finding["fields"] == ["lines.0.determination"]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("topic", "part", "expected"),
    [
        (DECISIONS, "value", {"different": 1}),
        (DECISIONS, "headers", {"different": 1}),
        # Of another key, it answers a request that there is not.
        (DECISIONS, "key", {"missing_decision": 1, "unasked_decision": 1}),
        (DEAD_LETTERS, "value", {"different": 1}),
        (DEAD_LETTERS, "headers", {"different": 1}),
        (DEAD_LETTERS, "key", {"different": 1}),
    ],
)
def test_any_change_of_any_recorded_answer_is_found(
    log: MemorySource, tmp_path: Path, topic: str, part: str, expected: dict[str, int], seed: int
) -> None:
    rng = Random(seed)
    there = list(log.records[log.topic(topic), 1])
    at = rng.randrange(len(there))
    there[at] = _changed_in(there[at], part, rng)

    counts, found = found_in(changed(log, topic, 1, there), tmp_path)

    assert counts == expected
    recorded_at = {"topic": log.topic(topic), "partition": 1, "offset": there[at].offset}
    assert [one["recorded"] for one in found if "recorded" in one] == [recorded_at]


def _changed_in(record: Record, part: str, rng: Random) -> Record:
    if part == "headers":
        return record._replace(headers=(*record.headers, ("forged", b"1")))
    raw = bytearray(record.value or b"") if part == "value" else bytearray(record.key or b"")
    raw[rng.randrange(len(raw))] ^= 1
    return record._replace(value=bytes(raw)) if part == "value" else record._replace(key=bytes(raw))


def test_a_decision_that_is_gone_is_missing(log: MemorySource, tmp_path: Path) -> None:
    there = decisions(log)
    gone = there.pop(100)

    counts, [finding] = found_in(changed(log, DECISIONS, 0, there), tmp_path)

    assert counts == {"missing_decision": 1}
    assert finding["request_id"] == (gone.key or b"").decode()


def test_a_decision_too_many_is_found(log: MemorySource, tmp_path: Path) -> None:
    there = decisions(log)
    there.insert(130, there[100])
    there.append(there[7])
    there = [one._replace(offset=at) for at, one in enumerate(there)]

    counts, found = found_in(changed(log, DECISIONS, 0, there), tmp_path)

    assert counts == {"second_decision": 2}
    assert sorted(one["recorded"]["offset"] for one in found) == [130, len(there) - 1]


def test_a_second_decision_on_a_duplicate_is_found(library: Library, tmp_path: Path) -> None:
    lines = [*LINES[:50], LINES[10], *LINES[50:60]]
    twice = recorded(lines, library, partitions=1)
    there = decisions(twice)
    key = json.loads(LINES[10])["request_id"].encode()
    again = next(one for one in there if one.key == key)
    at = next(index for index, one in enumerate(there) if one.key == json.loads(LINES[50])["request_id"].encode())
    there.insert(at, again)
    there = [one._replace(offset=index) for index, one in enumerate(there)]

    counts, found = found_in(changed(twice, DECISIONS, 0, there), tmp_path)

    assert counts == {"second_decision": 1}
    assert (found[0]["offset"], found[0]["recorded"]["offset"]) == (50, at)


def test_a_decision_nobody_asked_for_is_found(log: MemorySource, tmp_path: Path) -> None:
    there = decisions(log)
    there.insert(100, there[100]._replace(key=b"PA-of-nobody"))
    there = [one._replace(offset=at) for at, one in enumerate(there)]

    counts, [finding] = found_in(changed(log, DECISIONS, 0, there), tmp_path)

    assert (counts, finding["recorded"]["offset"]) == ({"unasked_decision": 1}, 100)


def test_dead_letters_too_few_and_too_many_are_found(log: MemorySource, tmp_path: Path) -> None:
    there = list(log.records[log.topic(DEAD_LETTERS), 0])
    gone = there.pop(5)
    counts, [finding] = found_in(changed(log, DEAD_LETTERS, 0, there), tmp_path / "few")
    assert counts == {"missing_dead_letter": 1}
    assert finding["offset"] == json.loads(gone.value or b"")["data"]["original"]["offset"]

    there.insert(5, gone)
    there.insert(6, gone)
    there = [one._replace(offset=at) for at, one in enumerate(there)]
    counts, [finding] = found_in(changed(log, DEAD_LETTERS, 0, there), tmp_path / "many")
    assert (counts, finding["recorded"]["offset"]) == ({"unexpected_dead_letter": 1}, 6)


def test_a_dead_letter_in_a_decisions_place_is_different(library: Library, tmp_path: Path) -> None:
    log = recorded(CLEAN, library, partitions=1)
    spoiled = CLEAN[3].replace(b'"certification":"', b'"certification":"un')
    other = recorded([*CLEAN[:3], spoiled, *CLEAN[4:]], library, partitions=1)
    mixed = MemorySource(
        {
            (log.topic(REQUESTS), 0): log.records[log.topic(REQUESTS), 0],
            (log.topic(DECISIONS), 0): other.records[log.topic(DECISIONS), 0],
            (log.topic(DEAD_LETTERS), 0): other.records[log.topic(DEAD_LETTERS), 0],
        }
    )

    counts, [finding] = found_in(mixed, tmp_path)

    assert counts == {"different": 1}
    assert "dead letter (schema_violation), decided again it is a decision" in finding["why"]


# --- what cannot be told -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A document that presumes less than the packaged one."""
    folder = tmp_path_factory.mktemp("edited")
    text = DOCUMENT.read_text("utf-8")
    before = "One sentence that no other document has."
    assert before not in text
    head, says, rest = text.partition("says: ")
    (folder / "edited.yaml").write_text(f"{head}{says}{before} {rest}", "utf-8")
    return folder


def test_a_decision_under_another_document_needs_that_document(edited: Path, tmp_path: Path) -> None:
    other = Policy(load(edited / "edited.yaml"))
    log = recorded(LINES[:300], Library([other], other.number))

    counts, found = found_in(log, tmp_path / "without")
    assert set(counts) == {"not_replayable"}
    assert f"document {other.sha256[:12]}" in found[0]["why"]

    assert found_in(log, tmp_path / "with", earlier=(edited,))[0] == {}


def test_requests_behind_the_last_answer_may_only_wait(library: Library, tmp_path: Path) -> None:
    log = recorded(CLEAN, library)
    there = decisions(log)[:-3]
    del there[20]

    came = report(changed(log, DECISIONS, 0, there), tmp_path)

    assert {kind: count for kind, count in came.found.items() if count} == {"not_replayable": 3, "missing_decision": 1}
    assert came.why == {verify.AFTER: 3}


def test_a_topic_that_is_not_kept_is_told(log: MemorySource, tmp_path: Path) -> None:
    topic = log.topic(DEAD_LETTERS)
    without = MemorySource({place: records for place, records in log.records.items() if place[0] != topic})

    came = report(without, tmp_path)

    assert came.why == {"the log has no topic of dead letters": came.found["not_replayable"]}
    assert came.identical["decision"] == sum(len(log.records[log.topic(DECISIONS), one]) for one in (0, 1))


def test_unreadable_requests_are_reported_and_the_rest_verified(log: MemorySource, tmp_path: Path) -> None:
    """Requests that cannot be read are reported, and the rest is verified."""
    folder = archived(log, tmp_path / "kept", Format.JSONL)
    [segment] = ArchiveSource(folder).manifest.of(log.topic(REQUESTS), 0)
    answered = {one.key for one in decisions(log)}
    lost = next(one.offset for one in log.records[log.topic(REQUESTS), 0] if one.offset > 70 and one.key in answered)
    raw = bytearray((folder / segment.file).read_bytes())
    raw[raw.index(b'"offset":%d,' % lost)] = ord("?")
    (folder / segment.file).write_bytes(raw)

    counts, found = found_in(ArchiveSource(folder), tmp_path / "work")

    assert counts == {"damaged": 2, "unasked_decision": 1}
    assert [(one["first"], one["last"]) for one in found if one["kind"] == "damaged"][1] == (lost, lost)


def test_unreadable_decisions_leave_their_requests_in_doubt(log: MemorySource, tmp_path: Path) -> None:
    """Decisions that cannot be read leave their requests in doubt."""
    folder = archived(log, tmp_path / "kept", Format.JSONL)
    [segment] = ArchiveSource(folder).manifest.of(log.topic(DECISIONS), 0)
    raw = bytearray((folder / segment.file).read_bytes())
    raw[raw.index(b'"offset":77')] = ord("?")
    (folder / segment.file).write_bytes(raw)

    counts, _ = found_in(ArchiveSource(folder), tmp_path / "work")

    assert counts == {"damaged": 2, "not_replayable": 1}


# --- interrupted ---------------------------------------------------------------------------------------------------


def test_interrupted_again_and_again_the_report_is_the_same(
    log: MemorySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.event_logs.CHUNK", 90)
    there = decisions(log)
    there[40], there[200] = there[200], there[40]
    there.insert(300, there[100])
    del there[150]
    there[330] = there[330]._replace(value=b"{}")
    there = [one._replace(offset=2 * at) for at, one in enumerate(there)]
    spoiled = changed(log, DECISIONS, 0, there)
    whole = replayed(spoiled, tmp_path / "whole")
    interrupted_often(monkeypatch)

    partial: list[Report] = []
    for _ in range(60):
        done = replayed(spoiled, tmp_path / "parts")
        if done.finished:
            break
        partial.append(report_of(done))

    assert done.finished
    assert len(partial) >= 10
    assert [one.requests for one in partial] == sorted(one.requests for one in partial)
    assert report_of(done) == report_of(whole)
    assert findings(done) == findings(whole)
    assert report_of(whole).found == {"different": 1, "missing_decision": 1, "second_decision": 1}


class KilledError(Exception):
    """Stands for the end of a process."""


def test_findings_of_a_killed_run_are_not_counted_twice(
    log: MemorySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.event_logs.CHUNK", 90)
    monkeypatch.setattr(partition_replay, "CHECKPOINT_S", 0.0)
    spoiled = changed(log, DECISIONS, 0, [one._replace(value=b"{}") for one in decisions(log)])
    whole = findings(replayed(spoiled, tmp_path / "whole"))

    def killed(
        tasks: Sequence[Any],
        work: Callable[..., None],
        heard: Callable[..., None],
        processes: int,  # noqa: ARG001 (one is enough)
    ) -> bool:
        count = 0

        def hear(news: Any) -> None:
            nonlocal count
            count += 1
            if count == 4:
                raise KilledError
            heard(news)

        try:
            work(tasks[0], WorkerHandle(hear, _StopsAfter(10_000)))
        except KilledError:
            return False
        return True

    with monkeypatch.context() as patched:
        patched.setattr(runs, "run", killed)
        assert not replayed(spoiled, tmp_path / "killed").finished

    assert findings(replayed(spoiled, tmp_path / "killed")) == whole
