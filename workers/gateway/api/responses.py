"""What the gateway itself responds: FHIR resources, and refusals without anything of what was asked."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from workers.gateway.messages import FHIR_JSON

ISSUES = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    408: "timeout",
    412: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "business-rule",
    429: "throttled",
    503: "transient",
    504: "timeout",
}
"""The issue types of OperationOutcome, by status."""
_NEVER_KEPT = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Refused(Exception):  # noqa: N818 (it is a response)
    """A request that is not answered as asked; the text is for its sender, and repeats nothing of it."""

    def __init__(
        self, status: int, text: str, headers: Mapping[str, str] | None = None, *, place: str | None = None
    ) -> None:
        super().__init__(text)
        self.status, self.text, self.headers, self.place = status, text, dict(headers or {}), place


def is_fhir(path: str) -> bool:
    """Whether a path is of the FHIR interface, which is refused in its own form."""
    return path == "/fhir" or path.startswith("/fhir/")


def refusal(refused: Refused, *, fhir: bool) -> web.Response:
    """The response to a request that is refused."""
    if fhir:
        return resource(outcome(refused), refused.status, refused.headers)
    text = f"{refused.status} {HTTPStatus(refused.status).phrase}: {refused.text}\n"
    return web.Response(text=text, status=refused.status, headers={**_NEVER_KEPT, **refused.headers})


def outcome(refused: Refused) -> dict[str, Any]:
    """An OperationOutcome."""
    issue: dict[str, Any] = {
        "severity": "error",
        "code": ISSUES.get(refused.status, "exception"),
        "diagnostics": refused.text,
    }
    if refused.place is not None:
        issue["expression"] = [refused.place]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def resource(found: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A FHIR resource."""
    return given(json.dumps(found).encode(), FHIR_JSON, status, headers)


def given(value: bytes, content_type: str, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Bytes as they are."""
    return web.Response(
        body=value, status=status, content_type=content_type, headers={**_NEVER_KEPT, **(headers or {})}
    )
