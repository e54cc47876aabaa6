"""The dashboard's access check.

Without a configured token it responds only to loopback host names, so that no other site's page can reach it through an
operator's browser. With one, it requires the token as `Authorization: Bearer …` or from the form at `/login`, which
starts a session. Wrong tokens delay their address (`wrong_token_delay.py`) and are logged without the token. Logins and
logouts are recorded (`record_sign_ins.py`).
"""

import asyncio
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workers.dashboard.sign_in.form import form
from workers.dashboard.sign_in.record_sign_ins import Records
from workers.dashboard.sign_in.roles import VISITOR, Role, Tokens, Visitor
from workers.dashboard.sign_in.sessions import Sessions
from workers.dashboard.sign_in.wrong_token_delay import FIRST_SECONDS, HELD_SECONDS, Toll
from workers.kafka.errors import ClusterError
from workers.monitoring.host_header import host_of, is_loopback

log = structlog.get_logger(__name__)

COOKIE = "dli_dashboard"
LARGEST_FORM = 10_000
LONGEST_ADDRESS = 64
"""Maximum length of an address in a log: a proxy may send anything."""
SOCKET = "/_nicegui_ws/"
"""The path of open pages' connections, active without user interaction."""
EVENT = '42["event"'
"""The prefix of messages caused by a user."""
IN_ADDRESSES = ("token", "access_token")
"""Query parameters that look like tokens, which are never accepted there."""
UNRECORDED = "Who logs in is recorded, and the brokers do not take that now. The dashboard's log says why; try again."
ADDRESSES = "a token in an address is not taken, for addresses are kept in histories and logs"


