"""Days and instants as a person writes them."""

from datetime import UTC, date, datetime, time

from events.field_types import instant


def moment_of(text: str) -> datetime:
    """Parse an instant, or a day as its beginning in UTC.

    Raises:
        ValueError: It is neither; the message says how to write it.
    """
    try:
        return datetime.combine(date.fromisoformat(text), time.min, UTC)
    except ValueError:
        pass
    try:
        return instant(text)
    except ValueError:
        example = "2026-01-01, or 2026-01-01T12:00:00Z"
        raise ValueError(f"neither a day nor an instant; write it as {example}") from None
