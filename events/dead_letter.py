"""`authorization.dead_lettered.v1`: an event that cannot be decided, kept whole with the reason why."""

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
    "revision_refused": "The revision does not continue its policy's chain; the last good one stays in force.",
    "internal_error": "The event met a defect of this software; it must be looked at and sent again.",
}
"""One sentence for people, for every reason."""


MOST_ERRORS = 100
"""Errors that a letter tells of; of more it has their number."""


class FieldError(Model):
    """What is wrong with one field; neither part ever repeats a personal value."""

    path: str
    """As in the event: list positions as numbers; empty for the whole."""
    message: str


class Header(Private):
    """One header of the record, byte for byte; of a value that has no room, its beginning, length and digest."""

    name: str
    name_base64: PersonalBytes | None = None
    """Only where `name` does not give the bytes again: they are not UTF-8, or more than a letter has room for."""
    value_base64: PersonalBytes | None = None
    """Absent where the record has no value for it, which is something else than an empty one."""
    value_bytes: int | None = None
    """Only where the value is cut: its length. `value_base64` then has its beginning."""
    value_sha256: Sha256 | None = None
    """Then also the digest of the whole value."""


class Original(Private):
    """The record as it came, byte for byte; of what a letter has no room for, the beginning, the length and the digest.

    The whole is then where it came from, for as long as that topic keeps it.
    """

    topic: str | None = None
    """Absent, like the next three, for an event that did not come from Kafka."""
    partition: int | None = None
    offset: int | None = None
    last_offset: int | None = None
    """Only of what cannot be read as a record, such as a damaged batch: the last offset that the letter stands for.
    `value_base64` then has the bytes as Kafka keeps them."""
    timestamp: int | None = None
    """Milliseconds since the epoch, as the broker has it; -1 where nobody gave one."""
    key_base64: PersonalBytes | None = None
    key_bytes: int | None = None
    """Only where the key is cut: its length. `key_base64` then has its beginning."""
    key_sha256: Sha256 | None = None
    """Then also the digest of the whole key."""
    value_base64: PersonalBytes | None = None
    value_bytes: int | None = None
    """Only where the value is cut: its length. `value_base64` then has its beginning."""
    value_sha256: Sha256 | None = None
    """Then also the digest of the whole value."""
    headers: tuple[Header, ...] = ()
    headers_count: int | None = None
    """Only where the headers are cut: how many there are. `headers` then has the first of them."""
    headers_bytes: int | None = None
    """Then also how long their names and values are together."""
    headers_sha256: Sha256 | None = None
    """Then also the digest of them all: of each in turn its name, a zero byte, the value's length in decimal digits
    (`-1` for none), a zero byte, and the value."""

    @property
    def cut(self) -> tuple[str, ...]:
        """What of the record the letter has only the beginning of: `key`, `value`, `headers`."""
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
    """Only where there are more errors than those told of: how many."""
    request_id: RequestId | None = None
    """Where the event still shows one."""
    original: Original

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(exclude_none=True).encode()


def letter_id(content: bytes) -> str:
    """The event id of a dead letter: the same record, rejected again for the same reason, is the same event."""
    return sha256(content).hexdigest()[:32]
