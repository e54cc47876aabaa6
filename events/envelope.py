"""CloudEvents 1.0 on Kafka: the value is the whole event in structured mode; binary mode uses `ce_` headers.

The `cloudevents` package is only the tests' oracle: it accepts invalid JSON and drops foreign headers, which dead
letters need. Sources: CloudEvents 1.0.2, its JSON format and its Kafka protocol binding.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from jiter import from_json
from pydantic import BaseModel, ConfigDict, Field

Headers = tuple[tuple[str, bytes | None], ...]
"""Headers of a record as read: a value may be null."""
WrittenHeaders = tuple[tuple[str, bytes], ...]
SPECVERSION: Literal["1.0"] = "1.0"
STRUCTURED = "application/cloudevents+json"
JSON = "application/json"
Mode = Literal["structured", "binary"]

# Version ff and all-zero ids are invalid, and version 00 ends with its flags.
_TRACEPARENT = re.compile(
    r"(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.{0,200})?"
)
IN_HEADERS = (
    "id",
    "source",
    "specversion",
    "type",
    "subject",
    "correlationid",
    "causationid",
    "traceparent",
)


class Cause(NamedTuple):
    """What an event that answers another says of it."""

    causation_id: str
    """The id of the event that is answered."""
    correlation_id: str
    """The id that all events of one matter share: that of the first, unless a platform gives another."""
    traceparent: str | None
    """The W3C trace context."""

    @classmethod
    def of(cls, event_id: str, correlation_id: str | None, traceparent: str | None) -> "Cause":
        """From an event's attributes; a malformed trace context (as W3C requires) or a very long one is dropped."""
        trace = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
        return cls(event_id, correlation_id or event_id, trace)


class Attributes(BaseModel):
    """The attributes of an event that are used here; others may stand beside them and are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)

    id: Annotated[str, Field(min_length=1, max_length=512)]
    source: Annotated[str, Field(min_length=1, max_length=2048)]
    specversion: Literal["1.0"]
    type: Annotated[str, Field(min_length=1, max_length=512)]
    subject: str | None = None
    datacontenttype: str | None = None
    correlationid: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    causationid: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    traceparent: str | None = None

    def cause(self) -> "Cause":
        """What the answer to this event says of it."""
        return Cause.of(self.id, self.correlationid, self.traceparent)


def header(headers: Headers, name: str) -> str | None:
    """The last header of that name, ignoring case; None if it is missing, null or not UTF-8."""
    for key, value in reversed(headers):
        if key.lower() == name:
            try:
                return value.decode() if value is not None else None
            except UnicodeDecodeError:
                return None
    return None


def is_binary(headers: Headers) -> bool:
    """Whether a record is a CloudEvent in binary mode, according to its headers."""
    content_type = (header(headers, "content-type") or "").strip().lower()
    return header(headers, "ce_specversion") is not None and not content_type.startswith("application/cloudevents")


def binary_attributes(headers: Headers) -> dict[str, Any]:
    """The attributes in the headers of a record in binary mode."""
    found: dict[str, Any] = {name: value for name in IN_HEADERS if (value := header(headers, f"ce_{name}")) is not None}
    if (content_type := header(headers, "content-type")) is not None:
        found["datacontenttype"] = content_type
    return found


def is_json(datacontenttype: str | None) -> bool:
    """Whether data of this content type is JSON; data without a content type is, by the JSON format."""
    media = (datacontenttype or JSON).split(";")[0].strip().lower()
    return media == JSON or media.endswith("+json")


def write(attributes: Attributes, time: str | None, data: bytes, mode: Mode) -> tuple[bytes, WrittenHeaders]:
    """The value and headers of a record for an event whose data is the JSON text `data`.

    `time` is when what the event tells of happened, in RFC 3339. CloudEvents makes it optional, but some clients cannot
    read an event without it.
    """
    timed = {"time": time} if time is not None else {}
    return written({**attributes.model_dump(exclude_none=True), **timed}, data, mode)


_STRUCTURED_HEADERS = (("content-type", f"{STRUCTURED}; charset=UTF-8".encode()),)


def written(present: Mapping[str, str], data: bytes, mode: Mode) -> tuple[bytes, WrittenHeaders]:
    """The value and headers of a record for an event with these attributes, in their order."""
    if mode == "binary":
        headers = [(f"ce_{name}", value.encode()) for name, value in present.items() if name != _CONTENT_TYPE]
        return data, (*headers, ("content-type", present.get(_CONTENT_TYPE, JSON).encode()))
    return b"".join((orjson.dumps(present)[:-1], b',"data":', data, b"}")), _STRUCTURED_HEADERS


_CONTENT_TYPE = "datacontenttype"


def loads(raw: bytes) -> Any:
    """Parse JSON more strictly than RFC 8259: duplicate keys, which readers interpret differently, are refused.

    So are lone surrogates, NaN, and nesting deeper than 200.

    Raises:
        ValueError: With a message that contains nothing of the text.
    """
    try:
        return from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        if str(error).startswith("Detected duplicate key"):
            raise ValueError("a key stands twice in one object") from None
        raise


def dumps(data: Any) -> bytes:
    """Data as canonical JSON: key order and white space make no difference, everything else does."""
    try:
        return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
