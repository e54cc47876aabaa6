"""Pointers: for every request, where its answers stand, and where what they answer stood.

    decisions, dead letters ─► PointerHandler ─► authorization.ledger ─► Pointers, its copy on disk

A pointer is a small record on the ledger topic: the digest of a request's id, a place, a time; no clinical data, no
name. It is read off an answer's key and headers, never off the answer. Records are placed by the digest, so that any
worker knows which partition has the pointers of a request, however the platform placed the request itself.

A pointer is a fact: the same one written twice changes nothing. So it needs no transaction, and the topic is its own
changelog: its copy on disk, which is asked, is what its records say up to the group's offset.
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
from workers.dead_letters.write import LONGEST_KEY, rejection, too_large, unreadable
from workers.ledger.supersedes_links import Link
from workers.records import OutgoingRecord, Record, Unreadable
from workers.settings import Settings
from workers.state.changelog import Change, Changelog
from workers.state.digests import DIGEST_BYTES, digest
from workers.state.partition_stores import InputStores
from workers.state.rocksdb_store import ChangelogStore

log = structlog.get_logger(__name__)

Kind = Literal["decision", "dead_letter"]

_KINDS: dict[int, Kind] = {1: "decision", 2: "dead_letter"}
_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_WHERE = struct.Struct(">BIQ")
_WHENCE = struct.Struct(">qiQ")
_NOWHERE = -1


class Pointer(NamedTuple):
    """Where one answer to a request stands."""

    kind: Kind
    partition: int
    """Of the topic that the kind has."""
    offset: int
    timestamp: int
    """The answer's, in milliseconds since the epoch."""
    request: tuple[int, int] | None
    """Partition and offset of the request on its topic; None where the answer does not say."""

    def packed(self) -> bytes:
        """As it stands on the ledger topic."""
        partition, offset = self.request or (_NOWHERE, 0)
        where = _WHERE.pack(_NUMBERS[self.kind], self.partition, self.offset)
        return where + _WHENCE.pack(self.timestamp, partition, offset)


def unpacked(raw: bytes) -> Pointer:
    """The pointer that `raw` is.

    Raises:
        ValueError: It is none.
    """
    try:
        kind, partition, offset = _WHERE.unpack_from(raw)
        timestamp, *request = _WHENCE.unpack(raw[_WHERE.size :])
        return Pointer(
            _KINDS[kind], partition, offset, timestamp, None if request[0] == _NOWHERE else (request[0], request[1])
        )
    except (struct.error, KeyError):
        raise ValueError("no pointer") from None


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of the ledger that has the pointers of a request: its key is spread evenly already."""
    return int.from_bytes(key[:4], "big") % partitions


class PointerHandler:
    """What the ledger agent writes because of decisions and dead letters: a plain function of records."""

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
        """A pointer for every answer that can be found by a request's id, and a link where one supersedes another."""
        return [one for record in records for one in self._written(record)]

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
        # Of our own decisions both are ids; whoever else writes there may have anything.
        if supersedes is not None and is_request_id(supersedes) and len(record.key) <= LONGEST_KEY:
            link = Link(supersedes, record.position)
            yield OutgoingRecord(self._links, record.key, link.written())

    def instead(self, record: Record, refused: frozenset[str]) -> list[OutgoingRecord]:
        """A small dead letter for what cannot be read; else nothing: a topic that refuses a pointer is at fault itself.

        The answer that it would point to stands where it is.
        """
        if isinstance(record.value, Unreadable):
            return [rejection(record, unreadable(record.value), self._settings, small=True)]
        log.error("pointer_refused", topics=sorted(refused), partition=record.partition, offset=record.offset)
        return []


def _names(kind: Kind, key: bytes, headers: Headers) -> Iterable[bytes]:
    """What the answer is to be found by: its key, and the request id of a dead letter that has another key."""
    shown = header(headers, REQUEST) if kind == "dead_letter" else None
    return dict.fromkeys((key, shown.encode() if shown is not None else key))


class Keeper:
    """The handler of the ledger topic: its records are kept by `Pointers`; what cannot be read is put aside."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        """A dead letter for whatever cannot be read as a record."""
        return [
            rejection(one, unreadable(one.value), self._settings)
            for one in records
            if isinstance(one.value, Unreadable)
        ]

    def instead(self, record: Record, _refused: frozenset[str]) -> list[OutgoingRecord]:
        """The smallest dead letter, in place of one that Kafka takes for too large."""
        rejected = unreadable(record.value) if isinstance(record.value, Unreadable) else too_large()
        return [rejection(record, rejected, self._settings, small=True)]


class Pointers(InputStores):
    """The pointers of the partitions that this worker has."""

    def __init__(self, folder: Path, changelog: Changelog, kept_ms: int) -> None:
        """Keep copies of the ledger topic below `folder`; forget what is older than `kept_ms` milliseconds."""
        super().__init__(folder, changelog)
        self._kept = kept_ms

    def find(self, partition: int, request_id: str) -> list[Pointer] | None:
        """The pointers of a request, oldest first; None where this worker does not have the partition.

        Raises:
            StorageError: The copy cannot be read.
        """
        if partition not in self.ready:
            return None
        with self.distrust_on_error(partition):
            rows = self._stores[partition].beginning_with(digest(request_id.encode()))
        found = [unpacked(key[DIGEST_BYTES:] + value) for key, value in rows.items()]
        return sorted(found, key=lambda one: (one.timestamp, one.partition, one.offset))

    def changes_for(self, store: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:
        """The entries that are made of records, and the ends of some that are too old.

        Each stands under the digest and the place, so that none replaces another.
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
