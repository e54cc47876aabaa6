"""The house: which room may know which, and that the checker finds who breaks it."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import ROOT

PACKAGES = ("policy_core", "events", "workers")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    checker = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([checker, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 (a tool of ours)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_house_is_in_order(copy: Path) -> None:
    assert lint(copy).returncode == 0


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("policy_core/evaluate/deadline.py", "import events.request"),
        ("policy_core/document/code_listings.py", "import workers.process.logs"),
        ("policy_core/evaluate/facts.py", "import time"),
        ("policy_core/evaluate/facts.py", "import kafka"),
        ("events/decode.py", "import policy_core.document.code_listings"),
        ("events/decode.py", "import workers.process.logs"),
        ("workers/decide/handler.py", "import workers.policies.history_agent"),
        ("workers/traffic/commands.py", "import workers.decide.handler"),
        ("workers/ledger/trace_text.py", "import workers.replay.verify"),
        ("workers/kafka/lag.py", "import workers.accounts.account"),
        ("workers/topics/layout.py", "import workers.dashboard.data.poller"),
        ("workers/dashboard/views/now.py", "import workers.dashboard.pages.site"),
        ("workers/replay/verify.py", "import workers.stream"),
        ("policy_core/document/models.py", "import policy_core.loading.load"),
        ("policy_core/document/problems.py", "import policy_core.diagrams.variables"),
        ("policy_core/determinations.py", "import policy_core.document.models"),
        ("policy_core/compare/answers.py", "import policy_core.history.chain"),
        ("workers/state/partition_stores.py", "import workers.ledger.supersedes_links"),
        ("workers/kafka/records.py", "import workers.main.cli"),
        ("workers/replay/what_if_report.py", "import workers.replay.what_if_page"),
    ],
)
def test_an_import_that_breaks_the_house_is_found(copy: Path, file: str, line: str) -> None:
    broken = copy / file
    broken.write_text(f"{broken.read_text('utf-8')}\n{line}\n", "utf-8")

    assert lint(copy).returncode == 1


def test_four_modules_use_internals_of_faust_and_aiokafka() -> None:
    """The stream processor's own and their list; how readers deliver each record; how records are restored exactly."""
    private = re.compile(
        r"\.aiokafka_consumer|faust\.transport|aiokafka\.producer|aiokafka\.consumer|(?<!self)\._consumer|mode\.threads"
    )
    touching = [
        file.relative_to(ROOT).as_posix()
        for file in sorted((ROOT / "workers").rglob("*.py"))
        if private.search(file.read_text("utf-8"))
    ]

    assert touching == [
        "workers/kafka/damaged_records.py",
        "workers/stream/faust_assumptions.py",
        "workers/stream/faust_internals.py",
        "workers/topics/restore_archive.py",
    ]


def test_nobody_waits_in_a_way_that_swallows_a_cancellation() -> None:
    """Before Python 3.12 `asyncio.wait_for` does, where it comes together with what was waited for."""
    waiting = re.compile(r"asyncio\.wait_for\(|from asyncio import .*\bwait_for\b")

    assert [file.name for file in (ROOT / "workers").rglob("*.py") if waiting.search(file.read_text("utf-8"))] == []


TERMINAL = re.compile(
    r"(?:typer|click|rich|workers\.console\.(?:printing|progress|streams|exit_codes)"
    r"|workers\.configuration\.command_options)(?:\.|$)"
)
"""What only commands use."""
COMMANDS = re.compile(r"(?:^|/)(?:commands|\w+_commands?)\.py$|^workers/main/(?:cli|__main__)\.py$")
IS_THE_TERMINAL = re.compile(r"^workers/console/\w+\.py$|^workers/configuration/command_options\.py$")


