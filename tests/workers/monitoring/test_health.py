"""Health: a worker that stands still never looks healthy."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from faust.exceptions import ConsumerNotStarted
from prometheus_client import REGISTRY

from policy_core.history.library import Library
from tests.support.packaged import packaged_library
from workers.monitoring import health
from workers.stream import Progress

WORKING = Progress(started=True, waiting_seconds=0.2, silent_seconds=0.3)


@pytest.fixture(scope="module")
def library() -> Library:
    return packaged_library()


def app(*, rebalancing: bool = False, assigned: bool = True, recovering: bool = False) -> Any:
    return SimpleNamespace(
        rebalancing=rebalancing,
        consumer=SimpleNamespace(assignment=lambda: {("requests", 0)} if assigned else set()),
        tables=SimpleNamespace(recovery=SimpleNamespace(in_recovery=recovering)),
    )


def failing(library: Library, progress: Mapping[int, Progress], *, spare: bool = False, **flags: bool) -> list[str]:
    needed = health.checks(app(**flags), library, lambda: progress, lambda: spare, 20)
    return [name for name, check in needed.items() if not check()]


@pytest.mark.parametrize(
    ("progress", "flags", "wanted"),
    [
        (WORKING, {}, []),
        (WORKING, {"rebalancing": True}, ["assigned"]),
        (WORKING, {"assigned": False}, ["assigned"]),
        (WORKING, {"recovering": True}, ["recovered"]),
        (WORKING._replace(started=False), {}, ["feeding"]),
        (WORKING._replace(waiting_seconds=20), {}, ["progressing"]),
        (WORKING._replace(waiting_seconds=19.9), {}, []),
        (WORKING._replace(silent_seconds=20), {}, ["broker"]),
        (WORKING._replace(held_seconds=20), {}, ["unheld"]),
        (WORKING._replace(held_seconds=19.9), {}, []),
        (WORKING._replace(started=False, refused=True), {}, ["feeding", "in_range"]),
        # While a partition is taken over nobody asks its broker for records.
        (Progress(started=False, waiting_seconds=0, silent_seconds=500), {}, ["feeding"]),
    ],
)
def test_each_check_fails_for_its_own_reason(
    library: Library, progress: Progress, flags: dict[str, bool], wanted: list[str]
) -> None:
    assert failing(library, {0: WORKING, 1: progress}, **flags) == wanted


def test_a_worker_without_a_consumer_yet_is_not_ready(library: Library) -> None:
    """Probes come as soon as the port answers, which is a moment before."""

    def not_yet() -> None:
        raise ConsumerNotStarted("Consumer thread not yet started")

    early = app()
    early.consumer.assignment = not_yet
    needed = health.checks(early, library, lambda: {0: WORKING}, lambda: False, 20)

    assert [name for name, check in needed.items() if not check()] == ["assigned"]


def test_a_worker_without_partitions_is_ready_only_as_a_spare(library: Library) -> None:
    """A worker without a partition of requests is ready only as a spare."""
    assert failing(library, {}) == ["feeding"]
    assert failing(library, {}, assigned=False) == ["assigned", "feeding"]
    assert failing(library, {}, spare=True) == []
    assert failing(library, {}, spare=True, assigned=False) == []
    assert failing(library, {}, spare=True, rebalancing=True) == ["assigned"]
    # That others have all the rest says nothing of what this one has.
    assert failing(library, {0: WORKING._replace(started=False)}, spare=True) == ["feeding"]


def test_a_worker_without_policies_is_not_ready() -> None:
    assert failing(Library([], "none"), {0: WORKING}) == ["policies"]


@pytest.mark.parametrize(
    ("progress", "state"),
    [
        (WORKING, "working"),
        (WORKING._replace(started=False, silent_seconds=99), "starting"),
        (WORKING._replace(waiting_seconds=20), "stalled"),
        (WORKING._replace(silent_seconds=20), "stalled"),
        (WORKING._replace(held_seconds=20), "stalled"),
        (WORKING._replace(started=False, refused=True), "refused"),
    ],
)
def test_a_partition_is_counted_by_its_state(progress: Progress, state: str) -> None:
    assert health.state(progress, 20) == state


def test_the_revision_in_force_is_told_and_no_other(library: Library) -> None:
    for day, revision in (
        (datetime(2016, 3, 7, tzinfo=UTC), "2015-09-18"),
        (datetime(2016, 3, 8, tzinfo=UTC), "2016-03-08"),
    ):
        health.update_policy_metrics(library, day)
        told = [
            one for family in REGISTRY.collect() for one in family.samples if one.name == "dli_policy_in_force_info"
        ]
        assert [(one.labels["policy"], one.labels["revision"], one.value) for one in told] == [
            ("L.2.03.402", revision, 1)
        ]
