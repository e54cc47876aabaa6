"""Sessions: one per login, identified by a random id.

A session ends after inactivity, at its maximum age, on logout, or with this process: sessions are in memory, and a new
token requires a new process. Only the digest of the id is stored.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from time import monotonic

MOST = 1_000
"""The number of sessions and of ended ones kept; the least recently used are dropped."""


class Session:
    """A session of a visitor with a valid token."""

    def __init__(self, role: int, name: str, idle_s: float, lasting_s: float, clock: Callable[[], float]) -> None:
        self.role = role
        self.name = name
        """The prefix of its id's digest, for logs."""
        self._idle = idle_s
        self._clock = clock
        self._used = clock()
        self._until = self._used + lasting_s
        self._ended = False

    def lasts(self) -> bool:
        """Whether it is still valid."""
        now = self._clock()
        return not self._ended and now < self._until and now < self._used + self._idle

    def use(self) -> None:
        """Record activity."""
        if self.lasts():
            self._used = self._clock()

    def end(self) -> None:
        """End the session."""
        self._ended = True


class Sessions:
    """The sessions of one process."""

    def __init__(self, idle_s: float, lasting_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._idle = idle_s
        self.lasting_s = lasting_s
        self._clock = clock
        self._open: OrderedDict[bytes, Session] = OrderedDict()
        self._over: OrderedDict[bytes, None] = OrderedDict()

    def begin(self, role: int) -> str:
        """Start a session and return its random id."""
        found = secrets.token_urlsafe(32)
        digest = _digest(found)
        self._open[digest] = Session(role, digest.hex()[:8], self._idle, self.lasting_s, self._clock)
        for key in [key for key, session in self._open.items() if not session.lasts()]:
            self._forget(key)
        while len(self._open) > MOST:
            self._forget(next(iter(self._open)))
        return found

    def find(self, session_id: str) -> Session | None:
        """The session of an id, if valid."""
        digest = _digest(session_id)
        session = self._open.get(digest)
        if session is None:
            return None
        if not session.lasts():
            self._forget(digest)
            return None
        self._open.move_to_end(digest)
        return session

    def was(self, session_id: str) -> bool:
        """Whether an id belongs to an ended session, such as of a page left open."""
        return _digest(session_id) in self._over

    def end(self, session_id: str) -> None:
        """End the session of an id, if there is one."""
        digest = _digest(session_id)
        if digest in self._open:
            self._forget(digest)

    def _forget(self, digest: bytes) -> None:
        self._open.pop(digest).end()
        self._over[digest] = None
        while len(self._over) > MOST:
            self._over.popitem(last=False)


def _digest(session_id: str) -> bytes:
    return sha256(session_id.encode("utf-8", "surrogateescape")).digest()
