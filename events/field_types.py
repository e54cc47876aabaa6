"""The scalar types of the wire: strict, so that two readers never differ."""

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Bounded hours and minutes: Python versions differ on 24:00 and +05:60.
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_INSTANT = re.compile(
    rf"(\d{{4}}-\d{{2}}-\d{{2}})[Tt]({_CLOCK}:\d{{2}})(?:\.(\d{{1,9}}))?([Zz]|[+-]{_CLOCK})", re.ASCII
)
LAST_YEAR = 9900
"""Deadlines and approvals of up to fifty years are added to an instant and must not overflow."""


def _day(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    found = read_day(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("should be a day that exists, as YYYY-MM-DD")
    return found


@lru_cache(maxsize=1 << 14)  # forty years of days
def read_day(text: str) -> date | None:
    """A day; None if the text is none."""
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


_WRITTEN = re.compile(
    r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:Z|[+-](?!00:00)(?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_END = f"{LAST_YEAR + 1}"


def whole_second(text: str) -> datetime | None:
    """An instant whose text is what `written_instant` makes of it, as nearly all are; None of any other text."""
    if not _WRITTEN.fullmatch(text) or text >= _END:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def instant(value: Any) -> datetime:
    """An instant, or its text.

    Raises:
        ValueError: It is none; the message does not contain it.
    """
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if isinstance(value, str) and (at := whole_second(value)) is not None:
        return at
    found = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("should be an RFC 3339 instant with its offset, as 2025-06-02T09:30:00-05:00")
    day, time, fraction, offset = found.groups()
    text = f"{day}T{time}.{(fraction or '0')[:6]:0<6}{offset.upper().replace('Z', '+00:00')}"
    try:
        found_instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("should be an instant that exists") from None
    if found_instant.year > LAST_YEAR:
        raise ValueError(f"should be in a year up to {LAST_YEAR}")
    return found_instant


def is_instant(text: str) -> bool:
    """Whether a text is a valid instant."""
    try:
        instant(text)
    except ValueError:
        return False
    return True


def written_instant(instant: datetime) -> str:
    """An instant in one format, in its own offset."""
    text = instant.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


_EARLIEST, _LATEST = 0, 253_402_300_799_999


def instant_of(milliseconds: int) -> str:
    """A record's time, in milliseconds since the epoch, as an instant in UTC.

    A time outside the years 1970 to 9999, which a producer can state and -1 for none is, becomes the nearest in them.
    """
    known = min(max(milliseconds, _EARLIEST), _LATEST)
    at = datetime.fromtimestamp(known // 1000, UTC).replace(microsecond=known % 1000 * 1000)
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"


Day = Annotated[
    date,
    PlainValidator(_day),
    PlainSerializer(date.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date"}),
]
"""A day of the calendar, ISO 8601."""

Instant = Annotated[
    datetime,
    PlainValidator(instant),
    PlainSerializer(written_instant, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An instant with its offset, RFC 3339."""

CONTROLS = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Characters that affect a terminal or the direction of text, as a character class: C0, C1, DEL and Unicode's
bidirectional controls. Ids and codes may not contain them."""

REQUEST_ID = rf"^[^{CONTROLS}]+$"
RequestId = Annotated[str, Field(min_length=1, max_length=256, pattern=REQUEST_ID)]
"""The platform's own id of a request, unique; the Kafka key."""


@lru_cache(maxsize=1 << 16)  # the same providers recur
def checked_npi(value: str) -> str:
    """The Luhn check of an NPI, computed over the card issuer prefix 80840 and its ten digits (45 CFR 162.406)."""
    digits = [int(digit) for digit in reversed(f"80840{value}")]
    total = sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    if total % 10:
        raise ValueError("has a wrong check digit")
    return value


NationalProviderIdentifier = Annotated[str, Field(pattern=r"^[0-9]{10}$"), AfterValidator(checked_npi)]
"""Ten digits, the last a check digit."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hexadecimal."""
