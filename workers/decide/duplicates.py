"""The memory of what was answered: so that no request is answered twice, and none with two answers.

For every request that is decided, one small record goes to the changelog topic `authorization.answered`, in the same
transaction as the decision: digests of the request's id and content, the offset at which it was first read, and the
broker's time. No clinical data. The changelog is the truth; each worker keeps a copy of its partitions in RocksDB, so
that a look-up costs microseconds and a restart reads only what it missed.

Why this is no Faust table: a table's changelog is sent record by record outside the decisions' transaction, and with
Faust's own transactions tables fail when partitions move (its high-water marks are compared with a stale end of the
log). Here the copy is written *after* the commit, so it never knows more than the changelog, and it is caught up from
the changelog after the earlier owner of the partition is fenced, so it never knows less.

A copy that is lost, corrupt or of another log is thrown away and read again. A disk that takes no more makes the
partition wait, unready, until it does. Time is the broker's, off the records: no clock is read.
"""

import shutil
import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import structlog
from rocksdict import Options, Rdict, WriteBatch

from workers.records import Companion, Outgoing, Record

log = structlog.get_logger(__name__)

_ENTRY = struct.Struct(">16sQQ")
_APPLIED = b"applied"
"""Where the copy has the changelog's next offset; entries' keys are of another length."""
_SWEPT_AT_ONCE = 64
"""Entries looked at for their age with every batch: the whole copy is swept again and again, a little at a time."""
DIGEST_BYTES = 16


class StorageError(OSError):
    """The copy on this machine's disk cannot be read or written; the log is whole, and the partition starts again."""


class Entry(NamedTuple):
    """That a request was answered."""

    content: bytes
    """The digest of what it asked."""
    offset: int
    """Where it was first read, in its partition."""
    timestamp: int
    """When that was, by the broker, in milliseconds since the epoch."""

    def packed(self) -> bytes:
        """As it stands in the changelog and in the copy."""
        return _ENTRY.pack(*self)


def unpacked(raw: bytes) -> Entry:
    """The entry that `raw` is.

    Raises:
        struct.error: It is none.
    """
    return Entry(*_ENTRY.unpack(raw))


def digest(content: bytes) -> bytes:
    """The digest of a request's id or content."""
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


class Change(NamedTuple):
    """One record of the changelog."""

    offset: int
    key: bytes
    value: bytes | None
    """None where the entry was taken back."""


class Changelog(Protocol):
    """The changelog topic, as it is read when a partition is taken over."""

    topic: str

    async def end(self, partition: int) -> int:
        """The offset behind the partition's last record."""

    def read(self, partition: int, start: int) -> AsyncIterator[Sequence[Change]]:
        """Committed records from an offset, or the first one kept after it, to the end; no batch is empty."""


class Memory(Protocol):
    """What the decision handler asks: was this answered, and with what content."""

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:
        """The entry of a request's id as of `now`, the broker's time; None where there is none, or it is forgotten."""


class _Forgetful:
    """A memory of nothing, for whoever decides without a broker."""

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:  # noqa: ARG002 (it looks at nothing)
        return None


FORGETFUL: Memory = _Forgetful()


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

    def older_than(self, timestamp: int) -> list[bytes]:
        """Of the next few entries, the keys of those from before `timestamp`; the next call goes on behind them.

        Raises:
            StorageError: The copy cannot be read.
        """
        found: list[bytes] = []
        seen = 0
        try:
            # In raw mode, which its type does not know, keys and values are bytes.
            entries = cast("Iterator[tuple[bytes, bytes]]", self._database.items(from_key=self._cursor))
            for key, value in entries:
                seen += 1
                if seen > _SWEPT_AT_ONCE:
                    self._cursor = key
                    return found
                if len(key) == DIGEST_BYTES and unpacked(value).timestamp < timestamp:
                    found.append(key)
        except Exception as error:  # as above
            raise StorageError(f"{self._folder}: cannot be read: {type(error).__name__}") from error
        self._cursor = None
        return found

    def close(self) -> None:
        """Let go of the files."""
        with suppress(Exception):  # it may be the reason why it is closed
            self._database.close()

    def destroy(self) -> None:
        """Close it and remove its files."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class AnsweredRequests(Companion):
    """The memory of the partitions that this worker has."""

    def __init__(self, folder: Path, changelog: Changelog, kept_ms: int) -> None:
        """Keep copies of the changelog below `folder`; forget what is older than `kept_ms` milliseconds."""
        self._folder = folder
        self._changelog = changelog
        self._kept = kept_ms
        self._copies: dict[int, Copy] = {}
        self._doubtful: set[int] = set()

    # --- what the handler asks ---

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:
        """The entry of a request's id; None where it was not answered or is forgotten.

        Raises:
            StorageError: The copy cannot be read.
        """
        try:
            raw = self._copies[partition].get(key)
            found = unpacked(raw) if raw is not None else None
        except (StorageError, struct.error) as error:
            self._doubtful.add(partition)
            raise StorageError(f"partition {partition}: the copy of the changelog cannot be trusted") from error
        return found if found is not None and now - found.timestamp <= self._kept else None

    # --- what the feed tells ---

    async def assigned(self, partition: int) -> None:
        """Open the partition's copy and read what of the changelog it lacks.

        Raises:
            StorageError: The disk takes no copy.
        """
        end = await self._changelog.end(partition)
        copy = self._copies[partition] = self._trusted(partition, end)
        started = copy.applied
        read = 0
        async for changes in self._changelog.read(partition, started):
            copy.apply({one.key: one.value for one in changes}, changes[-1].offset + 1)
            read += len(changes)
        log.info("duplicates_memory_ready", partition=partition, applied_before=started, read=read)

    def _trusted(self, partition: int, end: int) -> Copy:
        """The copy on disk, or an empty one where that cannot be used or knows more than the log has."""
        folder = self._folder / f"{partition}"
        if partition in self._doubtful:
            shutil.rmtree(folder, ignore_errors=True)
            self._doubtful.discard(partition)
        try:
            copy = Copy(folder)
            if copy.applied <= end:
                return copy
            reason = f"it has offset {copy.applied} of a log that ends at {end}"
            copy.close()
        except (StorageError, ValueError) as error:
            reason = str(error)
        log.warning("duplicates_memory_rebuilt", partition=partition, reason=reason)
        shutil.rmtree(folder, ignore_errors=True)
        return Copy(folder)

    def after_commit(
        self, partition: int, records: Sequence[Record], outputs: Sequence[Outgoing], ends: Mapping[str, int]
    ) -> None:
        """Take over the entries that were committed, and forget some that are too old.

        Raises:
            StorageError: The disk takes no more; what is missing is read from the changelog when it does.
        """
        copy = self._copies[partition]
        changes: dict[bytes, bytes | None] = {
            one.key: one.value for one in outputs if one.topic == self._changelog.topic
        }
        try:
            old = copy.older_than(records[-1].timestamp - self._kept)
            changes = dict.fromkeys(old) | changes
            if changes:
                copy.apply(changes, ends.get(self._changelog.topic, copy.applied))
        except StorageError:
            self._doubtful.add(partition)
            raise

    def revoked(self, partition: int) -> None:
        """Let go of the partition's copy."""
        copy = self._copies.pop(partition, None)
        if copy is not None:
            copy.close()
