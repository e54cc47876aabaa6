"""Routed events: an event of a case on its way to the case's partition, by the ledger's pointer.

Platforms place requests as they like, so only the ledger knows the partition of a request. What concerns a case goes to
`authorization.ledger`, into the partition of the request's pointers, and from there to the partition of its case. A
barrier follows what may concern an unknown request: see `workers.ledger.barriers`.
"""

import struct
from typing import NamedTuple

from events.case_event import CaseEvent, case_event_of, packed

_ROUTED, _BARRIER = b"\x03", b"\x04"
_LENGTH = struct.Struct(">H")
_OFFSET = struct.Struct(">Q")


class Routed(NamedTuple):
    """An event and the request whose case it concerns."""

    request: bytes
    """The request's id."""
    event: bytes
    """The packed event."""


def routed(request_id: str, event: CaseEvent) -> bytes:
    """The value of a routed event's record, whose key is the digest of the request's id."""
    return routed_value(request_id.encode(), packed(event))


def routed_value(request: bytes, event: bytes) -> bytes:
    """The same, of a packed event."""
    return b"".join((_ROUTED, _LENGTH.pack(len(request)), request, event))


def is_on_its_way(value: bytes | None) -> bool:
    """Whether a record of the ledger is a routed event or a barrier, and no pointer."""
    return value is not None and value.startswith((_ROUTED, _BARRIER))


def routed_of(value: bytes) -> Routed | None:
    """Decode a routed event; None if the value is none."""
    if not value.startswith(_ROUTED):
        return None
    try:
        (length,) = _LENGTH.unpack_from(value, 1)
    except struct.error:
        return None
    begin = 1 + _LENGTH.size
    found = Routed(value[begin : begin + length], value[begin + length :])
    try:
        case_event_of(found.event)
        found.request.decode()
    except ValueError:
        return None
    return found


def barrier(upto: int) -> bytes:
    """The value of a barrier: decisions are read beyond everything that waits in this partition up to this offset."""
    return _BARRIER + _OFFSET.pack(upto)


def barrier_of(value: bytes) -> int | None:
    """Decode a barrier; None if the value is none."""
    if not value.startswith(_BARRIER) or len(value) != 1 + _OFFSET.size:
        return None
    found: int = _OFFSET.unpack_from(value, 1)[0]
    return found
