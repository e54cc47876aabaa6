"""Sessions: one for each login, known by a random id, until they end.

A session ends when nobody did anything for a while, when it is old, when it is logged out, or with this process: they
are in memory, and another token needs a new process. The id is kept as its digest alone.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from time import monotonic

MOST = 1_000
"""Sessions, and ended ones that are remembered; the one that was used longest ago goes first."""


class Session:
    """Somebody who showed a token."""

    def __init__(self, role: int, name: str, idle_s: float, lasting_s: float, clock: Callable[[], float]) -> None:
        self.role = role
        self.name = name
        """The beginning of its id's digest: to tell it in logs."""
        self._idle = idle_s
        self._clock = clock
        self._used = clock()
        self._until = self._used + lasting_s
        self._ended = False

    def lasts(self) -> bool:
        """Whether it has not ended."""
        now = self._clock()
        return not self._ended and now < self._until and now < self._used + self._idle

    def use(self) -> None:
        """Somebody did something."""
        if self.lasts():
            self._used = self._clock()

    def end(self) -> None:
        """It is over."""
        self._ended = True


class Sessions:
    """Those of one process."""

    def __init__(self, idle_s: float, lasting_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._idle = idle_s
        self.lasting_s = lasting_s
        self._clock = clock
        self._open: OrderedDict[bytes, Session] = OrderedDict()
        self._over: OrderedDict[bytes, None] = OrderedDict()

    def begin(self, role: int) -> str:
        """A new session's id, which nobody can guess."""
        found = secrets.token_urlsafe(32)
        digest = _digest(found)
        self._open[digest] = Session(role, digest.hex()[:8], self._idle, self.lasting_s, self._clock)
        for one in [one for one, session in self._open.items() if not session.lasts()]:
            self._forget(one)
        while len(self._open) > MOST:
            self._forget(next(iter(self._open)))
        return found

    def find(self, shown: str) -> Session | None:
        """The session of an id, where it lasts."""
        digest = _digest(shown)
        session = self._open.get(digest)
        if session is None:
            return None
        if not session.lasts():
            self._forget(digest)
            return None
        self._open.move_to_end(digest)
        return session

    def was(self, shown: str) -> bool:
        """Whether an id was a session's that has ended: no guess, but a page that was left open."""
        return _digest(shown) in self._over

    def end(self, shown: str) -> None:
        """End the session of an id, if there is one."""
        digest = _digest(shown)
        if digest in self._open:
            self._forget(digest)

    def _forget(self, digest: bytes) -> None:
        self._open.pop(digest).end()
        self._over[digest] = None
        while len(self._over) > MOST:
            self._over.popitem(last=False)


def _digest(shown: str) -> bytes:
    return sha256(shown.encode("utf-8", "surrogateescape")).digest()
