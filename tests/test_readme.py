"""The README says what is so: its commands run, what it shows is what they print, its map is the tree."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


def shown() -> list[tuple[str, str]]:
    """Every command of the README with the output it shows; no output shown means that none is claimed."""
    found: list[tuple[str, str]] = []
    for block in CONSOLE.findall(README):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command.split("  #")[0].strip(), output.strip()))
    return found


DLI = [one for one in shown() if one[0].startswith("dli ")]
MAKE = sorted({one[0].split()[1] for one in shown() if one[0].startswith("make ")})


def run(command: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "workers", *shlex.split(command)[1:]]
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


def test_the_map_names_what_is_there_and_all_of_it() -> None:
    [block] = re.findall(r"```text\n(policy_core/.*?)```", README, re.DOTALL)
    rooms = [line.split()[0] for line in block.splitlines() if line and not line.startswith(" ")]
    inside = re.findall(r"^  (\S+)", block, re.MULTILINE)
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607

    folders = {f"{name.split('/')[0]}/" for name in tracked.splitlines() if "/" in name and not name.startswith(".")}
    assert set(rooms) == folders
    room = ""
    for line in block.splitlines():
        room = line.split()[0] if line and not line.startswith(" ") else room
        if line.startswith("  ") and not line.startswith("   "):
            assert (ROOT / room / line.split()[0]).exists(), line
    assert inside


def test_every_page_it_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]

    assert links != []
    assert [link for link in links if not (ROOT / link).exists()] == []
