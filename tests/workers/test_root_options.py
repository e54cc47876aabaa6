"""What `dli` takes before any command: its version."""

import tomllib
from importlib.metadata import PackageNotFoundError

import pytest
from typer.testing import CliRunner

from tests.support.commands import dli
from tests.support.places import ROOT
from workers import cli

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_version_is_that_of_the_installed_package() -> None:
    assert dli("--version") == (0, f"{PROJECT['name']} {PROJECT['version']}\n", "")


@pytest.mark.parametrize("behind", [("decide",), ("policy", "list"), ("no-such-command",)], ids=" ".join)
def test_version_is_said_before_any_command_is_looked_at(behind: tuple[str, ...]) -> None:
    assert dli("--version", *behind) == dli("--version")


def test_a_command_has_no_version_of_its_own() -> None:
    assert dli("topics", "show", "--version").code == 2


def test_without_an_installed_package_there_is_no_version_and_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(cli, "version", absent)
    ran = CliRunner().invoke(cli.cli, ["--version"])

    assert (ran.exit_code, ran.stdout) == (1, "")
    assert str(ran.exception) == "dli-authorization is not installed as a package, so that its version is not known"
