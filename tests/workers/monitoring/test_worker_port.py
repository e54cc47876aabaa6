"""The worker's port: its routes are those that its page lists, and it answers under its own names alone."""

import asyncio
import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from socket import gethostname
from typing import Any, cast

import faust
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application

from tests.support.packaged import packaged_library
from tests.support.places import ROOT
from tests.support.running import get, settings_for, worker
from workers.configuration.settings import SettingsError, read
from workers.main.app import make_app
from workers.monitoring.worker_port import FOREIGN, NO_HOST, Web
from workers.policies.revision_follower import Follower
from workers.topics import apply_topics
from workers.topics.watch import TopicWatch

FAUSTS_OWN = (
    "/",
    "/router/",
    "/router/topics",
    "/table/",
    "/table/policies/",
    "/graph/",
    "/assignment/",
    "/performance/",
)
NAMED: dict[str, Any] = {"web_host": "0.0.0.0", "web_name": "dli-worker-3.dli-worker", "web_names": ("dli-worker",)}  # noqa: S104
LISTED = re.compile(r"^\| `(/[^`]*)` \|", re.MULTILINE)


def an_app(folder: Path, **given: Any) -> faust.App:
    found = read(data_dir=folder, **given)
    return make_app(found, Follower(found, packaged_library()), TopicWatch(found, {}))


def plain(path: str) -> str:
    """A route without the names of its parts, and without a query."""
    return re.sub(r"\{[^}]*\}", "{}", path.partition("?")[0])


def documented() -> set[str]:
    part = (ROOT / "workers/README.md").read_text("utf-8").partition("## Over the web")[2].partition("\n## ")[0]
    return {plain(one) for one in LISTED.findall(part)}


def application(app: faust.App) -> Application:
    """What answers in a running worker."""
    app.web.init_server()
    return cast("Web", app.web).web_app


def routes(app: faust.App) -> set[tuple[str, str]]:
    found = application(app).router.routes()
    return {(one.method, plain(one.resource.canonical)) for one in found if one.resource is not None}


def test_the_page_lists_exactly_the_served_routes(tmp_path: Path) -> None:
    """Every route is listed on the page, and nothing else is served."""
    served = routes(an_app(tmp_path))

    assert {path for _, path in served} == documented()
    assert {method for method, _ in served} <= {"GET", "HEAD"}


def test_no_environment_brings_fausts_routes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("APP_DEBUG", *(f"APP_WEB_{one}_ENABLED" for one in ("ROUTER", "TABLES", "STATS", "GRAPH", "METRICS")))
    for name in names:
        monkeypatch.setenv(name, "yes")
    app = an_app(tmp_path)

    assert app.conf.debug
    assert {path for _, path in routes(app)} == documented()


def asked(app: faust.App, *asked_for: tuple[str, str]) -> list[tuple[int, str]]:
    """Status and body of each path under a Host header, from the app's own web application."""

    async def ask() -> list[tuple[int, str]]:
        async with TestClient(TestServer(application(app))) as client:
            found = []
            for host, path in asked_for:
                answer = await client.get(path, headers={"Host": host})
                found.append((answer.status, await answer.text()))
            return found

    return asyncio.run(ask())


def test_it_answers_to_addresses_and_to_its_own_names(tmp_path: Path) -> None:
    addresses = ("127.0.0.1:6066", "[::1]:6066", "10.42.0.17:6066", "[fd00::17]:6066", "203.0.113.9")
    names = ("localhost", "dli-worker-3.dli-worker:6066", "DLI-Worker-3.dli-worker.", "dli-worker", gethostname())
    found = asked(an_app(tmp_path, **NAMED), *((host, "/live") for host in (*addresses, *names)))

    assert found == [(200, '{"live":true}')] * 10


@pytest.mark.parametrize(("host", "status", "sentence"), [
    ("evil.example", 421, FOREIGN), ("evil.example:6066", 421, FOREIGN), ("127.0.0.1.evil.example", 421, FOREIGN),
    ("dli-worker-3.dli-worker.evil.example", 421, FOREIGN), ("127.1", 421, FOREIGN), ("2130706433", 421, FOREIGN),
    ("", 400, NO_HOST), ("[::1", 400, NO_HOST), ("a@127.0.0.1", 400, NO_HOST), ("127.0.0.1:x", 400, NO_HOST),
    ("127.0.0.1:99999", 400, NO_HOST),
])  # fmt: skip
def test_who_asks_under_another_name_gets_a_sentence(tmp_path: Path, host: str, status: int, sentence: str) -> None:
    found = asked(
        an_app(tmp_path, **NAMED), *((host, path) for path in ("/live", "/metrics", "/requests/1", "/nowhere"))
    )

    assert [told for told, _ in found] == [status] * 4
    assert all(sentence in body and "evil" not in body for _, body in found)


def test_what_a_worker_of_the_group_passes_on_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = an_app(tmp_path, **NAMED)
    asking = ("dli-worker-9.dli-worker:6066", "/live")
    assert [status for status, _ in asked(app, asking)] == [421]
    app = an_app(tmp_path, **NAMED)
    held = {"http://dli-worker-9.dli-worker:6066": {"authorization.requests": [0]}}
    # What the assignor was told by the group's leader; no group is joined here.
    monkeypatch.setattr(app.assignor, "external_topics_metadata", lambda: held)

    assert [status for status, _ in asked(app, asking)] == [200]


def test_a_name_that_cannot_be_one_is_told_at_the_start() -> None:
    with pytest.raises(SettingsError, match="DLI_WEB_NAMES"):
        read(web_names=("a b",))


@pytest.mark.kafka
def test_a_running_worker_serves_none_of_fausts_routes(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    with worker(found, tmp_path):
        told = {path: status_of(found.web_port, path) for path in (*FAUSTS_OWN, "/live", "/metrics")}
        rebound = status_of(found.web_port, "/metrics", "evil.example")
        twice = status_of(found.web_port, "/metrics", "127.0.0.1", "evil.example")
        asked_for = get(found, "/policies/L.2.03.402/in-force?on=2025-06-01")[0]

    assert told == dict.fromkeys(FAUSTS_OWN, 404) | {"/live": 200, "/metrics": 200}
    assert (rebound, twice, asked_for) == (421, 400, 200)


def status_of(port: int, path: str, *hosts: str) -> int:
    return next(_answers(port, path, hosts or (f"127.0.0.1:{port}",)))


def _answers(port: int, path: str, hosts: tuple[str, ...]) -> Iterator[int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest("GET", path, skip_host=True)
        for host in hosts:
            connection.putheader("Host", host)
        connection.endheaders()
        yield connection.getresponse().status
    finally:
        connection.close()
