"""The memory of what was answered: it knows what the changelog knows, whatever becomes of its copy on disk."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from events.origin_headers import LARGEST_WRITER
from events.topics import ANSWERED, DEAD_LETTERS, DECISIONS, REQUESTS
from tests.support import generator
from tests.support.running import everything_on, offsets, publish, settings_for, worker
from workers.configuration.settings import Settings
from workers.decide.duplicates import ELSEWHERE, AnsweredRequests, Entry, unpacked
from workers.kafka.records import OutgoingRecord, Record
from workers.state.changelog import Change
from workers.state.request_digests import digest
from workers.state.rocksdb_store import ChangelogStore, StorageError
from workers.topics import apply_topics

DAY = 24 * 60 * 60 * 1000
KEPT = 10 * DAY
KNOWN = bytes(16)
TOPIC = "t.answered"


class Log:
    """A changelog as the broker has it, in a list."""

    topic = TOPIC

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.reads: list[int] = []

    async def end(self, partition: int) -> int:  # noqa: ARG002 (one partition)
        return len(self.changes)

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Change]]:  # noqa: ARG002 (as above)
        self.reads.append(start)
        for change in self.changes[start:end]:
            yield [change]


class Partition:
    """One partition's life: batches committed, taken away, taken over."""

    def __init__(self, folder: Path, log: Log) -> None:
        self.log = log
        self.now = 0
        """By this machine's clock, in milliseconds."""
        self.memory = AnsweredRequests(folder, log, KEPT, lambda: self.now / 1000)

    def take_over(self) -> None:
        asyncio.run(self.memory.assigned(0, 0))

    def commit(self, *names: str, now: int = 0, appended: int | None = None, tell: bool = True) -> None:
        """Commit answers to requests that came at `now`, on the changelog at `appended`.

        With `tell` off, crash before the copy hears of it.
        """
        self.now = at = now if appended is None else appended
        entries = [Entry(digest(name.encode()), n, now, KNOWN) for n, name in enumerate(names)]
        sent = [
            OutgoingRecord(TOPIC, digest(name.encode()), one.packed()) for name, one in zip(names, entries, strict=True)
        ]
        self.log.changes += [Change(len(self.log.changes) + n, one.key, one.value, at) for n, one in enumerate(sent)]
        if tell:
            records = [Record("r", 0, n, now, None, b"", ()) for n in range(max(1, len(names)))]
            self.memory.after_commit(0, records, sent, {TOPIC: len(self.log.changes)} if names else {})

    def knows(self, name: str, now: int = 0, clock: int | None = None) -> bool:
        """Whether a request of that time is known to be answered, by this machine's clock of that time or another."""
        self.now = now if clock is None else clock
        return self.memory.find(0, digest(name.encode()), now) is not None


@pytest.fixture
def partition(tmp_path: Path) -> Partition:
    made = Partition(tmp_path / "answered", Log())
    made.take_over()
    return made


def test_what_was_committed_is_known_and_nothing_else(partition: Partition) -> None:
    partition.commit("a", "b")

    assert [partition.knows(name) for name in ("a", "b", "c")] == [True, True, False]


def test_a_restart_reads_only_what_the_copy_missed(partition: Partition) -> None:
    partition.commit("a", "b")
    partition.commit("c")
    partition.memory.revoked(0)

    partition.take_over()

    assert partition.log.reads == [0, 2]
    assert [partition.knows(name) for name in ("a", "b", "c")] == [True, True, True]


def test_an_undone_commit_is_not_remembered(partition: Partition) -> None:
    """A commit that was acknowledged and then undone is not remembered."""
    partition.commit("a")
    partition.commit("b")
    del partition.log.changes[1:]
    partition.memory.revoked(0)

    partition.take_over()

    assert [partition.knows(name) for name in ("a", "b")] == [True, False]