def imports_of(tree: ast.AST) -> Iterator[str]:
    """The full names of the modules, and of what is taken from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_the_terminal(file: str, source: str) -> list[str]:
    """What a module uses that is for commands alone; a module of texts may make what Rich draws."""
    if COMMANDS.search(file) or IS_THE_TERMINAL.search(file):
        return []
    tree = ast.parse(source)
    used = [name for name in imports_of(tree) if TERMINAL.match(name)]
    if file.endswith("_text.py"):
        used = [name for name in used if not name.startswith("rich.") or name == "rich.print"]
    printing = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in {"print", "input"}]
    return used + sorted({node.id for node in printing})


def test_only_commands_know_the_terminal() -> None:
    """Engines return data and raise errors of ours; commands print, ask, show progress and choose exit codes."""
    found = {
        name: used
        for file in sorted((ROOT / "workers").rglob("*.py"))
        if (used := at_the_terminal(name := file.relative_to(ROOT).as_posix(), file.read_text("utf-8")))
    }

    assert found == {}


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("workers/replay/verify.py", "import typer"),
        ("workers/replay/verify.py", "def report():\n    from rich.table import Table"),
        ("workers/topics/reset_offset.py", "from workers.console.exit_codes import CommandError"),
        ("workers/archive/make_archive.py", "from workers.console import printing"),
        ("workers/archive/make_archive.py", "from workers.configuration.command_options import settings"),
        ("workers/archive/make_archive.py", "print('kept')"),
        ("workers/ledger/trace_text.py", "from workers.console.printing import out"),
        ("workers/ledger/trace_text.py", "from rich import print"),
    ],
)
def test_an_engine_that_knows_the_terminal_is_found(file: str, line: str) -> None:
    assert at_the_terminal(file, line) != []


def test_commands_and_texts_may_use_their_part_of_the_terminal() -> None:
    assert at_the_terminal("workers/replay/archive_commands.py", "import typer\nprint()") == []
    assert at_the_terminal("workers/policies/skip_command.py", "import typer") == []
    assert at_the_terminal("workers/ledger/trace_text.py", "from rich.table import Table") == []


def commands_used(file: str, source: str) -> list[str]:
    """The modules of commands that a module uses; commands may use each other."""
    if COMMANDS.search(file):
        return []
    names = {name for full in imports_of(ast.parse(source)) for name in (full, full.rpartition(".")[0])}
    return sorted(
        name for name in names if name.startswith("workers.") and COMMANDS.search(f"{name.replace('.', '/')}.py")
    )


def test_no_engine_uses_a_command() -> None:
    found = {
        name: used
        for file in sorted((ROOT / "workers").rglob("*.py"))
        if (used := commands_used(name := file.relative_to(ROOT).as_posix(), file.read_text("utf-8")))
    }

    assert found == {}
    assert commands_used("workers/demo/run.py", "from workers.traffic import commands") == ["workers.traffic.commands"]
    assert commands_used("workers/demo/run.py", "from workers.decide.commands import rows") == [
        "workers.decide.commands"
    ]


LONGEST_NAME = 60
"""Of a test: the promise itself is in its docstring."""


def long_names(source: str) -> list[str]:
    return [
        name for name in re.findall(r"^\s*(?:async )?def (test_\w+)", source, re.MULTILINE) if len(name) > LONGEST_NAME
    ]


def test_the_names_of_tests_are_short() -> None:
    """The promise is in the docstring."""
    sources = {file: file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py")}

    assert {file.name: names for file, source in sources.items() if (names := long_names(source))} == {}
    assert long_names(f"def test_{'x' * LONGEST_NAME}() -> None:\n    pass\n") != []


LONGEST_SLEEP = 0.5
"""Seconds. A poll is shorter; longer is a guess at how long something takes, which a busy machine refutes."""


def fixed_sleeps(source: str) -> list[int]:
    """The lines that sleep for so long, by a number written there or by a name of the module."""
    tree = ast.parse(source)
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def seconds(node: ast.expr) -> float:
        value = named.get(node.id, node) if isinstance(node, ast.Name) else node
        return value.value if isinstance(value, ast.Constant) and isinstance(value.value, int | float) else 0.0

    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).rpartition(".")[2] == "sleep"
        if seconds(node.args[0]) >= LONGEST_SLEEP
    ]


def test_no_test_sleeps_for_a_fixed_time() -> None:
    """A test waits for what must happen. Only benchmarks, which measure, let time pass."""
    sources = {
        file.relative_to(ROOT).as_posix(): file.read_text("utf-8")
        for file in (ROOT / "tests").rglob("*.py")
        if "benchmarks" not in file.parts
    }

    assert {name: lines for name, source in sources.items() if (lines := fixed_sleeps(source))} == {}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("time.sleep(8)", [1]),
        ("await asyncio.sleep(0.5)", [1]),
        ("from time import sleep\nsleep(60)", [2]),
        ("PAUSE_S = 2\ntime.sleep(PAUSE_S)", [2]),
        ("time.sleep(0.1)\nawait asyncio.sleep(pause)\ntime.sleep(max(0, begun - time.monotonic()))", []),
    ],
)
def test_a_fixed_sleep_is_found(source: str, lines: list[int]) -> None:
    assert fixed_sleeps(source) == lines


def without_assertion(source: str) -> list[str]:
    """The tests that could only fail by an error."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if not any(_asserts(each) for each in ast.walk(node))
    ]


