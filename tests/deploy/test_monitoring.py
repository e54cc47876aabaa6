"""Alerts and dashboards: they ask for metrics that exist, and their expressions run."""

import json
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import promql_parser
import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from deploy.generate import FOLDER as DEPLOY
from deploy.grafana.dashboards import BOARDS, expressions
from tests.support.prometheus import SETTINGS as PROMETHEUS
from tests.support.prometheus import TOOLS, ask, running
from workers.dev_brokers import free_ports
from workers.monitoring.exporter import SCRAPE_SECONDS
from workers.process import metrics
from workers.process.metrics import FAMILIES

GROUPS = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text("utf-8"))["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
TESTS = sorted(PROMETHEUS.glob("*.test.yaml"))
CASES = [case for file in TESTS for case in yaml.safe_load(file.read_text("utf-8"))["tests"]]
RUNBOOK = (DEPLOY / "runbook.md").read_text("utf-8")
ALERTS = [one["alert"] for one in RULES]


def runnable(expression: str) -> str:
    return expression.replace("$__rate_interval", "1m")


PANELS = [(title, runnable(said)) for title, said in expressions()]
ASKED = [*PANELS, *((rule["alert"], rule["expr"]) for rule in RULES)]


def selected_values(expressions: Iterable[str]) -> defaultdict[tuple[str, str], set[str]]:
    """The values that a metric's label must have, in some expression, to be selected."""
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for expression in expressions:
        for name, matchers in re.findall(r"\b((?:dli|kafka)_[a-z_]+)\{(.*?)\}", expression):
            for label, value in re.findall(r'(\w+)="(.*?)"', matchers):
                found[name, label].add(value)
    return found


SELECTED_VALUES = selected_values(expression for _, expression in ASKED)


def declared() -> dict[str, set[str]]:
    """Every metric's name with its labels, those of histograms by each of their series."""
    found: dict[str, set[str]] = {}
    for one in vars(metrics).values():
        if isinstance(one, Counter | Gauge | Histogram):
            family = next(iter(one.describe()))
            labels = set(one._labelnames)  # noqa: SLF001 (no public reader)
            if isinstance(one, Histogram):
                found |= {f"{family.name}_{part}": labels | {"le"} for part in ("bucket", "sum", "count")}
            else:
                found[f"{family.name}_total" if isinstance(one, Counter) else family.name] = labels
    return found | {one.name: set(one.labels) for one in FAMILIES}


def selected(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics that an expression asks for, each with the labels it is matched by."""
    promql_parser.parse(expression)
    for name, matchers in re.findall(r"\b((?:dli|kafka)_[a-z_]+)(?:\{(.*?)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*[=!]", matchers))


@pytest.mark.parametrize(("title", "expression"), ASKED, ids=[title for title, _ in ASKED])
def test_an_expression_parses_and_uses_declared_metrics(title: str, expression: str) -> None:
    """An expression parses and selects only metrics that exist, by labels that they have."""
    known = declared()
    found = list(selected(expression))

    assert found, title
    assert [(name, labels) for name, labels in found if not labels <= known.get(name, set())] == [], title
    assert [name for name, _ in found if name not in known] == [], title
    grouped = {label for group in re.findall(r"\bby \((.*?)\)", expression) for label in group.split(", ")}
    assert grouped - {"instance"} <= {label for name, _ in found for label in known[name]}


@pytest.mark.parametrize("expression", ["sum(rate(dli_requests[5m])", "rate(dli_ready)", "dli_ready{a=b}"])
def test_an_expression_that_is_none_is_noticed(expression: str) -> None:
    with pytest.raises(Exception, match=r".+"):
        list(selected(expression))


def test_a_metric_that_there_is_not_is_noticed() -> None:
    [(name, _)] = selected("sum(dli_desicions_total)")

    assert name not in declared()


def test_every_declared_metric_is_on_a_dashboard_or_in_an_alert() -> None:
    asked = {name for _, expression in ASKED for name, _ in selected(expression)}
    parts = re.compile(r"_(sum|count|bucket)$")

    left_out = {
        name
        for name, labels in declared().items()
        if name not in asked and not ("le" in labels and parts.sub("_bucket", name) in asked)
    }
    # Shown by partition; and for those who compare numbers.
    assert left_out == {"kafka_consumergroup_lag_sum", "dli_cases_read_offset"}


def test_panels_have_a_place_and_a_number_of_their_own() -> None:
    for name in BOARDS:
        board = json.loads((DEPLOY / "grafana" / "boards" / f"{name}.json").read_text("utf-8"))
        numbers = [panel["id"] for panel in board["panels"]]
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
        assert len(set(numbers)) == len(numbers)
        assert len(set(places)) == len(places)


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_every_scrape_waits_longer_than_the_exporter_does() -> None:
    """The exporter reports brokers that do not respond before Prometheus gives the scrape up."""
    settings = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text("utf-8"))
    [exporter] = [job for job in settings["scrape_configs"] if job["job_name"] == "dli-exporter"]

    assert SCRAPE_SECONDS < seconds(exporter["scrape_timeout"]) <= seconds(exporter["scrape_interval"])


# --- alerts --------------------------------------------------------------------------------------------------------


def test_every_alert_has_a_firing_and_a_silent_case() -> None:
    """Every alert has a case in which it fires and a case in which it does not."""
    fires = {check["alertname"] for one in CASES for check in one["alert_rule_test"] if check.get("exp_alerts")}
    silent = {check["alertname"] for one in CASES for check in one["alert_rule_test"] if not check.get("exp_alerts")}

    assert fires == silent == set(ALERTS)


def test_every_alert_has_a_severity_and_a_runbook_section() -> None:
    """Every alert states its severity and the section of the runbook that describes it."""
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["runbook"] == f"deploy/runbook.md#{rule['alert'].lower()}"
        assert f"\n### {rule['alert']}\n" in RUNBOOK


def test_the_runbook_tells_of_no_other_alert() -> None:
    assert re.findall(r"^### (Dli\w+)$", RUNBOOK, re.MULTILINE) == ALERTS


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TOOLS / "promtool", *arguments], capture_output=True, text=True, check=False)  # noqa: S603 (built by us)


@pytest.mark.tools
def test_alerts_fire_only_when_they_must() -> None:
    """Each alert fires when it must and stays silent when it must."""
    ran = promtool("test", "rules", *TESTS)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.tools
@pytest.mark.parametrize("alert", ALERTS)
def test_the_cases_catch_alerts_that_never_or_always_fire(alert: str, tmp_path: Path) -> None:
    """The cases catch an alert that never fires and an alert that always fires."""
    for always in ("vector(1)", "vector(1) < 0"):
        worse = [{**one, "expr": always if one["alert"] == alert else one["expr"]} for one in RULES]
        (tmp_path / "alerts.yaml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": worse}]}), "utf-8")
        for file in TESTS:
            (tmp_path / file.name).write_text(yaml.safe_dump(only(file, alert)), "utf-8")

        assert promtool("test", "rules", *sorted(tmp_path.glob("*.test.yaml"))).returncode == 1


def only(file: Path, alert: str) -> dict[str, Any]:
    """The cases of a file that look at an alert."""
    read: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    cases = [one for one in read["tests"] if any(check["alertname"] == alert for check in one["alert_rule_test"])]
    return {**read, "tests": cases}


@pytest.mark.tools
def test_prometheus_takes_its_settings() -> None:
    ran = promtool("check", "config", PROMETHEUS / "prometheus.yaml")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(RULES)} rules found" in ran.stdout


# --- a running Prometheus ------------------------------------------------------------------------------------------


class Exposition(BaseHTTPRequestHandler):
    """Every declared metric with a series for each value that is selected, growing from scrape to scrape."""

    scrapes: ClassVar[int] = 0

    def do_GET(self) -> None:  # the name that the server calls
        type(self).scrapes += 1
        lines = []
        for name, labels in declared().items():
            for size, series in enumerate(shown(name, labels - {"le"}), 1):
                text = ",".join(f'{label}="{value}"' for label, value in sorted(series.items()))
                for bound in ("0.1", "+Inf") if "le" in labels else ("",):
                    told = ",".join(filter(None, (text, bound and f'le="{bound}"')))
                    lines.append(f"{name}{{{told}}} {self.scrapes * size}")
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(("\n".join(lines) + "\n").encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def shown(name: str, labels: set[str]) -> list[dict[str, str]]:
    """A metric's series: every value that a panel or an alert selects a label by, and two that none selects."""
    values = {label: [*sorted(SELECTED_VALUES[name, label]), "a", "b"] for label in labels}
    return [dict(zip(values, series, strict=True)) for series in product(*values.values())]


@contextmanager
def serving(port: int) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", port), Exposition) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has looked at the metrics a few times."""
    folder = tmp_path_factory.mktemp("prometheus")
    target = free_ports().client
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "dli", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
    }
    with serving(target), running(settings, folder, lambda: Exposition.scrapes >= 6) as found:
        yield found


@pytest.mark.tools
@pytest.mark.parametrize(("title", "expression"), PANELS, ids=[title for title, _ in PANELS])
def test_a_panel_shows_something_where_its_metrics_are(prometheus: str, title: str, expression: str) -> None:
    found = ask(prometheus, "query", query=expression)["result"]

    assert found, title
    assert all(one["value"][1] not in {"NaN", "+Inf"} for one in found), title


@pytest.mark.tools
def test_prometheus_evaluates_every_alert(prometheus: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        rules = [rule for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]]
        if all(rule["health"] != "unknown" for rule in rules) or time.monotonic() > deadline:
            break
        time.sleep(0.2)

    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    assert sorted(rule["name"] for rule in rules) == sorted(ALERTS)
