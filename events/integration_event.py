"""What passes between the integration agents: the records of `integration.submissions`, `events` and `contexts`.

    submissions   Read       a message that may become a request, with the record that it came in
    events        Requested  a request is on its way, and what its answer will need
                  Answered   a decision on a request of ours, or a dead letter of it
                  Asked      a message that was sent again, or an inquiry
    contexts      Kept       what is known of a request of ours

`events` has one order for each request: a context goes there in the transaction of its request, so before its decision.
"""

from typing import Literal, TypeVar

import msgspec

from events.case_event import CarriedRecord


class Read(msgspec.Struct, frozen=True):
    """A message that was read."""

    submission: msgspec.Raw
    """`events.adapters.submission.Submission`."""
    record: CarriedRecord
    """The record that it came in. Of a record with several messages its value is empty, so that it is not stored once
    for each of them."""


class Requested(msgspec.Struct, frozen=True, tag_field="kind", tag="requested"):
    """A request was published."""

    context: msgspec.Raw
    """`events.adapters.submission.Context`."""


class Answered(msgspec.Struct, frozen=True, tag_field="kind", tag="answered"):
    """A request was answered."""

    by: Literal["decision", "dead_letter"]
    record: CarriedRecord


class Asked(msgspec.Struct, frozen=True, tag_field="kind", tag="asked"):
    """A message asks for an answer that was given before."""

    submission: msgspec.Raw


T = TypeVar("T")
IntegrationEvent = Requested | Answered | Asked


ABSENT = msgspec.Raw()


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a request: its context, and its newest answer."""

    context: msgspec.Raw
    decision: msgspec.Raw = ABSENT
    """The data of the newest decision; absent if there is none."""
    letter: msgspec.Raw = ABSENT
    """The data of the dead letter, if the request could not be decided."""
    at: int = 0
    """When the answer was appended, in milliseconds since the epoch."""


_encode = msgspec.json.Encoder().encode
_read: msgspec.json.Decoder[Read] = msgspec.json.Decoder(Read)
_event: msgspec.json.Decoder[IntegrationEvent] = msgspec.json.Decoder(IntegrationEvent)
_kept: msgspec.json.Decoder[Kept] = msgspec.json.Decoder(Kept)


def packed(of: Read | IntegrationEvent | Kept) -> bytes:
    """The bytes on the topic: JSON."""
    return _encode(of)


def read_of(value: bytes | None) -> Read:
    """Decode a record of `integration.submissions`.

    Raises:
        ValueError: It is none.
    """
    return _decoded(_read, value)


def integration_event_of(value: bytes | None) -> IntegrationEvent:
    """Decode a record of `integration.events`.

    Raises:
        ValueError: It is none.
    """
    return _decoded(_event, value)


def kept_of(value: bytes | None) -> Kept:
    """Decode a record of `integration.contexts`.

    Raises:
        ValueError: It is none.
    """
    return _decoded(_kept, value)


def _decoded(decoder: "msgspec.json.Decoder[T]", value: bytes | None) -> T:
    try:
        return decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("is no record of the integration agents") from None
