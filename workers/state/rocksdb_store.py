"""The copy of one partition's changelog, in RocksDB."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import cast

from rocksdict import BlockBasedIndexType, BlockBasedOptions, Cache, Options, Rdict, ReadOptions, WriteBatch

from workers import private_files

_APPLIED = b"applied"
"""Where the copy has the changelog's next offset; no entry may have this key."""
_SWEPT_PER_ENTRY = 2
"""Entries looked at for their age, for each that is written: so what is old goes at least as fast as the copy grows."""
_SWEPT_AT_ONCE = 256
"""At least, together: to find the place in a large copy costs as much as to look at some fifty entries."""
_UNWRITTEN_BYTES = 1 << 20
"""Of a copy in memory until they go into a file: a worker has two copies for each of its partitions, and RocksDB would
let each of them have 128 MB."""
_CACHE = Cache(32 << 20)
"""Of blocks read, in bytes; for all copies of a process together."""
_BITS_PER_KEY = 10
"""Of the filters by which a key that is not there, which is nearly every one asked for, is known without a read."""


class StorageError(OSError):
    """The copy on this machine's disk cannot be read or written; the log is whole, and the partition starts again."""


class ChangelogStore:
    """The copy of one partition's changelog, in RocksDB."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cursor: bytes | None = None
        self._unswept = 0
        self._oldest: int | None = None  # of what this sweep has left behind it
        self._nothing_before: int | None = None
        self._database = self._open()

    def _open(self) -> Rdict:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_max_background_jobs(1)
        options.set_write_buffer_size(_UNWRITTEN_BYTES)
        blocks = BlockBasedOptions()
        blocks.set_block_cache(_CACHE)
        blocks.set_bloom_filter(_BITS_PER_KEY, block_based=False)
        # Filters and indexes are in the cache too, by parts: else all of a copy's would be in memory, 2 bytes a key.
        blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
        blocks.set_partition_filters(True)
        blocks.set_cache_index_and_filter_blocks(True)
        blocks.set_pin_top_level_index_and_filter(True)
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
        options.set_block_based_table_factory(blocks)
        try:
            private_files.own_folder(self._folder)
            return Rdict(str(self._folder), options)
        except Exception as error:  # rocksdict raises Exception itself
            raise StorageError(f"{self._folder}: cannot be opened: {type(error).__name__}") from error

    @property
    def applied(self) -> int:
        """The changelog's offset up to which the copy has it."""
        raw = self.get(_APPLIED)
        return int.from_bytes(raw, "big") if raw else 0

    def get(self, key: bytes) -> bytes | None:
        """What stands under a key.

        Raises:
            StorageError: The copy cannot be read.
        """
        try:
            found = cast("bytes | None", self._database.get(key))
        except Exception as error:  # as above
            raise StorageError(f"{self._folder}: cannot be read: {type(error).__name__}") from error
        return found

    def beginning_with(self, prefix: bytes) -> dict[bytes, bytes]:
        """All entries whose keys begin so, in the order of their keys.

        Raises:
            StorageError: The copy cannot be read.
        """
        found: dict[bytes, bytes] = {}
        for key, value in self._entries(prefix):
            if not key.startswith(prefix):
                break
            found[key] = value
        return found

    def _entries(self, start: bytes | None, *, aside: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Entries from a key on; `aside` leaves in memory what others ask for."""
        options = ReadOptions()
        options.fill_cache(not aside)  # type: ignore[call-arg]  # its stub forgets the argument
        try:
            # In raw mode, which its type does not know, keys and values are bytes.
            yield from cast("Iterator[tuple[bytes, bytes]]", self._database.items(from_key=start, read_opt=options))
        except Exception as error:  # as above
            raise StorageError(f"{self._folder}: cannot be read: {type(error).__name__}") from error

    def apply(self, changes: Mapping[bytes, bytes | None], upto: int) -> None:
        """Take over changes, and that the changelog is applied up to an offset, as one.

        Raises:
            StorageError: The copy cannot be written.
        """
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_APPLIED, upto.to_bytes(8, "big"))
        try:
            self._database.write(batch)
        except Exception as error:  # as above
            raise StorageError(f"{self._folder}: cannot be written: {type(error).__name__}") from error

    def outdated(self, time_of: Callable[[bytes], int], before: int, written: int) -> list[bytes]:
        """Of the next few entries, the keys of those that are older than that; the next call goes on behind them.

        Where a whole sweep found nothing as old as that, nothing is looked at until something can be.

        Args:
            time_of: The time of an entry's value, in any unit.
            before: What is older than this is outdated, in the same unit.
            written: How many entries are written with this: the more there are, the more is looked at.

        Raises:
            StorageError: The copy cannot be read, or holds what is no entry.
        """
        self._unswept += _SWEPT_PER_ENTRY * written
        resting = self._nothing_before is not None and before <= self._nothing_before
        if resting or self._unswept < _SWEPT_AT_ONCE:
            self._unswept = min(self._unswept, _SWEPT_AT_ONCE)
            return []
        looked_at, self._unswept = self._unswept, 0
        return self._swept(time_of, before, looked_at)

    def _swept(self, time_of: Callable[[bytes], int], before: int, most: int) -> list[bytes]:
        found: list[bytes] = []
        for seen, (key, value) in enumerate(self._entries(self._cursor, aside=True)):
            if seen == most:
                self._cursor = key
                return found
            if key == _APPLIED:
                continue
            time = self._time(time_of, value)
            if time < before:
                found.append(key)
            else:
                self._oldest = time if self._oldest is None else min(self._oldest, time)
        self._nothing_before = before if self._oldest is None else self._oldest
        self._cursor = self._oldest = None
        return found

    def _time(self, time_of: Callable[[bytes], int], value: bytes) -> int:
        try:
            return time_of(value)
        except Exception as error:  # what is no entry
            raise StorageError(f"{self._folder}: holds what is no entry: {type(error).__name__}") from error

    def close(self) -> None:
        """Let go of the files."""
        with suppress(Exception):  # it may be the reason why it is closed
            self._database.close()

    def destroy(self) -> None:
        """Close it and remove its files."""
        self.close()
        rmtree(self._folder, ignore_errors=True)
