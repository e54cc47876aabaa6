"""Writes dead letters: events that cannot be processed, with the reason, complete if possible.

A letter always fits its topic. Value, key and headers share `CARRIED`; a part that does not fit is truncated, with its
length and digest. Errors are limited to the first hundred and their number. If Kafka still refuses a letter, because
its topic's limit is lower than declared, a `small` one has only the record's position and digests.
"""

from base64 import b64encode
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic import SecretStr

from events.answer import Wrapping, wrapped
from events.dead_letter import MOST_ERRORS, SENTENCES, DeadLetter, FieldError, Header, Original, letter_id
from events.decode import LARGEST, RejectedError
from events.field_types import instant_of
from events.topics import DEAD_LETTERS
from workers.configuration.settings import Settings
from workers.kafka.records import Headers, OutgoingRecord, Record, Unreadable, name_bytes


def rejection(record: Record, rejected: RejectedError, settings: Settings, *, small: bool = False) -> OutgoingRecord:
    """The dead-letter record for an event, with the event's key or, without a usable one, its position.

    A `small` one has only the record's position and digests.
    """
    letter = dead_letter(record, record.value, rejected, _NOTHING if small else _ROOM)
    data = letter.to_json()
    cause = None if small else rejected.cause
    event_id, named, time = letter_id(data), letter.request_id, instant_of(record.timestamp)
    wrapping = Wrapping(settings.source, settings.mode, DeadLetter.TYPE, event_id, named, time, request=named)
    value, headers = wrapped(data, record.position, cause, wrapping)
    own = record.key if record.key and len(record.key) <= LONGEST_KEY else None
    return OutgoingRecord(settings.topic(DEAD_LETTERS), own or str(record.position).encode(), value, headers)


class Room(NamedTuple):
    """The limits of a letter, and the lengths of truncated parts."""

    all_parts: int
    """For value, key and headers together, in characters of JSON."""
    value: int
    """Bytes of a truncated value."""
    key: int
    """Bytes of a truncated key."""
    headers: int
    """The number of truncated headers."""
    errors: int
    """The number of errors."""


CARRIED = 1_700_000
"""In characters of JSON: the largest value read, in base64, plus a third of a million for key and headers."""
BEGINNING = 64 * 1024
"""Bytes kept of a value that is too large."""
LONGEST_KEY = 1_024
"""Bytes of a usable key: the longest request id."""
_HEADER_BEGINNING = 256
_HEADER_SYNTAX = 40
_CUT_HEADERS = 200_000  # reserved for truncated headers, in characters
_LONGEST_PATH = 256
_LONGEST_MESSAGE = 512
_ROOM = Room(CARRIED, BEGINNING, LONGEST_KEY, 50, MOST_ERRORS)
_NOTHING = Room(0, 0, 0, 0, 1)


def dead_letter(record: Record | None, value: bytes | None, rejected: RejectedError, room: Room = _ROOM) -> DeadLetter:
    """The dead letter for an event: the exact record, or only its value without a record."""
    errors = [_bounded(error) for error in rejected.errors[: room.errors]]
    found = len(rejected.errors)
    return DeadLetter(
        reason=rejected.reason,
        message=SENTENCES[rejected.reason],
        errors=tuple(errors),
        error_count=found if found > len(errors) else None,
        request_id=rejected.request_id,
        original=_original(record, value, room),
    )


def _bounded(error: FieldError) -> FieldError:
    if len(error.path) <= _LONGEST_PATH and len(error.message) <= _LONGEST_MESSAGE:
        return error
    return FieldError(path=_shortened(error.path, _LONGEST_PATH), message=_shortened(error.message, _LONGEST_MESSAGE))


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def defect() -> RejectedError:
    """The rejection after a defect of ours, without its message, which may contain data."""
    return RejectedError(
        "internal_error", [FieldError(path="", message="not decided; the worker's log names the defect")]
    )


def too_large() -> RejectedError:
    """The rejection of a record whose answer is too large for Kafka."""
    message = "not answered: the answer is larger than its topic takes; `dli topics check` compares the limits"
    return RejectedError("internal_error", [FieldError(path="", message=message)])


def unreadable(value: Unreadable) -> RejectedError:
    """The rejection of unreadable records."""
    message = f"cannot be read as a record, up to offset {value.last}: {value.why}"
    return RejectedError("undecodable", [FieldError(path="", message=message)])


# --- fitting the record ---------------------------------------------------------------------------------


def _original(record: Record | None, value: bytes | None, room: Room) -> Original:
    if record is None:
        return Original(**_part("value", value, room.all_parts, room.value, LARGEST))
    left = room.all_parts - min(room.all_parts, _CUT_HEADERS)
    parts = _part("value", value, left, room.value, LARGEST)
    left -= _length(parts)
    parts |= _part("key", record.key, left, room.key)
    left = room.all_parts - _length(parts)
    return Original(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        last_offset=value.last if isinstance(value, Unreadable) else None,
        timestamp=record.timestamp,
        **parts,
        **_headers(record.headers, left, room.headers),
    )


def _part(name: str, raw: bytes | None, left: int, beginning: int, most: int | None = None) -> dict[str, Any]:
    """A part of the record: complete if it fits, otherwise truncated with length and digest."""
    if raw is None:
        return {}
    if _in_base64(len(raw)) <= left and (most is None or len(raw) <= most):
        return {f"{name}_base64": _encoded(raw)}
    return {
        f"{name}_base64": _encoded(raw[:beginning]),
        f"{name}_bytes": len(raw),
        f"{name}_sha256": sha256(raw).hexdigest(),
    }


def _length(parts: dict[str, Any]) -> int:
    return sum(len(part.get_secret_value()) for part in parts.values() if isinstance(part, SecretStr))


def _headers(headers: Headers, left: int, most: int) -> dict[str, Any]:
    if _size(headers, left) <= left:
        return {"headers": tuple(_header(name, value) for name, value in headers)}
    digest, length = sha256(), 0
    for name, value in headers:
        raw = name_bytes(name)
        digest.update(b"%b\0%d\0%b" % (raw, -1 if value is None else len(value), value or b""))
        length += len(raw) + len(value or b"")
    return {
        "headers": tuple(_header(name, value, _HEADER_BEGINNING) for name, value in headers[:most]),
        "headers_count": len(headers),
        "headers_bytes": length,
        "headers_sha256": digest.hexdigest(),
    }


def _size(headers: Headers, most: int) -> int:
    """The size of the headers in characters of JSON; stops counting beyond `most`."""
    size = 0
    for name, value in headers:
        size += _HEADER_SYNTAX + 2 * _in_base64(len(name) * 4) + _in_base64(len(value or b""))
        if size > most:
            break
    return size


def _header(name: str, value: bytes | None, most: int | None = None) -> Header:
    raw = name_bytes(name)
    text = raw[:most].decode("utf-8", "replace")
    return Header(
        name=text,
        name_base64=_encoded(raw[:most]) if text.encode() != raw else None,
        **_part("value", value, 0 if most is not None and len(value or b"") > most else CARRIED, most or 0),
    )


def _in_base64(length: int) -> int:
    return 4 * -(-length // 3)


def _encoded(raw: bytes) -> SecretStr:
    return SecretStr(b64encode(raw).decode())
