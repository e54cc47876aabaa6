"""The pages for newcomers say what is so: their links lead somewhere, and what they name is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from tests.support.places import ROOT
from workers.main.cli import cli

FOLDER = ROOT / ".github"
PAGES = sorted(FOLDER.glob("*.md"))
WANTED = ["field", "fact", "reason", "topic", "command", "metric"]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
NAMED = re.compile(r"`([^`\n]+)`")
PLACE = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")
ENDINGS = (".py", ".md", ".yaml", ".json", ".txt", ".toml", "/")


def paths(page: str) -> list[str]:
    """Files and folders that a page names, as the root has them."""
    named = [one for one in NAMED.findall(page) if PLACE.fullmatch(one) and one.endswith(ENDINGS)]
    return [one for one in named if "NUMBER" not in one]


def commands(group: TyperGroup, before: str = "dli") -> Iterator[str]:
    for name, one in group.commands.items():
        yield f"{before} {name}"
        if isinstance(one, TyperGroup):
            yield from commands(one, f"{before} {name}")


ROOT_COMMAND = typer.main.get_command(cli)
assert isinstance(ROOT_COMMAND, TyperGroup)
COMMANDS = set(commands(ROOT_COMMAND))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def absent(page: str, folder: Path) -> list[str]:
    """What a page names or links to and is not there."""
    links = [link for link in LINK.findall(page) if "://" not in link and not (folder / link).exists()]
    files = [one for one in paths(page) if not (ROOT / one).exists()]
    called = re.findall(r"\bmake ([a-z-]+)", " ".join(NAMED.findall(page)))
    ours = {" ".join(one.split()[:3]) for one in NAMED.findall(page) if re.match(r"dli [a-z]", one)}
    unknown = [one for one in ours if one not in COMMANDS and " ".join(one.split()[:2]) not in COMMANDS]
    return [*links, *files, *(f"make {one}" for one in called if one not in TARGETS), *unknown]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    assert absent(page.read_text("utf-8"), page.parent) == []


def test_each_kind_of_addition_has_its_list() -> None:
    text = (FOLDER / "CONTRIBUTING.md").read_text("utf-8")
    lists = {title: re.findall(r"^\d+\. ", body, re.MULTILINE) for title, body in
             re.findall(r"^### A (\w+)\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)}  # fmt: skip

    assert [page.name for page in PAGES] == ["CONTRIBUTING.md", "SECURITY.md"]
    assert [*lists] == WANTED
    assert [title for title, steps in lists.items() if len(steps) < 3] == []


@pytest.mark.parametrize(
    "bad", ["[x](nowhere.md)", "`workers/nowhere.py`", "`make nothing`", "`dli nothing`", "`dli nothing at all`"]
)
def test_what_is_not_there_is_found(bad: str) -> None:
    assert len(absent(f"Words, and {bad}.", FOLDER)) == 1
