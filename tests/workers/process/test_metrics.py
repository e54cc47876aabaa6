"""The metrics and their page are one."""

import re
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from workers.process import metrics
from workers.process.metrics import FAMILIES

PAGE = (Path(metrics.__file__).parent / "METRICS.md").read_text("utf-8")
ROW = re.compile(r"^\| `([a-z_]+)` \| (\w+) \| (.*?) \| (.*) \|$", re.MULTILINE)

Row = tuple[str, str, tuple[str, ...], str]


def on_the_page(page: str) -> list[Row]:
    return [(name, kind, tuple(re.findall(r"`(\w+)`", labels)), says) for name, kind, labels, says in ROW.findall(page)]


def in_the_code() -> list[Row]:
    counted = [one for one in vars(metrics).values() if isinstance(one, Counter | Gauge | Histogram)]
    rows = [
        (next(iter(one.describe())), type(one).__name__.lower().removeprefix("batch"), one._labelnames)  # noqa: SLF001 (no public reader)
        for one in counted
    ]
    of_workers = [
        (f"{family.name}_total" if kind == "counter" else family.name, kind, labels, family.documentation)
        for family, kind, labels in rows
    ]
    return of_workers + [(one.name, one.kind, one.labels, one.documentation) for one in FAMILIES]


def test_the_page_shows_every_metric() -> None:
    """The page shows every metric with its kind, labels and meaning."""
    assert on_the_page(PAGE) == in_the_code()


def test_a_page_that_says_otherwise_is_noticed() -> None:
    assert on_the_page(PAGE.replace("| `dli_ready` | gauge |", "| `dli_ready` | counter |")) != in_the_code()
    assert on_the_page(PAGE.replace("`reason`", "`cause`")) != in_the_code()
