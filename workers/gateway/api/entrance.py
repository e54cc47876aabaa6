"""What every request passes: limits, its client, its body; and what is counted of it."""

import asyncio
import time
from collections.abc import Iterable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from workers.gateway.access.bearer import Door, NotLetInError
from workers.gateway.access.clients import Client
from workers.gateway.access.key_set import KeysUnavailableError
from workers.gateway.api.responses import Refused, is_fhir, refusal
from workers.gateway.exchange import BusyError, UnansweredError, UnavailableError
from workers.gateway.subscriptions.resource import SubscriptionError
from workers.process import metrics

log = structlog.get_logger(__name__)

BODY_SECONDS = 10.0
"""How long a body may take to arrive."""
BUSY_SECONDS, AWAY_SECONDS = "1", "5"
"""For Retry-After."""
FHIR_ACCEPTED = frozenset({"*/*", "application/*", "application/fhir+json", "application/json"})
CLIENT = web.RequestKey("client", Client)
_TEXTS = {404: "there is nothing here", 405: "this method is not supported here", 413: "the body is too large"}


@web.middleware
async def observed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever happens, and count it; no line of a log names more than the operation."""
    began = time.perf_counter()
    try:
        response: web.StreamResponse = await handler(request)
    except Refused as refused:
        response = refusal(refused, fhir=is_fhir(request.path))
    except Exception as error:
        found = _refused(error)
        if found.status == 500:  # noqa: PLR2004 (a defect)
            log.exception("request_failed", operation=_operation(request))
        response = refusal(found, fhir=is_fhir(request.path))
    if response.status in {408, 413}:
        # What is left of the body is not waited for.
        response.force_close()
    operation = _operation(request)
    metrics.GATEWAY_REQUESTS.labels(operation, str(response.status)).inc()
    metrics.GATEWAY_SECONDS.labels(operation).observe(time.perf_counter() - began)
    return response


def _operation(request: web.Request) -> str:
    return request.match_info.route.name or "other"


def _refused(error: Exception) -> Refused:
    match error:
        case SubscriptionError():
            return Refused(422, error.message, place=error.place)
        case BusyError():
            return Refused(429, "too many requests wait; try again later", {"Retry-After": BUSY_SECONDS})
        case UnavailableError():
            return Refused(
                503,
                "requests cannot be accepted now; send the same message again later",
                {"Retry-After": AWAY_SECONDS},
            )
        case UnansweredError():
            return Refused(
                504,
                "there is no answer yet; the message is kept and will be decided: send the same message again, or "
                "inquire about it",
                {"Retry-After": AWAY_SECONDS},
            )
        case web.HTTPException() if error.status >= 400:  # noqa: PLR2004 (an error)
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return Refused(error.status, _TEXTS.get(error.status, error.reason), allow)
        case _:
            return Refused(500, "an error of ours, which is logged; the message may be sent again")


def signed_in(door: Door) -> Middleware:
    """The middleware that lets in clients only, save where a route is open to all."""

    @web.middleware
    async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.http_exception is None and _operation(request) != "metadata":
            request[CLIENT] = await _client(request, door)
        return await handler(request)

    return enter


async def _client(request: web.Request, door: Door) -> Client:
    try:
        return await door.client(request.headers.getall("Authorization", []))
    except NotLetInError as error:
        log.warning("not_let_in", why=str(error))
        raise Refused(401, str(error), {"WWW-Authenticate": 'Bearer realm="dli"'}) from None
    except KeysUnavailableError:
        raise Refused(503, "tokens cannot be verified now; try again later", {"Retry-After": AWAY_SECONDS}) from None


def client_of(request: web.Request) -> Client:
    """The client of a request that `signed_in` has let in."""
    return request[CLIENT]


async def body_of(request: web.Request, takes: Iterable[str]) -> bytes:
    """The body, in one of the media types that are taken.

    Raises:
        Refused: It has none, another type, or took too long.
        web.HTTPRequestEntityTooLarge: It is too large.
    """
    if request.content_type.lower() not in takes:
        raise Refused(415, f"the body should be {' or '.join(sorted(takes))}")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused(415, "the body should not be compressed")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            found = await request.read()
    except TimeoutError:
        raise Refused(408, "the body took too long to arrive") from None
    if not found.strip():
        raise Refused(400, "there is no body")
    return found


def must_accept_json(request: web.Request) -> None:
    """Check that the client takes JSON.

    Raises:
        Refused: It does not.
    """
    accepted = {part.partition(";")[0].strip().lower() for part in request.headers.get("Accept", "*/*").split(",")}
    wanted = request.query.get("_format", "json").lower()
    if "json" not in wanted or not accepted & FHIR_ACCEPTED:
        raise Refused(406, "resources are given as application/fhir+json only")
