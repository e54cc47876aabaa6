"""The door over real HTTP, where no broker is needed: who is let in, and what is too large, too slow or unknown."""

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import structlog
from aiohttp import web
from prometheus_client import REGISTRY

from tests.support.gateways import PARTS, QUESTIONNAIRE, TOKEN, Answer, call_port, settings_of
from workers.dev_brokers import LOOPBACK
from workers.gateway.api import entrance
from workers.gateway.api.application import interface
from workers.gateway.api.messages_api import MessagesApi
from workers.gateway.exchange import Exchange
from workers.gateway.messages import pas, x12
from workers.gateway.server import door_of

LARGEST = 5_000
SUBMIT = "/fhir/Claim/$submit"
MARK = "Marked-Person-77"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """An interface whose Kafka is away: what passes its door is refused with 503."""
    found = settings_of("127.0.0.1:1", "", tmp_path)
    ports: list[int] = []
    begun, over = Event(), Event()

    async def serve() -> None:
        formats = pas(PARTS.pas), x12(PARTS.x12)
        routes = MessagesApi(Exchange(found, formats), *formats).routes()
        app = interface(
            door_of(found, ssl.create_default_context), routes, PARTS.questionnaires, "http://x/fhir", LARGEST
        )
        runner = web.AppRunner(app, access_log=None, auto_decompress=False, lingering_time=0.1)
        await runner.setup()
        listening = socket.create_server((LOOPBACK, 0))
        await web.SockSite(runner, listening).start()
        ports.append(listening.getsockname()[1])
        begun.set()
        while not over.is_set():  # noqa: ASYNC110 (the event is a thread's)
            await asyncio.sleep(0.02)
        await runner.cleanup()

    thread = Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert begun.wait(30)
    yield ports[0]
    over.set()
    thread.join(30)


def said(answer: Answer) -> tuple[int, str]:
    """The status and the issue of an OperationOutcome, which repeats nothing of what was asked."""
    assert MARK not in answer.body.decode()
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert answer.json["resourceType"] == "OperationOutcome"
    return answer.status, answer.json["issue"][0]["code"]


@pytest.mark.parametrize("path", [SUBMIT, "/fhir/Claim/$inquire"])
def test_without_a_token_nothing_is_read(port: int, path: str) -> None:
    answer = call_port(port, "POST", path, b"{}", token=None)

    assert said(answer) == (401, "login")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert said(call_port(port, "POST", path, b"{}", token="wrong")) == (401, "login")  # noqa: S106 (it is none)
    assert said(call_port(port, "POST", path, b"{}")) == (503, "transient")


def test_x12_is_refused_in_plain_text(port: int) -> None:
    answer = call_port(port, "POST", "/x12/278", b"ISA", kind="text/plain", token=None)

    assert answer.status == 401
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "application/fhir+xml"}, 415, "not-supported"),
        ({"Content-Type": "text/plain"}, 415, "not-supported"),
        ({"Content-Encoding": "gzip"}, 415, "not-supported"),
        ({"Accept": "application/fhir+xml"}, 406, "not-supported"),
        ({"Accept": "text/html, application/fhir+json;q=0.5"}, 503, "transient"),
        ({"Content-Type": "application/json; charset=utf-8"}, 503, "transient"),
    ],
)
def test_only_json_is_spoken(port: int, headers: dict[str, str], status: int, code: str) -> None:
    assert said(call_port(port, "POST", SUBMIT, b"{}", headers=headers)) == (status, code)


def test_a_body_has_its_limit(port: int) -> None:
    """Declared or not."""
    assert said(call_port(port, "POST", SUBMIT, b"{" + b" " * LARGEST)) == (413, "too-long")
    chunked = {"Transfer-Encoding": "chunked"}
    piece = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    assert said(call_port(port, "POST", SUBMIT, piece * 2 + b"0\r\n\r\n", headers=chunked)) == (413, "too-long")
    assert said(call_port(port, "POST", SUBMIT, b"{}" + b" " * (LARGEST - 2))) == (503, "transient")


@pytest.mark.parametrize("body", [b"", b" \r\n "])
def test_an_empty_body_is_refused(port: int, body: bytes) -> None:
    assert said(call_port(port, "POST", SUBMIT, body)) == (400, "structure")


def test_a_slow_body_is_not_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "BODY_SECONDS", 0.1)
    with socket.create_connection((LOOPBACK, port), timeout=30) as line:
        line.sendall(
            f"POST {SUBMIT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
        )
        answer = b""
        while part := line.recv(4096):
            answer += part

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in answer


def test_headers_have_their_limit(port: int) -> None:
    assert call_port(port, "GET", "/fhir/metadata", headers={"X-Long": "x" * 20_000}).status == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", SUBMIT, 405, "not-supported"),
        ("GET", f"/fhir/Patient/{MARK}", 404, "not-found"),
        ("GET", f"/fhir/Questionnaire/{MARK}", 404, "not-found"),
        ("GET", f"/fhir/Questionnaire?name={MARK}", 400, "structure"),
        ("GET", "/fhir/metadata?_format=xml", 406, "not-supported"),
    ],
)
def test_what_is_not_there_is_said(port: int, method: str, path: str, status: int, code: str) -> None:
    assert said(call_port(port, method, path)) == (status, code)


def test_everybody_may_read_what_the_server_does(port: int) -> None:
    statement = call_port(port, "GET", "/fhir/metadata", token=None).json

    assert (statement["resourceType"], statement["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
    claim, subscription, _ = statement["rest"][0]["resource"]
    assert [one["name"] for one in claim["operation"]] == ["submit", "inquire"]
    assert [one["code"] for one in subscription["interaction"]] == ["create", "read", "update", "delete"]


def test_a_questionnaire_is_read_and_found(port: int) -> None:
    def found(url: str) -> Any:
        return [one["resource"] for one in call_port(port, "GET", f"/fhir/Questionnaire?url={url}").json["entry"]]

    assert call_port(port, "GET", "/fhir/Questionnaire/L.1").json == QUESTIONNAIRE
    assert found(QUESTIONNAIRE["url"]) == found(f"{QUESTIONNAIRE['url']}%7C1") == [QUESTIONNAIRE]
    assert found(f"{QUESTIONNAIRE['url']}%7C2") == found("https://elsewhere.example") == []


def test_no_log_or_metric_repeats_what_was_asked(port: int) -> None:
    """Neither path nor body nor token: operations and statuses only."""
    with structlog.testing.capture_logs() as logs:
        call_port(port, "GET", f"/fhir/Patient/{MARK}")
        call_port(port, "GET", f"/fhir/Questionnaire/{MARK}")
        call_port(port, "POST", SUBMIT, json.dumps({"name": MARK}).encode(), token=MARK)

    assert [one["event"] for one in logs] == ["not_let_in"]
    assert MARK not in str(logs)
    labels = [sample.labels for family in REGISTRY.collect() for sample in family.samples if "gateway" in sample.name]
    assert {"operation": "questionnaire-read", "status": "404"} in labels
    assert MARK not in str(labels)
