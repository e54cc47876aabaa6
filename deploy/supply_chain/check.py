"""What the checks share: how they run a tool, read an answer that somebody wrote down, and say what came of it."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
TARGET = FOLDER / "target"
REQUIREMENTS = FOLDER.parent / "requirements"
RUNTIME = REQUIREMENTS / "runtime.txt"
"""What the image holds."""
ENVIRONMENT = TARGET / "runtime"
"""Where exactly that is installed."""
TOOLS = Path(sys.executable).parent
"""Where the tools stand: beside the Python that runs this."""


class AuditError(Exception):
    """A check cannot be made; its message is for the person who asked for it."""


class Verdict(StrEnum):
    """What came of a check."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    NOT_MADE = "not made"


@dataclass(frozen=True)
class Outcome:
    """What came of a check, in sentences."""

    check: str
    verdict: Verdict
    looked_at: str
    """How much of what, for the table."""
    said: tuple[str, ...] = ()


def outcome(check: str, looked_at: str, failures: Sequence[str], warnings: Sequence[str] = ()) -> Outcome:
    """The outcome of a check that was made: any failure fails it."""
    verdict = Verdict.FAILED if failures else Verdict.WARNED if warnings else Verdict.PASSED
    return Outcome(check, verdict, looked_at, (*failures, *warnings))


def ran(tool: str, *arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """What a tool made of its arguments.

    Raises:
        AuditError: It is not there.
    """
    try:
        return subprocess.run([TOOLS / tool, *arguments], cwd=cwd, capture_output=True, errors="replace", check=False)  # noqa: S603 (pinned by hash; our own arguments, no shell)
    except FileNotFoundError:
        raise AuditError(f"{tool} is not installed beside this Python: run `make audit`, which installs it") from None


def last_line(text: str) -> str:
    """The last line of what a tool said: in a traceback, the one that names the error."""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "nothing"


def read(file: Path) -> Mapping[str, Any]:
    """The mapping that a file of answers is.

    Raises:
        AuditError: It is absent, no YAML, or no mapping.
    """
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise AuditError(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise AuditError(f"{file}{where}: this is no YAML") from None
    if not isinstance(found, dict):
        raise AuditError(f"{file}: names with what stands behind them are expected here")
    return found


def entries(file: Path, section: str, *names: str) -> list[dict[str, Any]]:
    """The entries of a section of a file of answers, each with exactly these names and something behind each.

    Raises:
        AuditError: Something else stands there; says which entry.
    """
    found = read(file).get(section)
    if not isinstance(found, list):
        raise AuditError(f"{file}: a list `{section}` is expected")
    for number, entry in enumerate(found, 1):
        if not isinstance(entry, dict) or set(entry) != set(names) or not all(entry.values()):
            raise AuditError(f"{file}: entry {number} of `{section}` needs {', '.join(names)}, and nothing else")
    return found
