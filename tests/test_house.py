"""The house: which room may know which, and that the checker finds who breaks it."""

import re
import shutil
import subprocess
import sys
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
        ("policy_core/compare/answers.py", "import policy_core.history.chain"),
        ("workers/state/partition_stores.py", "import workers.ledger.supersedes_links"),
        ("workers/kafka/records.py", "import workers.main.cli"),
    ],
)
def test_an_import_that_breaks_the_house_is_found(copy: Path, file: str, line: str) -> None:
    broken = copy / file
    broken.write_text(f"{broken.read_text('utf-8')}\n{line}\n", "utf-8")

    assert lint(copy).returncode == 1


def test_four_modules_use_internals_of_faust_and_aiokafka() -> None:
    """The feed's own and the list of them; how readers hand out every record; how records are restored to the byte."""
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
