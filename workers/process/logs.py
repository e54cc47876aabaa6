"""Logging: structlog events as JSON lines on standard error, including Faust's; never personal data.

Request ids may identify a person, so they are logged as keyed hashes, equal in all workers of a deployment: an operator
with an id can find its lines, but a hash does not reveal the id.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from hashlib import blake2b
from time import monotonic
from typing import Any, Literal, TextIO

import structlog
from pydantic import BaseModel, SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from workers.console.printable import printable

LogFormat = Literal["json", "console"]


class Hasher:
    """Hashes request ids under a deployment's key."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value().encode()[:64]

    def __call__(self, request_id: str | None) -> str | None:
        """Sixteen hexadecimal digits for the id, or None."""
        if request_id is None:
            return None
        return blake2b(request_id.encode(), key=self._key, digest_size=8).hexdigest()


def frames(error: BaseException) -> list[str]:
    """An exception's source lines, without its message."""
    found: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        found.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return found


def hide_models(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Log models only by class name, in case one is logged by mistake."""
    return {name: _hidden(value) for name, value in event.items()}


def _hidden(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return type(value).__name__
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value


_OTHERS = ("aiokafka", "kafka", "faust", "mode")
"""Loggers of the Kafka client libraries."""
_SAFE_MESSAGES = ("kafka.errors", "aiokafka.errors")
"""Modules of infrastructure errors, whose messages only name brokers; others' messages may contain data."""


def bare_exceptions(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Log an exception by type and source lines; its message only if it cannot be personal."""
    found = event.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else sys.exc_info()[1] if found is True else found
    if isinstance(error, BaseException):
        event["exception"] = list(_chain(error))
    return event


def _chain(error: BaseException | None) -> Iterator[str]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        where = " > ".join(frames(error))
        message = f": {error}" if _has_safe_message(error) else ""
        yield f"{type(error).__module__}.{type(error).__qualname__}{message} at {where}"
        error = error.__cause__ or error.__context__


def _has_safe_message(error: BaseException) -> bool:
    return isinstance(error, OSError) or type(error).__module__ in _SAFE_MESSAGES


def _escaped(_logger: WrappedLogger, _method: str, line: Any) -> str:
    return printable(line, "\n")


class Sparing(logging.Filter):
    """Limits repeated log lines of libraries, which report an unavailable broker ten times a second.

    Suppressed lines are counted in the next one, as `repeated`.
    """

    def __init__(self, loggers: tuple[str, ...], every_s: float = 10.0, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._loggers = loggers
        self._every = every_s
        self._clock = clock
        self._lines: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record."""
        if not record.name.startswith(self._loggers):
            return True
        line, now = (record.pathname, record.lineno), self._clock()
        since, repeated = self._lines.get(line, (-self._every, 0))
        if now - since < self._every:
            self._lines[line] = since, repeated + 1
            return False
        self._lines[line] = now, 0
        if repeated:
            record.repeated = repeated
        return True


def configure(level: str = "INFO", form: LogFormat = "json", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's logs to `stream`, standard error by default."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_models,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            bare_exceptions,
            renderer,
            _escaped,
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(Sparing(_OTHERS))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # They log every service start and rebalance at INFO; operators need only their warnings.
    for noisy in _OTHERS:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
