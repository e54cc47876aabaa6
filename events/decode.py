"""Decode a record's bytes to a request, or to the reason for rejecting them.

A request is a CloudEvent in structured or binary mode, or bare data where allowed. Every rejection has one of the dead
letters' reasons, with the paths of the invalid fields and never their values.

Rejected
├── undecodable        not UTF-8, not JSON, a key twice, nested too deeply, not an object
├── unsupported_type   another specversion, event type or content type
└── schema_violation   an attribute or a field that is missing, unknown or outside its values
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from events.dead_letter import SENTENCES, FieldError, Reason
from events.envelope import SPECVERSION, Attributes, Cause, Headers, binary_attributes, is_binary, is_json, loads
from events.field_paths import declared_names, shown_path
from events.field_types import CONTROLS
from events.request import AuthorizationRequest
from events.verdict import AuthorizationExtended, AuthorizationReviewed, ReviewEvent

_Model = TypeVar("_Model", bound=BaseModel)

LARGEST = 1_000_000
"""Bytes: Kafka's default limit, and far larger than any request."""


MOST_FIELDS = 5_000
"""Three times as many as in the largest request. Each undeclared field would be a separate error."""


class Received(NamedTuple):
    """A received request."""

    attributes: Attributes | None
    """None for bare data."""
    request: AuthorizationRequest

    def __repr__(self) -> str:
        return "Received('personal data not shown')"


class ReceivedReview(NamedTuple):
    """A received verdict or extension."""

    attributes: Attributes
    event: ReviewEvent

    def __repr__(self) -> str:
        return "ReceivedReview('personal data not shown')"


class RejectedError(Exception):
    """An event that cannot be decided; it goes to the dead letters."""

    def __init__(self, reason: Reason, errors: Iterable[FieldError] = (), request_id: str | None = None) -> None:
        self.reason = reason
        self.errors = tuple(errors)
        self.request_id = request_id
        self.cause: Cause | None = None
        """What the dead letter says of the event, if that is readable."""
        super().__init__(SENTENCES[reason])


def decode(value: bytes | None, headers: Headers = (), *, bare_allowed: bool = False) -> Received:
    """The request in a record.

    Args:
        value: The record's value; a tombstone (None) is rejected.
        headers: The record's headers.
        bare_allowed: Whether to accept data without an envelope, as in a file of requests.

    Raises:
        RejectedError: With the reason, and an error for each invalid field.
    """
    tree = _tree(value)
    if bare_allowed and "specversion" not in tree:
        return Received(None, _validated(tree, AuthorizationRequest))
    binary = is_binary(headers)
    attributes = _attributes(binary_attributes(headers) if binary else tree, (AuthorizationRequest.TYPE,))
    try:
        data = tree if binary else _data(tree)
        return Received(attributes, _validated(data, AuthorizationRequest))
    except RejectedError as rejected:
        rejected.cause = attributes.cause()
        raise


_REVIEWS: dict[str, type[AuthorizationReviewed | AuthorizationExtended]] = {
    model.TYPE: model for model in (AuthorizationReviewed, AuthorizationExtended)
}


def decode_review(value: bytes | None, headers: Headers = ()) -> ReceivedReview:
    """The verdict or extension in a record.

    Args:
        value: The record's value; a tombstone (None) is rejected.
        headers: The record's headers.

    Raises:
        RejectedError: With the reason, and an error for each invalid field.
    """
    tree = _tree(value)
    binary = is_binary(headers)
    attributes = _attributes(binary_attributes(headers) if binary else tree, tuple(_REVIEWS))
    try:
        data = tree if binary else _data(tree)
        return ReceivedReview(attributes, _validated(data, _REVIEWS[attributes.type]))
    except RejectedError as rejected:
        rejected.cause = attributes.cause()
        raise


def _data(tree: dict[str, Any]) -> Any:
    if "data" not in tree:
        raise RejectedError("schema_violation", [FieldError(path="data", message="missing")])
    return tree["data"]


