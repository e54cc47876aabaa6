"""`authorization.dead_lettered.v1`: an event that cannot be decided, kept whole with the reason."""

from hashlib import sha256
from typing import ClassVar, Literal

from events.field_types import RequestId, Sha256
from events.personal_types import Model, PersonalBytes, Private

Reason = Literal[
    "undecodable",
    "schema_violation",
    "unsupported_type",
    "unknown_policy",
    "conflicting_duplicate",
    "circular_link",
    "verdict_refused",
    "unknown_request",
    "denied_link",
    "revision_refused",
    "internal_error",
]

SENTENCES: dict[Reason, str] = {
    "undecodable": "The bytes are not an event: they do not decode as JSON.",
    "schema_violation": "The event does not have the shape it must have.",
    "unsupported_type": "The event is of a type or version that is not decided here.",
    "unknown_policy": "The event names a policy that is not loaded here.",
    "conflicting_duplicate": "The request id was used before with other content; the first answer stands.",
    "circular_link": "The request supersedes one that in turn supersedes it; the link is refused, the decision stands.",
    "verdict_refused": "The verdict or extension may not stand; the request stays as it is.",
    "unknown_request": "No decision on that request is known here; send the event again once there is one.",
    "denied_link": "The request would revise one that was refused; the link is refused, the decision stands.",
    "revision_refused": "The revision does not continue its policy's chain; the last good one stays in force.",
    "internal_error": "The event met a defect of this software; it must be looked at and sent again.",
}
"""The message for each reason."""


MOST_ERRORS = 100
"""Maximum number of errors in a letter; `error_count` has the total."""


class FieldError(Model):
    """What is wrong with one field; neither part ever repeats a personal value."""

    path: str
    """The path in the event, with list indices as numbers; empty for the whole event."""
    message: str


class Header(Private):
    """One header of the record, byte for byte; of a value that has no room, its beginning, length and digest."""

    name: str
    name_base64: PersonalBytes | None = None
    """Present if `name` does not reproduce the bytes: they are not UTF-8, or too long for a letter."""
    value_base64: PersonalBytes | None = None
    """Absent if the header has no value, which differs from an empty value."""
    value_bytes: int | None = None
    """Present if the value is truncated: its length. `value_base64` then has its beginning."""
    value_sha256: Sha256 | None = None
    """The digest of the whole value, likewise."""


class Original(Private):
    """The record as it came, byte for byte; of what a letter has no room for, the beginning, the length and the digest.

    The whole is then where it came from, for as long as that topic keeps it.
    """

    topic: str | None = None
    """Absent, as are the next three, if the event did not come from Kafka."""
    partition: int | None = None
    offset: int | None = None
    last_offset: int | None = None
    """Present for unreadable records, such as a damaged batch: the last offset that the letter covers. `value_base64`
    then has the bytes as stored by Kafka."""
    timestamp: int | None = None
    """The broker's timestamp, in milliseconds since the epoch; -1 if there is none."""
    key_base64: PersonalBytes | None = None
    key_bytes: int | None = None
    """Present if the key is truncated: its length. `key_base64` then has its beginning."""
    key_sha256: Sha256 | None = None
    """The digest of the whole key, likewise."""
    value_base64: PersonalBytes | None = None
    value_bytes: int | None = None
    """Present if the value is truncated: its length. `value_base64` then has its beginning."""
    value_sha256: Sha256 | None = None
    """The digest of the whole value, likewise."""
    headers: tuple[Header, ...] = ()
    headers_count: int | None = None
    """Present if the headers are truncated: their number. `headers` then has the first ones."""
    headers_bytes: int | None = None
    """The total length of their names and values, likewise."""
    headers_sha256: Sha256 | None = None
    """The digest of all headers, likewise: for each its name, a zero byte, its value's length in decimal digits (`-1`
    for none), a zero byte, and its value."""

    @property
    def cut(self) -> tuple[str, ...]:
        """The truncated parts of the record: `key`, `value`, `headers`."""
        there = (("key", self.key_bytes), ("value", self.value_bytes), ("headers", self.headers_count))
        return tuple(name for name, length in there if length is not None)


class DeadLetter(Private):
    """One event that could not be decided."""

    TYPE: ClassVar = "authorization.dead_lettered.v1"

    reason: Reason
    message: str
    errors: tuple[FieldError, ...]
    """The first hundred."""
    error_count: int | None = None
    """The total number of errors, if not all are listed."""
    request_id: RequestId | None = None
    """Present if the event has a readable one."""
    original: Original

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(exclude_none=True).encode()


def letter_id(content: bytes) -> str:
    """The event id of a dead letter: the same record, rejected again for the same reason, is the same event."""
    return sha256(content).hexdigest()[:32]
