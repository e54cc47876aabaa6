"""`make mutants`: faults put into modules one at a time, and which of them no test notices.

    python -m tests.mutants --seed 1 --each 15 [MODULE ...]

Each mutant is tried in a copy of the project: first against the tests named after the module, and then, if it has
survived these, against the rest of its room, `tests/<package>/<room>`, and the tests elsewhere that import it. Tests
with a broker take no part. Exit code 3 where a mutant survives; `equivalent.txt` lists those that no test can notice,
with the reason.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.mutants.mutations import Mutant, mutants
from tests.support.places import ROOT

MODULES = (
    "policy_core/document/code_listings.py",
    "policy_core/evaluate/determine.py",
    "policy_core/evaluate/facts.py",
    "policy_core/evaluate/deadline.py",
    "policy_core/compare/answers.py",
    "policy_core/history/chain.py",
    "events/code_spelling.py",
    "events/decode.py",
    "workers/accounts/account.py",
    "workers/decide/duplicates.py",
    "workers/decide/handler.py",
    "workers/replay/verify.py",
    "workers/stream/partition_loop.py",
)
RESULTS = ("noticed", "survived", "equivalent")
MARKS = "not broker and not kafka and not slow and not faults and not tools and not browser and not image and not audit"
MOST_SECONDS = 1_800.0
"""Of tests without a fault."""
LEAST_SECONDS = 30.0
TIMES_LONGER = 5
"""A mutant that takes this many times longer than the module without a fault, and at least that long, loops for ever:
it is noticed, too."""
NO_TESTS = 5
"""pytest's exit code where every test is left out."""
WARM = Path(__file__).with_name("warm.py")
EQUIVALENT = Path(__file__).with_name("equivalent.txt")


def held_by(module: Path) -> list[list[str]]:
    """The test files that hold a module, in stages: those named after it, then its room and what imports it."""
    package = ".".join(module.with_suffix("").parts)
    imports = re.compile(rf"^from {re.escape(package)} import|^import {re.escape(package)}\b", re.MULTILINE)
    by_parent = rf"^from {re.escape('.'.join(module.parent.parts))} import .*\b{re.escape(module.stem)}\b"
    room = Path("tests", *module.parent.parts)
    named, others = [], []
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        inside = file.relative_to(ROOT)
        text = file.read_text("utf-8")
        if inside.parent == room and re.fullmatch(rf"test_{re.escape(module.stem)}(_\w+)?\.py", file.name):
            named.append(inside.as_posix())
        elif inside.is_relative_to(room) or imports.search(text) or re.search(by_parent, text, re.MULTILINE):
            others.append(inside.as_posix())
    return [stage for stage in (named, others) if stage]


def chosen(source: str, each: int, seed: int) -> list[Mutant]:
    """Some of a module's mutants, by the seed."""
    every = list(mutants(source))
    return every if len(every) <= each else random.Random(seed).sample(every, each)


class Runner:
    """Runs tests in a copy of the project; close it afterwards."""

    def __init__(self, copy: Path) -> None:
        """For the copy in this folder."""
        self.copy = copy
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "mutants"}
        self._process = subprocess.Popen(  # noqa: S603 (our own)
            [sys.executable, str(WARM)],
            cwd=copy,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fail(self, tests: list[str], seconds: float) -> bool:
        """Whether one of them fails, or they take longer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        arguments = ["-q", "-x", "-p", "no:cacheprovider", "-m", MARKS, *tests]
        self._process.stdin.write(f"{json.dumps([seconds, arguments])}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()) not in {0, NO_TESTS}

    def close(self) -> None:
        """End its process."""
        self._process.communicate()


class Stage:
    """Some test files, and how long a run of them may take."""

    def __init__(self, runner: Runner, tests: list[str]) -> None:
        """These tests in a copy of the project, which must have no fault yet.

        Raises:
            SystemExit: They fail without a fault, so that they would notice everything.
        """
        self._runner = runner
        self._tests = tests
        began = time.monotonic()
        if runner.fail(tests, MOST_SECONDS):
            sys.exit(f"without a fault, too, there are failures in {' '.join(tests)}")
        self._limit = max(LEAST_SECONDS, TIMES_LONGER * (time.monotonic() - began))

    def notices(self, module: Path, mutant: Mutant) -> bool:
        """Whether one of them fails where the module has the fault, or they take far longer than without."""
        file = self._runner.copy / module
        before = file.read_text("utf-8")
        file.write_text(mutant.source, "utf-8")
        try:
            return self._runner.fail(self._tests, self._limit)
        finally:
            file.write_text(before, "utf-8")


def known() -> set[str]:
    """The mutants that are known to change nothing: `module: name`, without the reason behind the bar."""
    lines = EQUIVALENT.read_text("utf-8").splitlines() if EQUIVALENT.exists() else []
    return {line.split(" | ")[0].strip() for line in lines if line and not line.startswith("#")}


def main() -> int:
    """Try the mutants, and name those that survive."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__, add_help=True)
    parser.add_argument("modules", nargs="*", default=MODULES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=15, help="mutants of each module")
    asked = parser.parse_args()
    equivalent, survived = known(), 0
    with tempfile.TemporaryDirectory(prefix="dli-mutants-") as folder:
        copy = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".venv", ".git", ".mypy_cache", "__pycache__", "target", "var", ".hypothesis")
        shutil.copytree(ROOT, copy, ignore=ignored)
        with closing(Runner(copy)) as runner:
            for name in asked.modules:
                made = chosen((ROOT / name).read_text("utf-8"), asked.each, asked.seed)
                counts = _tried(runner, Path(name), made, equivalent)
                survived += counts["survived"]
                print(f"{name}: " + ", ".join(f"{counts[kind]} {kind}" for kind in RESULTS), flush=True)  # noqa: T201
    return 3 if survived else 0


def _tried(runner: Runner, module: Path, tried: list[Mutant], equivalent: set[str]) -> Counter[str]:
    """How many of them were noticed, survived, and are known to change nothing."""
    left = [mutant for mutant in tried if f"{module.as_posix()}: {mutant.name}" not in equivalent]
    counts = Counter(equivalent=len(tried) - len(left))
    for tests in held_by(module):
        if not left:
            break
        stage = Stage(runner, tests)
        before, left = left, [mutant for mutant in left if not stage.notices(module, mutant)]
        counts["noticed"] += len(before) - len(left)
    for mutant in left:
        counts["survived"] += 1
        print(f"survived {module}:{mutant.line}: {mutant.name}", flush=True)  # noqa: T201 (its report)
    return counts


if __name__ == "__main__":
    sys.exit(main())
