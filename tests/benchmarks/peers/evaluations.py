"""Evaluations of the policy on the same cases: ours, plain Python and engines of others, each a program of its own.

A program is given rules and cases, and prints its answers, or with a number of rounds its processor time. All are first
compared with the tests' second evaluation, and not measured if they decide a complete case differently.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from policy_core.history.library import PACKAGED
from policy_core.loading.load import load
from tests.benchmarks.peers import cases, languages
from tests.benchmarks.peers.cases import Answer, Asked
from tests.benchmarks.peers.decision_table import DecisionTable, decision_table
from tests.benchmarks.processes import BenchmarkError, built, has, java
from tests.benchmarks.tables import number, table
from tests.support.places import ROOT

POLICY = PACKAGED / "L.2.03.402.yaml"
FOLDER = Path(__file__).parent
CASES = 5_000
WARM_UP = 30
"""Rounds through all cases that are not counted: after those Java's compiler has done its work."""
ROUNDS = 11


@dataclass(frozen=True)
class Evaluation:
    """One way to decide a case."""

    name: str
    command: Sequence[str]
    language: Callable[[DecisionTable], str] | None = None
    """What writes its rules; without one it reads the policy document."""
    missing: str | None = None
    """What has to be installed or built first."""

    def run(self, *arguments: object) -> list[Any]:
        """What the program prints.

        Raises:
            BenchmarkError: It failed.
        """
        command = [*self.command, *map(str, arguments)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 (our own)
        if ran.returncode:
            raise BenchmarkError(f"{self.name}: {ran.stderr[-1500:]}")
        said: list[Any] = json.loads(ran.stdout)
        return said


def in_python(name: str, evaluation: str, python: str = sys.executable, **more: Any) -> Evaluation:
    """One of `in_python.py`."""
    return Evaluation(name, (python, "-m", "tests.benchmarks.peers.in_python", evaluation), **more)


def usual(zen_python: str = sys.executable) -> list[Evaluation]:
    """Those that run in Python."""
    return [
        in_python("ours, from the clinical object, remembered", "ours-remembered"),
        in_python("ours, from the clinical object, not remembered", "ours"),
        in_python("plain Python rules", "plain"),
        in_python(
            "zen-engine", "zen", zen_python, language=languages.zen, missing=None if has(zen_python, "zen") else "zen"
        ),
    ]


def peers() -> list[Evaluation]:
    """Those that `make bench-peers` builds."""
    opa, drools = FOLDER / "opa" / "target", FOLDER / "drools" / "target"
    return [
        Evaluation("OPA", (str(opa / "opa"),), languages.rego, built(opa)),
        Evaluation("Drools DMN", java(drools, "DroolsTable"), languages.dmn, built(drools)),
    ]


class Row(NamedTuple):
    """What one evaluation came to."""

    name: str
    us: float
    """Microseconds of processor time per complete case."""
    partial: int
    """On how many of the cases without half of their facts it agrees."""


class Sample(NamedTuple):
    """Cases in a file, and the right answers."""

    file: Path
    expected: list[Answer]


class Contest:
    """The same cases for every evaluation."""

    def __init__(self, folder: Path, count: int = CASES) -> None:
        self._folder = folder
        self._document = load(POLICY)
        self._table = decision_table(self._document)
        self._complete = self._sample("complete", cases.complete(count))
        self._partial = self._sample("partial", cases.partial(count))

    def _sample(self, name: str, asked: Iterable[Asked]) -> Sample:
        file, listed = self._folder / f"{name}.json", list(asked)
        file.write_text(json.dumps([cases.as_input(one) for one in listed]), "utf-8")
        return Sample(file, [cases.expected(self._document, one) for one in listed])

    def measure(self, evaluation: Evaluation) -> Row:
        """Its time, if it decides as the second evaluation does.

        Raises:
            BenchmarkError: It does not, or it failed.
        """
        if different := self.disagreements(evaluation):
            count = f"{len(different)} of {len(self._complete.expected)} complete cases"
            raise BenchmarkError(f"{evaluation.name} decides {count} differently: {different[0]}")
        rules = self._rules(evaluation)
        pairs = zip(evaluation.run(rules, self._partial.file), self._partial.expected, strict=True)
        agreed = sum(found is not None and found[0] == right[0] for found, right in pairs)
        rounds = evaluation.run(rules, self._complete.file, WARM_UP + ROUNDS)
        return Row(evaluation.name, median(rounds[WARM_UP:]), agreed)

    def disagreements(self, evaluation: Evaluation) -> list[str]:
        """Its answers to complete cases that are not the second evaluation's.

        Raises:
            BenchmarkError: It failed.
        """
        answers = evaluation.run(self._rules(evaluation), self._complete.file)
        pairs = zip(answers, self._complete.expected, strict=True)
        return [f"{found}, expected {list(right)}" for found, right in pairs if found != list(right)]

    def _rules(self, evaluation: Evaluation) -> Path:
        if evaluation.language is None:
            return POLICY
        file = self._folder / f"policy.{evaluation.language.__name__}"
        file.write_text(evaluation.language(self._table), "utf-8")
        return file


def measure(
    evaluations: Iterable[Evaluation], folder: Path, tell: Callable[[str], None], count: int = CASES
) -> tuple[list[Row], dict[str, str]]:
    """Every evaluation in turn, and why some were not measured, by name."""
    contest = Contest(folder, count)
    rows, absent = [], {}
    for evaluation in evaluations:
        if evaluation.missing:
            absent[evaluation.name] = f"not installed: {evaluation.missing}"
            continue
        tell(f"the policy: {evaluation.name}")
        try:
            rows.append(contest.measure(evaluation))
        except BenchmarkError as error:
            absent[evaluation.name] = str(error)
    return rows, absent


def report(rows: Iterable[Row], count: int = CASES) -> str:
    """The rows, to be read."""
    head = ("evaluation", "CPU µs per complete case", "partial cases as the second evaluation")
    return table(head, [(row.name, number(row.us, 2), f"{row.partial:,} of {count:,}") for row in rows])