def test_a_crash_between_the_commit_and_the_copy_loses_nothing(partition: Partition) -> None:
    partition.commit("a")
    partition.commit("b", tell=False)
    partition.memory.revoked(0)

    partition.take_over()

    assert partition.knows("b")


def test_a_lost_disk_is_read_again_from_the_changelog(partition: Partition, tmp_path: Path) -> None:
    partition.commit("a", "b")
    partition.memory.revoked(0)
    shutil.rmtree(tmp_path / "answered")

    partition.take_over()

    assert [partition.knows(name) for name in ("a", "b")] == [True, True]


@pytest.mark.parametrize("damage", ["MANIFEST", "CURRENT", ".log", "IDENTITY", "OPTIONS"])
def test_a_corrupt_copy_is_thrown_away_and_read_again(partition: Partition, tmp_path: Path, damage: str) -> None:
    partition.commit("a", "b")
    partition.memory.revoked(0)
    hurt = [file for file in (tmp_path / "answered" / "0").iterdir() if damage in file.name]
    for file in hurt:
        file.write_bytes(b"\xde\xad" * 100)

    partition.take_over()

    assert hurt != []
    assert [partition.knows(name) for name in ("a", "b")] == [True, True]


def test_an_entry_that_is_none_makes_the_copy_be_read_again(partition: Partition, tmp_path: Path) -> None:
    partition.commit("a")
    partition.commit("b")
    partition.memory.revoked(0)
    copy = ChangelogStore(tmp_path / "answered" / "0")
    copy.apply({digest(b"a"): b"no entry"}, copy.applied)
    copy.close()
    partition.take_over()

    with pytest.raises(StorageError):
        partition.knows("a")
    partition.memory.revoked(0)
    partition.take_over()
    assert partition.knows("a")


def test_a_copy_of_another_log_is_thrown_away(partition: Partition) -> None:
    partition.commit("a", "b")
    partition.memory.revoked(0)
    partition.log.changes.clear()
    partition.commit("z", tell=False)

    partition.take_over()

    assert [partition.knows(name) for name in ("a", "b", "z")] == [False, False, True]


def test_a_disk_that_takes_no_copy_makes_the_partition_wait(tmp_path: Path) -> None:
    (tmp_path / "answered").write_text("a file where the folder should be")
    partition = Partition(tmp_path / "answered", Log())

    with pytest.raises(StorageError):
        partition.take_over()


def test_an_answer_is_forgotten_after_its_time(partition: Partition) -> None:
    """An answer is forgotten after its time by the broker's clock."""
    partition.commit("a", now=5 * DAY)

    assert [partition.knows("a", now) for now in (5 * DAY, 15 * DAY, 15 * DAY + 1)] == [True, True, False]


def test_a_record_from_before_the_answer_is_no_reason_to_forget(partition: Partition) -> None:
    partition.commit("a", now=50 * DAY)

    assert partition.knows("a", now=0)


def test_forgotten_entries_leave_the_disk_gradually(partition: Partition, tmp_path: Path) -> None:
    """What is forgotten leaves the disk, a little with every batch."""
    names = [f"old {n}" for n in range(500)]
    partition.commit(*names, now=0)
    for n in range(41):  # the last batch is not in the copy yet
        partition.commit(*(f"new {n} {m}" for m in range(15)), now=KEPT + 2)
    partition.memory.revoked(0)

    copy = ChangelogStore(tmp_path / "answered" / "0")
    left = [name for name in names if copy.get(digest(name.encode())) is not None]
    kept = [n for n in range(40) if copy.get(digest(f"new {n} 0".encode())) is not None]
    copy.close()

    assert left == []
    assert len(kept) == 40


