"""Who may see the dashboard: whoever is at this machine, or whoever knows the token.

Without a token it answers to this machine's own names alone, so that no other site's page can speak to it through an
operator's browser, by whatever name it got there. With one, nothing is answered to who does not show it: as
`Authorization: Bearer …`, or once in the form at `/login`, which leaves a cookie that is worthless once the token
changes.
"""

import asyncio
import hmac
from hashlib import sha256
from html import escape
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "dli_dashboard"
SHORTEST = 16
"""Characters of a token at least."""
LARGEST_FORM = 10_000
WRONG_TOKEN_SECONDS = 1.0
"""What a wrong token costs who guesses."""
KEPT_SECONDS = 12 * 3600
"""How long a browser stays let in."""


class UnguardedError(Exception):
    """The dashboard would answer to anybody; the message says what to do."""


def check(host: str, token: str | None) -> None:
    """See that the dashboard is guarded where others can reach it.

    Raises:
        UnguardedError: It is not, or by a token that is too short.
    """
    if token is not None and len(token) < SHORTEST:
        raise UnguardedError(
            f"DLI_DASHBOARD_TOKEN: shorter than {SHORTEST} characters; make one that cannot be guessed"
        )
    if token is None and not is_loopback(host):
        raise UnguardedError(
            f"{host}: others can reach the dashboard there, so it needs a token: set DLI_DASHBOARD_TOKEN, or leave "
            "--host at 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether a name is this machine's own, for itself alone."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Stands before everything that the dashboard answers, web sockets too."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token
        self._cookie = None if token is None else hmac.new(token.encode(), b"dli dashboard, let in", sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the dashboard answer."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope, receive)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        """What is answered instead; None where the dashboard may."""
        headers = Headers(scope=scope)
        if not (_is_host(headers.get("host", "")) and _is_origin(headers.get("origin"))):
            return PlainTextResponse("the header Host or Origin is none", 400)
        if not _same_site(headers):
            return PlainTextResponse("asked by another site's page", 403)
        if self._token is None:
            known = is_loopback(_host(headers.get("host", "")))
            return None if known else PlainTextResponse("not known by this name; use 127.0.0.1", 403)
        if scope["type"] == "http" and scope["path"] == "/login":
            return await self._login(Request(scope, receive))
        if self._let_in(headers):
            return None
        wants_page = "text/html" in headers.get("accept", "")
        return RedirectResponse("/login", 303) if wants_page else PlainTextResponse("a token is needed", 401)

    def _let_in(self, headers: Headers) -> bool:
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(shown.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), (self._cookie or "").encode())

    def _is_token(self, shown: str) -> bool:
        return self._token is not None and hmac.compare_digest(shown.encode(), self._token.encode())

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return _form()
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_FORM:
                return PlainTextResponse("too large", 413)
        shown = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if not self._is_token(shown.strip()):
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            return _form("That is not the token.")
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, self._cookie or "", max_age=KEPT_SECONDS, httponly=True, samesite="strict", secure=secure
        )
        return answer


def _same_site(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _is_host(header: str) -> bool:
    """Whether a header is a host with or without a port, and nothing more."""
    try:
        parts = urlsplit(f"//{header}")
        return bool(parts.hostname) and parts.port != 0 and parts.netloc == header and "@" not in header
    except ValueError:
        return False


def _is_origin(header: str | None) -> bool:
    if header is None or header == "null":
        return True
    try:
        return _is_host(urlsplit(header).netloc)
    except ValueError:
        return False


def _host(header: str) -> str:
    return urlsplit(f"//{header}").hostname or ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return sending


HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def _form(wrong: str = "") -> HTMLResponse:
    told = f'<p role="alert">{escape(wrong)}</p>' if wrong else ""
    return HTMLResponse(FORM.format(told=told), 401 if wrong else 200, headers={"cache-control": "no-store"})


FORM = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dli dashboard</title>
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
  body {{ max-width: 24rem; margin: 15vh auto; padding: 0 1rem; }}
  input, button {{ font: inherit; width: 100%; padding: .6rem; margin-top: .5rem; box-sizing: border-box; }}
</style>
<main>
<h1>dli dashboard</h1>
{told}
<form method="post" action="/login">
  <label for="token">Token (DLI_DASHBOARD_TOKEN)</label>
  <input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
  <button>Open</button>
</form>
</main>
</html>
"""
