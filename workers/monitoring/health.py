"""Live, ready, and the metrics: what a supervisor and a monitor ask of a worker.

Live says that the process answers. Ready says that it has its place in the group, its tables and its policies, and that
its work gets on: a worker that stands still, or that its broker no longer answers, is not ready however alive it is. A
rebalance makes it unready for a moment and never dead.
"""

import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import cast

import faust
from faust.exceptions import ConsumerNotStarted
from faust.tables.manager import TableManager
from faust.web import Request, Response, View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from policy_core.history.library import Knowledge, Library
from workers import metrics
from workers.stream import Progress

Check = Callable[[], bool]
ProgressOf = Callable[[], Mapping[int, Progress]]


def checks(
    app: faust.App, policies: Knowledge, progress: ProgressOf, spare: Check, stalled_seconds: float
) -> dict[str, Check]:
    """What a worker needs before it is ready, by name; `spare` says whether the group's members have all requests.

    `assigned`     it has partitions or is a spare, and none are being given out anew
    `recovered`    its tables are up to their changelogs
    `feeding`      it has taken over every partition of requests that it was given, or is a spare
    `progressing`  none of these has had records waiting for so many seconds without one being done
    `broker`       the broker has answered for each of these within so many seconds
    `in_range`     the committed offset of each lies in its log
    `unheld`       no open transaction has kept what is behind it from being read for so many seconds
    `policies`     it has policies to decide under
    """
    return {
        "assigned": lambda: not app.rebalancing and (_has_partitions(app) or spare()),
        "recovered": lambda: not cast("TableManager", app.tables).recovery.in_recovery,
        "feeding": lambda: all(one.started for one in progress().values()) if progress() else spare(),
        "progressing": lambda: all(one.waiting_seconds < stalled_seconds for one in progress().values()),
        "broker": lambda: all(one.silent_seconds < stalled_seconds for one in progress().values() if one.started),
        "in_range": lambda: not any(one.refused for one in progress().values()),
        "unheld": lambda: all(one.held_seconds < stalled_seconds for one in progress().values()),
        "policies": lambda: bool(policies.snapshot().numbers),
    }


def _has_partitions(app: faust.App) -> bool:
    try:
        return bool(app.consumer.assignment())
    except ConsumerNotStarted:  # the port answers a moment before there is one
        return False


STATES = ("working", "stalled", "starting", "refused")
"""What `state` may say."""


def state(one: Progress, stalled_seconds: float) -> str:
    """A partition's, as `dli_feed_partitions` counts it."""
    if one.refused:
        return "refused"
    if not one.started:
        return "starting"
    still = max(one.waiting_seconds, one.silent_seconds, one.held_seconds)
    return "stalled" if still >= stalled_seconds else "working"


def install(
    app: faust.App, policies: Knowledge, needed: dict[str, Check], progress: ProgressOf, stalled_seconds: float
) -> None:
    """Add the endpoints to the app."""
    metrics.BUILD.labels(
        version("dli-authorization"), platform.python_version(), version("faust-streaming"), version("aiokafka")
    ).set(1)

    def look() -> dict[str, bool]:
        found = {name: check() for name, check in needed.items()}
        metrics.READY.set(all(found.values()))
        for name, holds in found.items():
            metrics.CHECKS.labels(name).set(holds)
        states = [state(one, stalled_seconds) for one in progress().values()]
        for name in STATES:
            metrics.PARTITIONS.labels(name).set(states.count(name))
        return found

    @app.page("/live")
    async def live(view: View, _request: Request) -> Response:
        return view.json({"live": True})

    @app.page("/ready")
    async def ready(view: View, _request: Request) -> Response:
        found = look()
        return view.json({"ready": all(found.values()), **found}, status=200 if all(found.values()) else 503)

    @app.page("/metrics")
    async def exposition(view: View, _request: Request) -> Response:
        look()
        tell_policies(policies.snapshot(), datetime.now(UTC))
        return view.bytes(generate_latest(), content_type=CONTENT_TYPE_LATEST.split(";")[0])


def tell_policies(library: Library, now: datetime) -> None:
    """Tell which revision of each loaded policy is in force on the day (UTC)."""
    metrics.POLICY_IN_FORCE.clear()
    for policy in library:
        found = policy.register.in_force(now.date())
        if found is not None:
            metrics.POLICY_IN_FORCE.labels(policy.number, str(found.revision.date), policy.sha256).set(1)
