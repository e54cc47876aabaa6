"""`authorization.dead_lettered.v1`: an event that cannot be decided, kept whole with the reason why."""

from hashlib import sha256
from typing import ClassVar, Literal

from events.personal import Model, PersonalBytes, Private
from events.scalars import RequestId, Sha256

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


class FieldError(Model):
    """What is wrong with one field; neither part ever repeats a personal value."""

    path: str
    """As in the event: list positions as numbers; empty for the whole."""
    message: str


class Header(Private):
    """One header of the record."""

    name: str
    value_base64: PersonalBytes


class Original(Private):
    """The record as it came, byte for byte; of a value that no dead letter can carry, its beginning and its digest."""

    topic: str | None = None
    """Absent, like the next three, for an event that did not come from Kafka."""
    partition: int | None = None
    offset: int | None = None
    timestamp: int | None = None
    """Milliseconds since the epoch, as the broker has it."""
    key_base64: PersonalBytes | None = None
    value_base64: PersonalBytes | None = None
    value_bytes: int | None = None
    """Only where the value is larger than a dead letter can carry: its length. `value_base64` then has its beginning,
    and the whole is where it came from."""
    value_sha256: Sha256 | None = None
    """Then also the digest of the whole value."""
    headers: tuple[Header, ...] = ()


class DeadLetter(Private):
    """One event that could not be decided."""

    TYPE: ClassVar = "authorization.dead_lettered.v1"

    reason: Reason
    message: str
    errors: tuple[FieldError, ...]
    request_id: RequestId | None = None
    """Where the event still shows one."""
    original: Original

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(exclude_none=True).encode()


def letter_id(content: bytes) -> str:
    """The event id of a dead letter: the same record, rejected again for the same reason, is the same event."""
    return sha256(content).hexdigest()[:32]
