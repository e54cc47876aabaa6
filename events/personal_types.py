"""Types for personal data, which show their value only in the JSON for Kafka.

A `Personal` text, day or sex prints as asterisks wherever it is formatted, logged or part of an error. Only the JSON
for Kafka has its value; other code must call `.get_secret_value()`, which is easy to search for. `Private` is for
models with health data in plain fields: their repr shows only the model's name.
"""

from datetime import date
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, Secret, SecretStr, WithJsonSchema

from events.field_types import Day


def _reveal(personal: SecretStr | Secret[str]) -> str:
    return personal.get_secret_value()


def _reveal_day(personal: Secret[date]) -> str:
    return personal.get_secret_value().isoformat()


Personal = Annotated[
    SecretStr,
    Field(min_length=1, max_length=256),
    PlainSerializer(_reveal, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 256, "x-personal": True}),
]
"""A personal text, such as a member's id."""

PersonalDay = Annotated[
    Secret[Day],
    PlainSerializer(_reveal_day, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date", "x-personal": True}),
]
"""A personal day, such as that of a birth."""

Sex = Literal["female", "male", "other"]
PersonalSex = Annotated[
    Secret[Sex],
    PlainSerializer(_reveal, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "enum": list(get_args(Sex)), "x-personal": True}),
]
"""A person's sex, as a policy's criteria name it."""

PersonalBytes = Annotated[
    SecretStr,
    PlainSerializer(_reveal, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "x-personal": True}),
]
"""Bytes that may hold personal data, as base64."""


class Model(BaseModel):
    """Any part of an event: frozen, closed to unknown fields, and silent about its input when it refuses it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True)


class Private(Model):
    """A part of an event that holds health data: neither its repr nor its str shows any."""

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [(None, "personal data not shown")]

    def __str__(self) -> str:
        return repr(self)
