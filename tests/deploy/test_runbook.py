"""The runbook's command lines are ones that programs take; in the image they are run (test_image.py)."""

import re
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from deploy.generate import FOLDER as DEPLOY
from tests.support.runbook import arguments, command_lines, runbook
from tests.support.runbook_words import leaf

ROOT = DEPLOY.parent
PAGES = [
    ROOT / "README.md",
    *(DEPLOY / name for name in ("README.md", "connect.md", "personal-data.md", "runbook.md", "security.md")),
    DEPLOY / "clients" / "README.md",
    *(ROOT / package / "README.md" for package in ("events", "policy_core", "workers")),
    *ROOT.glob("workers/*/README.md"),
]


SHELL = {"|", ">", "<", "&&", "&"}
"""What a shell ends a command's words with."""


def lines_of(program: str) -> list[str]:
    return [line for line in command_lines(runbook()) if line.split(" ")[0] == program]


def as_numbers(_line: str, blank: str) -> str:
    return "7" if blank in {"N", "PARTITION"} else blank


def usage_problem(line: str) -> str | None:
    """Why `dli` would not take a command line; None where it does, and where a sentence only names a command."""
    command, rest = leaf([*takewhile(lambda word: word not in SHELL, arguments(line, as_numbers)[1:])])
    if command is None:
        return "no such command"
    if not rest:
        return None
    try:
        command.make_context(command.name, rest)
    except Exception as error:  # noqa: BLE001 (typer's own kinds of usage errors have no public home)
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_dli_takes_every_command_line_of_a_page(page: Path) -> None:
    lines = [line for line in command_lines(page.read_text("utf-8")) if line.startswith("dli ")]

    assert {line: usage_problem(line) for line in lines if usage_problem(line)} == {}


@pytest.mark.parametrize(
    "line",
    [
        "dli archiv FOLDER",
        "dli topics applyy",
        "dli archive FOLDER --form x",
        "dli accounts --all",
        "dli policy diff X 2024",
    ],
)
def test_a_command_line_that_dli_does_not_take_is_noticed(line: str) -> None:
    assert usage_problem(line) is not None


def test_runbook_commands_are_found_in_blocks_and_sentences() -> None:
    """The runbook's command lines are found in code blocks and in sentences."""
    text = "See `dli topics\ncheck`, `DLI_X` and `dli …`.\n```sh\ndli accounts  # all\n```\nThen `dli topics check`."
    console = "```console\n$ dli tail pas.responses  # answers\na line of output\n```\n"

    assert command_lines(text) == ["dli topics check", "dli accounts # all"]
    assert command_lines(console) == ["dli tail pas.responses # answers"]
    assert len(lines_of("dli")) > 10


def test_what_kubectl_and_docker_are_to_touch_is_there() -> None:
    services = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))["services"]
    profiles = {name for service in services.values() for name in service.get("profiles", ())}
    manifests = [
        one
        for file in (DEPLOY / "kubernetes" / "base").glob("*.yaml")
        for one in yaml.safe_load_all(file.read_text("utf-8"))
        if one
    ]
    there = {(one["kind"].lower(), one["metadata"]["name"]) for one in manifests if "metadata" in one}
    for line in (*lines_of("kubectl"), *lines_of("docker")):
        for kind, name in re.findall(r"\b(\w+)[/ ](dli-[\w-]+)", line):
            known = {"statefulset", "deployment", "service", "scaledobject", "cronjob"}
            assert kind not in known or (kind, name) in there, line
        for option, named in re.findall(r"--(profile|file|kustomize|namespace)[ =](\S+)", line):
            if option == "profile":
                assert named in profiles, line
            elif option in {"file", "kustomize"}:
                assert (ROOT / named).exists(), line
            else:
                assert named == "dli-authorization", line
