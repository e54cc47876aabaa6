"""The two web applications: the interface for partners, and the health for operators."""

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from workers.gateway.access.bearer import Door
from workers.gateway.api.capabilities import capability_statement
from workers.gateway.api.entrance import client_of, must_accept_json, observed, signed_in
from workers.gateway.api.responses import Refused, resource
from workers.process import metrics

Questionnaires = Callable[[str], Mapping[str, Mapping[str, Any]]]
"""From a partner to the Questionnaires of the policies, by the policy's number: canonicals are the partner's."""


def interface(
    door: Door, routes: Sequence[web.RouteDef], questionnaires: Questionnaires, base: str, largest: int
) -> web.Application:
    """The interface for partners."""
    statement = capability_statement(base, version("dli-authorization"))

    async def metadata(request: web.Request) -> web.Response:
        must_accept_json(request)
        return resource(statement)

    async def questionnaire(request: web.Request) -> web.Response:
        must_accept_json(request)
        found = questionnaires(client_of(request).partner).get(request.match_info["number"])
        if found is None:
            raise Refused(404, "there is no such Questionnaire")
        return resource(found)

    async def search(request: web.Request) -> web.Response:
        must_accept_json(request)
        url = request.query.get("url")
        if url is None or set(request.query) - {"url", "_format"}:
            raise Refused(400, "a Questionnaire is searched by its url alone")
        return resource(_found(questionnaires(client_of(request).partner), url, base))

    app = web.Application(middlewares=[observed, signed_in(door)], client_max_size=largest)
    app.add_routes(
        [
            *routes,
            web.get("/fhir/metadata", metadata, name="metadata", allow_head=False),
            web.get("/fhir/Questionnaire", search, name="questionnaire-search", allow_head=False),
            web.get("/fhir/Questionnaire/{number}", questionnaire, name="questionnaire-read", allow_head=False),
        ]
    )
    return app


def _found(questionnaires: Mapping[str, Mapping[str, Any]], url: str, base: str) -> Mapping[str, Any]:
    canonical, _, wanted_version = url.partition("|")
    matching = {
        number: one
        for number, one in questionnaires.items()
        if one.get("url") == canonical and wanted_version in {"", one.get("version")}
    }
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(matching),
        "entry": [
            {"fullUrl": f"{base}/Questionnaire/{number}", "resource": one, "search": {"mode": "match"}}
            for number, one in matching.items()
        ],
    }


def health(is_ready: Callable[[], bool]) -> web.Application:
    """Liveness, readiness and metrics."""
    metrics.BUILD.labels(version("dli-authorization"), platform.python_version(), "", version("aiokafka")).set(1)

    async def live(_request: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def ready(_request: web.Request) -> web.Response:
        holds = is_ready()
        return web.json_response({"ready": holds}, status=200 if holds else 503)

    async def exposition(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/live", live), web.get("/ready", ready), web.get("/metrics", exposition)])
    return app
