"""The memory of what was answered: so that no request is answered twice, and none with two answers.

For every request that is decided, one small record goes to the changelog topic `authorization.answered`, in the same
transaction as the decision: digests of the request's id and content, the offset at which it was first read, the
broker's time, and what was known of the policy. No clinical data. The changelog is the truth; each worker keeps a copy
of its partitions in RocksDB, so that a look-up costs microseconds and a restart reads only what it missed.

Why this is no Faust table: a table's changelog is sent record by record outside the decisions' transaction, and with
Faust's own transactions tables fail when partitions move (its high-water marks are compared with a stale end of the
log). Here the copy never knows more than the changelog, and it is caught up from the changelog after the earlier owner
of the partition is fenced, so it never knows less.

What becomes of a copy that is lost or cannot be trusted is said in `workers.state.partition_stores`.

An answer is forgotten only when every clock says that its time is over: one that jumps, and a producer's that is wrong,
must not have a request decided twice. So its age is that of the younger of its own time and the time of its record on
the changelog, as of the earlier of the present request's time and this machine's. No decision depends on any of them,
but for a request that comes again after all that time.
"""

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog

from workers.records import OutgoingRecord, Record
from workers.state.changelog import Change, Changelog
from workers.state.digests import DIGEST_BYTES
from workers.state.partition_stores import PartitionStores
from workers.state.rocksdb_store import ChangelogStore, StorageError

log = structlog.get_logger(__name__)

KNOWN_BYTES = 16
_ENTRY = struct.Struct(f">16sqq{KNOWN_BYTES}s")
_KEPT_SINCE = struct.Struct(">q")


ELSEWHERE = -1
"""In place of an offset: the request was read in another partition, before partitions were added. No record has it, so
none is ever taken for that request redelivered."""


class Entry(NamedTuple):
    """That a request was answered."""

    content: bytes
    """The digest of what it asked."""
    offset: int
    """Where it was first read, in its partition; or ELSEWHERE."""
    timestamp: int
    """The time of its record, in milliseconds since the epoch; any number, where a producer could write it."""
    known: bytes
    """The beginning of the digest of the policy's newest revision then: should the answer have to be made again, it is
    made under that."""

    def packed(self) -> bytes:
        """As it stands in the changelog and in the copy."""
        return _ENTRY.pack(*self)

    def elsewhere(self) -> "Entry":
        """The same for another partition than the one in which it was read."""
        return self._replace(offset=ELSEWHERE)


def unpacked(raw: bytes) -> Entry:
    """The entry that `raw` is.

    Raises:
        struct.error: It is none.
    """
    return Entry(*_ENTRY.unpack(raw))


class _Kept(NamedTuple):
    """An entry as it is in the copy."""

    entry: Entry
    since: int
    """When the changelog got it, in milliseconds since the epoch."""

    @property
    def time(self) -> int:
        """From when on it is kept."""
        return max(self.entry.timestamp, self.since)


def _with_time(packed: bytes, since: int) -> bytes:
    return packed + _KEPT_SINCE.pack(since)


def _kept(raw: bytes) -> _Kept:
    """What an entry of the copy is.

    Raises:
        struct.error: It is none.
    """
    (since,) = _KEPT_SINCE.unpack(raw[_ENTRY.size :])
    return _Kept(unpacked(raw[: _ENTRY.size]), since)


def _time(raw: bytes) -> int:
    return _kept(raw).time


def _is_entry(change: Change) -> bool:
    return len(change.key) == DIGEST_BYTES and (change.value is None or len(change.value) == _ENTRY.size)


class Memory(Protocol):
    """What the decision handler asks: was this answered, and with what content."""

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:
        """The entry of a request's id as of `now`, a record's time; None where there is none, or it is forgotten."""


class _Forgetful:
    """A memory of nothing, for whoever decides without a broker."""

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:  # noqa: ARG002 (it looks at nothing)
        return None


FORGETFUL: Memory = _Forgetful()


class AnsweredRequests(PartitionStores):
    """The memory of the partitions that this worker has."""

    def __init__(
        self, folder: Path, changelog: Changelog, kept_ms: int, clock: Callable[[], float] = time.time
    ) -> None:
        """Keep copies of the changelog below `folder`; forget what is older than `kept_ms` milliseconds.

        `clock` gives seconds since the epoch.
        """
        super().__init__(folder, changelog)
        self._kept_ms = kept_ms
        self._clock = clock
        # At least once: an answer that may have to be made again is remembered before anybody can have seen it.
        self.first = frozenset({changelog.topic})

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:
        """The entry of a request's id; None where it was not answered or is forgotten.

        Raises:
            StorageError: The copy cannot be read.
        """
        with self.doubting(partition):
            raw = self.get(partition, key)
            try:
                found = _kept(raw) if raw is not None else None
            except struct.error as error:
                raise StorageError(f"partition {partition}: the copy of the changelog cannot be trusted") from error
        return found.entry if found is not None and found.time >= self._oldest(now) else None

    def taken(self, copy: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:  # noqa: ARG002 (others need it)
        """The entries that are made of records; what somebody else left on their topic is none, and is left out."""
        entries = [one for one in changes if _is_entry(one)]
        if len(entries) < len(changes):
            log.error("entries_unreadable", of=self._changelog.topic, upto=changes[-1].offset)
        return {one.key: _with_time(one.value, one.timestamp) if one.value is not None else None for one in entries}

    def after_commit(
        self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord], ends: Mapping[str, int]
    ) -> None:
        """Take over the entries of the batch before, whose commit is final now, and forget some that are too old.

        Raises:
            StorageError: The disk takes no more; what is missing is read from the changelog when it does.
        """
        since = self._now()
        topic = self._changelog.topic
        entries = {one.key: _with_time(one.value, since) for one in outputs if one.topic == topic}
        with self.doubting(partition):
            old = self._copies[partition].outdated(_time, self._oldest(records[-1].timestamp), len(entries))
            self.take_over(partition, dict.fromkeys(old))
        self.keep(partition, entries, ends.get(topic, 0))

    def _oldest(self, now: int) -> int:
        """The time of the oldest entry that is still known at a record's time."""
        return min(now, self._now()) - self._kept_ms

    def _now(self) -> int:
        return int(self._clock() * 1000)
