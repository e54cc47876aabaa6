"""The copy of one partition's changelog, in RocksDB."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import cast

from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch

_APPLIED = b"applied"
"""Where the copy has the changelog's next offset; no entry may have this key."""
_SWEPT_AT_ONCE = 64
"""Entries looked at for their age with every batch: the whole copy is swept again and again, a little at a time."""
_UNWRITTEN_BYTES = 1 << 20
"""Of a copy in memory until they go into a file: a worker has two copies for each of its partitions, and RocksDB would
let each of them have 128 MB."""
_CACHE = Cache(32 << 20)
"""Of blocks read, in bytes; for all copies of a process together."""
_BITS_PER_KEY = 10
"""Of the filters by which a key that is not there, which is nearly every one asked for, is known without a read."""


class StorageError(OSError):
    """The copy on this machine's disk cannot be read or written; the log is whole, and the partition starts again."""


class Copy:
    """The copy of one partition's changelog, in RocksDB."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cursor: bytes | None = None
        self._database = self._open()

    def _open(self) -> Rdict:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_max_background_jobs(1)
        options.set_write_buffer_size(_UNWRITTEN_BYTES)
        blocks = BlockBasedOptions()
        blocks.set_block_cache(_CACHE)
        blocks.set_bloom_filter(_BITS_PER_KEY, block_based=False)
        options.set_block_based_table_factory(blocks)
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
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

    def _entries(self, start: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        try:
            # In raw mode, which its type does not know, keys and values are bytes.
            yield from cast("Iterator[tuple[bytes, bytes]]", self._database.items(from_key=start))
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

    def outdated(self, is_old: Callable[[bytes, bytes], bool]) -> list[bytes]:
        """Of the next few entries, the keys of those that are old; the next call goes on behind them.

        Raises:
            StorageError: The copy cannot be read, or holds what is no entry.
        """
        found: list[bytes] = []
        for seen, (key, value) in enumerate(self._entries(self._cursor)):
            if seen == _SWEPT_AT_ONCE:
                self._cursor = key
                return found
            if key != _APPLIED and self._judged(is_old, key, value):
                found.append(key)
        self._cursor = None
        return found

    def _judged(self, is_old: Callable[[bytes, bytes], bool], key: bytes, value: bytes) -> bool:
        try:
            return is_old(key, value)
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
