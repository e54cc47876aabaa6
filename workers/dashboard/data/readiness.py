"""Asks every worker whether it is ready, every two seconds, in a thread of its own.

Workers say their addresses when they join their group. One that does not answer is not known to be ready.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

from workers.dashboard.data.poller import Watch
from workers.kafka.lag import Member

EVERY_SECONDS = 2.0
PATIENCE_SECONDS = 2.0
AT_ONCE = 8
"""Workers asked at the same time."""
MOST_BYTES = 65_536
UNREADY = 503
"""The status of a worker that is not ready."""


class Readiness(NamedTuple):
    """What a worker says of itself."""

    ready: bool | None
    """None if it does not say."""
    failing: tuple[str, ...] = ()
    """The names of the checks that fail."""
    error: str | None = None
    """Why it is not known."""
    at: float = 0.0
    """When it was asked, in seconds since the epoch."""


class Stay(HTTPRedirectHandler):
    """A worker answers itself, or not at all."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Go nowhere."""
        return


_opener = build_opener(ProxyHandler({}), Stay)


def readiness_of(url: str | None, clock: Callable[[], float] = time.time) -> Readiness:
    """What the worker at an address says."""
    at = clock()
    if url is None:
        return Readiness(None, error="it does not say where it answers", at=at)
    try:
        with _opener.open(f"{url.rstrip('/')}/ready", timeout=PATIENCE_SECONDS) as answer:
            return _read(answer.read(MOST_BYTES), at)
    except HTTPError as error:
        with error:
            return _read(error.read(MOST_BYTES) if error.code == UNREADY else b"", at)
    except (OSError, ValueError):
        return Readiness(None, error=f"it does not answer at {url}", at=at)


def _read(content: bytes, at: float) -> Readiness:
    try:
        told = json.loads(content)
        ready = told.pop("ready")
        failing = tuple(str(name) for name, holds in told.items() if holds is False)
    except (ValueError, KeyError, AttributeError, TypeError):
        return Readiness(None, error="its answer is no worker's", at=at)
    return Readiness(ready is True, failing, at=at)


class WorkerReadiness:
    """The last known readiness of every member of the group."""

    def __init__(self, watch: Watch, ask: Callable[[str | None], Readiness] = readiness_of) -> None:
        self._watch = watch
        self._ask = ask
        self.known: dict[str, Readiness] = {}
        """By the member's id; replaced as a whole."""

    def run(self, over: Event) -> None:
        """Ask until told to stop."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while not over.is_set():
                self.look(self._watch.watched.workers, pool)
                over.wait(EVERY_SECONDS)

    def look(self, members: Sequence[Member], pool: ThreadPoolExecutor) -> None:
        """Ask each member once."""
        answers = pool.map(self._ask, [member.url for member in members])
        self.known = {member.id: answer for member, answer in zip(members, answers, strict=True)}
