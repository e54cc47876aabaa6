"""What the brokers say, asked every two seconds in a thread of its own, with a quarter of an hour of it kept."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event, Lock
from typing import NamedTuple

import structlog

from events.topics import REQUESTS
from workers.accounts.account import PartitionBalance, standings
from workers.kafka.connect import AccessRefusedError
from workers.kafka.lag import Lag, Look, Member, Watcher
from workers.kafka.reader import ReadingError
from workers.settings import Settings

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
    """What the group has committed of them, together."""
    waiting: int
    seconds: float
    """For how long the oldest has waited."""


@dataclass(frozen=True)
class Watched:
    """What is known of the brokers."""

    lags: tuple[Lag, ...]
    """Of our group on each partition of requests, as they last said."""
    workers: tuple[Member, ...]
    """The members of our group."""
    standings: tuple[PartitionBalance, ...]
    at: float | None
    """When they said it, in seconds since the epoch; None before they said anything."""
    error: str | None
    """Why they say nothing now; None while they answer."""
    points: tuple[Point, ...]
    """Oldest first."""


class Watch:
    """Asks again and again."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._lock = Lock()
        self._watched = Watched((), (), (), None, None, ())

    @property
    def watched(self) -> Watched:
        """What is known now."""
        with self._lock:
            return self._watched

    def run(self, over: Event) -> None:
        """Ask until told that it is over."""
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
        except (ReadingError, AccessRefusedError) as error:
            self._failed(str(error))
        except Exception as error:
            # Whatever it is: the page must turn from its last numbers to saying that there are none.
            log.exception("look_failed")
            self._failed(f"the dashboard cannot ask: {type(error).__name__}; its log names the place")
        else:
            self._told(look)

    def _failed(self, error: str) -> None:
        log.warning("brokers_unasked", detail=error)
        with self._lock:
            self._watched = replace(self._watched, error=error)

    def _told(self, look: Look) -> None:
        now = self._clock()
        topic = self._settings.topic(REQUESTS)
        own = tuple(lag for lag in look.lags if (lag.group, lag.topic) == (self._settings.app_id, topic))
        self._points.append(
            Point(
                now,
                written=sum(lag.span.end for lag in own),
                # Where nothing is committed, the first record of what is kept is the next.
                done=sum(lag.span.beginning if lag.committed is None else lag.committed for lag in own),
                waiting=sum(lag.waiting for lag in own),
                seconds=max((lag.seconds for lag in own), default=0.0),
            )
        )
        with self._lock:
            self._watched = Watched(
                own, look.ours, tuple(standings(look, self._settings)), now, None, tuple(self._points)
            )
