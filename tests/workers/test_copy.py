"""The copy of a changelog on a worker's disk."""

from pathlib import Path

from workers.store.copy import Copy

BATCHES, ENTRIES = 60, 1_000


def test_little_of_a_copy_is_in_memory_however_much_it_has(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "0")
    for batch in range(BATCHES):
        keys = (f"{number:08} {batch}".encode() for number in range(ENTRIES))
        copy.apply(dict.fromkeys(keys, b"x" * 64), batch + 1)

    unwritten = copy._database.property_int_value("rocksdb.size-all-mem-tables")  # noqa: SLF001 (nothing else shows it)
    known = [copy.get(f"{number:08} 7".encode()) for number in (0, ENTRIES - 1, ENTRIES)]
    copy.close()

    assert unwritten is not None
    assert unwritten < 3 << 20 < BATCHES * ENTRIES * 80
    assert known == [b"x" * 64, b"x" * 64, None]
