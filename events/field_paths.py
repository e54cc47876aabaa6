"""Paths of errors, without undeclared names.

An undeclared key may be a person's name, so a path shows it as `?`. List indices are numbers and are kept.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

UNDECLARED = "?"
"""Stands for an undeclared key in a path."""


def shown_path(parts: Iterable[str | int], declared: Container[str]) -> str:
    """A path as shown in errors, dead letters, logs and pages; it may contain only `declared` names."""
    return ".".join(str(part) if isinstance(part, int) or part in declared else UNDECLARED for part in parts)


@cache
def declared_names(model: type[BaseModel]) -> frozenset[str]:
    """The names of all fields of a model and its parts, as in events."""
    return frozenset(_names_in(model.model_json_schema(by_alias=True)))


def _names_in(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        yield from schema.get("properties", ())
        for part in schema.values():
            yield from _names_in(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _names_in(part)
