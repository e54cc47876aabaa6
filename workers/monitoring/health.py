"""A worker's endpoints for liveness, readiness and metrics.

Live means that the process responds. Ready means that it is in its group, has its tables and policies, and makes
progress: a stalled worker, or one without a responding broker, is not ready. A rebalance makes it briefly unready,
never not live.
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
from workers.process import metrics
from workers.stream import Progress

Check = Callable[[], bool]
ProgressOf = Callable[[], Mapping[int, Progress]]


def checks(
    app: faust.App, policies: Knowledge | None, progress: ProgressOf, spare: Check, stalled_seconds: float
) -> dict[str, Check]:
    """The readiness checks by name; `spare` says whether the group's members have all request partitions.

    `assigned`     it has partitions or is a spare, and no rebalance is in progress
    `recovered`    its tables have caught up with their changelogs
    `feeding`      it has taken over every assigned request partition, or is a spare
    `progressing`  none of these has had waiting records for so many seconds without progress
    `broker`       the broker has responded for each of these within so many seconds
    `in_range`     the committed offset of each is inside its log
    `unheld`       no open transaction has blocked reading for so many seconds
    `policies`     it has policies to decide under; only if it decides
    """
    found: dict[str, Check] = {
        "assigned": lambda: not app.rebalancing and (_has_partitions(app) or spare()),
        "recovered": lambda: not cast("TableManager", app.tables).recovery.in_recovery,
        "feeding": lambda: all(state.started for state in progress().values()) if progress() else spare(),
        "progressing": lambda: all(state.waiting_seconds < stalled_seconds for state in progress().values()),
        "broker": lambda: all(state.silent_seconds < stalled_seconds for state in progress().values() if state.started),
        "in_range": lambda: not any(state.refused for state in progress().values()),
        "unheld": lambda: all(state.held_seconds < stalled_seconds for state in progress().values()),
    }
    if policies is not None:
        found["policies"] = lambda: bool(policies.snapshot().numbers)
    return found


def _has_partitions(app: faust.App) -> bool:
    try:
        return bool(app.consumer.assignment())
    except ConsumerNotStarted:  # the port opens slightly earlier
        return False


STATES = ("working", "stalled", "starting", "refused")
"""The values of `state`."""


def state(partition: Progress, stalled_seconds: float) -> str:
    """A partition's state, as counted by `dli_feed_partitions`."""
    if partition.refused:
        return "refused"
    if not partition.started:
        return "starting"
    still = max(partition.waiting_seconds, partition.silent_seconds, partition.held_seconds)
    return "stalled" if still >= stalled_seconds else "working"


def add_pages(
    app: faust.App, policies: Knowledge | None, needed: dict[str, Check], progress: ProgressOf, stalled_seconds: float
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
        states = [state(partition, stalled_seconds) for partition in progress().values()]
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
        if policies is not None:
            update_policy_metrics(policies.snapshot(), datetime.now(UTC))
        return view.bytes(generate_latest(), content_type=CONTENT_TYPE_LATEST.split(";")[0])


def update_policy_metrics(library: Library, now: datetime) -> None:
    """Update the metric of revisions in force on the day (UTC)."""
    metrics.POLICY_IN_FORCE.clear()
    for policy in library:
        found = policy.register.in_force(now.date())
        if found is not None:
            metrics.POLICY_IN_FORCE.labels(policy.number, str(found.revision.date), policy.sha256).set(1)
