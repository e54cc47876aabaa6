"""The worker's port: serves only our own routes, and only under our own names.

Faust has its own routes: tables with every key, the group's addresses, and in debug mode all internals. None is served,
regardless of settings: `Web` has no blueprints.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from socket import gethostname
from urllib.parse import urlsplit

import faust
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web import Request, StreamResponse, json_response, middleware
from faust.web.drivers.aiohttp import Web as FaustWeb

from workers.configuration.settings import Settings
from workers.monitoring.host_header import host_of, is_address, is_loopback, plain

Members = Callable[[], Iterable[str]]

NO_HOST = "the header Host is none"
FOREIGN = "this worker is not known by that name: ask by its address, or add the name to DLI_WEB_NAMES"


class Web(FaustWeb):
    """Faust's web server without Faust's routes."""

    default_blueprints = ()
    production_blueprints = ()
    debug_blueprints = ()
    optional_blueprints = ()


def set_web_server(app: faust.App, settings: Settings) -> None:
    """Set the app's web server, before any page is added."""
    web = Web(app)
    web.web_app.middlewares.append(door(known_names(app, settings), lambda: members(app)))
    app.web = web


def known_names(app: faust.App, settings: Settings) -> frozenset[str]:
    """This worker's own names."""
    own = (app.conf.canonical_url.host or "", gethostname(), *settings.web_names)
    return frozenset(plain(name) for name in own if name)


def members(app: faust.App) -> Iterable[str]:
    """The hosts of the group's workers: a forwarded request keeps its original host name."""
    return (urlsplit(url).hostname or "" for url in app.router.external_topics_metadata())


def door(names: frozenset[str], of_group: Members) -> Middleware:
    """The middleware that refuses requests under foreign names."""

    @middleware
    async def look(request: Request, handler: Handler) -> StreamResponse:
        headers = request.headers.getall("Host", [])
        host = host_of(headers[0]) if len(headers) == 1 else None
        if host is None:
            return json_response({"error": NO_HOST}, status=HTTPStatus.BAD_REQUEST)
        if not (is_address(host) or is_loopback(host) or host in names or host in set(of_group())):
            return json_response({"error": FOREIGN}, status=HTTPStatus.MISDIRECTED_REQUEST)
        return await handler(request)

    return look
