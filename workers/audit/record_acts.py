"""Records acts; an act that cannot be recorded is not done.

Each act is recorded twice: `begun` is on the brokers before anything is done, and the outcome afterwards. If the
process dies in between, the start stays without an end. If only the end cannot be recorded, the act is already done, so
a log line reports it.
"""

import os
import pwd
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import structlog

from events.audit import MOST_LETTERS, Acted, Actor, Arguments, Outcome, What
from events.envelope import JSON, SPECVERSION, Attributes, write
from events.field_types import written_instant
from events.topics import AUDIT
from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.kafka import clients, reader
from workers.kafka.connect import LONG_PATIENCE
from workers.kafka.errors import AccessRefusedError, ClusterError, ReadingError
from workers.kafka.records import OutgoingRecord

log = structlog.get_logger(__name__)

_ID_DIGITS = 32


class UnrecordedError(ReadingError):
    """An act could not be recorded, and was not begun; the message says why."""


class Ended(NamedTuple):
    """How an act ended."""

    outcome: Outcome
    reason: str | None = None


BEGUN = Ended("begun")
DONE = Ended("done")
WITH_DIFFERENCES = Ended("done", "differences")
INTERRUPTED = Ended("failed", "interrupted")


class Act:
    """One act in progress."""

    def __init__(self, what: What, who: Actor, arguments: Arguments) -> None:
        self.ended = DONE
        """How it ends unless it raises an error."""
        self._acted = Acted(act=uuid4().hex, what=what, who=who, arguments=arguments, outcome="begun")

    def note(self, **arguments: Any) -> None:
        """Add arguments for the record of its end."""
        known = self._acted.arguments.model_dump(exclude_defaults=True)
        self._acted = self._acted.model_copy(update={"arguments": Arguments(**known | arguments)})

    def state(self, ended: Ended) -> Acted:
        """The record of its current state."""
        return self._acted.model_copy(update=ended._asdict())


@contextmanager
def acting(settings: Settings, what: What, who: Actor | None = None, **arguments: Any) -> Iterator[Act]:
    """Record an act around its execution.

    Args:
        settings: The cluster.
        what: The kind of act.
        who: The actor; by default the user of this process.
        **arguments: The fields of `events.audit.Arguments`.

    Raises:
        UnrecordedError: It cannot be recorded and was not begun.
        AccessRefusedError: The cluster refuses us.
    """
    act = Act(what, who if who is not None else ourselves(settings), Arguments(**arguments))
    record(settings, act.state(BEGUN))
    try:
        yield act
    except BaseException as error:
        _over(settings, act.state(end_of(error)))
        raise
    _over(settings, act.state(act.ended))


def _over(settings: Settings, ended: Acted) -> None:
    try:
        _send(settings, ended)
    except ClusterError as error:
        log.warning("end_not_recorded", act=ended.act, what=ended.what, outcome=ended.outcome, detail=str(error))


def record(settings: Settings, acted: Acted) -> None:
    """Record the start of an act, or an instantaneous act.

    Raises:
        UnrecordedError: It cannot be recorded.
        AccessRefusedError: The cluster refuses us.
    """
    try:
        if (lacking := reader.lacking(settings, [settings.topic(AUDIT)])) is None:
            _send(settings, acted)
            return
    except ReadingError as error:
        where = settings.topic(AUDIT)
        raise UnrecordedError(f"nothing was done, because {where} does not take a record of it: {error}") from None
    raise UnrecordedError(f"{lacking}, where it is recorded who did what: nothing was done; {reader.MAKE_TOPICS}")


def as_record(acted: Acted, time: datetime, settings: Settings) -> OutgoingRecord:
    """The Kafka record of an act at that time."""
    attributes = Attributes(
        id=acted.event_id,
        source=settings.source,
        specversion=SPECVERSION,
        type=Acted.TYPE,
        subject=acted.what,
        datacontenttype=JSON,
    )
    value, headers = write(attributes, written_instant(time), acted.to_json(), settings.mode)
    return OutgoingRecord(settings.topic(AUDIT), acted.act.encode(), value, headers)


def _send(settings: Settings, acted: Acted) -> None:
    made = as_record(acted, datetime.now(UTC), settings)
    # A new producer each time: start and end may be hours apart.
    with clients.producer(settings) as producer:
        sent = producer.send(made.topic, made.value, key=made.key, headers=list(made.headers), partition=0)
        sent.get(timeout=LONG_PATIENCE)


def acting_here(settings: Settings, what: str, key: str | None = None) -> None:
    """Log an act that only affects this machine.

    It needs no broker, and has no effect elsewhere until its result is published or mounted.
    """
    log.info("acting_here", what=what, **ourselves(settings, key).model_dump(exclude_none=True))


# --- who -----------------------------------------------------------------------------------------------------------


def ourselves(settings: Settings, key: str | None = None) -> Actor:
    """The user of this process; `key` is the owner of the signing key."""
    return Actor(user=_user(), kafka_user=settings.sasl_username or settings.oauth_client_id, key=key)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container without that user
        return f"uid {os.getuid()}"


def letter_ids(ids: Iterable[str]) -> tuple[str, ...]:
    """The ids of dead letters to record, limited in number; invalid ones are skipped."""
    ours = (letter for letter in ids if len(letter) == _ID_DIGITS and not letter.strip("0123456789abcdef"))
    return tuple(letter for _, letter in zip(range(MOST_LETTERS), ours, strict=False))


# --- outcome -----------------------------------------------------------------------------------------------


def end_of(error: BaseException) -> Ended:
    """The outcome of an act that raised `error`."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, AccessRefusedError):
        return Ended("refused", "no_right")
    if isinstance(error, ReadingError):
        return Ended("failed", "brokers")
    is_refusal = isinstance(error, DliError) and error.is_refusal
    return Ended("refused", "conditions") if is_refusal else Ended("failed", "error")
