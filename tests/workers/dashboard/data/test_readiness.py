"""Workers are asked for themselves; only one that says so is ready."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from workers.configuration.settings import read
from workers.dashboard.data.poller import Watch
from workers.dashboard.data.readiness import Readiness, WorkerReadiness, readiness_of
from workers.kafka.lag import Member


@contextmanager
def answering(status: int, content: bytes) -> Iterator[str]:
    """A server that gives one answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def told(**checks: bool) -> bytes:
    return json.dumps(checks).encode()


@pytest.mark.parametrize(
    ("status", "content", "ready", "failing"),
    [
        (200, told(ready=True, broker=True), True, ()),
        (503, told(ready=False, broker=False, policies=True, unheld=False), False, ("broker", "unheld")),
        (200, b"<html>", None, ()),
        (200, b"[]", None, ()),
        (404, b"", None, ()),
        (302, told(ready=True), None, ()),
        (503, b"", None, ()),
    ],
)
def test_what_a_worker_says(status: int, content: bytes, ready: bool | None, failing: tuple[str, ...]) -> None:
    with answering(status, content) as url:
        found = readiness_of(url, lambda: 7.0)

    assert (found.ready, found.failing, found.at) == (ready, failing, 7.0)


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1", "http://[", "file:///etc/passwd"])
def test_a_worker_that_does_not_answer_is_not_known_to_be_ready(url: str | None) -> None:
    assert readiness_of(url).ready is None


def test_every_member_is_asked_and_those_that_left_are_forgotten() -> None:
    asked = {"http://a": Readiness(ready=True), "http://b": Readiness(ready=False, failing=("broker",))}
    a, b = (Member(f"member-{name}", "member", "/10.0.0.7", (), f"http://{name}") for name in "ab")
    found = WorkerReadiness(Watch(read(bootstrap="127.0.0.1:1")), lambda url: asked[url or ""])
    with ThreadPoolExecutor(2) as pool:
        found.look([a, b], pool)
        both = found.known
        found.look([b], pool)

    assert both == {"member-a": asked["http://a"], "member-b": asked["http://b"]}
    assert found.known == {"member-b": asked["http://b"]}
