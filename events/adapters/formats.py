"""The formats, each with its topics, and how a message without a label is told."""

from typing import NamedTuple

from events.adapters.adapter import Adapter
from events.adapters.pas.adapter import PAS
from events.adapters.submission import Format
from events.adapters.x12.adapter import X12
from events.topics import PAS_REQUESTS, PAS_RESPONSES, X12_REQUESTS, X12_RESPONSES


class PlatformFormat(NamedTuple):
    """One format in and out."""

    adapter: Adapter
    requests: str
    """The topic of its messages, without the deployment's prefix."""
    responses: str
    content_type: str
    """Of its answers."""


FORMATS: dict[Format, PlatformFormat] = {
    "pas": PlatformFormat(PAS, PAS_REQUESTS, PAS_RESPONSES, "application/fhir+json"),
    "x12-278": PlatformFormat(X12, X12_REQUESTS, X12_RESPONSES, "application/edi-x12"),
}

_BLANKS = b" \t\r\n\x0b\x0c\x1c\x00\xef\xbb\xbf"
"""And a byte order mark."""


NEITHER = "neither JSON, which begins with {, nor an interchange, which begins with ISA"
"""Why a message has no format."""


def format_of(message: bytes) -> Format | None:
    """The format of a message, from its first characters; None if it is neither JSON nor an interchange."""
    begins = message.lstrip(_BLANKS)
    if begins.startswith(b"{"):
        return "pas"
    return "x12-278" if begins[:3].upper() == b"ISA" else None
