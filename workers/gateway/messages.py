"""The two formats at the gateway: their topics, media types, and how a message's answers are recognized."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from events.adapters.adapter import Adapter
from events.adapters.partner import PARTNER_HEADER, LineOfBusinessRule, Partner
from events.topics import PAS_REQUESTS, PAS_RESPONSES, X12_REQUESTS, X12_RESPONSES

FHIR_JSON = "application/fhir+json"
EDI = "application/edi-x12"
OUTCOME = "OperationOutcome"
PARTNER, MESSAGE = PARTNER_HEADER, "dli-message"
"""The headers of records: whose message it is; the digest of the message that is answered."""


class Message(NamedTuple):
    """One message in a body."""

    digest: str
    is_inquiry: bool = False


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Reading = Callable[[bytes], tuple[Message, ...]]
"""The messages in a body that are answered, in order; answers name their digests as `dli-message`.

What is itself an answer is not answered.
"""

_ANY_PARTNER = Partner(
    time_zone="UTC", lines_of_business=(LineOfBusinessRule.model_validate({"payer": "", "is": "commercial"}),)
)


def reading_by(adapter: Adapter) -> Reading:
    """The messages as an adapter reads them; digests depend on the message alone, not on its partner or the time."""

    def read(value: bytes) -> tuple[Message, ...]:
        found = adapter.read(value, _ANY_PARTNER, 0)
        return tuple(
            Message(one.message, one.kind == "inquire")
            for one in found
            if one.refused is None or adapter.refuse(one, one.refused, 0)
        )

    return read


@dataclass(frozen=True)
class Format:
    """One format."""

    name: str
    requests: str
    """Topics, without the deployment's prefix."""
    responses: str
    takes: frozenset[str]
    """Media types."""
    gives: str
    read: Reading


def pas(read: Reading) -> Format:
    """FHIR PAS."""
    return Format("pas", PAS_REQUESTS, PAS_RESPONSES, frozenset({FHIR_JSON, "application/json"}), FHIR_JSON, read)


def x12(read: Reading) -> Format:
    """X12 278."""
    return Format("x12-278", X12_REQUESTS, X12_RESPONSES, frozenset({EDI, "text/plain"}), EDI, read)


class Named(NamedTuple):
    """What an answer's headers say."""

    partner: str
    message: str


def named(headers: Iterable[tuple[str, bytes | None]]) -> Named:
    """What an answer's headers say; empty where they do not."""
    found = {name: (value or b"").decode("utf-8", "replace") for name, value in headers}
    return Named(found.get(PARTNER, ""), found.get(MESSAGE, ""))


def resource_type(value: bytes) -> str | None:
    """What resource a FHIR answer is; None if it is none."""
    kind = _tree(value).get("resourceType")
    return kind if isinstance(kind, str) else None


def answers_inquiry(value: bytes) -> bool:
    """Whether a FHIR answer is one to an inquiry: Parameters, or the refusal of one, by its profile."""
    tree = _tree(value)
    if tree.get("resourceType") == "Parameters":
        return True
    meta = tree.get("meta")
    profiles = meta.get("profile") if isinstance(meta, dict) else None
    return isinstance(profiles, list) and any(isinstance(one, str) and "inquiry" in one for one in profiles)


def as_inquiry(value: bytes) -> bytes:
    """A body of $inquire as Parameters: nothing that is sent there may be read as a request."""
    if resource_type(value) != "Bundle":
        return value
    before = b'{"resourceType":"Parameters","parameter":[{"name":"resource","resource":'
    return before + value.removeprefix(_BYTE_ORDER_MARK) + b"}]}"


def _tree(value: bytes) -> dict[str, Any]:
    try:
        read: Any = orjson.loads(value.removeprefix(_BYTE_ORDER_MARK))
    except orjson.JSONDecodeError:
        return {}
    return read if isinstance(read, dict) else {}
