"""Polls the brokers every two seconds in its own thread, and keeps a quarter of an hour of history."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event, Lock
from typing import NamedTuple

import structlog

from events.topics import REQUESTS
from workers.accounts.account import PartitionBalance, standings
from workers.configuration.settings import Settings
from workers.kafka.errors import ClusterError
from workers.kafka.lag import Lag, Look, Member, Watcher

log = structlog.get_logger(__name__)

EVERY_SECONDS = 2.0
POINTS = 450


class Point(NamedTuple):
    """One moment."""

    at: float
    """Seconds since the epoch."""
    written: int
    """The ends of all partitions of requests, together."""
    done: int
    """The sum of the group's committed offsets."""
    waiting: int
    seconds: float
    """How long the oldest has waited."""


@dataclass(frozen=True)
class Watched:
    """The brokers' last known state."""

    lags: tuple[Lag, ...]
    """Our group's lags on the request partitions."""
    workers: tuple[Member, ...]
    """The members of our group."""
    standings: tuple[PartitionBalance, ...]
    at: float | None
    """The time of the data, in seconds since the epoch; None before the first response."""
    error: str | None
    """Why they do not respond; None while they do."""
    points: tuple[Point, ...]
    """Oldest first."""


class Watch:
    """Polls the brokers repeatedly."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._lock = Lock()
        self._watched = Watched((), (), (), None, None, ())

    @property
    def watched(self) -> Watched:
        """The current state."""
        with self._lock:
            return self._watched

    def run(self, over: Event) -> None:
        """Poll until asked to stop."""
        watcher = Watcher(self._settings, self._clock, others=False)
        try:
            while not over.is_set():
                self._ask(watcher)
                over.wait(EVERY_SECONDS)
        finally:
            watcher.close()

    def _ask(self, watcher: Watcher) -> None:
        try:
            look = watcher.look()
        except ClusterError as error:
            self._failed(str(error))
        except Exception as error:
            # On any error the page must stop showing the last numbers.
            log.exception("look_failed")
            self._failed(f"the dashboard cannot ask: {type(error).__name__}; its log names the place")
        else:
            self._update(look)

    def _failed(self, error: str) -> None:
        log.warning("brokers_unasked", detail=error)
        with self._lock:
            self._watched = replace(self._watched, error=error)

    def _update(self, look: Look) -> None:
        now = self._clock()
        topic = self._settings.topic(REQUESTS)
        own = tuple(lag for lag in look.lags if (lag.group, lag.topic) == (self._settings.app_id, topic))
        self._points.append(
            Point(
                now,
                written=sum(lag.span.end for lag in own),
                # Without a committed offset, the first record kept is the next.
                done=sum(lag.span.beginning if lag.committed is None else lag.committed for lag in own),
                waiting=sum(lag.waiting for lag in own),
                seconds=max((lag.seconds for lag in own), default=0.0),
            )
        )
        with self._lock:
            self._watched = Watched(
                own, look.ours, tuple(standings(look, self._settings)), now, None, tuple(self._points)
            )
