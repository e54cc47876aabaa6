"""What `dli` takes before any command: its version, and a shell's completion."""

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.commands import dli
from tests.support.places import ROOT
from workers.main import cli

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_version_is_that_of_the_installed_package() -> None:
    assert dli("--version") == (0, f"{PROJECT['name']} {PROJECT['version']}\n", "")


@pytest.mark.parametrize("behind", [("decide",), ("policy", "list"), ("no-such-command",)], ids=" ".join)
def test_version_is_said_before_any_command_is_looked_at(behind: tuple[str, ...]) -> None:
    assert dli("--version", *behind) == dli("--version")


def test_a_command_has_no_version_of_its_own() -> None:
    assert dli("topics", "show", "--version").code == 2


def test_a_missing_package_has_no_version_but_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", absent)
    ran = CliRunner().invoke(cli.cli, ["--version"])

    assert (ran.exit_code, ran.stdout) == (1, "")
    assert str(ran.exception) == "dli-authorization is not installed as a package, so that its version is not known"


# --- completion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("dli pol", ["policy"]),
        ("dli policy verify", ["verify-source"]),
        ("dli rights --topic", ["--topic-prefix"]),
        ("dli no-such-command", []),
    ],
)
def test_a_shell_completes_commands_and_options(
    typed: str, offered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_DLI_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    ran = dli()

    assert (ran.code, ran.out.split(), ran.err) == (0, offered, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_for_who_asks_and_says_where(
    shell: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    # The shell is then an argument, whatever shell this test is run from.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    shown = dli("--show-completion", shell)
    untouched = list(tmp_path.iterdir())
    installed = dli("--install-completion", shell)

    assert (shown.code, "_DLI_COMPLETE" in shown.out, untouched) == (0, True, [])
    assert (installed.code, f"{shell} completion installed in {tmp_path}" in installed.out) == (0, True)
    written = [file.read_text("utf-8") for file in tmp_path.rglob("*") if file.is_file()]
    assert any("_DLI_COMPLETE" in text for text in written)
