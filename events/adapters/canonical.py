"""Holds a canonical request against its model, and names what is wrong by its place in the message."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue, ValidationError

from events.adapters.submission import SourceError
from events.decode import field_errors
from events.request import AuthorizationRequest
from events.typed_reader import is_valid

_NOTHING: Mapping[str, Any] = {"request_id": "not-known-yet", "member": {}, "provider": {}}
"""So that what is missing of a member or a provider is named."""


def canonical_errors(
    request: Mapping[str, JsonValue], place: Callable[[str], str], *, lines_follow: bool = False
) -> tuple[SourceError, ...]:
    """What the model finds wrong with a request that has no id yet; `place` maps a canonical path to the message's.

    `lines_follow` accepts a request without lines, which a cancellation takes from its trace.
    """
    whole = {**_NOTHING, **request}
    if is_valid(whole):
        return ()
    try:
        AuthorizationRequest.model_validate(whole)
    except ValidationError as error:
        return tuple(
            SourceError(
                path=found.path,
                place=place(found.path),
                trouble="missing" if found.message == "missing" else "invalid",
                message=found.message,
            )
            for found in field_errors(error, AuthorizationRequest)
            if not (lines_follow and found.path == "service_lines")
        )
    return ()
