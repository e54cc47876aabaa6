"""Types for personal data, which show their value only in the JSON for Kafka.

A `Personal` text prints as asterisks wherever it is formatted, logged or part of an error. Only the JSON for Kafka has
its value; other code must call `.get_secret_value()`, which is easy to search for. `Private` is for models with health
data in plain fields: their repr shows only the model's name.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr, WithJsonSchema


def _reveal(personal: SecretStr) -> str:
    return personal.get_secret_value()


Personal = Annotated[
    SecretStr,
    Field(min_length=1, max_length=256),
    PlainSerializer(_reveal, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 256, "x-personal": True}),
]
"""A personal text, such as a member's id."""

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
