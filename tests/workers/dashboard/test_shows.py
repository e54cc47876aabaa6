"""The only worker dies while requests flow: the page and the alert say so within half a minute, and all comes back."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect

from events.topics import DEAD_LETTERS, DECISIONS
from tests.support import generator
from tests.support.browsing import Console, chromium, dashboard, level
from tests.support.prometheus import SETTINGS, firing, running
from tests.support.running import everything_on, publish, settings_for, worker
from workers.accounts import account
from workers.configuration.settings import Settings
from workers.demo.run import ended
from workers.dev_brokers import Broker, free_ports
from workers.topics import apply_topics

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.tools]

SOON_SECONDS = 30.0
PATIENCE_SECONDS = 90.0
EACH_TIME = 5
"""Requests that are published together, every half second."""


def within(seconds: float, holds: Callable[[], bool], what: str) -> float:
    """How long it took until something held."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() < begun + seconds, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)
    return time.monotonic() - begun


class Flow:
    """Requests that are published without a pause, each under an id of its own."""

    def __init__(self, found: Settings) -> None:
        self.published = 0
        self._found = found
        self._over = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        requests = (generator.encode(one) for one in generator.requests(7, 1_000_000))
        while not self._over.wait(0.5):
            self.published += publish(self._found, [next(requests) for _ in range(EACH_TIME)])

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """While this lasts."""
        self._thread.start()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """Publish no more; `published` stands then."""
        self._over.set()
        self._thread.join(PATIENCE_SECONDS)


@contextmanager
def exporter(found: Settings, folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "workers.main", "exporter"]
    with (
        (folder / "exporter.log").open("wb") as sink,
        subprocess.Popen(command, stdout=sink, stderr=sink, env=found.environment()) as process,  # noqa: S603 (ours)
        ended(process),
    ):
        yield


def scraping(found: Settings) -> dict[str, Any]:
    """Our settings of Prometheus, but for where the processes are."""
    settings: dict[str, Any] = yaml.safe_load((SETTINGS / "prometheus.yaml").read_text("utf-8"))
    ports = {"dli-worker": found.web_port, "dli-exporter": found.exporter_port}
    for job in settings["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports.pop(job['job_name'])}"]}]
    return settings


def answered(found: Settings) -> Counter[bytes | None]:
    return Counter(record.key for topic in (DECISIONS, DEAD_LETTERS) for record in everything_on(found, topic))


def healthy(page: Page, prometheus: str) -> bool:
    return level(page) == "good" and not firing(prometheus)


def test_the_only_worker_is_killed_while_requests_flow(broker: Broker, prefix: str, tmp_path: Path) -> None:
    found = settings_for(broker.bootstrap, prefix, tmp_path, exporter_port=free_ports().client)
    apply_topics.apply(found)
    flow = Flow(found)
    with (
        exporter(found, tmp_path),
        running(scraping(found), tmp_path) as prometheus,
        dashboard(found, tmp_path) as url,
        chromium() as browser,
    ):
        page = browser.new_page()
        console = Console(page)
        page.goto(url)
        with flow.flowing():
            with worker(found, tmp_path, "first") as process:
                within(PATIENCE_SECONDS, lambda: flow.published > 50 and healthy(page, prometheus), "a quiet start")
                process.kill()
                killed = time.monotonic()
                told = within(SOON_SECONDS, lambda: level(page) == "bad", "the page says that it is wrong")
                within(SOON_SECONDS - told, lambda: "DliNoWorkers" in firing(prometheus), "the alert fires")
                fired = time.monotonic() - killed
            expect(page.get_by_text("No worker is running")).to_be_visible()
            with worker(found, tmp_path, "second"):
                within(PATIENCE_SECONDS, lambda: healthy(page, prometheus), "all is well again")
                print(f"page {told:.1f} s, alert {fired:.1f} s after the kill")  # noqa: T201 (pytest -s shows it)
                again = flow.published
                within(PATIENCE_SECONDS, lambda: flow.published > again + 20, "requests flow on")
                flow.stop()
                within(
                    PATIENCE_SECONDS,
                    lambda: account.total(account.ask(found)).consumed == flow.published,
                    "every request is consumed",
                )
                expect(page.get_by_text("balanced")).to_be_visible()
                expect(page.get_by_text(f"{flow.published:,} consumed")).to_be_visible()
        standing = account.ask(found)
    assert [one.problem for one in standing if one.problem] == []
    counted = answered(found)
    assert (len(counted), set(counted.values())) == (flow.published, {1})
    assert console.errors == []