def _tree(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise _undecodable("no value: a tombstone is no event")
    if len(value) > LARGEST:
        raise _undecodable(f"larger than {LARGEST:,} bytes")
    try:
        tree = loads(value)
    except ValueError as error:
        raise _undecodable(str(error)) from None
    if not isinstance(tree, dict):
        raise _undecodable("not a JSON object")
    if len(value) > MOST_FIELDS and _fields(tree) > MOST_FIELDS:
        raise RejectedError("schema_violation", [FieldError(path="", message=f"has more than {MOST_FIELDS:,} fields")])
    return tree


def _fields(tree: Any) -> int:
    """The number of fields in all objects; counting stops above the limit."""
    count, waiting = 0, [tree]
    while waiting and count <= MOST_FIELDS:
        node = waiting.pop()
        if isinstance(node, dict):
            count += len(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return count


def _undecodable(message: str) -> RejectedError:
    return RejectedError("undecodable", [FieldError(path="", message=message)])


def _attributes(written: dict[str, Any], types: tuple[str, ...]) -> Attributes:
    # In the JSON format, a null attribute is absent.
    found = {name: value for name, value in written.items() if value is not None}
    if found.get("specversion", SPECVERSION) != SPECVERSION:
        raise _unsupported("specversion", f"should be {SPECVERSION}")
    kind = found.get("type", types[0])
    if isinstance(kind, str) and kind not in types:
        raise _unsupported("type", f"should be {' or '.join(types)}")
    try:
        attributes = Attributes.model_validate(found)
    except ValidationError as error:
        raise RejectedError("schema_violation", field_errors(error, Attributes)) from None
    if not is_json(attributes.datacontenttype):
        raise _unsupported("datacontenttype", "should be application/json")
    return attributes


def _unsupported(path: str, message: str) -> RejectedError:
    return RejectedError("unsupported_type", [FieldError(path=path, message=message)])


def _validated(data: Any, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise RejectedError("schema_violation", field_errors(error, model), shown_request_id(data)) from None


def shown_request_id(data: Any) -> str | None:
    """The request id in rejected data, if it has a valid one."""
    found = data.get("request_id") if isinstance(data, dict) else None
    return found if isinstance(found, str) and is_request_id(found) else None


def is_request_id(text: str) -> bool:
    """Whether a text is a valid request id."""
    return bool(_REQUEST_ID.fullmatch(text))


_REQUEST_ID = re.compile(f"[^{CONTROLS}]{{1,256}}")


_ENVELOPE = declared_names(Attributes) | {"data"}


def field_errors(error: ValidationError, model: type[BaseModel]) -> list[FieldError]:
    """Pydantic's errors as field errors: only declared names in paths, no values in messages."""
    found = error.errors(include_url=False, include_input=False)
    declared = declared_names(model) | _ENVELOPE
    return [
        FieldError(path=shown_path(_parts(dict(problem)), declared), message=_message(dict(problem)))
        for problem in found
    ]


def _parts(error: dict[str, Any]) -> tuple[str | int, ...]:
    # The error is for the whole list; point to the line.
    return (*error["loc"], error["ctx"]["index"], "line") if error["type"] == "line_twice" else error["loc"]


def _message(error: dict[str, Any]) -> str:
    fixed = {
        "missing": "missing",
        "extra_forbidden": "no field of this event",
        "model_type": "should be an object",
        "tuple_type": "should be a list",
        "mapping_type": "should be an object",
        "dict_type": "should be an object",
        # Only for personal texts, which are not plain strings: pydantic would mention items.
        "too_short": "should not be empty",
        "too_long": "should be shorter",
    }
    message = fixed.get(error["type"], str(error["msg"]))
    for before, after in (("Value error, ", ""), ("Input should", "should"), ("String should", "should")):
        message = message.replace(before, after)
    return message
