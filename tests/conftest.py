"""What tests share: the broker they run against, chosen by `--broker`."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import Phase, settings

from workers.dev_brokers import Broker, broker_named

KINDS = ("embedded", "kafka", "given")

# How long an example takes is the machine's matter: benchmarks measure, and a busy machine is no defect.
settings.register_profile("dli", deadline=None)
# Of `make mutants`: the same examples for each mutant, and the first that fails is enough.
settings.register_profile(
    "mutants", deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dli"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--broker", choices=KINDS, default="embedded", help="what the broker tests run against")
    parser.addoption("--bootstrap", default=None, help="the address of the broker, with --broker given")
    parser.addoption("--published-texts", default=None, help="a folder of published policy texts, NUMBER.source.txt")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--broker") != "kafka":
        leave_out = [item for item in items if item.get_closest_marker("kafka") is not None]
        config.hook.pytest_deselected(items=leave_out)
        items[:] = [item for item in items if item.get_closest_marker("kafka") is None]


@pytest.fixture(scope="session")
def broker(pytestconfig: pytest.Config) -> Iterator[Broker]:
    with broker_named(pytestconfig.getoption("--broker"), pytestconfig.getoption("--bootstrap")) as running:
        yield running


@pytest.fixture
def bootstrap(broker: Broker) -> str:
    """Where the broker answers."""
    return broker.bootstrap


@pytest.fixture
def prefix() -> str:
    """A prefix of topics' names that no other test has."""
    return f"test-{uuid4().hex[:8]}."
