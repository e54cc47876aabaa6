"""A dashboard's guard, with tokens to look and to act."""

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from workers.configuration.settings import read
from workers.dashboard.sign_in.guard import Guard
from workers.dashboard.sign_in.record_sign_ins import Records
from workers.dashboard.sign_in.roles import VISITOR, Tokens
from workers.dashboard.sign_in.sessions import Sessions

TOKEN = "correct horse battery"  # noqa: S105 (of tests)


ACT = "correct horse that may act"


BOTH = Tokens(TOKEN, ACT)


WRONG = "wrong horse battery"


def _role(asked: HTTPConnection) -> str:
    return str(asked.scope[VISITOR].role.name)


async def _page(request: Request) -> Response:
    return PlainTextResponse(_role(request))


async def _socket(socket: WebSocket) -> None:
    """Says the role, and then repeats what it is told; told to go on, it says something unasked."""
    await socket.accept()
    await socket.send_text(_role(socket))
    while True:
        try:
            said = await socket.receive_text()
        except WebSocketDisconnect:
            return
        await socket.send_text(said)


def guarded(
    tokens: Tokens, sessions: Sessions | None = None, first_s: float = 0.0, records: Records | None = None
) -> Guard:
    routes = [Route("/", _page), Route("/replays/a.html", _page), WebSocketRoute("/_nicegui_ws/live", _socket)]
    told = records or Records(read(), lambda *_: None)
    return Guard(Starlette(routes=routes), tokens, sessions or Sessions(60, 600), told, first_s=first_s)


def client(
    tokens: Tokens, host: str = "127.0.0.1:8080", address: str = "10.0.0.9", app: Guard | None = None
) -> TestClient:
    made = app or guarded(tokens)
    return TestClient(made, base_url=f"http://{host}", follow_redirects=False, client=(address, 5000))
