"""Pointers: for every request, the positions of its answers, of its deadlines, and of the request itself.

    decisions, dead letters, deadlines ─► PointerHandler ─► authorization.ledger ─► Pointers, its local store
                                                events of cases ──┘            └──► authorization.case-events

A pointer is a small record on the ledger topic: the digest of a request's id, a position, a time; no clinical data, no
name. It is made from an answer's key and headers, never from its value. Pointers are partitioned by the digest, so that
any worker can compute the partition of a request's pointers.

Writing a pointer twice changes nothing. So no transaction is needed to write it, and the topic is its own changelog:
the local store holds its records up to the group's offset. `routing` sends events on by these pointers.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import structlog

from events.case_event import Reviewed, case_event_of
from events.decode import RejectedError, decode_review, is_request_id
from events.envelope import Headers, header
from events.origin_headers import REQUEST, SUPERSEDES, cause_of
from events.topics import CASE_EVENTS, DEAD_LETTERS, DEADLINES, DECISIONS, LEDGER, LINKS, REQUESTS
from workers.accounts.tally import Tallied
from workers.cases.handler import carried_record, unknown
from workers.cases.route import Routed
from workers.configuration.settings import Settings
from workers.dead_letters.write import LONGEST_KEY, rejection, too_large, unreadable
from workers.kafka.records import OutgoingRecord, Record, Unreadable
from workers.ledger.routing import POINTER, WHENCE, is_pointer, last_waiting, route, time_of
from workers.ledger.supersedes_links import Link
from workers.state.changelog import Change, Changelog
from workers.state.partition_stores import InputStores, changes_of
from workers.state.request_digests import DIGEST_BYTES, digest
from workers.state.rocksdb_store import ChangelogStore

log = structlog.get_logger(__name__)

Kind = Literal["decision", "dead_letter", "deadline"]

_KINDS: dict[int, Kind] = {1: "decision", 2: "dead_letter", 3: "deadline"}
_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_WHERE, _WHENCE = POINTER, WHENCE
_NOWHERE = -1


class Pointer(NamedTuple):
    """The position of one answer to a request, or of one of its deadlines."""

    kind: Kind
    partition: int
    """The partition on the kind's topic."""
    offset: int
    timestamp: int
    """The record's timestamp, in milliseconds since the epoch."""
    request: tuple[int, int] | None
    """Partition and offset of the request; None if the record does not say."""

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
    """Turns decisions, dead letters and deadlines into pointers and links."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kinds: dict[str, Kind] = {
            settings.topic(DECISIONS): "decision",
            settings.topic(DEAD_LETTERS): "dead_letter",
            settings.topic(DEADLINES): "deadline",
        }
        self._requests = settings.topic(REQUESTS)
        self._ledger = settings.topic(LEDGER)
        self._links = settings.topic(LINKS)

    def __call__(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        """A pointer for every record with a request id, and a link for every request that supersedes another."""
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


class Pointers(InputStores):
    """The pointers of this worker's partitions, and the handler of their topic."""

    def __init__(self, settings: Settings, folder: Path, changelog: Changelog, kept_ms: int) -> None:
        """Keep the stores below `folder`; entries expire after `kept_ms` milliseconds."""
        super().__init__(folder, changelog)
        self._settings = settings
        self._kept = kept_ms

    def __call__(self, records: Sequence[Record]) -> Tallied:
        """Events for the partitions of their cases, and a dead letter for what cannot be read or sent on.

        Raises:
            StorageError: The store cannot be read; retry the batch.
        """
        partition = records[0].partition
        readable = [record for record in records if not isinstance(record.value, Unreadable)]
        with self.distrust_on_error(partition):
            routing = route(self._stores[partition], changes_of(readable))
        events = self._settings.topic(CASE_EVENTS)
        sent = Tallied(
            OutgoingRecord(events, routed.request, routed.event, to=partial(_fixed, place))
            for place, routed in routing.forwarded
        )
        letters = [letter for routed in routing.unknown for letter in self._unknown(routed)]
        sent.counts.update(
            came=sum(_is_review(routed) for routed in routing.routed),
            went=sum(_is_review(routed) for _, routed in routing.forwarded),
            unknown=len(letters),
        )
        sent += letters
        sent += [
            rejection(record, unreadable(record.value), self._settings)
            for record in records
            if isinstance(record.value, Unreadable)
        ]
        return sent

    def _unknown(self, routed: Routed) -> Iterator[OutgoingRecord]:
        """The dead letter of a verdict or an extension whose request is unknown; of a link, none is due."""
        event = case_event_of(routed.event)
        if isinstance(event, Reviewed):
            origin = carried_record(event.record)
            log.warning("review_of_unknown_request", partition=origin.partition, offset=origin.offset)
            yield rejection(origin, _unknown(origin), self._settings)

    def instead(self, record: Record, _refused: frozenset[str]) -> list[OutgoingRecord]:
        """The smallest dead letter, instead of one that is too large for Kafka."""
        rejected = unreadable(record.value) if isinstance(record.value, Unreadable) else too_large()
        return [rejection(record, rejected, self._settings, small=True)]

    def last_waiting(self, partition: int) -> int | None:
        """The offset of the last event that waits for its request's decision; None if none does.

        Raises:
            StorageError: The store cannot be read.
        """
        with self.distrust_on_error(partition):
            return last_waiting(self._stores[partition])

    def find(self, partition: int, request_id: str) -> list[Pointer] | None:
        """The pointers of a request, oldest first; None if this worker does not have the partition.

        Raises:
            StorageError: The store cannot be read.
        """
        if partition not in self.ready:
            return None
        with self.distrust_on_error(partition):
            rows = self._stores[partition].beginning_with(digest(request_id.encode()))
        found = [unpacked(key[DIGEST_BYTES:] + value) for key, value in rows.items() if is_pointer(key)]
        return sorted(found, key=lambda pointer: (pointer.timestamp, pointer.partition, pointer.offset))

    def changes_for(self, store: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:
        """The entries for these records, and deletions of some expired ones.

        An entry's key is the digest and the position, so that entries do not replace each other.
        """
        made = route(store, changes).changes
        times = [time_of(value) for value in made.values() if value is not None]
        old = store.expired(time_of, max(times, default=0) - self._kept, len(times))
        return {**dict.fromkeys(old), **made}


def _unknown(origin: Record) -> RejectedError:
    try:
        return unknown(decode_review(origin.value, origin.headers))
    except RejectedError as rejected:  # another version had read it before
        return rejected


def _is_review(routed: Routed) -> bool:
    return isinstance(case_event_of(routed.event), Reviewed)


def _fixed(partition: int, _partitions: int) -> int:
    return partition
