"""What happens to cases: the records of `authorization.case-events`, in whose order each partition's cases change.

    decided       the decision agent, in the transaction of the decision
    link          the ledger: whether the link to an earlier request stands
    superseding   the case of a later request, whose link stands
    reviewed      a verdict or an extension, with its whole record
    time          time has passed; when, the record's own time says

A record's key is the id of the request whose case it concerns.
"""

import msgspec

from events.envelope import Headers


class Decided(msgspec.Struct, frozen=True, tag_field="kind", tag="decided"):
    """A request is decided."""

    request: msgspec.Raw
    """Its canonical content."""
    decision: msgspec.Raw
    """The decision's data."""
    correlation: str | None = None


class LinkJudged(msgspec.Struct, frozen=True, tag_field="kind", tag="link"):
    """The link of this case's request to an earlier one is judged."""

    supersedes: str
    stands: bool


class Superseding(msgspec.Struct, frozen=True, tag_field="kind", tag="superseding"):
    """Another request supersedes this case's."""

    by: str
    """That request's id."""
    certification: str
    requester: str
    """The NPI of who sent it."""


class CarriedRecord(msgspec.Struct, frozen=True):
    """A record from another topic, byte for byte."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    """Names as they are in the record."""

    def decoded_headers(self) -> Headers:
        """The headers, with names as readers have them."""
        return tuple((name.decode("utf-8", "surrogateescape"), value) for name, value in self.headers)


class Reviewed(msgspec.Struct, frozen=True, tag_field="kind", tag="reviewed"):
    """A verdict or an extension."""

    record: CarriedRecord


class TimePassed(msgspec.Struct, frozen=True, tag_field="kind", tag="time"):
    """Time has passed."""


CaseEvent = Decided | LinkJudged | Superseding | Reviewed | TimePassed
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[CaseEvent] = msgspec.json.Decoder(CaseEvent)


def packed(event: CaseEvent) -> bytes:
    """The bytes on the topic: JSON."""
    return _encoder.encode(event)


def decided(correlation: str | None, content: bytes, decision: bytes) -> bytes:
    """The packed event of a decision, from the request's canonical content and the decision's data."""
    named = b"" if correlation is None else b'"correlation":' + _encoder.encode(correlation) + b","
    return b"".join((b'{"kind":"decided",', named, b'"request":', content, b',"decision":', decision, b"}"))


def case_event_of(value: bytes | None) -> CaseEvent:
    """Decode a record of the topic.

    Raises:
        ValueError: It is no event of a case.
    """
    try:
        return _decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("is no event of a case") from None
