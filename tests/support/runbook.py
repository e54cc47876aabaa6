"""The command lines that the runbook tells people to run, with words of their own put in where it leaves a blank."""

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.generate import FOLDER as DEPLOY

RUNBOOK = DEPLOY / "runbook.md"
PROGRAMS = ("dli", "curl", "kubectl", "docker", "kafka-topics", "kafka-consumer-groups", "export")
_BLOCK = re.compile(r"```(?:sh|console)\n(.*?)```", re.DOTALL)
_PROMPT = "$ "
_INLINE = re.compile(r"`([^`]+)`")
_BLANK = re.compile(r"\b(?:[A-Z][A-Z_]+|N)\b")


def command_lines(text: str) -> list[str]:
    """Every command line of a page, once, in the order of the page: those of its blocks, and those in its sentences.

    One with an ellipsis is a manner of speaking.
    """
    found: dict[str, None] = {}
    position: list[tuple[int, str]] = []
    for block in _BLOCK.finditer(text):
        position += [(block.start(), line.removeprefix(_PROMPT)) for line in block[1].splitlines()]
    for inline in _INLINE.finditer(_BLOCK.sub(lambda block: " " * len(block[0]), text)):
        position.append((inline.start(), inline[1]))
    for _, said in sorted(position, key=lambda one: one[0]):
        line = " ".join(said.split())
        if line.split(" ")[0] in PROGRAMS and " " in line and "…" not in line:
            found[line] = None
    return list(found)


def arguments(line: str, blanks: Callable[[str, str], str]) -> list[str]:
    """A command line's words, comments left out, with each blank filled in: what stands for it in which command."""
    words = shlex.split(line, comments=True)
    return [_BLANK.sub(lambda blank: blanks(line, blank[0]), word) for word in words]


def filled(values: Mapping[str, Mapping[str, str]]) -> Callable[[str, str], str]:
    """What to put in: by the command's beginning, the longest that fits, and the blank.

    Raises:
        KeyError: Nobody says what to put in.
    """

    def fill(line: str, blank: str) -> str:
        for beginning in sorted(values, key=len, reverse=True):
            if line.startswith(beginning) and blank in values[beginning]:
                return values[beginning][blank]
        raise KeyError(f"what stands for {blank} in `{line}`?")

    return fill


def runbook() -> str:
    """The page."""
    return Path(RUNBOOK).read_text("utf-8")