@pytest.mark.parametrize(("age", "stays"), [(KEPT, True), (KEPT + 1, False)])
def test_an_answer_as_old_as_kept_is_still_on_the_disk(
    partition: Partition, tmp_path: Path, age: int, *, stays: bool
) -> None:
    """An answer leaves the disk when it is older than answers are kept, and not when it is just as old."""
    names = [f"old {n}" for n in range(50)]
    partition.commit(*names, now=0)
    for n in range(41):
        partition.commit(*(f"new {n} {m}" for m in range(15)), now=age)
    partition.memory.revoked(0)

    copy = ChangelogStore(tmp_path / "answered" / "0")
    left = [name for name in names if copy.get(digest(name.encode())) is not None]
    copy.close()

    assert left == (names if stays else [])


@pytest.mark.parametrize("first", [True, False])
def test_only_what_goes_to_the_changelog_is_remembered(partition: Partition, *, first: bool) -> None:
    """Of what a commit writes, decisions and dead letters leave no trace in the memory, whatever key they have."""
    entry = Entry(digest(b"content"), 0, 0, KNOWN).packed()
    answered = OutgoingRecord(TOPIC, digest(b"answered"), entry)
    others = [
        OutgoingRecord(topic, digest(name), value)
        for topic in ("t.decisions", "t.dead-letters")
        for name in (b"answered", b"only elsewhere")
        for value in (b'{"a": "decision"}', entry)
    ]
    sent = [answered, *others] if first else [*others, answered]

    partition.memory.after_commit(0, [Record("r", 0, 0, 0, None, b"", ())], sent, {TOPIC: 1, "t.decisions": 4})
    partition.commit("next")

    assert [partition.knows(name) for name in ("answered", "only elsewhere", "next")] == [True, False, True]


TIMES = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=60, deadline=None)
@given(first=TIMES, again=TIMES, lost=st.booleans())
def test_an_answer_is_known_long_enough_for_any_producer_times(first: int, again: int, lost: bool) -> None:
    """An answer is known for as long as it should be, whatever times producers write."""
    today = 20_000 * DAY
    with TemporaryDirectory() as folder:
        partition = Partition(Path(folder) / "answered", Log())
        partition.take_over()
        partition.commit("a", now=first, appended=today)
        partition.commit("b", now=today)
        partition.memory.revoked(0)
        if lost:
            shutil.rmtree(folder)
        partition.take_over()

        assert [partition.knows("a", again, clock=today + late) for late in (-KEPT, 0, KEPT)] == [True, True, True]
        partition.memory.revoked(0)


@pytest.mark.parametrize("lost", [False, True])
def test_an_answer_is_forgotten_only_when_every_clock_says_so(partition: Partition, tmp_path: Path, lost: bool) -> None:
    today, later = 20_000 * DAY, 20_000 * DAY + KEPT + 1
    partition.commit("a", now=today)
    partition.commit("b", now=today)
    partition.memory.revoked(0)
    if lost:
        shutil.rmtree(tmp_path / "answered")
    partition.take_over()

    assert partition.knows("a", now=later, clock=today), "the request's time jumped"
    assert partition.knows("a", now=today, clock=later), "this machine's clock jumped"
    assert partition.knows("a", now=-1, clock=later), "the request has no time"
    assert not partition.knows("a", now=later, clock=later)


def test_a_copy_of_an_earlier_version_is_read_again(partition: Partition, tmp_path: Path) -> None:
    partition.commit("a")
    partition.commit("b")
    partition.memory.revoked(0)
    copy = ChangelogStore(tmp_path / "answered" / "0")
    copy.apply({digest(b"a"): partition.log.changes[0].value}, copy.applied)
    copy.close()
    partition.take_over()

    with pytest.raises(StorageError):
        partition.knows("a")
    partition.memory.revoked(0)
    partition.take_over()

    assert partition.knows("a")


DIGEST = st.binary(min_size=16, max_size=16)


@given(st.builds(Entry, DIGEST, TIMES, TIMES, DIGEST, st.integers(1, LARGEST_WRITER)))
def test_an_entry_reads_back_as_it_was_written(entry: Entry) -> None:
    assert unpacked(entry.packed()) == entry


