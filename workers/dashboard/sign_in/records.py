"""Who came in, went, or showed a wrong token, as it is recorded on `dli.audit`.

A login is recorded before its session counts, and what cannot be recorded is none. What anybody can cause as often as
they like, wrong tokens and acts that are refused, is told at most once a minute for each who does, and only so often
for all together: the next record says how many there were since. A thread of its own takes these to the brokers, and
logouts, which nothing holds up.
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
from workers.audit.record import record
from workers.dashboard.sign_in.roles import Role, Visitor
from workers.dashboard.sign_in.wrong_token_delay import payer
from workers.kafka.connect import AccessRefusedError
from workers.kafka.reader import ReadingError
from workers.logs import Hasher
from workers.settings import Settings

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60.0
"""Between two records of what one address, or one session, does wrong."""
MOST_A_MINUTE = 60
"""Of all addresses and sessions together."""
MOST_WHO = 4_096
"""Addresses and sessions that are remembered."""
MOST_WAITING = 1_000
ROLES: dict[Role, Literal["view", "act"]] = {Role.VIEW: "view", Role.ACT: "act"}


class Bound:
    """Lets something be told of once in a while for each who does it, with how often it was."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """By who: when it was told of last, and how often it has been since."""
        self._since, self._count = clock(), 0

    def __len__(self) -> int:
        """Who is remembered."""
        return len(self._told)

    def due(self, who: str) -> int:
        """How often it has been, this time too, since it was told of last; 0 where it is not to be told of now."""
        with self._lock:
            now = self._clock()
            if now - self._since >= EVERY_SECONDS:
                self._since, self._count = now, 0
            last, untold = self._told.get(who, (now - EVERY_SECONDS, 0))
            is_due = now - last >= EVERY_SECONDS and self._count < MOST_A_MINUTE
            self._told[who] = (now, 0) if is_due else (last, untold + 1)
            self._told.move_to_end(who)
            while len(self._told) > MOST_WHO:
                self._told.popitem(last=False)
            self._count += is_due
            return untold + 1 if is_due else 0


class Records:
    """What the dashboard records, apart from the acts themselves."""

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
        """A visitor, as records name them."""
        session = visitor.session.name if visitor.session is not None else None
        return Actor(kafka_user=self._settings.sasl_username, session=session, role=ROLES.get(visitor.role))

    def login(self, visitor: Visitor) -> None:
        """Record that somebody comes in.

        Raises:
            ReadingError: It cannot be recorded.
            AccessRefusedError: The cluster does not let us.
        """
        self._send(self._settings, _once("dashboard login", self.who(visitor)))

    def logout(self, visitor: Visitor) -> None:
        """Record that somebody went."""
        self._later(_once("dashboard logout", self.who(visitor)))

    def wrong_token(self, address: str) -> None:
        """Record that an address showed a token that is none."""
        count = self._bound.due(f"address {payer(address)}")
        if count:
            who = Actor(address=self._hashed(address))
            self._later(_once("dashboard token", who, reason="wrong_token", count=count))

    def refused(self, what: What, visitor: Visitor, reason: str) -> None:
        """Record that somebody was not let do something."""
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
        """Take what waits to the brokers, until told that it is over; what they do not take is in the log."""
        while not over.is_set() or not self._waiting.empty():
            try:
                acted = self._waiting.get(timeout=0.2)
            except Empty:
                continue
            try:
                self._send(self._settings, acted)
            except (ReadingError, AccessRefusedError) as error:
                session = acted.who.session
                log.warning("not_recorded", what=acted.what, session=session, outcome=acted.outcome, detail=str(error))
                if over.is_set():
                    return
            except Exception:
                # The next record is not to be lost with this one.
                log.exception("not_recorded", what=acted.what)


def _once(what: What, who: Actor, reason: str | None = None, count: int | None = None) -> Acted:
    """What is over at once."""
    outcome: Outcome = "done" if reason is None else "refused"
    arguments = Arguments(count=count)
    return Acted(act=uuid4().hex, what=what, who=who, arguments=arguments, outcome=outcome, reason=reason)
