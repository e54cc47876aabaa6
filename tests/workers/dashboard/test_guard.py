"""Who sees the dashboard: nobody from elsewhere without the token, and no other site's page."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.workers.commands import dli
from workers.dashboard import guard
from workers.dashboard.guard import COOKIE, Guard, UnguardedError, check, is_loopback

TOKEN = "correct horse battery"  # noqa: S105 (of tests)


async def _page(_request: Request) -> Response:
    return PlainTextResponse("the dashboard")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("live")
    await socket.close()


def client(token: str | None, host: str = "127.0.0.1:8080") -> TestClient:
    app = Starlette(routes=[Route("/", _page), Route("/replays/a.html", _page), WebSocketRoute("/live", _socket)])
    return TestClient(Guard(app, token), base_url=f"http://{host}", follow_redirects=False)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "WRONG_TOKEN_SECONDS", 0.0)


@pytest.mark.parametrize(("host", "own"), [
    ("127.0.0.1", True), ("127.8.8.8", True), ("localhost", True), ("::1", True), ("[::1]", True),
    ("0.0.0.0", False),  # noqa: S104 (compared, not bound)
    ("::", False), ("10.0.0.7", False), ("example.org", False), ("", False),
    ("localhost.example.org", False), ("127.0.0.1.example.org", False),
])  # fmt: skip
def test_what_is_this_machines_own(host: str, own: bool) -> None:
    assert is_loopback(host) == own
    if not own:
        with pytest.raises(UnguardedError, match="DLI_DASHBOARD_TOKEN"):
            check(host, None)
        check(host, TOKEN)


def test_a_short_token_is_none() -> None:
    with pytest.raises(UnguardedError, match="16 characters"):
        check("127.0.0.1", "short")


def test_the_command_refuses_to_listen_to_all_without_a_token() -> None:
    ran = dli("dashboard", "--host", "0.0.0.0", "--bootstrap", "127.0.0.1:1")  # noqa: S104 (what it must refuse)

    assert (ran.code, "DLI_DASHBOARD_TOKEN" in ran.err, "Traceback" in ran.err) == (1, True, False), ran.err


@pytest.mark.parametrize("path", ["/", "/replays/a.html", "/nowhere"])
def test_nothing_is_answered_without_the_token(path: str) -> None:
    with client(TOKEN, "10.0.0.7") as asking:
        assert asking.get(path).status_code == 401
        assert asking.get(path, headers={"authorization": "Bearer wrong horse battery"}).status_code == 401
        assert asking.get(path, headers={"cookie": f"{COOKIE}=0123"}).status_code == 401
        assert asking.get(path, headers={"cookie": f"{COOKIE}={TOKEN}"}).status_code == 401
        assert asking.get(path, headers={"accept": "text/html"}).headers["location"] == "/login"
        assert asking.get("/", headers={"authorization": f"Bearer {TOKEN}"}).text == "the dashboard"


def test_no_socket_is_opened_without_the_token() -> None:
    with client(TOKEN, "10.0.0.7") as asking:
        with pytest.raises(WebSocketDisconnect) as refused, asking.websocket_connect("/live"):
            pass
        headers = {"authorization": f"Bearer {TOKEN}"}
        with asking.websocket_connect("/live", headers=headers) as socket:
            assert socket.receive_text() == "live"

    assert refused.value.code == 1008


def test_the_form_lets_in_who_knows_the_token_and_never_repeats_it() -> None:
    with client(TOKEN, "10.0.0.7") as asking:
        wrong = asking.post("/login", data={"token": "wrong"})
        assert (wrong.status_code, "not the token" in wrong.text, COOKIE in wrong.cookies) == (401, True, False)
        right = asking.post("/login", data={"token": TOKEN})
        assert asking.get("/").text == "the dashboard"
        too_large = asking.post("/login", content=b"token=" + b"x" * 20_000)

    assert (right.status_code, right.headers["location"], too_large.status_code) == (303, "/", 413)
    cookie = right.headers["set-cookie"].lower()
    assert ("httponly" in cookie, "samesite=strict" in cookie) == (True, True)
    assert TOKEN not in str(right.headers)


def test_without_a_token_only_this_machines_own_names_are_answered() -> None:
    with client(None) as asking:
        assert asking.get("/").text == "the dashboard"
        assert asking.get("/", headers={"host": "rebound.example.org"}).status_code == 403
    with client(None, "localhost:8080") as asking:
        assert asking.get("/").status_code == 200


@pytest.mark.parametrize("token", [None, TOKEN])
def test_another_sites_page_gets_nothing(token: str | None) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "origin": "http://evil.example.org"}
    with client(token) as asking:
        assert asking.get("/", headers=headers).status_code == 403
        with pytest.raises(WebSocketDisconnect), asking.websocket_connect("/live", headers=headers):
            pass
        same = headers | {"origin": "http://127.0.0.1:8080"}
        assert asking.get("/", headers=same).status_code == 200


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("header", [
    {"host": "[::1"}, {"host": "127.0.0.1:x"}, {"host": "a@127.0.0.1"}, {"host": "127.0.0.1:99999"}, {"host": ""},
    {"origin": "http://["}, {"origin": "http://127.0.0.1:x"}, {"origin": "http://[::1"},
])  # fmt: skip
def test_a_host_or_an_origin_that_is_none_is_told(token: str | None, header: dict[str, str]) -> None:
    with client(token) as asking:
        assert asking.get("/", headers={"authorization": f"Bearer {TOKEN}"} | header).status_code == 400


def test_no_page_can_be_framed() -> None:
    with client(None) as asking:
        assert asking.get("/").headers["x-frame-options"] == "DENY"
