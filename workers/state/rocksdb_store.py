"""The local store of one partition's changelog, in RocksDB."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice, takewhile
from pathlib import Path
from shutil import rmtree
from typing import cast

from rocksdict import BlockBasedIndexType, BlockBasedOptions, Cache, Options, Rdict, ReadOptions, WriteBatch

from workers.process import private_files

_APPLIED = b"applied"
"""The key of the changelog's next offset; no entry may have it."""
_SWEPT_PER_ENTRY = 2
"""Entries checked for age per entry written, so that expiry keeps up with growth."""
_SWEPT_AT_ONCE = 256
"""Entries checked at once, at least: a seek in a large store costs as much as reading about fifty entries."""
_UNWRITTEN_BYTES = 1 << 20
"""Write buffer per store: a worker has two stores per partition, and RocksDB's default would be 128 MB each."""
_CACHE = Cache(32 << 20)
"""Block cache, in bytes, shared by all stores of a process."""
_BITS_PER_KEY = 10
"""Bloom filter size: nearly every key looked up is absent, and the filter avoids the read."""


class StorageError(OSError):
    """The local store cannot be read or written; the log is intact, and the partition restarts."""


class ChangelogStore:
    """The local store of one partition's changelog, in RocksDB."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cursor: bytes | None = None
        self._unswept = 0
        self._oldest: int | None = None  # time kept by this sweep so far
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
        # Partitioned filters and indexes in the cache: otherwise all would be in memory, 2 bytes per key.
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
        """The changelog offset up to which the store is current."""
        raw = self.get(_APPLIED)
        return int.from_bytes(raw, "big") if raw else 0

    def get(self, key: bytes) -> bytes | None:
        """The value of a key.

        Raises:
            StorageError: The store cannot be read.
        """
        try:
            found = cast("bytes | None", self._database.get(key))
        except Exception as error:  # as above
            raise StorageError(f"{self._folder}: cannot be read: {type(error).__name__}") from error
        return found

    def beginning_with(self, prefix: bytes) -> dict[bytes, bytes]:
        """All entries whose keys begin with `prefix`, in key order.

        Raises:
            StorageError: The store cannot be read.
        """
        found: dict[bytes, bytes] = {}
        for key, value in self._entries(prefix):
            if not key.startswith(prefix):
                break
            found[key] = value
        return found

    def first_from(self, start: bytes, end: bytes, most: int) -> list[bytes]:
        """The first `most` keys from `start` up to `end`, which is excluded, in order.

        Raises:
            StorageError: The store cannot be read.
        """
        keys = takewhile(lambda key: key < end, (key for key, _ in self._entries(start)))
        return list(islice(keys, most))

    def _entries(self, start: bytes | None, *, aside: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Entries from a key on; `aside` bypasses the block cache."""
        options = ReadOptions()
        options.fill_cache(not aside)  # type: ignore[call-arg]  # missing in its stub
        try:
            # In raw mode, unknown to its type stub, keys and values are bytes.
            yield from cast("Iterator[tuple[bytes, bytes]]", self._database.items(from_key=start, read_opt=options))
        except Exception as error:  # as above
            raise StorageError(f"{self._folder}: cannot be read: {type(error).__name__}") from error

    def apply(self, changes: Mapping[bytes, bytes | None], upto: int) -> None:
        """Apply changes and record the changelog offset, atomically.

        Raises:
            StorageError: The store cannot be written.
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

    def expired(self, time_of: Callable[[bytes], int], before: int, written: int) -> list[bytes]:
        """The expired keys among the next few entries; the next call continues after them.

        If a whole sweep found nothing expired, the next one waits until something can be.

        Args:
            time_of: Gives the time of an entry's value, in any unit.
            before: Entries older than this are expired, in the same unit.
            written: The number of entries written now: more are checked for more.

        Raises:
            StorageError: The store cannot be read, or holds an invalid entry.
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
        except Exception as error:  # an invalid entry
            raise StorageError(f"{self._folder}: holds what is no entry: {type(error).__name__}") from error

    def close(self) -> None:
        """Close the files."""
        with suppress(Exception):  # the database may be the cause of closing
            self._database.close()

    def destroy(self) -> None:
        """Close it and remove its files."""
        self.close()
        rmtree(self._folder, ignore_errors=True)
