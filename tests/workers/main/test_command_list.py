"""The list of commands: it says what their modules add, and to read it imports none of them."""

import subprocess
import sys
from collections import defaultdict

import pytest

from workers.main.cli import COMMANDS, commands_of

PACKAGES = {"annotated_doc", "attr", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"}
OURS = {
    *("policy_core", "policy_core.document", "policy_core.document.problems", "policy_core.work_limit"),
    *("workers", "workers.main", "workers.main.cli", "workers.process", "workers.process.private_files"),
    *("workers.console", "workers.console.errors", "workers.console.exit_codes", "workers.console.printable"),
    *("workers.console.printing", "workers.console.streams"),
}
SLOW = {"aiokafka", "asyncio", "faust", "kafka", "nicegui", "prometheus_client", "pyarrow"}

PROGRAM = """
import sys
before = set(sys.modules)
sys.argv = ["dli", *sys.argv[1:]]
from workers.main.cli import main
try: main()
except SystemExit: pass
known = {"policy_core", "events", "workers"}
new = {name for name in set(sys.modules) - before if not name.startswith("_")}
print("\\n" + " ".join(sorted(
    {name if name.partition(".")[0] in known else name.partition(".")[0] for name in new} - sys.stdlib_module_names
)))
print(" ".join(sorted({name.partition(".")[0] for name in new} & sys.stdlib_module_names)))
"""


def imported(*arguments: str) -> tuple[set[str], set[str]]:
    """Our modules and the packages that a command imports, and of Python's own packages."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603 (our own)
    *_, ours, of_python = ran.stdout.splitlines()
    return set(ours.split()), set(of_python.split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ()], ids=["help", "version", "nothing"])
def test_the_list_imports_no_command(arguments: tuple[str, ...]) -> None:
    found, of_python = imported(*arguments)

    assert found <= PACKAGES | OURS
    assert "asyncio" not in of_python


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (("explain", "workers/demo/requests.jsonl", "--request", "PA-2025-00123"), {"asyncio"}),
        (("replay", "verify", "no-archive-there"), {"asyncio", "pyarrow"}),
    ],
    ids=["explain", "verify"],
)
def test_a_command_without_kafka_imports_no_client(arguments: tuple[str, ...], needed: set[str]) -> None:
    found, of_python = imported(*arguments)

    assert (found | of_python) & SLOW == needed


@pytest.mark.parametrize("module", sorted({listed.module for listed in COMMANDS.values()}))
def test_what_is_listed_is_what_a_module_adds(module: str) -> None:
    listed = {name: one.help for name, one in COMMANDS.items() if one.module == module}
    added = {name: " ".join((one.help or "").split("\n\n")[0].split()) for name, one in commands_of(module).items()}

    assert added == listed


def test_commands_of_a_module_are_listed_together() -> None:
    """As Typer lists commands: those of a module one behind the other, and then the groups."""
    places = defaultdict(list)
    groups = [name for name, one in COMMANDS.items() if hasattr(commands_of(one.module)[name], "commands")]
    for at, (name, one) in enumerate(COMMANDS.items()):
        if name not in groups:
            places[one.module].append(at)

    assert list(COMMANDS)[-len(groups) :] == groups
    assert all(found == list(range(found[0], found[-1] + 1)) for found in places.values())