def _asserts(node: ast.AST) -> bool:
    name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
    return isinstance(node, ast.Assert) or name in {"raises", "fail"} or name.startswith("assert_")


def test_every_test_asserts_something() -> None:
    sources = {file: file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py")}

    assert {file.name: names for file, source in sources.items() if (names := without_assertion(source))} == {}
    assert without_assertion("def test_a() -> None:\n    run()\n") == ["test_a"]


def test_no_test_module_imports_another() -> None:
    """What tests share is in `tests/support`."""
    importing = re.compile(
        r"^\s*(?:from|import) tests\b[\w.]*(?:\.test_| import (?:[^(\n]*|\([^)]*)\btest_)", re.MULTILINE
    )
    found = [
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "tests").rglob("*.py")
        if importing.search(file.read_text("utf-8"))
    ]

    assert found == []
    for line in (
        "from tests.workers.test_cli import run",
        "import tests.workers.test_cli",
        "from tests.workers import test_no_personal_data as marks",
        "    from tests.workers import conftest, test_cli",
        "from tests.workers import (\n    conftest,\n    test_cli,\n)",
    ):
        assert importing.search(f"{line}\n"), line
    assert not importing.search("from tests.support.commands import dli\n")


KAFKA_CLIENTS = {
    "KafkaAdminClient", "KafkaClient", "KafkaConsumer", "KafkaProducer",
    "AIOKafkaAdminClient", "AIOKafkaClient", "AIOKafkaConsumer", "AIOKafkaProducer",
}  # fmt: skip
OWN_CLIENTS = {
    "workers/dev_brokers/broker.py": "asks whether a broker is there yet, without settings; stands beside the room",
    "workers/stream/faust_internals.py": "changes how a client that exists sends; names its type",
    "workers/stream/faust_assumptions.py": "compares the clients' source with what is relied on",
}
"""Modules outside `workers/kafka` that import a client from its library, and why."""


def own_clients(source: str) -> set[str]:
    """The Kafka clients that a module takes from a library, or makes, instead of asking `workers.kafka.clients`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in {"kafka", "aiokafka"}:
            found |= {name.name for name in node.names if name.name in KAFKA_CLIENTS}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name in {"kafka", "aiokafka"}}
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found |= {name} & KAFKA_CLIENTS
    return found


def test_every_kafka_client_is_made_in_one_room() -> None:
    """With one patience and one family of errors; others name a client's type at most."""
    room = ROOT / "workers/kafka"
    found = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "workers").rglob("*.py")
        if room not in file.parents and own_clients(file.read_text("utf-8"))
    }

    assert found == set(OWN_CLIENTS)


@pytest.mark.parametrize(
    "source",
    [
        "from kafka import KafkaConsumer",
        "from kafka.admin import KafkaAdminClient as Client",
        "from aiokafka import AIOKafkaProducer",
        "import kafka",
        "from workers.kafka.clients import KafkaProducer\nKafkaProducer(acks='all')",
        "from workers.kafka import clients\nclients.AIOKafkaConsumer()",
    ],
)
def test_a_kafka_client_of_ones_own_is_found(source: str) -> None:
    assert own_clients(source) != set()


def test_a_clients_type_and_other_imports_are_no_client() -> None:
    source = (
        "from kafka import TopicPartition\n"
        "from kafka.errors import KafkaError\n"
        "from workers.kafka.clients import KafkaProducer, producer\n"
        "def send(to: KafkaProducer) -> None:\n"
        "    with producer(settings) as made:\n"
        "        send(made)\n"
    )

    assert own_clients(source) == set()


PATIENCES = re.compile(r"\b(?:bootstrap_timeout_ms|request_timeout_ms|max_block_ms)\b")


def test_the_patience_of_clients_is_set_in_one_room() -> None:
    """`workers.kafka.connect.PATIENCE`, and the exception beside it."""
    setting = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "workers").rglob("*.py")
        if PATIENCES.search(file.read_text("utf-8"))
    }

    assert setting == {"workers/dev_brokers/broker.py", "workers/kafka/clients.py", "workers/kafka/connect.py"}
