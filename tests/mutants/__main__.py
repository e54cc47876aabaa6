"""`make mutants`: faults put into modules one at a time, and which of them no test notices.

    python -m tests.mutants --seed 1 --each 15 [MODULE ...]

Each mutant is tried in a copy of the project: first against the tests named after the module, and then, if it has
survived these, against the rest of its room, `tests/<package>/<room>`, then against the tests elsewhere that import it
(not with `--near`), and at last against the room's tests on the embedded broker. Exit code 3 where a mutant survives;
`equivalent.txt` lists those that no test can notice, with the reason.
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
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.mutants.mutations import Mutant, mutants
from tests.support.places import ROOT

MODULES = (
    "policy_core/document/code_listings.py",
    "policy_core/evaluate/determine.py",
    "policy_core/evaluate/facts.py",
    "policy_core/evaluate/deadline.py",
    "policy_core/evaluate/plan.py",
    "policy_core/compare/answers.py",
    "policy_core/history/chain.py",
    "events/code_spelling.py",
    "events/decode.py",
    "events/typed_reader.py",
    "workers/accounts/account.py",
    "workers/decide/duplicates.py",
    "workers/decide/handler.py",
    "workers/replay/verify.py",
    "workers/stream/partition_loop.py",
)
RESULTS = ("noticed", "survived", "equivalent")
BROKERLESS = "not broker"
ON_A_BROKER = "broker"
MARKS = "not kafka and not slow and not faults and not tools and not browser and not node and not image and not audit"
LEAST_SECONDS = 20.0
TIMES_LONGER = 5
"""A mutant that takes this many times more of a processor than the module without a fault, and at least so many
seconds of it, loops for ever: it is noticed, too."""
MOST_SECONDS = 1_800.0
"""One that waits for ever is noticed after so long, by the clock."""
NO_TESTS = 5
"""pytest's exit code where every test is left out."""
FORKS = Path(__file__).with_name("forks.py")
EQUIVALENT = Path(__file__).with_name("equivalent.txt")


def held_by(module: Path, *, only_near: bool = False) -> list[tuple[str, list[str]]]:
    """The test files that hold a module, in stages, each with its mark.

    First those named after it, then its room, then what imports it, and at last those of its room that need a broker.
    """
    package = ".".join(module.with_suffix("").parts)
    imports = re.compile(rf"^from {re.escape(package)} import|^import {re.escape(package)}\b", re.MULTILINE)
    by_parent = rf"^from {re.escape('.'.join(module.parent.parts))} import .*\b{re.escape(module.stem)}\b"
    room = Path("tests", *module.parent.parts)
    named: list[str] = []
    near: list[str] = []
    elsewhere: list[str] = []
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        inside = file.relative_to(ROOT)
        text = file.read_text("utf-8")
        if inside.parent == room and re.fullmatch(rf"test_{re.escape(module.stem)}(_\w+)?\.py", file.name):
            named.append(inside.as_posix())
        elif inside.is_relative_to(room):
            near.append(inside.as_posix())
        elif imports.search(text) or re.search(by_parent, text, re.MULTILINE):
            elsewhere.append(inside.as_posix())
    on_a_broker = [*named, *near] if module.parts[0] == "workers" else []
    stages = [(BROKERLESS, named), (BROKERLESS, near), (BROKERLESS, elsewhere), (ON_A_BROKER, on_a_broker)]
    if only_near:
        stages.pop(2)
    return [(mark, tests) for mark, tests in stages if tests]


def chosen(source: str, each: int, seed: int) -> list[Mutant]:
    """Some of a module's mutants, by the seed."""
    every = list(mutants(source))
    return every if len(every) <= each else random.Random(seed).sample(every, each)


