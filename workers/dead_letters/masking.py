"""What an operator sees of a dead letter: fields that are personal, or may be, are masked."""

import re
from typing import Any

from pydantic import ValidationError

from events.envelope import is_binary, loads
from events.field_paths import UNDECLARED, declared_names
from events.request import AuthorizationRequest
from workers.dead_letters.read import StoredDeadLetter

MASK = "***"


_SHOWN = {
    ("specversion",): r"1\.0",
    ("type",): r"[a-z_]+(\.[a-z_]+)*\.v[0-9]+",
    ("datacontenttype",): r"application/[a-z+]+",
    ("certification",): r"[a-z]+",
    ("urgency",): r"[a-z]+",
    ("submitted_at",): r"[0-9T:Z.+-]{10,35}",
    ("member", "line_of_business"): r"[a-z_]+",
    ("diagnoses", "system"): r"[a-z0-9-]+",
    ("service_lines", "line"): r"[0-9]{1,4}",
    ("service_lines", "system"): r"[a-z0-9-]+",
    ("service_lines", "code"): r"[A-Z0-9]{1,7}",
    ("service_lines", "units"): r"[0-9]{1,6}",
    ("service_lines", "service_date"): r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    ("service_lines", "performed_on"): r"[a-z]+",
}
"""The fields of a request that are not personal, with their formats; everything else is masked, including values with
another format or an error."""


def masked(letter: StoredDeadLetter) -> Any:
    """The original event with everything possibly personal masked; only its size if it is not JSON."""
    raw = letter.value or b""
    try:
        tree = loads(raw)
    except ValueError:
        return f"{len(raw):,} bytes that are not JSON"
    if not isinstance(tree, dict):
        return MASK
    binary = is_binary(letter.headers) or "specversion" not in tree
    data = tree if binary else tree.get("data")
    visible = _masked(data, (), _faults(data))
    if binary:
        return visible
    envelope = {name: value for name, value in tree.items() if name != "data"}
    return _masked(envelope, (), set()) | {"data": visible}


def _faults(data: Any) -> set[tuple[str | int, ...]]:
    try:
        AuthorizationRequest.model_validate(data)
    except ValidationError as error:
        return {tuple(problem["loc"]) for problem in error.errors(include_url=False, include_input=False)}
    return set()


def _masked(value: Any, path: tuple[str | int, ...], faults: set[tuple[str | int, ...]]) -> Any:
    if any(path[:length] in faults for length in range(len(path) + 1)):
        return MASK
    if isinstance(value, dict):
        return {_name(name): _masked(item, (*path, name), faults) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, (*path, index), faults) for index, item in enumerate(value)]
    look = _SHOWN.get(tuple(part for part in path if isinstance(part, str)))
    return value if look is not None and value is not None and re.fullmatch(look, str(value)) else MASK


def _name(name: str) -> str:
    # An undeclared key may itself be a person's name.
    return name if name in _NAMES else UNDECLARED


_NAMES = declared_names(AuthorizationRequest) | {
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "correlationid",
    "causationid",
    "traceparent",
}
