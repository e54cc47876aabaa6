"""Pointers: for every request, the positions of its answers and of the request itself.

    decisions, dead letters ─► PointerHandler ─► authorization.ledger ─► Pointers, its local store

A pointer is a small record on the ledger topic: the digest of a request's id, a position, a time; no clinical data, no
name. It is made from an answer's key and headers, never from its value. Pointers are partitioned by the digest, so that
any worker can compute the partition of a request's pointers.

Writing a pointer twice changes nothing. So no transaction is needed, and the topic is its own changelog: the local
store holds its records up to the group's offset.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import structlog

from events.decode import is_request_id
from events.envelope import Headers, header
from events.origin_headers import REQUEST, SUPERSEDES, cause_of
from events.topics import DEAD_LETTERS, DECISIONS, LEDGER, LINKS, REQUESTS
from workers.configuration.settings import Settings
from workers.dead_letters.write import LONGEST_KEY, rejection, too_large, unreadable
from workers.kafka.records import OutgoingRecord, Record, Unreadable
from workers.ledger.supersedes_links import Link
from workers.state.changelog import Change, Changelog
from workers.state.partition_stores import InputStores
from workers.state.request_digests import DIGEST_BYTES, digest
from workers.state.rocksdb_store import ChangelogStore

log = structlog.get_logger(__name__)

Kind = Literal["decision", "dead_letter"]

_KINDS: dict[int, Kind] = {1: "decision", 2: "dead_letter"}
_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_WHERE = struct.Struct(">BIQ")
_WHENCE = struct.Struct(">qiQ")
_NOWHERE = -1


class Pointer(NamedTuple):
    """The position of one answer to a request."""

    kind: Kind
    partition: int
    """The partition on the kind's topic."""
    offset: int
    timestamp: int
    """The answer's timestamp, in milliseconds since the epoch."""
    request: tuple[int, int] | None
    """Partition and offset of the request; None if the answer does not say."""

    def packed(self) -> bytes:
        """The bytes on the ledger topic."""
        partition, offset = self.request or (_NOWHERE, 0)
        where = _WHERE.pack(_NUMBERS[self.kind], self.partition, self.offset)
        return where + _WHENCE.pack(self.timestamp, partition, offset)


def unpacked(raw: bytes) -> Pointer:
    """Decode a pointer.

    Raises:
        ValueError: It is not a pointer.
    """
    try:
        kind, partition, offset = _WHERE.unpack_from(raw)
        timestamp, *request = _WHENCE.unpack(raw[_WHERE.size :])
        return Pointer(
            _KINDS[kind], partition, offset, timestamp, None if request[0] == _NOWHERE else (request[0], request[1])
        )
    except (struct.error, KeyError):
        raise ValueError("no pointer") from None


class PointerHandler:
    """Turns decisions and dead letters into pointers and links."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kinds: dict[str, Kind] = {
            settings.topic(DECISIONS): "decision",
            settings.topic(DEAD_LETTERS): "dead_letter",
        }
        self._requests = settings.topic(REQUESTS)
        self._ledger = settings.topic(LEDGER)
        self._links = settings.topic(LINKS)

    def __call__(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        """A pointer for every answer with a request id, and a link for every request that supersedes another."""
        return [pointer for record in records for pointer in self._written(record)]

    def _written(self, record: Record) -> Iterable[OutgoingRecord]:
        if isinstance(record.value, Unreadable):
            yield rejection(record, unreadable(record.value), self._settings)
            return
        if record.key is None or record.value is None:
            return
        kind = self._kinds[record.topic]
        cause = cause_of(record.headers)
        request = (cause.partition, cause.offset) if cause is not None and cause.topic == self._requests else None
        packed = Pointer(kind, record.partition, record.offset, record.timestamp, request).packed()
        for name in _names(kind, record.key, record.headers):
            yield OutgoingRecord(self._ledger, digest(name), packed)
        supersedes = header(record.headers, SUPERSEDES) if kind == "decision" else None
        # Our own decisions have valid ids; foreign records may have anything.
        if supersedes is not None and is_request_id(supersedes) and len(record.key) <= LONGEST_KEY:
            link = Link(supersedes, record.position)
            yield OutgoingRecord(self._links, record.key, link.written())

    def instead(self, record: Record, refused: frozenset[str]) -> list[OutgoingRecord]:
        """A small dead letter for unreadable records; otherwise nothing.

        A topic that refuses a pointer is misconfigured; the answer itself is unaffected.
        """
        if isinstance(record.value, Unreadable):
            return [rejection(record, unreadable(record.value), self._settings, small=True)]
        log.error("pointer_refused", topics=sorted(refused), partition=record.partition, offset=record.offset)
        return []


def _names(kind: Kind, key: bytes, headers: Headers) -> Iterable[bytes]:
    """The lookup names of an answer: its key, and a dead letter's request id if different."""
    request_id = header(headers, REQUEST) if kind == "dead_letter" else None
    return dict.fromkeys((key, request_id.encode() if request_id is not None else key))


class Keeper:
    """Handles the ledger topic: `Pointers` stores its records; unreadable ones become dead letters."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        """A dead letter for every unreadable record."""
        return [
            rejection(record, unreadable(record.value), self._settings)
            for record in records
            if isinstance(record.value, Unreadable)
        ]

    def instead(self, record: Record, _refused: frozenset[str]) -> list[OutgoingRecord]:
        """The smallest dead letter, instead of one that is too large for Kafka."""
        rejected = unreadable(record.value) if isinstance(record.value, Unreadable) else too_large()
        return [rejection(record, rejected, self._settings, small=True)]


class Pointers(InputStores):
    """The pointers of this worker's partitions."""

    def __init__(self, folder: Path, changelog: Changelog, kept_ms: int) -> None:
        """Keep the stores below `folder`; entries expire after `kept_ms` milliseconds."""
        super().__init__(folder, changelog)
        self._kept = kept_ms

    def find(self, partition: int, request_id: str) -> list[Pointer] | None:
        """The pointers of a request, oldest first; None if this worker does not have the partition.

        Raises:
            StorageError: The store cannot be read.
        """
        if partition not in self.ready:
            return None
        with self.distrust_on_error(partition):
            rows = self._stores[partition].beginning_with(digest(request_id.encode()))
        found = [unpacked(key[DIGEST_BYTES:] + value) for key, value in rows.items()]
        return sorted(found, key=lambda pointer: (pointer.timestamp, pointer.partition, pointer.offset))

    def changes_for(self, store: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:
        """The entries for these records, and deletions of some expired ones.

        An entry's key is the digest and the position, so that entries do not replace each other.
        """
        made = dict(_entries(changes))
        oldest = max((_timestamp(value) for value in made.values()), default=0) - self._kept
        return dict.fromkeys(store.expired(_timestamp, oldest, len(made))) | made


def _timestamp(value: bytes) -> int:
    found: int = _WHENCE.unpack(value)[0]
    return found


def _entries(changes: Iterable[Change]) -> Iterable[tuple[bytes, bytes]]:
    for offset, key, value, _ in changes:
        if len(key) == DIGEST_BYTES and value is not None and len(value) == _WHERE.size + _WHENCE.size:
            yield key + value[: _WHERE.size], value[_WHERE.size :]
        else:
            log.error("ledger_record_unreadable", offset=offset)
