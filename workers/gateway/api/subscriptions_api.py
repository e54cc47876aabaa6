"""Subscriptions over HTTP: create, read, update, delete; each client's own only."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiohttp import web

from events.field_types import written_instant
from events.topics import PAS_RESPONSES
from workers.configuration.settings import Settings
from workers.gateway.access.clients import Client
from workers.gateway.api.entrance import body_of, client_of, must_accept_json
from workers.gateway.api.responses import Refused, resource
from workers.gateway.exchange import Exchange, UnavailableError
from workers.gateway.messages import FHIR_JSON
from workers.gateway.subscriptions.delivery import events_told
from workers.gateway.subscriptions.notification import status_of
from workers.gateway.subscriptions.register import Register, Subscription, Written
from workers.gateway.subscriptions.resource import stored, wanted
from workers.kafka.errors import ClusterError
from workers.kafka.reader import kept

MOST = 20
"""Subscriptions of one partner: each reads all responses."""
_TAKES = frozenset({FHIR_JSON, "application/json"})


class SubscriptionsApi:
    """The handlers of Subscription."""

    def __init__(self, settings: Settings, register: Register, exchange: Exchange, base: str) -> None:
        self._settings, self._register, self._exchange, self._base = settings, register, exchange, base

    def routes(self) -> list[web.RouteDef]:
        """The routes; their names are the operations that are counted."""
        one = "/fhir/Subscription/{id}"
        return [
            web.post("/fhir/Subscription", self.create, name="subscription-create"),
            web.get(one, self.read, name="subscription-read", allow_head=False),
            web.get(f"{one}/$status", self.status, name="subscription-status", allow_head=False),
            web.put(one, self.update, name="subscription-update"),
            web.delete(one, self.delete, name="subscription-delete"),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Subscribe: 201 with the status `requested`; it is active once its address has accepted a handshake."""
        client, wrote = client_of(request), await self._body(request)
        is_off = wanted(wrote, client).is_off
        await self._register.fresh()
        if sum(one.written.partner == client.partner for one in self._register.all()) >= MOST:
            raise Refused(422, f"there are {MOST} subscriptions already; delete one first")
        written = self._written(uuid4().hex, client, wrote, await self._ends(), is_off=is_off)
        await self._register.write(self._exchange.producer, written)
        return self._given(self._known(request, written.id), 201)

    async def read(self, request: web.Request) -> web.Response:
        """A subscription with its status, and why it is in error."""
        must_accept_json(request)
        await self._register.fresh()
        return self._given(self._known(request, request.match_info["id"]))

    async def status(self, request: web.Request) -> web.Response:
        """The status of a subscription as its notifications have it, with the number of events that it was told of."""
        must_accept_json(request)
        await self._register.fresh()
        known = self._known(request, request.match_info["id"])
        try:
            events = await asyncio.to_thread(events_told, self._settings, known.written.id)
        except ClusterError:
            raise UnavailableError from None
        address = f"{self._base}/Subscription/{known.written.id}"
        found = status_of(address, known.status, "query-status", events)
        entry = {"fullUrl": f"urn:uuid:{uuid4()}", "resource": found, "search": {"mode": "match"}}
        return resource({"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [entry]})

    async def update(self, request: web.Request) -> web.Response:
        """Replace a subscription; one in error or off is resumed where it was."""
        client, wrote = client_of(request), await self._body(request)
        await self._register.fresh()
        known = self._known(request, request.match_info["id"])
        if wrote.get("id") != known.written.id:
            raise Refused(400, "the resource should have the id of its address", place="Subscription.id")
        if request.headers.get("If-Match", _tag(known)) != _tag(known):
            raise Refused(412, "it was changed since")
        is_off = wanted(wrote, client).is_off
        written = self._written(known.written.id, client, wrote, known.written.since, is_off=is_off)
        await self._register.write(self._exchange.producer, written)
        return self._given(self._known(request, written.id))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a subscription."""
        await self._register.fresh()
        known = self._known(request, request.match_info["id"])
        await self._register.delete(self._exchange.producer, known.written.id)
        return web.Response(status=204)

    async def _body(self, request: web.Request) -> Mapping[str, Any]:
        must_accept_json(request)
        try:
            read = json.loads(await body_of(request, _TAKES))
        except (ValueError, RecursionError):
            raise Refused(400, "the body should be a resource in JSON") from None
        if not isinstance(read, dict):
            raise Refused(400, "the body should be a resource in JSON")
        return read

    async def _ends(self) -> dict[str, int]:
        """Where the responses end now: a subscription begins there."""
        try:
            spans = await asyncio.to_thread(kept, self._settings, [self._settings.topic(PAS_RESPONSES)])
        except ClusterError:
            raise UnavailableError from None
        return {str(one.partition): span.end for one, span in spans.items()}

    def _written(
        self, one: str, client: Client, wrote: Mapping[str, Any], since: dict[str, int], *, is_off: bool
    ) -> Written:
        return Written(
            id=one,
            partner=client.partner,
            version=uuid4().hex,
            at=written_instant(datetime.now(UTC)),
            resource=stored(wrote),
            is_off=is_off,
            since=since,
        )

    def _known(self, request: web.Request, one: str) -> Subscription:
        """A subscription of the client; others' are not there."""
        found = self._register.get(one)
        if found is None or found.written.partner != client_of(request).partner:
            raise Refused(404, "there is no such subscription")
        return found

    def _given(self, found: Subscription, status: int = 200) -> web.Response:
        headers = {"ETag": _tag(found)}
        if status == 201:  # noqa: PLR2004 (created)
            headers["Location"] = f"{self._base}/Subscription/{found.written.id}"
        return resource(shown(found), status, headers)


def _tag(found: Subscription) -> str:
    return f'W/"{found.written.version}"'


def shown(found: Subscription) -> dict[str, Any]:
    """The resource as its client sees it."""
    written = found.written
    meta = {**_object(written.resource.get("meta")), "versionId": written.version, "lastUpdated": written.at}
    error = {"error": found.state.error} if found.status == "error" and found.state is not None else {}
    return {**written.resource, "id": written.id, "meta": meta, "status": found.status, **error}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
