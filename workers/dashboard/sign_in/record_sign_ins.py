"""Records logins, logouts and wrong tokens on `dli.audit`.

A login is recorded before its session is valid; without a record there is no session. Wrong tokens and refused acts,
which anyone can cause at will, are recorded at most once a minute per address or session, with an overall limit; the
next record contains the number since. A separate thread sends these and logouts to the brokers.
"""

from collections import OrderedDict
from collections.abc import Callable
from queue import Empty, Full, Queue
from threading import Event, Lock
from time import monotonic
from typing import Literal
from uuid import uuid4

import structlog

from events.audit import Acted, Actor, Arguments, Outcome, What
from workers.audit.record_acts import record
from workers.configuration.settings import Settings
from workers.dashboard.sign_in.roles import Role, Visitor
from workers.dashboard.sign_in.wrong_token_delay import payer
from workers.kafka.errors import ClusterError
from workers.process.logs import Hasher

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60.0
"""The interval between records of one address or session."""
MOST_A_MINUTE = 60
"""The limit for all addresses and sessions."""
MOST_WHO = 4_096
"""The number of tracked addresses and sessions."""
MOST_WAITING = 1_000
ROLES: dict[Role, Literal["view", "act"]] = {Role.VIEW: "view", Role.ACT: "act"}


class Bound:
    """Limits records per source, and counts the suppressed ones."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._recorded: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """By source: the time of the last record, and the number since."""
        self._since, self._count = clock(), 0

    def __len__(self) -> int:
        """The number of tracked sources."""
        return len(self._recorded)

    def due(self, who: str) -> int:
        """The number since the last record, including this one; 0 if it is not to be recorded now."""
        with self._lock:
            now = self._clock()
            if now - self._since >= EVERY_SECONDS:
                self._since, self._count = now, 0
            last, unrecorded = self._recorded.get(who, (now - EVERY_SECONDS, 0))
            is_due = now - last >= EVERY_SECONDS and self._count < MOST_A_MINUTE
            self._recorded[who] = (now, 0) if is_due else (last, unrecorded + 1)
            self._recorded.move_to_end(who)
            while len(self._recorded) > MOST_WHO:
                self._recorded.popitem(last=False)
            self._count += is_due
            return unrecorded + 1 if is_due else 0


class Records:
    """The dashboard's audit records, except of acts."""

    def __init__(
        self,
        settings: Settings,
        send: Callable[[Settings, Acted], None] = record,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._send = send
        self._hashed = Hasher(settings.log_key)
        self._bound = Bound(clock)
        self._waiting: Queue[Acted] = Queue(MOST_WAITING)

    def who(self, visitor: Visitor) -> Actor:
        """A visitor's name in records."""
        session = visitor.session.name if visitor.session is not None else None
        return Actor(kafka_user=self._settings.sasl_username, session=session, role=ROLES.get(visitor.role))

    def login(self, visitor: Visitor) -> None:
        """Record a login.

        Raises:
            ReadingError: It cannot be recorded.
            AccessRefusedError: The cluster refuses us.
        """
        self._send(self._settings, _once("dashboard login", self.who(visitor)))

    def logout(self, visitor: Visitor) -> None:
        """Record a logout."""
        self._later(_once("dashboard logout", self.who(visitor)))

    def wrong_token(self, address: str) -> None:
        """Record a wrong token of an address."""
        count = self._bound.due(f"address {payer(address)}")
        if count:
            who = Actor(address=self._hashed(address))
            self._later(_once("dashboard token", who, reason="wrong_token", count=count))

    def refused(self, what: What, visitor: Visitor, reason: str) -> None:
        """Record a refused act."""
        who = self.who(visitor)
        count = self._bound.due(f"session {who.session}")
        if count:
            self._later(_once(what, who, reason=reason, count=count))

    def _later(self, acted: Acted) -> None:
        try:
            self._waiting.put_nowait(acted)
        except Full:
            log.warning("not_recorded", what=acted.what, detail="too many wait")

    def run(self, over: Event) -> None:
        """Send waiting records to the brokers until asked to stop; failed ones are logged."""
        while not over.is_set() or not self._waiting.empty():
            try:
                acted = self._waiting.get(timeout=0.2)
            except Empty:
                continue
            try:
                self._send(self._settings, acted)
            except ClusterError as error:
                session = acted.who.session
                log.warning("not_recorded", what=acted.what, session=session, outcome=acted.outcome, detail=str(error))
                if over.is_set():
                    return
            except Exception:
                # A failure must not lose the next record.
                log.exception("not_recorded", what=acted.what)


def _once(what: What, who: Actor, reason: str | None = None, count: int | None = None) -> Acted:
    """An instantaneous act."""
    outcome: Outcome = "done" if reason is None else "refused"
    arguments = Arguments(count=count)
    return Acted(act=uuid4().hex, what=what, who=who, arguments=arguments, outcome=outcome, reason=reason)
