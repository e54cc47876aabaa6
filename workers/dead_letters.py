"""Dead letters: how every agent puts aside an event that it cannot use, whole and with its reason."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

from pydantic import SecretStr

from events.dead_letter import SENTENCES, DeadLetter, FieldError, Header, Original, letter_id
from events.decode import LARGEST, RejectedError
from events.envelope import JSON, SPECVERSION, Attributes, write
from events.provenance import Place, provenance
from events.topics import DEAD_LETTERS
from workers.records import Outgoing, Record
from workers.settings import Settings


def rejection(record: Record, rejected: RejectedError, settings: Settings) -> Outgoing:
    """The record that puts an event among the dead letters, under its own key or, without one, its place."""
    letter = dead_letter(record, record.value, rejected)
    data = letter.to_json()
    caused = caused_by(rejected.attributes, letter_id(data), settings.source, DeadLetter.TYPE, letter.request_id)
    value, headers = write(caused, data, settings.mode)
    cause = Place(record.topic, record.partition, record.offset)
    origin = provenance(cause, request=letter.request_id)
    return Outgoing(settings.topic(DEAD_LETTERS), record.key or str(cause).encode(), value, headers + origin)


def caused_by(attributes: Attributes | None, event_id: str, source: str, kind: str, subject: str | None) -> Attributes:
    """The attributes of an event that another one, whose attributes may not be known, brought about."""
    if attributes is not None:
        return attributes.caused(id=event_id, source=source, type=kind, subject=subject)
    return Attributes(
        id=event_id, source=source, specversion=SPECVERSION, type=kind, subject=subject, datacontenttype=JSON
    )


def dead_letter(record: Record | None, value: bytes | None, rejected: RejectedError) -> DeadLetter:
    """The dead letter for an event: the record, byte for byte, or only its value where there was no record."""
    return DeadLetter(
        reason=rejected.reason,
        message=SENTENCES[rejected.reason],
        errors=rejected.errors,
        request_id=rejected.request_id,
        original=_original(record, value),
    )


def defect() -> RejectedError:
    """The reason for an event that met a defect of ours: nothing of the defect's own text, which may repeat data."""
    return RejectedError(
        "internal_error", [FieldError(path="", message="not decided; the worker's log names the defect")]
    )


BEGINNING = 64 * 1024
"""Bytes of a value that is too large to be carried whole."""


def _original(record: Record | None, value: bytes | None) -> Original:
    carried = _carried(value)
    if record is None:
        return Original(**carried)
    return Original(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        key_base64=_base64(record.key),
        **carried,
        headers=tuple(Header(name=name, value_base64=_encoded(text)) for name, text in record.headers),
    )


def _carried(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {}
    if len(value) <= LARGEST:
        return {"value_base64": _encoded(value)}
    return {
        "value_base64": _encoded(value[:BEGINNING]),
        "value_bytes": len(value),
        "value_sha256": sha256(value).hexdigest(),
    }


def _base64(raw: bytes | None) -> SecretStr | None:
    return None if raw is None else _encoded(raw)


def _encoded(raw: bytes) -> SecretStr:
    return SecretStr(b64encode(raw).decode())
