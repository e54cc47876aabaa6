"""Logs: JSON lines, and nothing of a person in them."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from kafka.errors import KafkaConnectionError

from events.decode import decode
from tests.support import generator
from workers.process import logs

MARKED = "MEMBER-MARKED-PERSONAL"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    made = io.StringIO()
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    logs.configure(level="INFO", stream=made)
    yield made
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)
    structlog.reset_defaults()


def written(stream: io.StringIO) -> list[Any]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_its_bound_context(stream: io.StringIO) -> None:
    structlog.get_logger("here").bind(partition=3).info("taken", offset=7)

    [line] = written(stream)
    assert (line["event"], line["partition"], line["offset"], line["level"], line["logger"]) == (
        "taken",
        3,
        7,
        "info",
        "here",
    )
    assert line["timestamp"].endswith("Z")


def test_the_standard_librarys_logs_have_the_same_form(stream: io.StringIO) -> None:
    logging.getLogger("some.library").warning("disk at %d%%", 91)

    assert [(line["event"], line["level"]) for line in written(stream)] == [("disk at 91%", "warning")]


def test_a_model_or_bytes_logged_by_mistake_show_nothing(stream: io.StringIO) -> None:
    request = generator.request(1, 1)
    request["member"]["member_id"] = MARKED
    raw = json.dumps(request).encode()
    received = decode(raw, bare_allowed=True)

    structlog.get_logger("here").info("oops", request=received.request, raw=raw, received=str(received.request))
    logging.getLogger("there").warning("oops %s %r", received.request, received)

    assert MARKED not in stream.getvalue()
    assert [line.get("request") for line in written(stream)] == ["AuthorizationRequest", None]


def test_an_exception_shows_its_place_and_kind_and_no_message(stream: io.StringIO) -> None:
    """An exception shows where it occurred and of what kind it is, and never its message."""

    def choke() -> None:
        raise KeyError(MARKED)

    def repeat() -> None:
        try:
            choke()
        except KeyError as error:
            raise ValueError(f"cannot use {MARKED}") from error

    try:
        repeat()
    except ValueError:
        logging.getLogger("there").exception("failed")
        structlog.get_logger("here").exception("failed")

    assert MARKED not in stream.getvalue()
    for line in written(stream):
        outer, inner = line["exception"]
        assert outer.startswith("builtins.ValueError at test_logs.py:")
        assert inner.startswith("builtins.KeyError at test_logs.py:")


def test_an_infrastructure_error_keeps_its_message(stream: io.StringIO) -> None:
    def connect() -> None:
        raise KafkaConnectionError("no broker at 127.0.0.1:1")

    try:
        connect()
    except KafkaConnectionError:
        structlog.get_logger("here").exception("failed")

    assert "no broker at 127.0.0.1:1" in written(stream)[0]["exception"][0]


def test_repeated_client_messages_are_logged_once_in_a_while(stream: io.StringIO) -> None:
    """What a broker client says again and again is logged once in a while."""
    now = [0.0]
    handler = next(one for one in logging.getLogger().handlers if any(isinstance(f, logs.Sparing) for f in one.filters))
    handler.filters[:] = [logs.Sparing(("aiokafka",), every_s=10, clock=lambda: now[0])]

    for second in range(25):
        now[0] = float(second)
        logging.getLogger("aiokafka.client").error("broker %d is away", 1)
    logging.getLogger("aiokafka.client").error("another line")
    for _ in range(3):
        logging.getLogger("ours").error("always said")

    assert [(line["event"], line.get("repeated")) for line in written(stream)] == [
        ("broker 1 is away", None),
        ("broker 1 is away", 9),
        ("broker 1 is away", 9),
        ("another line", None),
        *[("always said", None)] * 3,
    ]
