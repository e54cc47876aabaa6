"""The copy of a changelog on a worker's disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.state.rocksdb_store import ChangelogStore

BATCHES, ENTRIES = 60, 1_000


def test_little_of_a_copy_is_in_memory_however_much_it_has(tmp_path: Path) -> None:
    copy = ChangelogStore(tmp_path / "0")
    for batch in range(BATCHES):
        keys = (f"{number:08} {batch}".encode() for number in range(ENTRIES))
        copy.apply(dict.fromkeys(keys, b"x" * 64), batch + 1)

    unwritten = copy._database.property_int_value("rocksdb.size-all-mem-tables")  # noqa: SLF001 (nothing else shows it)
    held = copy._database.property_int_value("rocksdb.estimate-table-readers-mem")  # noqa: SLF001 (as above)
    known = [copy.get(f"{number:08} 7".encode()) for number in (0, ENTRIES - 1, ENTRIES)]
    copy.close()

    assert unwritten is not None
    assert unwritten < 3 << 20 < BATCHES * ENTRIES * 80
    assert held is not None
    assert held < BATCHES * ENTRIES, "filters and indexes are in the cache, which is bounded"
    assert known == [b"x" * 64, b"x" * 64, None]


# --- what is too old -----------------------------------------------------------------------------------------------


class Looked:
    """The time of an entry, and how often it was asked for."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, value: bytes) -> int:
        self.times += 1
        return int(value)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[ChangelogStore]:
    made = ChangelogStore(tmp_path / "0")
    yield made
    made.close()


def fill(copy: ChangelogStore, count: int, time: int, name: str = "") -> None:
    copy.apply({f"{name}{number:08}".encode(): b"%d" % time for number in range(count)}, 1)


def sweep(copy: ChangelogStore, looked: Looked, before: int, written: int) -> int:
    """Take out what is old, as with one batch; how many that were."""
    old = copy.expired(looked, before, written)
    copy.apply(dict.fromkeys(old), 1)
    return len(old)


def test_the_cost_of_a_batch_does_not_depend_on_the_copys_size(
    copy: ChangelogStore,
) -> None:
    """How much of the copy a batch looks at depends on what it writes and not on the copy's size."""
    fill(copy, 20_000, time=5)
    looked = Looked()

    seen = []
    for written in (1, 100, 400):
        before = looked.times
        sweep(copy, looked, before=6, written=written)
        seen.append(looked.times - before)

    assert seen == [0, 0, 2 * 501]


def test_all_that_is_old_goes_while_half_as_much_is_written(copy: ChangelogStore) -> None:
    fill(copy, 3_000, time=5, name="old")
    fill(copy, 3_000, time=8, name="new")

    gone = sum(sweep(copy, Looked(), before=6, written=200) for _ in range(16))

    assert gone == 3_000
    assert len(copy.beginning_with(b"old")) == 0
    assert len(copy.beginning_with(b"new")) == 3_000


def test_an_empty_sweep_pauses_until_something_can_be_old(copy: ChangelogStore) -> None:
    """Where a sweep found nothing old, nothing is looked at until something can be old."""
    fill(copy, 1_000, time=5, name="a")
    fill(copy, 1_000, time=7, name="b")
    looked = Looked()
    swept = [sweep(copy, looked, before=4, written=500) for _ in range(3)]
    whole = looked.times

    resting = [sweep(copy, looked, before=before, written=500) for before in (4, 5, 3)]

    assert (sum(swept), sum(resting)) == (0, 0)
    assert looked.times == whole
    assert sum(sweep(copy, looked, before=6, written=500) for _ in range(4)) == 1_000


def test_what_is_just_as_old_as_kept_is_not_outdated(copy: ChangelogStore) -> None:
    """Outdated is what is older than the bound, so that an entry of the bound itself stays until the bound moves on."""
    fill(copy, 1_000, time=4, name="a")
    fill(copy, 1_000, time=5, name="b")

    gone = [sum(sweep(copy, Looked(), before=before, written=500) for _ in range(4)) for before in (4, 5, 6)]

    assert gone == [0, 1_000, 1_000]