class Stage:
    """Some tests of a module in a copy of the project; close it afterwards."""

    def __init__(self, copy: Path, module: Path, tests: list[str], mark: str = BROKERLESS) -> None:
        """Collect those of these tests that have the mark; there must be no fault yet.

        Raises:
            SystemExit: They fail without a fault, so that they would notice everything.
        """
        self._copy, self._file = copy, copy / module
        self._folder = tempfile.TemporaryDirectory(prefix="dli-mutants-")
        arguments = ["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={self._folder.name}/tests"]
        arguments += ["-m", f"{mark} and {MARKS}", *tests]
        self._fresh = [sys.executable, "-m", "pytest", *arguments]
        self._environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "mutants"}
        self._forks = subprocess.Popen(  # noqa: S603 (our own)
            [sys.executable, str(FORKS), module.as_posix(), *arguments],
            cwd=copy,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        without = self._answer()
        if without is None or without["failed"]:
            self.close()
            sys.exit(f"without a fault, too, there are failures in {' '.join(tests)}")
        self._limit = max(LEAST_SECONDS, TIMES_LONGER * without["seconds"])

    def notices(self, mutant: Mutant) -> bool:
        """Whether a test fails where the module has the fault, or they take far longer than without."""
        before = self._file.read_text("utf-8")
        self._file.write_text(mutant.source, "utf-8")
        try:
            return self._notices_in_a_fork(mutant) or self._notices_from_the_beginning()
        finally:
            self._file.write_text(before, "utf-8")

    def _notices_in_a_fork(self, mutant: Mutant) -> bool:
        if not mutant.function:
            return False
        asked = {"function": mutant.function, "source": mutant.source, "limits": [self._limit, MOST_SECONDS]}
        assert self._forks.stdin is not None
        self._forks.stdin.write(f"{json.dumps(asked)}\n")
        self._forks.stdin.flush()
        return bool(self._answer())

    def _notices_from_the_beginning(self) -> bool:
        try:
            ran = subprocess.run(  # noqa: S603 (our own)
                self._fresh,
                cwd=self._copy,
                env=self._environment,
                capture_output=True,
                check=False,
                timeout=MOST_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return True
        return ran.returncode not in {0, NO_TESTS}

    def _answer(self) -> Any:
        """What the forks say; None if they have ended."""
        assert self._forks.stdout is not None
        line = self._forks.stdout.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        """End its process."""
        self._forks.communicate()
        self._folder.cleanup()


def known() -> set[str]:
    """The mutants that are known to change nothing: `module: name`, without the reason behind the bar."""
    lines = EQUIVALENT.read_text("utf-8").splitlines() if EQUIVALENT.exists() else []
    return {line.split(" | ")[0].strip() for line in lines if line and not line.startswith("#")}


def main() -> int:
    """Try the mutants, and name those that survive."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__, add_help=True)
    parser.add_argument("modules", nargs="*", default=MODULES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--near", action="store_true", help="only tests of each module's own room: quicker, and stricter"
    )
    parser.add_argument("--each", type=int, default=15, help="mutants of each module")
    asked = parser.parse_args()
    equivalent, survived = known(), 0
    with tempfile.TemporaryDirectory(prefix="dli-mutants-") as folder:
        copy = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".venv", ".git", ".mypy_cache", "__pycache__", "target", "var", ".hypothesis")
        shutil.copytree(ROOT, copy, ignore=ignored)
        for name in asked.modules:
            made = chosen((ROOT / name).read_text("utf-8"), asked.each, asked.seed)
            counts = _tried(copy, held_by(Path(name), only_near=asked.near), Path(name), made, equivalent)
            survived += counts["survived"]
            print(f"{name}: " + ", ".join(f"{counts[kind]} {kind}" for kind in RESULTS), flush=True)  # noqa: T201
    return 3 if survived else 0


def _tried(
    copy: Path, stages: list[tuple[str, list[str]]], module: Path, tried: list[Mutant], equivalent: set[str]
) -> Counter[str]:
    """How many of them were noticed, survived, and are known to change nothing."""
    left = [mutant for mutant in tried if f"{module.as_posix()}: {mutant.name}" not in equivalent]
    counts = Counter(equivalent=len(tried) - len(left))
    for mark, tests in stages:
        if not left:
            break
        with closing(Stage(copy, module, tests, mark)) as stage:
            before, left = left, [mutant for mutant in left if not stage.notices(mutant)]
        counts["noticed"] += len(before) - len(left)
    for mutant in left:
        counts["survived"] += 1
        print(f"survived {module}:{mutant.line}: {mutant.name}", flush=True)  # noqa: T201 (its report)
    return counts


if __name__ == "__main__":
    sys.exit(main())
