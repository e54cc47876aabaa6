"""Platforms' own messages, FHIR PAS and X12 278: as `dli publish` sends them, and as `dli tail` shows their answers."""

import re
from pathlib import Path

from events.adapters.formats import FORMATS, NEITHER, format_of
from events.adapters.partner import PARTNER_HEADER, PARTNER_NAME
from events.decode import LARGEST
from workers.configuration.settings import Settings
from workers.kafka.records import OutgoingRecord
from workers.process.input_file import InputError, opened


def message_record(file: Path, partner: str | None, settings: Settings) -> OutgoingRecord:
    """The record of a message: the file's bytes, on the topic of their format.

    Its key is the partner, so that the messages of one partner stay in order.

    Raises:
        InputError: The file cannot be read, has no message, or one that is too large; or no partner can have the name.
    """
    if partner is not None and not re.fullmatch(PARTNER_NAME, partner):
        raise InputError("--partner: should be a trading partner's name: letters, digits, dot, dash and underscore")
    with opened(file) as stream:
        message = stream.read(LARGEST + 1)
    if len(message) > LARGEST:
        raise InputError(f"{file}: larger than {LARGEST:,} bytes: nothing was published")
    kind = format_of(message)
    if kind is None:
        raise InputError(f"{file}: {NEITHER}: nothing was published")
    name = (partner or "").encode()
    headers = ((PARTNER_HEADER, name),) if partner is not None else ()
    return OutgoingRecord(settings.topic(FORMATS[kind].requests), name, message, headers)


def interchange_text(value: bytes | None) -> str | None:
    """An X12 interchange as text, in lines where its sender writes lines; None for any other value."""
    if value is None or format_of(value) != "x12-278":
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return text.replace("\r\n", "\n").rstrip("\n")
