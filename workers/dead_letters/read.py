"""Dead letters as they stand on their topic, each once."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import structlog
from kafka.consumer.fetcher import ConsumerRecord
from pydantic import SecretStr, ValidationError

from events.adapters.partner import PARTNER_HEADER, PARTNER_NAME
from events.dead_letter import DeadLetter
from events.envelope import Headers, binary_attributes, header, is_binary, loads
from events.topics import DEAD_LETTERS
from workers.configuration.settings import Settings
from workers.kafka.reader import (
    StrangeError,
    data_of,
    headers_of,
    kept,
    log_skipped,
    records,
    written_at,
)

log = structlog.get_logger(__name__)

TRIES = "dli-redriven"


class StoredDeadLetter(NamedTuple):
    """One dead letter as stored on its topic."""

    id: str
    """Its event id; the same record rejected for the same reason has the same id."""
    written: datetime
    content: DeadLetter

    @property
    def headers(self) -> Headers:
        """The original record's headers."""
        return tuple((header.name, bytes_of(header.value_base64)) for header in self.content.original.headers)

    @property
    def value(self) -> bytes | None:
        """The original record's value, possibly truncated."""
        return bytes_of(self.content.original.value_base64)

    @property
    def partner(self) -> str | None:
        """The trading partner that the record's header names; None for a text that cannot be a partner's name."""
        name = header(self.headers, PARTNER_HEADER)
        return name if name is not None and re.fullmatch(PARTNER_NAME, name) else None

    @property
    def tries(self) -> int:
        """How many times the event had been sent again before it failed."""
        text = header(self.headers, TRIES) or "0"
        return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0


def letters(settings: Settings, reason: str | None = None) -> Iterator[StoredDeadLetter]:
    """Every stored dead letter once, for one reason or all. Invalid records are skipped with a log line.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    seen: set[str] = set()
    for record in records(settings, kept(settings, [settings.topic(DEAD_LETTERS)])):
        try:
            letter = read_letter(record)
        except StrangeError as error:
            log_skipped(record, error)
            continue
        if letter.id not in seen and reason in {None, letter.content.reason}:
            seen.add(letter.id)
            yield letter


def read_letter(record: ConsumerRecord) -> StoredDeadLetter:
    """Parse a record of the dead-letter topic.

    Raises:
        StrangeError: It is not a dead letter.
    """
    headers = headers_of(record)
    data = data_of(record.value)
    event_id = binary_attributes(headers).get("id") if is_binary(headers) else loads(record.value).get("id")
    if not isinstance(event_id, str):
        raise StrangeError("it has no id")
    try:
        content = DeadLetter.model_validate_json(json.dumps(data))
    except ValidationError as error:
        # An undeclared field may have any name.
        wrong = {problem["loc"][0] for problem in error.errors() if problem["loc"]} & set(DeadLetter.model_fields)
        named = ", ".join(sorted(map(str, wrong))) or "others"
        raise StrangeError(f"it has not the fields of a dead letter ({named})") from None
    letter = StoredDeadLetter(event_id, written_at(record), content)
    try:
        _ = letter.headers, letter.value, bytes_of(content.original.key_base64)
    except ValueError:
        raise StrangeError("what it keeps of a record is not in base64") from None
    return letter


def bytes_of(personal: SecretStr | None) -> bytes | None:
    """What base64 in a dead letter stands for."""
    return None if personal is None else b64decode(personal.get_secret_value())
