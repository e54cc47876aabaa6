"""What the fault tests share: their options, a broker, the requests, and the table at the end."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults.report import Report
from tests.faults.workload import Pool
from workers.dev_brokers import Broker, KafkaBroker

TABLE = Path("var/faults.md")
PROPERTIES = {"group.min.session.timeout.ms": "1000"}
_REPORT = pytest.StashKey[Report]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="many times as many faults, for an hour or more")
    parser.addoption("--seed", type=int, default=2026, help="what the faults and the requests are chosen by")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REPORT] = Report()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = config.stash[_REPORT]
    if report.rows or report.notes:
        report.write(config.rootpath / TABLE, " ".join(["pytest", *sys.argv[1:]]))
        terminalreporter.section(f"what the faults did, also in {TABLE}")
        terminalreporter.write(report.table())


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--seed"))


@pytest.fixture
def chance(seed: int, request: pytest.FixtureRequest) -> Random:
    """What is random in this test, the same for the same seed."""
    return Random(f"{seed}/{request.node.name}")


@pytest.fixture
def times(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """How many: by default, and with --soak."""
    return lambda default, soak: soak if pytestconfig.getoption("--soak") else default


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    return pytestconfig.stash[_REPORT]


@pytest.fixture(scope="session")
def pool(seed: int) -> Pool:
    return Pool(seed)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """Apache Kafka that nobody breaks."""
    with KafkaBroker(properties=PROPERTIES) as running:
        yield running