def test_an_entry_from_another_partition_has_no_records_offset() -> None:
    entry = Entry(digest(b"content"), 7, 1_000, KNOWN, LARGEST_WRITER)

    assert entry.elsewhere() == entry._replace(offset=ELSEWHERE)
    assert ELSEWHERE < 0


def test_nothing_of_a_request_is_in_its_entry() -> None:
    entry = Entry(digest(b"content"), 1, 2, KNOWN).packed()

    assert len(entry) == 48
    assert b"content" not in entry


# --- on a broker ---------------------------------------------------------------------------------------------------

PATIENCE_SECONDS = 60.0


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def await_committed(found: Settings) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        committed, ends = offsets(found, REQUESTS)
        if committed == ends:
            return
        time.sleep(0.2)
    pytest.fail(f"not all was committed in {PATIENCE_SECONDS} seconds")


def nothing(_found: Settings) -> None:
    """The disk is as it was left."""


def lose(found: Settings) -> None:
    shutil.rmtree(found.data_dir)


ENTRY = Entry(digest(b"content"), 7, 1_000, KNOWN)
OURS = [
    Change(0, digest(b"A"), ENTRY.packed(), 2_000),
    Change(1, digest(b"B"), None, 2_000),
    Change(2, digest(b"W"), ENTRY._replace(writer=LARGEST_WRITER).packed(), 2_000),
]
KEYS = {change.key for change in OURS}
FOREIGN = [
    pytest.param(Change(3, b"short", ENTRY.packed(), 2_000), id="another key"),
    pytest.param(Change(3, b"short", None, 2_000), id="another key, deleted"),
    pytest.param(Change(3, digest(b"C"), b"foreign", 2_000), id="another value"),
]


def changed(changes: Sequence[Change], folder: Path) -> tuple[set[bytes], list[str]]:
    """The keys that a store would change, and what is logged at error level."""
    memory = AnsweredRequests(folder, Log(), KEPT)
    with closing(ChangelogStore(folder / "store")) as store, capture_logs() as logged:
        found = memory.changes_for(store, changes)
    return set(found), [line["event"] for line in logged if line["log_level"] == "error"]


def test_our_entries_and_their_deletions_are_taken_silently(tmp_path: Path) -> None:
    assert changed(OURS, tmp_path) == (KEYS, [])


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_foreign_record_is_skipped_and_reported(foreign: Change, tmp_path: Path) -> None:
    assert changed([*OURS, foreign], tmp_path) == (KEYS, ["entries_unreadable"])


def corrupt(found: Settings) -> None:
    for file in found.data_dir.rglob("CURRENT"):
        file.write_bytes(b"\x00nonsense")


@pytest.mark.kafka
@pytest.mark.parametrize("harm", [nothing, lose, corrupt])
def test_duplicates_are_known_after_a_restart_and_disk_damage(
    found: Settings, tmp_path: Path, harm: Callable[[Settings], None]
) -> None:
    """Duplicates are known after a restart, whatever happened to the disk."""
    requests = [one for one in generator.requests(41, 120) if isinstance(one, dict)]
    lines = [generator.encode(one) for one in requests]
    other = [generator.encode(one | {"prior_authorization_number": "PA-OTHER"}) for one in requests[:10]]

    with worker(found, tmp_path, "first"):
        publish(found, lines)
        await_committed(found)
    harm(found)
    with worker(found, tmp_path, "second"):
        publish(found, lines + other)
        await_committed(found)
        decisions, letters = everything_on(found, DECISIONS), everything_on(found, DEAD_LETTERS)
        answered = everything_on(found, ANSWERED)

    assert sorted(one.key.decode() for one in decisions) == sorted(one["request_id"] for one in requests)
    assert {json.loads(one.value)["data"]["reason"] for one in letters} == {"conflicting_duplicate"}
    assert len(letters) == 10
    assert len(answered) == 120
