"""A follower whose broker is silent knows that it may have missed a revision, and says so."""

import asyncio
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from events.topics import POLICY_REVISIONS
from tests.support.packaged import packaged_library
from tests.support.running import settings_for, until
from workers.configuration.settings import Settings
from workers.dev_brokers import EmbeddedBroker
from workers.policies import revision_follower
from workers.policies.revision_follower import Follower
from workers.topics import apply_topics

pytestmark = pytest.mark.broker

STALLED_SECONDS = 6
Logged = Sequence[MutableMapping[str, Any]]


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(revision_follower, "time", SimpleNamespace(monotonic=made))
    return made


def test_a_silent_broker_is_reported_and_a_quiet_topic_is_not(prefix: str, tmp_path: Path, clock: Clock) -> None:
    with EmbeddedBroker() as broker, capture_logs() as logged:
        found = settings_for(broker.bootstrap, prefix, tmp_path, stalled_seconds=STALLED_SECONDS)
        apply_topics.apply(found)
        behind = asyncio.run(_behind(found, broker, clock, logged))

    [error] = _errors(logged)
    assert behind == 10
    assert (error["event"], error["topic"], error["seconds"]) == ("revisions_unread", found.topic(POLICY_REVISIONS), 10)


def _errors(logged: Logged) -> Logged:
    return [line for line in logged if line["log_level"] == "error"]


async def _behind(found: Settings, broker: EmbeddedBroker, clock: Clock, logged: Logged) -> float:
    """How far it is behind, ten seconds after the last reading of a broker that has ended."""
    follower = Follower(found, packaged_library())
    await follower.catch_up()
    following = asyncio.create_task(follower.follow())
    try:
        for _ in range(3):  # a quiet topic is read to its end again and again
            clock.now += STALLED_SECONDS - 1
            assert await until(lambda: follower.behind_seconds == 0)
        assert _errors(logged) == []
        await asyncio.to_thread(broker.stop)
        clock.now += 10
        assert await until(lambda: bool(_errors(logged)))
        return follower.behind_seconds
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
