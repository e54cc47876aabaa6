"""Acts are recorded, and what cannot be recorded is not done.

Twice: `begun` is on the brokers before anything is done, and what came of it once it is over. An act whose process dies
in between so leaves its beginning without an end. Where the end cannot be recorded, which can be after the act alone, a
line of the log says so, for the act itself is done by then and its beginning stands.
"""

import os
import pwd
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import uuid4

import structlog
import typer
from kafka import KafkaProducer

from events.audit import MOST_LETTERS, Acted, Actor, Arguments, Outcome, What
from events.envelope import JSON, SPECVERSION, Attributes, write
from events.topics import AUDIT
from workers.console import Exit
from workers.errors import DliError
from workers.kafka import connect, reader
from workers.kafka.connect import AccessRefusedError
from workers.kafka.reader import ReadingError, kafka_errors
from workers.records import OutgoingRecord
from workers.settings import Settings

log = structlog.get_logger(__name__)

PATIENCE_MS = 10_000
"""For one record to be acknowledged."""
_ID_DIGITS = 32


class UnrecordedError(ReadingError):
    """An act could not be recorded, and was not begun; the message says why."""


class Ended(NamedTuple):
    """How an act ended."""

    outcome: Outcome
    reason: str | None = None


class Act:
    """One act under way."""

    def __init__(self, what: What, who: Actor, arguments: Arguments) -> None:
        self._told = Acted(act=uuid4().hex, what=what, who=who, arguments=arguments, outcome="begun")

    def note(self, **arguments: Any) -> None:
        """Say more of it than was known before: the record of its end has it."""
        known = self._told.arguments.model_dump(exclude_defaults=True)
        self._told = self._told.model_copy(update={"arguments": Arguments(**known | arguments)})

    def told(self, ended: Ended) -> Acted:
        """What is recorded of it then."""
        return self._told.model_copy(update=ended._asdict())


BEGUN = Ended("begun")


@contextmanager
def acting(settings: Settings, what: What, who: Actor | None = None, **arguments: Any) -> Iterator[Act]:
    """Record what is done meanwhile.

    Args:
        settings: Where.
        what: What it is.
        who: Who does it; by default whoever runs this process.
        **arguments: The fields of `events.audit.Arguments`.

    Raises:
        UnrecordedError: It cannot be recorded, and has not begun.
        AccessRefusedError: The cluster does not let us in.
    """
    act = Act(what, who if who is not None else ourselves(settings), Arguments(**arguments))
    record(settings, act.told(BEGUN))
    try:
        yield act
    except BaseException as error:
        _over(settings, act.told(end_of(error)))
        raise
    _over(settings, act.told(Ended("done")))


def _over(settings: Settings, ended: Acted) -> None:
    try:
        _send(settings, ended)
    except (ReadingError, AccessRefusedError) as error:
        log.warning("end_not_recorded", act=ended.act, what=ended.what, outcome=ended.outcome, detail=str(error))


def record(settings: Settings, acted: Acted) -> None:
    """Record an act that is about to begin, or one that is over at once.

    Raises:
        UnrecordedError: It cannot be.
        AccessRefusedError: The cluster does not let us in.
    """
    try:
        if (lacking := reader.lacking(settings, [settings.topic(AUDIT)])) is None:
            _send(settings, acted)
            return
    except ReadingError as error:
        where = settings.topic(AUDIT)
        raise UnrecordedError(f"nothing was done, because {where} does not take a record of it: {error}") from None
    raise UnrecordedError(f"{lacking}, where it is recorded who did what: nothing was done; {reader.MAKE_TOPICS}")


def as_record(acted: Acted, settings: Settings) -> OutgoingRecord:
    """The record that tells of an act."""
    attributes = Attributes(
        id=acted.event_id,
        source=settings.source,
        specversion=SPECVERSION,
        type=Acted.TYPE,
        subject=acted.what,
        datacontenttype=JSON,
    )
    value, headers = write(attributes, acted.to_json(), settings.mode)
    return OutgoingRecord(settings.topic(AUDIT), acted.act.encode(), value, headers)


def _send(settings: Settings, acted: Acted) -> None:
    made = as_record(acted, settings)
    connect.check(settings)
    with kafka_errors(settings):
        # Of its own each time: between beginning and end may be hours, and other processes.
        producer = KafkaProducer(
            **connect.client(settings), acks="all", enable_idempotence=True, max_block_ms=PATIENCE_MS
        )
        try:
            sent = producer.send(made.topic, made.value, key=made.key, headers=list(made.headers), partition=0)
            sent.get(timeout=PATIENCE_MS / 1000)
        finally:
            producer.close(timeout=PATIENCE_MS / 1000)


def acting_here(settings: Settings, what: str, key: str | None = None) -> None:
    """Tell, in the log alone, of what makes or signs something on this machine.

    It needs no broker, and changes nothing for anybody until it is published or mounted.
    """
    log.info("acting_here", what=what, **ourselves(settings, key).model_dump(exclude_none=True))


# --- who -----------------------------------------------------------------------------------------------------------


def ourselves(settings: Settings, key: str | None = None) -> Actor:
    """Whoever runs this process; `key` is whom the key stands for that they sign with."""
    return Actor(user=_user(), kafka_user=settings.sasl_username or settings.oauth_client_id, key=key)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container, where nobody has that number
        return f"uid {os.getuid()}"


def letter_ids(ids: Iterable[str]) -> tuple[str, ...]:
    """As many ids of dead letters as are told; what is none, as anybody may have written it, is left out."""
    ours = (one for one in ids if len(one) == _ID_DIGITS and not one.strip("0123456789abcdef"))
    return tuple(one for _, one in zip(range(MOST_LETTERS), ours, strict=False))


# --- what came of it -----------------------------------------------------------------------------------------------

_BY_EXIT = {
    Exit.DONE: Ended("done"),
    Exit.DIFFERENT: Ended("done", "differences"),
    Exit.UNREAD: Ended("done"),
    Exit.INTERRUPTED: Ended("failed", "interrupted"),
}


def end_of(error: BaseException) -> Ended:
    """How an act ended that ended so."""
    if isinstance(error, typer.Exit):
        return _BY_EXIT.get(Exit(error.exit_code), Ended("failed", "error"))
    if isinstance(error, KeyboardInterrupt):
        return Ended("failed", "interrupted")
    if isinstance(error, AccessRefusedError):
        return Ended("refused", "no_right")
    if isinstance(error, ReadingError):
        return Ended("failed", "brokers")
    is_refusal = isinstance(error, DliError) and error.is_refusal
    return Ended("refused", "conditions") if is_refusal else Ended("failed", "error")
