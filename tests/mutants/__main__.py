"""`make mutants`: faults put into modules one at a time, and which of them no test notices.

    python -m tests.mutants --seed 1 --each 15 [MODULE ...]

A module is held by the tests of its room, `tests/<package>/<room>`, those without a broker. Each mutant is tried in a
copy of the project. Exit code 3 where one survives; `equivalent.txt` lists those that no test can notice, with the
reason.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
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
MARKS = "not broker and not kafka and not slow and not faults and not tools and not browser and not image and not audit"
SECONDS = 300
"""A mutant that loops for ever is noticed, too."""
EQUIVALENT = Path(__file__).with_name("equivalent.txt")


def held_by(module: Path) -> list[str]:
    """The test files that hold a module: those of its room."""
    room = Path("tests", *module.parent.parts)
    found = sorted(file.as_posix() for file in (ROOT / room).rglob("test_*.py"))
    return [Path(file).relative_to(ROOT).as_posix() for file in found] or ["tests"]


def chosen(source: str, each: int, seed: int) -> list[Mutant]:
    """Some of a module's mutants, by the seed."""
    every = list(mutants(source))
    return every if len(every) <= each else random.Random(seed).sample(every, each)


def is_noticed(copy: Path, module: Path, mutant: Mutant, tests: list[str]) -> bool:
    """Whether a test fails where the module has the fault."""
    file = copy / module
    before = file.read_text("utf-8")
    file.write_text(mutant.source, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", MARKS, *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_DATABASE_FILE": "none"}
    try:
        ran = subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False, timeout=SECONDS)  # noqa: S603 (our own)
    except subprocess.TimeoutExpired:
        return True
    finally:
        file.write_text(before, "utf-8")
    return ran.returncode != 0


def known() -> set[str]:
    """The mutants that are known to change nothing: `module: what`, without the reason behind the bar."""
    lines = EQUIVALENT.read_text("utf-8").splitlines() if EQUIVALENT.exists() else []
    return {line.split(" | ")[0].strip() for line in lines if line and not line.startswith("#")}


def main() -> int:
    """Try the mutants, and name those that survive."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__, add_help=True)
    parser.add_argument("modules", nargs="*", default=MODULES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=15, help="mutants of each module")
    asked = parser.parse_args()
    equivalent, survived, tried = known(), 0, 0
    with tempfile.TemporaryDirectory(prefix="dli-mutants-") as folder:
        copy = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".venv", ".git", ".mypy_cache", "__pycache__", "target", "var", ".hypothesis")
        shutil.copytree(ROOT, copy, ignore=ignored)
        for name in asked.modules:
            module = Path(name)
            tests = held_by(module)
            for mutant in chosen((ROOT / module).read_text("utf-8"), asked.each, asked.seed):
                if f"{name}: {mutant.what}" in equivalent:
                    continue
                tried += 1
                if not is_noticed(copy, module, mutant, tests):
                    survived += 1
                    print(f"survived {name}:{mutant.line}: {mutant.what}", flush=True)  # noqa: T201 (its report)
            print(f"{name}: done; {tried - survived} of {tried} noticed so far", flush=True)  # noqa: T201
    return 3 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
