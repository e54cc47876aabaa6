"""The records that the integration agents send, and those that they refuse."""

import re
from collections.abc import Iterable
from functools import partial
from hashlib import sha256

from events.adapters.adapter import VERSION
from events.adapters.formats import FORMATS
from events.adapters.partner import PARTNER_HEADER
from events.adapters.submission import Context, Refusal, Submission
from events.case_event import CarriedRecord
from events.dead_letter import FieldError
from events.decode import RejectedError
from events.envelope import JSON, Attributes, write
from events.field_types import CONTROLS
from events.integration_event import IntegrationEvent, packed
from events.origin_headers import CAUSE, RecordPosition
from events.request import ELECTRONIC, AuthorizationRequest
from events.topics import INTEGRATION_EVENTS, REQUESTS
from workers.configuration.settings import Settings
from workers.kafka.records import OutgoingRecord, Record, name_bytes
from workers.state.request_digests import digest, partition_of

MESSAGE, REQUEST, CHANNEL = "dli-message", "dli-request", "channel"
"""Headers: of an answer, the message's digest and the request's id; of a request, how it arrived."""
_LONGEST_CORRELATION = 512
_CONTROL = re.compile(f"[{CONTROLS}]")


def rejected_of(refusal: Refusal, request_id: str | None = None) -> RejectedError:
    """A refusal as a rejection: canonical paths, and the place in the message without its value."""
    errors = [
        FieldError(path=one.path, message=f"{one.message} ({one.place})" if one.place else one.message)
        for one in refusal.errors
    ]
    return RejectedError(refusal.reason, errors, request_id)


def answer_record(
    of: Submission | Context, value: bytes, position: RecordPosition, request_id: str | None, settings: Settings
) -> list[OutgoingRecord]:
    """The record of an answer to a platform; none if there is nothing to answer."""
    if not value:
        return []
    form = FORMATS[of.format]
    headers = [
        ("content-type", form.content_type.encode()),
        (PARTNER_HEADER, of.partner.encode()),
        (MESSAGE, of.message.encode()),
        (CAUSE, str(position).encode()),
    ]
    if request_id is not None:
        headers.append((REQUEST, request_id.encode()))
    key = (request_id or of.message).encode()
    return [OutgoingRecord(settings.topic(form.responses), key, value, tuple(headers))]


def request_record(
    request: AuthorizationRequest, context: Context, position: RecordPosition, settings: Settings
) -> OutgoingRecord:
    """The canonical request, as an event whose id is the message's digest."""
    source = f"/integration/{context.format}/{VERSION}/{context.partner}"
    attributes = Attributes(
        id=context.message,
        source=source,
        specversion="1.0",
        type=AuthorizationRequest.TYPE,
        subject=request.request_id,
        datacontenttype=JSON,
        correlationid=correlation(context.trace),
        causationid=str(position),
    )
    submitted = str(context.request["submitted_at"])
    data = request.model_dump_json(exclude_none=True).encode()
    value, headers = write(attributes, submitted, data, settings.mode)
    own = ((PARTNER_HEADER, context.partner.encode()), (CHANNEL, (request.channel or ELECTRONIC).encode()))
    return OutgoingRecord(settings.topic(REQUESTS), request.request_id.encode(), value, (*headers, *own))


def correlation(trace: str) -> str:
    """The id that all events of a matter share: its trace, or the digest of one that no attribute may be."""
    if trace and len(trace) <= _LONGEST_CORRELATION and not _CONTROL.search(trace):
        return trace
    return sha256(trace.encode("utf-8", "surrogatepass")).hexdigest()


def event_record(request_id: bytes, event: IntegrationEvent, settings: Settings) -> OutgoingRecord:
    """An event of a request of ours, in the partition of its id."""
    key = digest(request_id)
    return OutgoingRecord(settings.topic(INTEGRATION_EVENTS), key, packed(event), to=partial(partition_of, key))


def carried(record: Record, *, whole: bool = True) -> CarriedRecord:
    """A record as an event carries it; otherwise than `whole`, without its value."""
    headers = tuple((name_bytes(name), value) for name, value in record.headers)
    value = bytes(record.value or b"") if whole else b""
    return CarriedRecord(record.topic, record.partition, record.offset, record.timestamp, record.key, value, headers)


def carried_record(found: CarriedRecord) -> Record:
    """The record that an event carries."""
    return Record(
        found.topic,
        found.partition,
        found.offset,
        found.timestamp,
        found.key,
        found.value or None,
        found.decoded_headers(),
    )


def place(record: Record) -> dict[str, object]:
    """A record's position, for the log."""
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}


def joined(parts: Iterable[Iterable[OutgoingRecord]]) -> list[OutgoingRecord]:
    """All records of several lists."""
    return [one for part in parts for one in part]
