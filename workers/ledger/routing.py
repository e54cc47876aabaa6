"""Routes events to the partitions of their cases, by the pointers that stand in the same partition of the ledger.

An event of a case whose decision is known goes on at once. Another waits: its decision may be read any moment, and then
it goes on. A barrier ends the waiting: it comes after all pointers to decisions that had been published before the
event (`workers.ledger.barriers`), so that the request is unknown. What a verdict or an extension of an unknown request
says goes to the dead letters; a link to one is without effect, and a trace says so.

The result depends only on the order of the topic's records, so that every reader gets the same.

    digest, position of an answer    ─► times                      a pointer
    digest, ff, offset               ─► time, the routed event     what waits for that request
    16 zeros, ff, offset             ─► time, digest               all that waits, in order
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from workers.cases.route import Routed, barrier_of, routed_of
from workers.ledger.changing_entries import ChangingEntries, Entries
from workers.state.changelog import Change
from workers.state.request_digests import DIGEST_BYTES

log = structlog.get_logger(__name__)

POINTER = struct.Struct(">BIQ")
"""The kind, partition and offset of an answer or a deadline."""
WHENCE = struct.Struct(">qiQ")
"""Its time, and the partition and offset of the request."""
DECISION = 1
_KINDS = (DECISION, 2, 3)
_WAITS = b"\xff"
_WAITING = bytes(DIGEST_BYTES) + _WAITS
_OFFSET = struct.Struct(">Q")
_TIME = struct.Struct(">q")


class Forwarded(NamedTuple):
    """An event on its way to the partition of its case."""

    partition: int
    routed: Routed


class Routing(NamedTuple):
    """What records of the ledger make."""

    changes: Mapping[bytes, bytes | None]
    """Of the store."""
    forwarded: Sequence[Forwarded]
    unknown: Sequence[Routed]
    """Events of requests that are unknown."""
    routed: Sequence[Routed]
    """All events among the records."""


def route(entries: Entries, changes: Iterable[Change]) -> Routing:
    """Route events in order, after the stored entries."""
    return _Router(entries).route(changes)


class _Router:
    """Routes the events of one batch."""

    def __init__(self, entries: Entries) -> None:
        self._entries = ChangingEntries(entries)
        # Nearly always empty: then no pointer is searched for what waits for it.
        self._waiting = {
            key[len(_WAITING) :]: value[_TIME.size :] for key, value in self._entries.beginning_with(_WAITING).items()
        }
        self._digests = set(self._waiting.values())
        self._forwarded: list[Forwarded] = []
        self._unknown: list[Routed] = []
        self._all: list[Routed] = []

    def route(self, changes: Iterable[Change]) -> Routing:
        for change in changes:
            self._take(change)
        return Routing(self._entries.changes, self._forwarded, self._unknown, self._all)

    def _take(self, change: Change) -> None:
        key, value = change.key, change.value
        routed = routed_of(value) if value is not None and len(key) == DIGEST_BYTES else None
        upto = barrier_of(value) if value is not None else None
        if routed is not None:
            self._routed(change, routed)
        elif upto is not None:
            self._end_waiting(upto)
        elif len(key) == DIGEST_BYTES and value is not None and _is_packed_pointer(value):
            self._entries.put(key + value[: POINTER.size], value[POINTER.size :])
            if key in self._digests and value[0] == DECISION:
                self._release(key)
        else:
            log.error("ledger_record_unreadable", offset=change.offset)

    def _routed(self, change: Change, routed: Routed) -> None:
        self._all.append(routed)
        partition = self._partition(change.key)
        if partition is not None:
            self._forwarded.append(Forwarded(partition, routed))
            return
        offset, time = _OFFSET.pack(change.offset), _TIME.pack(change.timestamp)
        self._entries.put(change.key + _WAITS + offset, time + (change.value or b""))
        self._entries.put(_WAITING + offset, time + change.key)
        self._waiting[offset] = change.key
        self._digests.add(change.key)

    def _partition(self, digest: bytes) -> int | None:
        """The partition of the first decision on a request; None if no decision is known."""
        decisions = [
            (WHENCE.unpack(value)[0], *POINTER.unpack(key[DIGEST_BYTES:])[1:])
            for key, value in self._entries.beginning_with(digest + bytes((DECISION,))).items()
        ]
        return min(decisions)[1] if decisions else None

    def _release(self, digest: bytes) -> None:
        """Forward what waits for a request, in order: its decision is known now."""
        partition = self._partition(digest)
        for offset in sorted(offset for offset, waiting in self._waiting.items() if waiting == digest):
            routed = self._taken(offset)
            if routed is not None and partition is not None:
                self._forwarded.append(Forwarded(partition, routed))
        self._digests.discard(digest)

    def _end_waiting(self, upto: int) -> None:
        for offset in sorted(offset for offset in self._waiting if _OFFSET.unpack(offset)[0] <= upto):
            routed = self._taken(offset)
            if routed is not None:
                self._unknown.append(routed)
        self._digests = set(self._waiting.values())

    def _taken(self, offset: bytes) -> Routed | None:
        key = self._waiting.pop(offset) + _WAITS + offset
        value = self._entries.get(key)
        self._entries.put(key, None)
        self._entries.put(_WAITING + offset, None)
        return routed_of(value[_TIME.size :]) if value is not None else None


def _is_packed_pointer(value: bytes) -> bool:
    return len(value) == POINTER.size + WHENCE.size and value[0] in _KINDS


def last_waiting(entries: Entries) -> int | None:
    """The offset of the last event that waits; None if none does."""
    keys = entries.beginning_with(_WAITING)
    return max((_OFFSET.unpack(key[len(_WAITING) :])[0] for key in keys), default=None)


def time_of(value: bytes) -> int:
    """When an entry of the store was made, in milliseconds since the epoch."""
    found: int = _TIME.unpack_from(value)[0]
    return found


def is_pointer(key: bytes) -> bool:
    """Whether the key of an entry is a pointer's."""
    return len(key) == DIGEST_BYTES + POINTER.size
