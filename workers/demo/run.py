"""The demo's processes: a worker and a dashboard of its own, stopped when it ends."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.error import URLError
from urllib.request import urlopen

from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.dev_brokers import bound
from workers.process import private_files

REQUESTS_FILE = Path(__file__).parent / "requests.jsonl"
PATIENCE_SECONDS = 60.0
DRAIN_SECONDS = 20.0
"""Timeout for a demo process to end before it is killed."""


class DemoError(DliError):
    """A process of the demo does not start; the message says how it ended."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Convert termination signals into an exception, so that child processes are stopped; ignored during cleanup."""

    def unwind(number: int, _: FrameType | None) -> NoReturn:
        for ending in ENDINGS:
            signal.signal(ending, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {ending: signal.signal(ending, unwind) for ending in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def running_dashboard(found: Settings, port: int) -> Iterator[None]:
    """A dashboard in its own process, stopped on exit."""
    command = bound([sys.executable, "-m", "workers.main", "dashboard", "--port", str(port), *dashboard_options(found)])
    environment = found.environment() | {"DLI_LOG_LEVEL": "ERROR"}
    with subprocess.Popen(command, env=environment) as process, ended(process):  # noqa: S603 (our own command)
        yield


def dashboard_options(found: Settings) -> list[str]:
    """The demo dashboard's options: acting is allowed unless the environment has only a view token."""
    to_look_only = found.dashboard_token is not None and found.dashboard_act_token is None
    return [] if to_look_only else ["--allow-redrive"]


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a process on exit, by force if necessary."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def running_worker(
    found: Settings, log: Path, program: Sequence[str] = ("workers.main", "worker")
) -> Iterator[subprocess.Popen[bytes]]:
    """A ready worker in its own process, stopped on exit; `program` is the module that runs it, with its arguments.

    Raises:
        DemoError: It ends or does not become ready; the message has the end of its log.
    """
    command = bound([sys.executable, "-m", *program])
    environment = found.environment()
    with (
        private_files.opened(log, "wb") as sink,
        subprocess.Popen(command, stderr=sink, stdout=sink, env=environment) as process,  # noqa: S603 (our own command)
        ended(process),
    ):
        _await_ready(process, found, log)
        yield process


def _await_ready(process: subprocess.Popen[bytes], found: Settings, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if is_ready(found):
            return
        time.sleep(0.1)
    tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-10:])
    raise DemoError(f"the worker did not get ready; the end of its log:\n{tail}")


def is_ready(found: Settings) -> bool:
    """Whether the worker at the settings' web port is ready."""
    try:
        with urlopen(f"http://{found.web_host}:{found.web_port}/ready", timeout=2) as answer:
            return bool(json.load(answer)["ready"])
    except (URLError, OSError):
        return False