class Guard:
    """The middleware before all of the dashboard, including web sockets."""

    def __init__(
        self, app: ASGIApp, tokens: Tokens, sessions: Sessions, records: Records, *, first_s: float = FIRST_SECONDS
    ) -> None:
        self._app = app
        self._records = records
        self._tokens = tokens
        self._sessions = sessions
        self._toll = Toll(first_s)
        # Separate: open pages send expired cookies, which must not delay a login.
        self._cookies_toll = Toll(first_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond, or pass the request on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        found = await self._judged(scope, receive)
        if isinstance(found, Visitor):
            scope[VISITOR] = found
            line = _Line(found, receive, send)
            await self._app(scope, line.receive, line.send)
        elif scope["type"] == "http":
            await found(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _judged(self, scope: Scope, receive: Receive) -> Visitor | Response:
        """The visitor, or the response instead."""
        headers = Headers(scope=scope)
        host = host_of(headers.get("host", ""))
        if host is None or not _is_origin(headers.get("origin")):
            return PlainTextResponse("the header Host or Origin is none", 400)
        if not _same_site(headers):
            return PlainTextResponse("asked by another site's page", 403)
        if not self._tokens:
            own = is_loopback(host)
            return Visitor(Role.ACT) if own else PlainTextResponse("not known by this name; use 127.0.0.1", 403)
        if scope["type"] == "http" and scope["path"] in {"/login", "/logout"}:
            request = Request(scope, receive)
            return await self._login(request) if scope["path"] == "/login" else self._logout(request)
        return await self._known(scope, headers)

    async def _known(self, scope: Scope, headers: Headers) -> Visitor | Response:
        """The visitor by the request's session or token."""
        cookie = _cookie(headers)
        session = self._sessions.find(cookie) if cookie else None
        if session is not None:
            if not scope["path"].startswith(SOCKET):
                session.use()
            return Visitor(Role(session.role), session)
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return await self._visitor_by(scope, "header", bearer.strip().encode("latin-1").decode("utf-8", "replace"))
        if parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).keys() & set(IN_ADDRESSES):
            return await self._wrong(scope, self._toll, "query", ADDRESSES)
        if "text/html" in headers.get("accept", ""):
            away: Response = RedirectResponse("/login", 303)
            if cookie:
                away.delete_cookie(COOKIE, httponly=True, samesite="strict")
        else:
            away = PlainTextResponse("a token is needed", 401)
        if cookie and not self._sessions.was(cookie):
            refused = await self._wrong(scope, self._cookies_toll, "cookie", "a token is needed")
            return away if away.status_code == 303 else refused  # noqa: PLR2004 (redirect to the form)
        return away

    async def _visitor_by(self, scope: Scope, how: str, token: str) -> Visitor | Response:
        """The role of a token, if its address may be checked now."""
        owed = self._toll.owes(_address(scope))
        if owed:
            return _later(owed)
        role = self._tokens.role_of(token)
        return Visitor(role) if role is not None else await self._wrong(scope, self._toll, how, "a token is needed")

    async def _wrong(self, scope: Scope, toll: Toll, how: str, sentence: str) -> Response:
        """The response to a wrong token, after the delay."""
        address = _address(scope)
        owed = toll.owes(address)
        if owed:
            return _later(owed)
        paid = toll.wrong(address)
        if toll is self._toll:  # a cookie from before a restart is not a guess
            self._records.wrong_token(address)
        log.warning("wrong_token", address=address[:LONGEST_ADDRESS], shown=how, **paid._asdict())
        await asyncio.sleep(min(paid.seconds, HELD_SECONDS))
        return PlainTextResponse(sentence, 401)

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return form()
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_FORM:
                return PlainTextResponse("too large", 413)
        token = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        found = await self._visitor_by(request.scope, "form", token)
        if isinstance(found, Response):
            return _form_of(found)
        begun = self._sessions.begin(found.role)
        try:
            await asyncio.to_thread(self._records.login, Visitor(found.role, self._sessions.find(begun)))
        except ClusterError as error:
            self._sessions.end(begun)
            log.warning("login_not_recorded", role=found.role.name, detail=str(error))
            return form(UNRECORDED, 503)
        self._sessions.end(_cookie(request.headers))
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            begun,
            max_age=round(self._sessions.lasting_s),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    def _logout(self, request: Request) -> Response:
        if request.method != "POST":
            return PlainTextResponse("to log out is a POST", 405, {"allow": "POST"})
        cookie = _cookie(request.headers)
        session = self._sessions.find(cookie) if cookie else None
        self._sessions.end(cookie)
        if session is not None:
            self._records.logout(Visitor(Role(session.role), session))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer


class _Line:
    """Wraps a visitor's connection and stops it when access ends."""

    def __init__(self, visitor: Visitor, receive: Receive, send: Send) -> None:
        self._visitor = visitor
        self._receive = receive
        self._send = send
        self._cut = False

    async def receive(self) -> Message:
        """Receive from the visitor."""
        message = await self._receive()
        if message["type"] == "websocket.receive" and not self._visitor.stands():
            await self._cut_off("websocket.send")
            return {"type": "websocket.disconnect", "code": 1008}
        if self._visitor.session is not None and _is_event(message):
            self._visitor.session.use()
        return message

    async def send(self, message: Message) -> None:
        """Send to the visitor."""
        if self._cut:
            return
        if message["type"] in {"websocket.send", "http.response.start"} and not self._visitor.stands():
            await self._cut_off(message["type"])
            return
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await self._send(message)

    async def _cut_off(self, kind: str) -> None:
        self._cut = True
        if kind == "websocket.send":
            await self._send({"type": "websocket.close", "code": 1008})
        else:
            await self._send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
            await self._send({"type": "http.response.body", "body": b""})


HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    # Same origin only: without a referrer the browser would not say where a form comes from.
    (b"referrer-policy", b"same-origin"),
)


def _same_site(headers: Headers) -> bool:
    """Whether the request is not from another site's page; following a link to us is allowed."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc == headers.get("host")
    foreign = headers.get("sec-fetch-site") in {"cross-site", "same-site"}
    return not foreign or headers.get("sec-fetch-mode") == "navigate"


def _is_origin(header: str | None) -> bool:
    if header is None or header == "null":
        return True
    try:
        return host_of(urlsplit(header).netloc) is not None
    except ValueError:
        return False


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _address(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else ""


def _is_event(message: Message) -> bool:
    content = message.get("text") or message.get("body") or ""
    return EVENT in content if isinstance(content, str) else EVENT.encode() in content


def _later(seconds: float) -> Response:
    whole = int(seconds) + 1
    sentence = f"too many wrong tokens from this address: try again in {whole} s"
    return PlainTextResponse(sentence, 429, {"retry-after": str(whole)})


def _form_of(refused: Response) -> Response:
    """The form with an error."""
    if refused.status_code != 429:  # noqa: PLR2004 (too many requests)
        return form("That is not the token.")
    again = form(f"Too many wrong tokens from this address. Try again in {refused.headers['retry-after']} s.", 429)
    again.headers["retry-after"] = refused.headers["retry-after"]
    return again
