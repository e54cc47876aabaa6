"""A Prometheus as a process, built by `make tools`, with our rules."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from deploy.generate import FOLDER as DEPLOY
from workers.dev_brokers import free_ports

TOOLS = DEPLOY / "tools" / "target"
SETTINGS = DEPLOY / "prometheus"
PATIENCE_SECONDS = 60


@contextmanager
def running(settings: dict[str, Any], folder: Path, begun: Callable[[], bool] = lambda: True) -> Iterator[str]:
    """A Prometheus with these settings and our rules, by its address, once it answers and that holds."""
    port = free_ports().client
    rules = {"rule_files": [str(SETTINGS / "alerts.yaml")]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings | rules), "utf-8")
    command = [
        str(TOOLS / "prometheus"),
        f"--config.file={folder}/prometheus.yaml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=sink) as process:  # noqa: S603 (built by us)
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not (_answers(port) and begun()):
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < deadline, log.read_text("utf-8")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
            return True
    except (URLError, OSError):
        return False


def ask(prometheus: str, path: str, **query: str) -> Any:
    """What its API says."""
    with urlopen(f"{prometheus}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:  # noqa: S310 (on loopback)
        return json.load(answer)["data"]


def firing(prometheus: str) -> set[str]:
    """The names of the alerts that fire."""
    return {one["labels"]["alertname"] for one in ask(prometheus, "alerts")["alerts"] if one["state"] == "firing"}
