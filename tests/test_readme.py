"""The README says what is so: its commands run, what it shows is what they print, its map is the tree."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

README = (ROOT / "README.md").read_text("utf-8")
FIRST_LOOK = (ROOT / "workers/demo/README.md").read_text("utf-8")
SCREENS = 96
"""Lines of two screens."""
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


def shown() -> list[tuple[str, str]]:
    """Every command of the two pages with the output they show; no output shown means that none is claimed."""
    found: list[tuple[str, str]] = []
    for block in CONSOLE.findall(README) + CONSOLE.findall(FIRST_LOOK):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command.split("  #")[0].strip(), output.strip()))
    return found


DLI = [one for one in shown() if one[0].startswith("dli ")]
MAKE = sorted({one[0].split()[1] for one in shown() if one[0].startswith("make ")})


def run(command: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "workers.main", *shlex.split(command)[1:]]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 (the README's own)


@pytest.mark.parametrize(("command", "output"), DLI)
def test_a_command_prints_what_the_readme_shows(command: str, output: str) -> None:
    ran = run(command)

    assert ran.returncode == 0, ran.stderr
    if output:
        assert [line.rstrip() for line in ran.stdout.strip().splitlines()] == output.splitlines()


def test_every_make_command_is_a_target() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

    assert MAKE != []
    assert [name for name in MAKE if name not in targets] == []


def test_the_map_begins_within_two_screens() -> None:
    assert README.partition("```text\npolicy_core/")[0].count("\n") < SCREENS


[MAP] = re.findall(r"```text\n(policy_core/.*?)```", README, re.DOTALL)
PACKAGES = ("policy_core", "events", "workers")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [Path(name) for name in listed.splitlines()]


def mapped(text: str) -> dict[str, set[str]]:
    """The folders of a map, each with the modules that it names there."""
    found: dict[str, set[str]] = {}
    top = room = ""
    for line in text.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            top = room = name.rstrip("/")
        elif not line.startswith("   "):
            room = top if name == "." else f"{top}/{name}"
        else:
            found[room] |= set(line.split())
        found.setdefault(room, set())
    return found


def test_the_map_names_every_module_and_no_other() -> None:
    modules: dict[str, set[str]] = {}
    for file in tracked():
        if file.parts[0] in PACKAGES and file.suffix == ".py" and not file.stem.startswith("__"):
            modules.setdefault(file.parent.as_posix(), set()).add(file.stem)

    assert {room: names for room, names in mapped(MAP).items() if names} == modules


def test_the_map_names_exactly_the_top_level_folders() -> None:
    """The map names every top-level folder and none that does not exist."""
    rooms = mapped(MAP)

    assert {room for room in rooms if "/" not in room} == {
        file.parts[0] for file in tracked() if len(file.parts) > 1 and not file.parts[0].startswith(".")
    }
    assert [room for room in rooms if not (ROOT / room).is_dir()] == []


def test_a_map_that_lacks_a_module_is_noticed() -> None:
    short = "workers/  how it runs\n  .       shared\n          app\n          cli\n  kafka   clients\n          lag\n"

    assert mapped(short) == {"workers": {"app", "cli"}, "workers/kafka": {"lag"}}


def test_every_page_it_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]

    assert links != []
    assert [link for link in links if not (ROOT / link).exists()] == []
