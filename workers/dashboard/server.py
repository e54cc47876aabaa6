"""The dashboard process: threads that poll the brokers, one for audit records, and a web server."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from workers.configuration.settings import Settings
from workers.dashboard import pages
from workers.dashboard.data.consumer import Reader
from workers.dashboard.data.poller import Watch
from workers.dashboard.data.readiness import WorkerReadiness
from workers.dashboard.pages.site import PageData
from workers.dashboard.sign_in.guard import Guard
from workers.dashboard.sign_in.record_sign_ins import Records
from workers.dashboard.sign_in.roles import tokens_of
from workers.dashboard.sign_in.sessions import Sessions
from workers.work_list.read_cases import FollowedCases, time_zone


class Server:
    """The web server on an open socket, so that a port conflict is detected before anything runs."""

    def __init__(self, app: Guard, listening: socket.socket) -> None:
        self._listening = listening
        # It logs every page view.
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        # Otherwise an open page would block the shutdown.
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=2)
        )

    def run(self) -> None:
        """Serve until a signal."""
        self._server.run(sockets=[self._listening])


@contextmanager
def serve(settings: Settings, host: str, port: int, *, reports: Path, allow_redrive: bool) -> Iterator[Server]:
    """The server with its threads, stopped on exit.

    Raises:
        OSError: The port is taken, or the host is not local.
    """
    listening = _bound(host, port)
    watch, reader, cases = Watch(settings), Reader(settings), FollowedCases(settings)
    records, readiness, over = Records(settings), WorkerReadiness(watch), Event()
    polling = (watch, reader, cases, records, readiness)
    threads = [Thread(target=poller.run, args=(over,), daemon=True) for poller in polling]
    for thread in threads:
        thread.start()
    try:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        zone = time_zone(settings)
        pages.add_pages(PageData(settings, watch, reader, readiness, cases, zone, reports, allow_redrive, records))
        ui.run_with(app, title="dli dashboard", dark=None, show_welcome_message=False, language="en-US")
        sessions = Sessions(settings.dashboard_idle_minutes * 60, settings.dashboard_session_hours * 3600)
        yield Server(Guard(app, tokens_of(settings), sessions, records), listening)
    finally:
        over.set()
        listening.close()
        for thread in threads:
            thread.join(10)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
