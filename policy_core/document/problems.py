"""Problems in a policy document, described so that the author can fix them.

PolicyDocumentError
└── problems: one line each, `file:line: path: what is wrong and what to write instead`
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

PathPart = str | int


@dataclass(frozen=True)
class Problem:
    """One mistake, at one place of the document."""

    path: tuple[PathPart, ...]
    message: str
    line: int | None = None
    """The line in the file, from 1, if known."""

    def sentence(self, file: str) -> str:
        """The mistake in one line."""
        where = file if self.line is None else f"{file}:{self.line}"
        path = ".".join(str(part) for part in self.path)
        return f"{where}: {path}: {self.message}" if path else f"{where}: {self.message}"


class PolicyDocumentError(Exception):
    """A policy document that cannot be used, not even in part."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.sentence(file) for problem in self.problems))


MOST_LISTED = 20
MOST_COMPARED = 1_000
"""Maximum number of words that a misspelt word is compared with."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint naming the closest known word, or all known words if none is close."""
    close = get_close_matches(word[:100], known[:MOST_COMPARED], n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known: {listed(known)}" if known else "none is declared"


def listed(words: Sequence[str]) -> str:
    """Words for use in a sentence; a long list is shortened."""
    more = f" and {len(words) - MOST_LISTED:,} more" if len(words) > MOST_LISTED else ""
    return ", ".join(words[:MOST_LISTED]) + more
