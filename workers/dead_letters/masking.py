"""What an operator sees of a dead letter: fields that are personal, or may be, are masked."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from events.envelope import is_binary, loads
from events.field_paths import UNDECLARED, declared_names
from events.request import AuthorizationRequest
from events.topics import VERDICTS
from events.verdict import AuthorizationExtended, AuthorizationReviewed
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
    ("provider", "specialty"): r"[0-9A-Z]{10}",
    ("diagnoses", "system"): r"[a-z0-9-]+",
    ("procedures", "system"): r"[a-z0-9-]+",
    ("service_lines", "line"): r"[0-9]{1,4}",
    ("service_lines", "system"): r"[a-z0-9-]+",
    ("service_lines", "code"): r"[A-Z0-9]{1,7}",
    ("service_lines", "units"): r"[0-9]{1,6}",
    ("service_lines", "service_date"): r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    ("service_lines", "performed_on"): r"[a-z]+",
    ("service_lines", "place_of_service"): r"[0-9]{2}",
    ("service_lines", "modifiers"): r"[0-9A-Z]{2}",
}
"""The fields of a request that are not personal, with their formats; everything else is masked, including values with
another format or an error."""
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_INSTANT = r"[0-9T:Z.+-]{10,35}"
_SHOWN_OF_REVIEWS = {
    ("specversion",): r"1\.0",
    ("type",): r"[a-z_]+(\.[a-z_]+)*\.v[0-9]+",
    ("datacontenttype",): r"application/[a-z+]+",
    ("decision_id",): r"[0-9a-f]{32,64}",
    ("reviewer", "role"): r"[a-z_]+",
    ("reviewer", "license_state"): r"[A-Z]{2}",
    ("evaluated",): r"True|False",
    ("concurrence",): r"True|False",
    ("lines", "line"): r"[0-9]{1,4}",
    ("lines", "action"): r"[A-Z0-9]{2}",
    ("lines", "reasons"): r"[0-9A-Z]{1,3}",
    ("lines", "authorized", "code"): r"[0-9A-Z.]{1,8}",
    ("lines", "authorized", "units"): r"[0-9]{1,6}",
    ("lines", "authorized", "from"): _DAY,
    ("lines", "authorized", "through"): _DAY,
    ("decided_at",): _INSTANT,
    ("peer_discussion_requested_at",): _INSTANT,
    ("until",): _INSTANT,
}
"""The same of a verdict and of an extension. Ids and words are masked: they may be anything."""


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
    is_review = (letter.content.original.topic or "").endswith(VERDICTS)
    shown, model = (_SHOWN_OF_REVIEWS, _review(data)) if is_review else (_SHOWN, AuthorizationRequest)
    visible = _masked(data, (), _faults(data, model), shown)
    if binary:
        return visible
    envelope = {name: value for name, value in tree.items() if name != "data"}
    return _masked(envelope, (), set(), shown) | {"data": visible}


def _review(data: Any) -> type[BaseModel]:
    extends = isinstance(data, dict) and "extension_id" in data
    return AuthorizationExtended if extends else AuthorizationReviewed


def _faults(data: Any, model: type[BaseModel]) -> set[tuple[str | int, ...]]:
    try:
        model.model_validate(data)
    except ValidationError as error:
        return {tuple(problem["loc"]) for problem in error.errors(include_url=False, include_input=False)}
    return set()


def _masked(
    value: Any,
    path: tuple[str | int, ...],
    faults: set[tuple[str | int, ...]],
    shown: Mapping[tuple[str, ...], str],
) -> Any:
    if any(path[:length] in faults for length in range(len(path) + 1)):
        return MASK
    if isinstance(value, dict):
        return {_name(name): _masked(item, (*path, name), faults, shown) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, (*path, index), faults, shown) for index, item in enumerate(value)]
    look = shown.get(tuple(part for part in path if isinstance(part, str)))
    return value if look is not None and value is not None and re.fullmatch(look, str(value)) else MASK


def _name(name: str) -> str:
    # An undeclared key may itself be a person's name.
    return name if name in _NAMES else UNDECLARED


_MODELS = (AuthorizationRequest, AuthorizationReviewed, AuthorizationExtended)
_NAMES = frozenset[str]().union(*map(declared_names, _MODELS)) | {
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
