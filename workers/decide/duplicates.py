"""Remembers the answered requests, so that each request gets exactly one answer.

For every decided request, one small record goes to the changelog topic `authorization.answered`, in the same
transaction as the decision: digests of the request's id and content, its offset, the broker's time, and the policy
revision known. No clinical data. The changelog is authoritative; each worker has a local store of its partitions in
RocksDB, so that a lookup takes microseconds and a restart reads only what is new.

Why this is not a Faust table: a table's changelog is sent record by record outside the decisions' transaction, and with
Faust's own transactions tables fail on rebalances (its high-water marks are compared with a stale end of the log). This
store is never ahead of the changelog, and it is caught up after the partition's previous owner is fenced, so it is
never behind.

`workers.state.partition_stores` handles stores that are lost or cannot be trusted.

An answer expires only when all clocks agree: a clock that jumps, or a producer's wrong clock, must not cause a second
decision. Its age is that of the younger of its own time and its changelog record's time, measured at the earlier of the
current request's time and this machine's clock. No decision depends on these times, except for a request repeated after
expiry.
"""

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog

from events.origin_headers import WRITER_VERSION
from workers.kafka.records import OutgoingRecord, Record
from workers.state.changelog import Change, Changelog
from workers.state.partition_stores import PartitionStores
from workers.state.request_digests import DIGEST_BYTES
from workers.state.rocksdb_store import ChangelogStore, StorageError

log = structlog.get_logger(__name__)

KNOWN_BYTES = 16
_ENTRY = struct.Struct(f">16sqq{KNOWN_BYTES}s")
_WRITER = struct.Struct(">H")
_LENGTHS = (_ENTRY.size, _ENTRY.size + _WRITER.size)
_KEPT_SINCE = struct.Struct(">q")


ELSEWHERE = -1
"""Instead of an offset: the request was read in another partition, before partitions were added. No record has this
offset, so none is taken for a redelivery."""


class Entry(NamedTuple):
    """An answered request."""

    content: bytes
    """The digest of the request's content."""
    offset: int
    """Its first offset in its partition, or ELSEWHERE."""
    timestamp: int
    """Its record's time in milliseconds since the epoch; arbitrary if producers set it."""
    known: bytes
    """The prefix of the digest of the newest policy revision known then; a repeated answer is made under it."""
    writer: int = WRITER_VERSION
    """The version of the writer of its decision; a repeated answer is written by it."""

    def packed(self) -> bytes:
        """The bytes stored in the changelog and the local store; of the first writer, nothing is said."""
        packed = _ENTRY.pack(*self[:-1])
        return packed if self.writer == WRITER_VERSION else packed + _WRITER.pack(self.writer)

    def elsewhere(self) -> "Entry":
        """The same entry for a different partition."""
        return self._replace(offset=ELSEWHERE)


def unpacked(raw: bytes) -> Entry:
    """Decode an entry.

    Raises:
        struct.error: It is not an entry.
    """
    entry, writer = raw[: _ENTRY.size], raw[_ENTRY.size :]
    return Entry(*_ENTRY.unpack(entry), *(_WRITER.unpack(writer) if writer else ()))


class _Kept(NamedTuple):
    """An entry of the local store."""

    entry: Entry
    since: int
    """When it was added to the changelog, in milliseconds since the epoch."""

    @property
    def time(self) -> int:
        """The time from which its retention counts."""
        return max(self.entry.timestamp, self.since)


def _with_time(packed: bytes, since: int) -> bytes:
    return packed + _KEPT_SINCE.pack(since)


def _kept(raw: bytes) -> _Kept:
    """Decode an entry of the local store.

    Raises:
        struct.error: It is not an entry.
    """
    (since,) = _KEPT_SINCE.unpack(raw[-_KEPT_SINCE.size :])
    return _Kept(unpacked(raw[: -_KEPT_SINCE.size]), since)


def _time(raw: bytes) -> int:
    return _kept(raw).time


def _is_entry(change: Change) -> bool:
    return len(change.key) == DIGEST_BYTES and (change.value is None or len(change.value) in _LENGTHS)


class Memory(Protocol):
    """Tells the decision handler whether a request was answered, and with what content."""

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:
        """The entry of a request id as of `now`, a record's time; None if absent or expired."""


class _NoMemory:
    """Remembers nothing; for deciding without a broker."""

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:  # noqa: ARG002 (unused)
        return None


NO_MEMORY: Memory = _NoMemory()


class AnsweredRequests(PartitionStores):
    """The answered requests of this worker's partitions."""

    def __init__(
        self, folder: Path, changelog: Changelog, kept_ms: int, clock: Callable[[], float] = time.time
    ) -> None:
        """Keep the stores below `folder`; entries expire after `kept_ms` milliseconds.

        `clock` gives seconds since the epoch.
        """
        super().__init__(folder, changelog)
        self._kept_ms = kept_ms
        self._clock = clock
        # At least once: an answer that may be repeated is remembered before anyone can read it.
        self.first = frozenset({changelog.topic})

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:
        """The entry of a request id; None if it was not answered or has expired.

        Raises:
            StorageError: The store cannot be read.
        """
        with self.distrust_on_error(partition):
            raw = self.get(partition, key)
            try:
                found = _kept(raw) if raw is not None else None
            except struct.error as error:
                raise StorageError(f"partition {partition}: the copy of the changelog cannot be trusted") from error
        return found.entry if found is not None and found.time >= self._oldest(now) else None

    def changes_for(self, store: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:  # noqa: ARG002 (others use it)
        """The entries in these records; foreign records on the topic are skipped."""
        entries = [change for change in changes if _is_entry(change)]
        if len(entries) < len(changes):
            log.error("entries_unreadable", of=self._changelog.topic, upto=changes[-1].offset)
        return {
            entry.key: _with_time(entry.value, entry.timestamp) if entry.value is not None else None
            for entry in entries
        }

    def after_commit(
        self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord], ends: Mapping[str, int]
    ) -> None:
        """Store the entries of the previous batch, whose commit is now final, and delete some expired ones.

        Raises:
            StorageError: The disk is full; the rest is read from the changelog later.
        """
        since = self._now()
        topic = self._changelog.topic
        entries = {output.key: _with_time(output.value, since) for output in outputs if output.topic == topic}
        with self.distrust_on_error(partition):
            old = self._stores[partition].expired(_time, self._oldest(records[-1].timestamp), len(entries))
            self.write_final(partition, dict.fromkeys(old))
        self.keep(partition, entries, ends.get(topic, 0))

    def _oldest(self, now: int) -> int:
        """The time of the oldest entry that has not expired at a record's time."""
        return min(now, self._now()) - self._kept_ms

    def _now(self) -> int:
        return int(self._clock() * 1000)
