"""What tools of others read of this project: the package's data, an editor's settings, hooks before a commit."""

import configparser
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from trove_classifiers import classifiers

from tests.support.places import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
PACKAGES = ["policy_core", "events", "workers"]


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    return listed.splitlines()


# --- the package ---------------------------------------------------------------------------------------------------


def test_every_package_ships_its_types() -> None:
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert wheel == {"packages": PACKAGES}  # whole packages: nothing is left out and nothing else is put in
    for package in PACKAGES:
        assert f"{package}/py.typed" in tracked()
        assert (ROOT / package / "py.typed").read_bytes() == b""
    ignored = subprocess.run(  # noqa: S603
        ["git", "check-ignore", "--no-index", *(f"{one}/py.typed" for one in PACKAGES)],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ignored.stdout == ""  # hatch leaves out what git does


def test_it_has_authors_and_classifiers_that_there_are() -> None:
    assert [one["name"] for one in PROJECT["authors"]] != []
    # Those that keep a package from being uploaded are none of the list's, by design.
    known = [one for one in PROJECT["classifiers"] if not one.startswith("Private :: ")]
    assert [one for one in known if one not in classifiers] == []
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert "Private :: Do Not Upload" in PROJECT["classifiers"]


def test_the_licence_is_nobodys_to_say_but_the_owners() -> None:
    said = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "licence" in line.lower()]

    assert [line for line in said if "owner" in line] == [
        "The owner has not chosen a licence yet; until then, none is granted."
    ]
    assert "license" not in PROJECT
    assert [one for one in PROJECT["classifiers"] if one.startswith("License")] == []


# --- hooks ---------------------------------------------------------------------------------------------------------

HOOKS: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))


def programs(config: dict[str, Any]) -> list[str]:
    """What the hooks run.

    Raises:
        ValueError: One is fetched from elsewhere.
    """
    for repository in config["repos"]:
        if repository["repo"] != "local" or any(hook["language"] != "system" for hook in repository["hooks"]):
            raise ValueError(repository["repo"])
    return [hook["entry"].split()[0] for repository in config["repos"] for hook in repository["hooks"]]


def test_hooks_run_the_environments_own_tools_those_of_make_lint() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    [recipe] = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)

    assert programs(HOOKS) == [line.split()[0].replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    assert [name for name in programs(HOOKS) if not (Path(sys.executable).parent / Path(name).name).is_file()] == []


@pytest.mark.parametrize(
    "repository",
    [
        {"repo": "https://github.com/astral-sh/ruff-pre-commit", "rev": "v1", "hooks": [{"id": "ruff"}]},
        {"repo": "local", "hooks": [{"id": "x", "entry": "x", "language": "python"}]},
    ],
)
def test_a_hook_that_fetches_something_is_found(repository: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        programs({"repos": [repository]})


# --- editors -------------------------------------------------------------------------------------------------------


def rules(text: str) -> dict[str, dict[str, str]]:
    """An .editorconfig's sections."""
    parser = configparser.ConfigParser(default_section="")
    parser.read_string(f"[top]\n{text}")
    return {name: dict(parser[name]) for name in parser.sections()}


EDITOR = rules((ROOT / ".editorconfig").read_text("utf-8"))


def untidy(raw: bytes) -> list[str]:
    """What of a file is not as an editor with these rules leaves it."""
    found = ["end of line"] if b"\r" in raw else []
    found += ["final newline"] if raw and not raw.endswith(b"\n") else []
    found += ["trailing white space"] if re.search(rb"[ \t]$", raw, re.MULTILINE) else []
    return found + (["charset"] if raw != raw.decode("utf-8", "replace").encode() else [])


def test_files_are_as_an_editor_with_its_rules_leaves_them() -> None:
    ours = [name for name in tracked() if fnmatch(name, "*.py") or fnmatch(name, "*.md") or fnmatch(name, "*.toml")]
    every = EDITOR["*"]

    assert (every["charset"], every["end_of_line"]) == ("utf-8", "lf")
    assert (every["insert_final_newline"], every["trim_trailing_whitespace"]) == ("true", "true")
    assert {name: untidy((ROOT / name).read_bytes()) for name in ours if untidy((ROOT / name).read_bytes())} == {}
    assert EDITOR["*.py"]["max_line_length"] == str(PYPROJECT["tool"]["ruff"]["line-length"])


@pytest.mark.parametrize("raw", [b"a\r\n", b"a", b"a \nb\n", b"a\xff\n"])
def test_an_untidy_file_is_found(raw: bytes) -> None:
    assert len(untidy(raw)) == 1
