"""Who sees the dashboard: nobody from elsewhere without a token, and no other site's page."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, MutableMapping
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from structlog.testing import capture_logs

from tests.support.commands import dli
from tests.support.guarded_dashboard import ACT, BOTH, TOKEN, WRONG, client, guarded
from workers.dashboard.sign_in.guard import COOKIE
from workers.dashboard.sign_in.roles import Tokens, UnguardedError, check
from workers.dashboard.sign_in.sessions import Sessions

Way = Callable[[TestClient, str], Any]


@pytest.fixture
def told() -> Iterator[list[MutableMapping[str, Any]]]:
    """The lines that are logged."""
    with capture_logs() as lines:
        yield lines


class Clock:
    """Goes as it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.org", "", "localhost.example.org"])  # noqa: S104
def test_where_others_can_reach_it_a_token_is_needed(host: str) -> None:
    with pytest.raises(UnguardedError, match="DLI_DASHBOARD_TOKEN"):
        check(host, Tokens(), allow_redrive=False)
    check(host, Tokens(TOKEN), allow_redrive=False)
    check(host, BOTH, allow_redrive=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_this_machine_alone_none_is_needed(host: str) -> None:
    try:
        check(host, Tokens(), allow_redrive=True)
    except UnguardedError as error:
        pytest.fail(str(error))


@pytest.mark.parametrize(("tokens", "sentence"), [
    (Tokens("short"), "DLI_DASHBOARD_TOKEN: shorter than 16 characters"), (Tokens(""), "DLI_DASHBOARD_TOKEN: shorter"),
    (Tokens(TOKEN, "short"), "DLI_DASHBOARD_ACT_TOKEN: shorter"), (Tokens(TOKEN, TOKEN), "are the same"),
    (Tokens(TOKEN), "set DLI_DASHBOARD_ACT_TOKEN"),
])  # fmt: skip
def test_tokens_that_guard_nothing_are_told(tokens: Tokens, sentence: str) -> None:
    with pytest.raises(UnguardedError, match=sentence):
        check("127.0.0.1", tokens, allow_redrive=True)


def test_the_command_refuses_to_listen_to_all_without_a_token() -> None:
    ran = dli("dashboard", "--host", "0.0.0.0", "--bootstrap", "127.0.0.1:1")  # noqa: S104 (what it must refuse)

    assert (ran.code, "DLI_DASHBOARD_TOKEN" in ran.err, "Traceback" in ran.err) == (1, True, False), ran.err


@pytest.mark.parametrize("path", ["/", "/replays/a.html", "/nowhere", f"/?token={TOKEN}", f"/?access_token={ACT}"])
def test_nothing_is_answered_without_the_token(path: str) -> None:
    with client(BOTH, "10.0.0.7") as asking:
        assert asking.get(path).status_code == 401
        assert asking.get(path, headers={"authorization": f"Bearer {WRONG}"}).status_code == 401
        assert asking.get(path, headers={"authorization": "Bearer \xe9".encode("latin-1")}).status_code == 401
        assert asking.get(path, headers={"cookie": f"{COOKIE}=0123"}).status_code == 401
        assert asking.get(path, headers={"cookie": f"{COOKIE}={TOKEN}"}).status_code == 401


def test_a_token_opens_what_its_role_may_use() -> None:
    """A token opens what its role may use, and a browser without a token gets the login form."""
    with client(BOTH, "10.0.0.7") as asking:
        assert asking.get("/", headers={"accept": "text/html"}).headers["location"] == "/login"
        assert asking.get("/", headers={"authorization": f"Bearer {TOKEN}"}).text == "VIEW"
        assert asking.get("/", headers={"authorization": f"bearer {ACT}"}).text == "ACT"


def test_no_socket_is_opened_without_the_token() -> None:
    with client(BOTH, "10.0.0.7") as asking:
        with pytest.raises(WebSocketDisconnect) as refused, asking.websocket_connect("/_nicegui_ws/live"):
            pass
        headers = {"authorization": f"Bearer {TOKEN}"}
        with asking.websocket_connect("/_nicegui_ws/live", headers=headers) as socket:
            assert socket.receive_text() == "VIEW"

    assert refused.value.code == 1008


# --- sessions ---


def log_in(asking: TestClient, token: str) -> str:
    """Log in by the form; the session's id."""
    answer = asking.post("/login", data={"token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return SimpleCookie(answer.headers["set-cookie"])[COOKIE].value


def test_the_form_accepts_the_token_and_never_repeats_it() -> None:
    """The form lets in a visitor who knows the token and never repeats the token."""
    with client(BOTH, "10.0.0.7") as asking:
        wrong = asking.post("/login", data={"token": "wrong"})
        assert (wrong.status_code, "not the token" in wrong.text, COOKIE in wrong.cookies) == (401, True, False)
        right = asking.post("/login", data={"token": TOKEN})
        assert asking.get("/").text == "VIEW"
        too_large = asking.post("/login", content=b"token=" + b"x" * 20_000)

    assert (right.status_code, right.headers["location"], too_large.status_code) == (303, "/", 413)
    cookie = right.headers["set-cookie"].lower()
    assert ("httponly" in cookie, "samesite=strict" in cookie, "max-age=600" in cookie) == (True, True, True)
    assert TOKEN not in str(right.headers)


def test_each_login_is_a_session_with_its_own_role() -> None:
    """Each login is a session with a role of its own, and a new login ends the old session."""
    app = guarded(BOTH)
    with client(BOTH, app=app) as one, client(BOTH, app=app) as other:
        first, second = log_in(one, TOKEN), log_in(other, ACT)
        assert (one.get("/").text, other.get("/").text) == ("VIEW", "ACT")
        third = log_in(one, ACT)
        assert one.get("/").text == "ACT"
    with client(BOTH, app=app) as nobody:
        assert nobody.get("/", headers={"cookie": f"{COOKIE}={first}"}).status_code == 401
        assert nobody.get("/", headers={"cookie": f"{COOKIE}={second}"}).text == "ACT"
    assert len({first, second, third}) == 3


def test_logging_out_ends_the_session_and_no_other() -> None:
    """Logging out ends the session for everybody who has its cookie, and ends no other session."""
    app = guarded(BOTH)
    with client(BOTH, app=app) as one, client(BOTH, app=app) as other:
        copied = log_in(one, ACT)
        log_in(other, ACT)
        assert one.get("/logout").status_code == 405
        elsewhere = one.post("/logout", headers={"origin": "http://evil.example.org"})
        assert (elsewhere.status_code, one.get("/").text) == (403, "ACT")
        out = one.post("/logout")
        assert (out.status_code, out.headers["location"]) == (303, "/login")
        assert (one.get("/").status_code, other.get("/").text) == (401, "ACT")
    with client(BOTH, app=app) as thief:
        assert thief.get("/", headers={"cookie": f"{COOKIE}={copied}"}).status_code == 401


def test_a_session_ends_when_nobody_acts() -> None:
    """A session ends when nobody does anything, whatever its open pages request."""
    clock = Clock()
    app = guarded(BOTH, Sessions(60, 600, clock))
    with client(BOTH, app=app) as asking:
        log_in(asking, TOKEN)
        for _ in range(3):
            clock.now += 50
            assert asking.get("/").text == "VIEW"
        for _ in range(3):
            clock.now += 25
            asking.get("/_nicegui_ws/poll")
        assert asking.get("/").status_code == 401


def test_an_open_page_lasts_only_as_long_as_its_session() -> None:
    """An open page is cut off when its session ends and lasts while somebody acts."""
    clock = Clock()
    app = guarded(BOTH, Sessions(60, 600, clock))
    with client(BOTH, app=app) as asking:
        headers = {"cookie": f"{COOKIE}={log_in(asking, TOKEN)}"}
        with asking.websocket_connect("/_nicegui_ws/live", headers=headers) as socket:
            assert socket.receive_text() == "VIEW"
            for _ in range(3):
                clock.now += 50
                socket.send_text('42["event",{}]')
                assert socket.receive_text() == '42["event",{}]'
            clock.now += 50
            socket.send_text("3")  # that the page is still there
            assert socket.receive_text() == "3"
            clock.now += 50
            socket.send_text('42["event",{}]')
            with pytest.raises(WebSocketDisconnect) as cut:
                socket.receive_text()
        assert (cut.value.code, asking.get("/").status_code) == (1008, 401)


# --- what a wrong token costs ---


def _form(asking: TestClient, token: str) -> Any:
    return asking.post("/login", data={"token": token})


def _header(asking: TestClient, token: str) -> Any:
    return asking.get("/", headers={"authorization": f"Bearer {token}"})


def _cookie(asking: TestClient, token: str) -> Any:
    return asking.get("/", headers={"cookie": f"{COOKIE}={token.replace(' ', '')}"})


def _query(asking: TestClient, token: str) -> Any:
    return asking.get("/", params={"token": token})


WAYS: dict[str, Way] = {"form": _form, "header": _header, "cookie": _cookie, "query": _query}


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_token_costs_time_and_is_logged(way: str, told: list[MutableMapping[str, Any]]) -> None:
    """A wrong token costs time and leaves a line in the log, however it is presented."""
    with client(BOTH, "10.0.0.7", "10.0.0.66", guarded(BOTH, first_s=0.2)) as asking:
        begun = time.monotonic()
        assert [WAYS[way](asking, f"{WRONG} {number}").status_code for number in range(3)] == [401] * 3
        took = time.monotonic() - begun

    assert took >= 0.2 + 0.4 + 0.8
    assert [(one["event"], one["address"], one["shown"], one["wrong"]) for one in told] == [
        ("wrong_token", "10.0.0.66", way, number) for number in (1, 2, 3)
    ]
    assert "horse" not in json.dumps(told)


def test_who_owes_time_is_not_judged_and_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.dashboard.sign_in.guard.HELD_SECONDS", 0.0)
    app = guarded(BOTH, first_s=30.0)
    with client(BOTH, app=app) as insider:
        log_in(insider, TOKEN)
        assert _form(client(BOTH, app=app), WRONG).status_code == 401
        owing = client(BOTH, app=app)
        refused = _header(owing, TOKEN)
        again = _form(owing, TOKEN)
        assert (refused.status_code, again.status_code) == (429, 429)
        seconds = again.headers["retry-after"]
        assert 1 <= int(seconds) <= int(refused.headers["retry-after"]) <= 30
        assert f"Try again in {seconds} s" in again.text
        # Another address, a session from the same one, and the form itself are as before.
        assert _header(client(BOTH, address="10.0.0.10", app=app), ACT).text == "ACT"
        assert insider.get("/").text == "VIEW"
        assert owing.get("/login").status_code == 200


def test_guesses_side_by_side_are_no_faster(
    told: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.dashboard.sign_in.guard.HELD_SECONDS", 0.5)
    app = guarded(BOTH, first_s=60.0)  # however slow this machine is

    async def guess() -> tuple[list[int], float]:
        transport = httpx.ASGITransport(app=app, client=("10.0.0.66", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.7") as asking:
            begun = time.monotonic()
            headers = [{"authorization": f"Bearer {WRONG} {number}"} for number in range(200)]
            answers = await asyncio.gather(*(asking.get("/", headers=one) for one in headers))
            return [one.status_code for one in answers], time.monotonic() - begun

    statuses, took = asyncio.run(guess())

    assert sorted(statuses) == [401] + [429] * 199
    assert took >= 0.5
    assert len(told) == 1


def test_a_page_open_after_its_session_delays_and_logs_nothing(
    told: list[MutableMapping[str, Any]],
) -> None:
    """A page left open after its session neither delays a login nor fills the log."""
    clock = Clock()
    app = guarded(BOTH, Sessions(60, 600, clock), first_s=30.0)
    with client(BOTH, app=app) as asking:
        log_in(asking, TOKEN)
        clock.now += 61
        assert [asking.get("/_nicegui_ws/poll").status_code for _ in range(5)] == [401] * 5
        away = asking.get("/", headers={"accept": "text/html"})
        assert (away.status_code, f'{COOKIE}=""' in away.headers["set-cookie"]) == (303, True)
        log_in(asking, TOKEN)
        assert asking.get("/").text == "VIEW"
    assert told == []


# --- other sites ---


def test_without_a_token_only_local_names_are_answered() -> None:
    """Without a token only this machine's own names are answered."""
    with client(Tokens()) as asking:
        assert asking.get("/").text == "ACT"
        for host in ("rebound.example.org", "127.1", "0.0.0.0", "2130706433"):  # noqa: S104 (a header)
            assert asking.get("/", headers={"host": host}).status_code == 403
    with client(Tokens(), "localhost:8080") as asking:
        assert asking.get("/").status_code == 200


@pytest.mark.parametrize("tokens", [Tokens(), BOTH])
def test_another_sites_page_gets_nothing(tokens: Tokens) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "origin": "http://evil.example.org"}
    with client(tokens) as asking:
        assert asking.get("/", headers=headers).status_code == 403
        with pytest.raises(WebSocketDisconnect), asking.websocket_connect("/_nicegui_ws/live", headers=headers):
            pass
        same = headers | {"origin": "http://127.0.0.1:8080"}
        assert asking.get("/", headers=same).status_code == 200


@pytest.mark.parametrize(("site", "mode", "status"), [
    ("cross-site", "no-cors", 403), ("cross-site", "cors", 403), ("same-site", "no-cors", 403),
    ("cross-site", "navigate", 200), ("same-origin", "cors", 200), ("none", "navigate", 200),
])  # fmt: skip
def test_another_site_may_link_to_us_but_include_no_script(site: str, mode: str, status: int) -> None:
    """A page of another site may link to us but cannot include a script of ours."""
    with client(Tokens()) as asking:
        headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
        assert asking.get("/", headers=headers).status_code == status


@pytest.mark.parametrize("tokens", [Tokens(), BOTH])
@pytest.mark.parametrize("header", [
    {"host": "[::1"}, {"host": "127.0.0.1:x"}, {"host": "a@127.0.0.1"}, {"host": "127.0.0.1:99999"}, {"host": ""},
    {"origin": "http://["}, {"origin": "http://127.0.0.1:x"}, {"origin": "http://[::1"},
])  # fmt: skip
def test_a_host_or_an_origin_that_is_none_is_told(tokens: Tokens, header: dict[str, str]) -> None:
    with client(tokens) as asking:
        assert asking.get("/", headers={"authorization": f"Bearer {TOKEN}"} | header).status_code == 400


def test_no_page_can_be_framed() -> None:
    with client(Tokens()) as asking:
        assert asking.get("/").headers["x-frame-options"] == "DENY"
