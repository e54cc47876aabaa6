"""Logs: structlog events as JSON lines on standard error, Faust's own included; never a person's data.

A request id is the platform's, and may lead to a person: it is logged as a keyed hash, the same in every worker of a
deployment, so that an operator who has the id can find its lines and nobody can go the other way.
"""

import logging
import sys
from hashlib import blake2b
from typing import Any, Literal, TextIO

import structlog
from pydantic import BaseModel, SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

LogFormat = Literal["json", "console"]


class Hasher:
    """Hashes request ids under a deployment's key."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value().encode()[:64]

    def __call__(self, request_id: str | None) -> str | None:
        """Sixteen hexadecimal digits for the id; None for none."""
        if request_id is None:
            return None
        return blake2b(request_id.encode(), key=self._key, digest_size=8).hexdigest()


def hide_models(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Whatever model somebody logs by mistake shows its name and nothing it holds."""
    return {name: _hidden(value) for name, value in event.items()}


def _hidden(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return type(value).__name__
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value


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
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # aiokafka prints member and topic lists at INFO on every rebalance; its warnings are what an operator needs.
    for noisy in ("aiokafka", "kafka"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
