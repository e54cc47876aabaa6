"""A dashboard as a process, and Chromium to look at it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from workers.configuration.settings import Settings
from workers.demo.run import ended
from workers.dev_brokers import free_ports

PAGES = ("/", "/cases", "/decisions", "/policy", "/dead-letters", "/replays", "/audit")
PATIENCE_SECONDS = 60.0
PATIENCE_MS = 60_000
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def dashboard(
    found: Settings, folder: Path, *options: str, token: str | None = None, act: str | None = None
) -> Iterator[str]:
    """A running dashboard, by its address; its log is shown where it does not answer."""
    port = free_ports().client
    log = folder / f"dashboard-{port}.log"
    command = [sys.executable, "-m", "workers.main", "dashboard", "--port", str(port), *options]
    tokens = {"DLI_DASHBOARD_TOKEN": token, "DLI_DASHBOARD_ACT_TOKEN": act}
    environment = found.environment() | {name: value for name, value in tokens.items() if value is not None}
    with (
        log.open("wb") as sink,
        subprocess.Popen(command, stderr=sink, stdout=sink, env=environment) as process,  # noqa: S603 (our own command)
        ended(process),
    ):
        _await(f"http://127.0.0.1:{port}/", process, log)
        yield f"http://127.0.0.1:{port}"


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=5):  # noqa: S310 (our own server)
                return
        except HTTPError:
            return  # it asks for a token, and answers
        except (URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"the dashboard does not answer:\n{log.read_text('utf-8', 'replace')[-3000:]}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, the real one; a test that has none says so and fails."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("there is no Chromium here: install Debian's package chromium, or name one in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Console:
    """What a page says where nobody looks: none of it is expected."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(f"page: {error}"))
        page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(f"{message.type}: {message.text}")


def abroad(urls: list[str]) -> list[str]:
    """Those addresses that are not this machine's."""
    return [one for one in urls if not re.match(r"(https?|ws)://127\.0\.0\.1[:/]|data:|blob:", one)]


def level(page: Page) -> str:
    """How things are, as a page says it at its top."""
    return page.locator("[data-level]").first.get_attribute("data-level") or ""
