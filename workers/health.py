"""Live, ready, and the metrics: what a supervisor and a monitor ask of a worker.

Live says that the process answers. Ready says that it has its place in the group, its tables and its policies; a
rebalance makes it unready for a moment and never dead.
"""

from collections.abc import Callable
from typing import cast

import faust
from faust.tables.manager import TableManager
from faust.web import Request, Response, View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from policy_core.library import Library
from workers import metrics

Check = Callable[[], bool]


def checks(app: faust.App, library: Library, feeding: Callable[[], bool]) -> dict[str, Check]:
    """What a worker needs before it is ready, by name."""
    return {
        "assigned": lambda: not app.rebalancing and bool(app.consumer.assignment()),
        "recovered": lambda: not cast("TableManager", app.tables).recovery.in_recovery,
        "feeding": feeding,
        "policies": lambda: bool(library.numbers),
    }


def install(app: faust.App, needed: dict[str, Check]) -> None:
    """Add the endpoints to the app."""

    @app.page("/live")
    async def live(view: View, _request: Request) -> Response:
        return view.json({"live": True})

    @app.page("/ready")
    async def ready(view: View, _request: Request) -> Response:
        found = {name: check() for name, check in needed.items()}
        metrics.READY.set(all(found.values()))
        return view.json({"ready": all(found.values()), **found}, status=200 if all(found.values()) else 503)

    @app.page("/metrics")
    async def exposition(view: View, _request: Request) -> Response:
        metrics.READY.set(all(check() for check in needed.values()))
        return view.bytes(generate_latest(), content_type=CONTENT_TYPE_LATEST.split(";")[0])
