"""Where something is wrong, said without a word that is not ours.

A key that nobody declared may be somebody's name, however it is spelled: in a path it is `?`. Positions in a list are
numbers, and stay.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

UNDECLARED = "?"
"""What a path has for a key that no model declares."""


def shown_path(parts: Iterable[str | int], declared: Container[str]) -> str:
    """A path as errors, dead letters, logs and pages have it; `declared` are the names that it may repeat."""
    return ".".join(str(part) if isinstance(part, int) or part in declared else UNDECLARED for part in parts)


@cache
def declared_names(model: type[BaseModel]) -> frozenset[str]:
    """The names of all fields of a model and of its parts, as events have them."""
    return frozenset(_names_in(model.model_json_schema(by_alias=True)))


def _names_in(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        yield from schema.get("properties", ())
        for part in schema.values():
            yield from _names_in(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _names_in(part)
