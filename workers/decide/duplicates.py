"""The memory of what was answered: so that no request is answered twice, and none with two answers.

For every request that is decided, one small record goes to the changelog topic `authorization.answered`, in the same
transaction as the decision: digests of the request's id and content, the offset at which it was first read, the
broker's time, and what was known of the policy. No clinical data. The changelog is the truth; each worker keeps a copy
of its partitions in RocksDB, so that a look-up costs microseconds and a restart reads only what it missed.

Why this is no Faust table: a table's changelog is sent record by record outside the decisions' transaction, and with
Faust's own transactions tables fail when partitions move (its high-water marks are compared with a stale end of the
log). Here the copy never knows more than the changelog, and it is caught up from the changelog after the earlier owner
of the partition is fenced, so it never knows less.

What becomes of a copy that is lost or cannot be trusted is said in `workers.store.copies`. Time is the broker's, off
the records: no clock is read.
"""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from workers.records import Outgoing, Record
from workers.store.changelog import Changelog
from workers.store.copies import Copies
from workers.store.copy import StorageError

KNOWN_BYTES = 16
_ENTRY = struct.Struct(f">16sQQ{KNOWN_BYTES}s")


class Entry(NamedTuple):
    """That a request was answered."""

    content: bytes
    """The digest of what it asked."""
    offset: int
    """Where it was first read, in its partition."""
    timestamp: int
    """When that was, by the broker, in milliseconds since the epoch."""
    known: bytes
    """The beginning of the digest of the policy's newest revision then: should the answer have to be made again, it is
    made under that."""

    def packed(self) -> bytes:
        """As it stands in the changelog and in the copy."""
        return _ENTRY.pack(*self)


def unpacked(raw: bytes) -> Entry:
    """The entry that `raw` is.

    Raises:
        struct.error: It is none.
    """
    return Entry(*_ENTRY.unpack(raw))


class Memory(Protocol):
    """What the decision handler asks: was this answered, and with what content."""

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:
        """The entry of a request's id as of `now`, the broker's time; None where there is none, or it is forgotten."""


class _Forgetful:
    """A memory of nothing, for whoever decides without a broker."""

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:  # noqa: ARG002 (it looks at nothing)
        return None


FORGETFUL: Memory = _Forgetful()


class AnsweredRequests(Copies):
    """The memory of the partitions that this worker has."""

    def __init__(self, folder: Path, changelog: Changelog, kept_ms: int) -> None:
        """Keep copies of the changelog below `folder`; forget what is older than `kept_ms` milliseconds."""
        super().__init__(folder, changelog)
        self._kept = kept_ms
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
                found = unpacked(raw) if raw is not None else None
            except struct.error as error:
                raise StorageError(f"partition {partition}: the copy of the changelog cannot be trusted") from error
        return found if found is not None and now - found.timestamp <= self._kept else None

    def after_commit(
        self, partition: int, records: Sequence[Record], outputs: Sequence[Outgoing], ends: Mapping[str, int]
    ) -> None:
        """Take over the entries of the batch before, whose commit is final now, and forget some that are too old.

        Raises:
            StorageError: The disk takes no more; what is missing is read from the changelog when it does.
        """
        oldest = records[-1].timestamp - self._kept
        entries = {one.key: one.value for one in outputs if one.topic == self._changelog.topic}
        with self.doubting(partition):
            old = self._copies[partition].outdated(lambda _, value: unpacked(value).timestamp < oldest)
            self.take_over(partition, dict.fromkeys(old))
        self.keep(partition, entries, ends.get(self._changelog.topic, 0))
