"""`make bench-peers`: the evaluation of the policy, ours beside plain Python, zen-engine, OPA and Drools DMN."""

import argparse
import json
import sys
import time
from os import cpu_count, getloadavg
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.peers import evaluations
from tests.support.places import ROOT


def main() -> None:
    """Measure all; print the table, and leave it in files."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--cases", type=int, default=evaluations.CASES, help="complete cases, and as many partial ones")
    parser.add_argument("--zen-python", default=sys.executable, help="an interpreter that has zen")
    parser.add_argument("--out", type=Path, default=ROOT / "var", help="the folder for peers.md and peers.json")
    options = parser.parse_args()
    before = getloadavg()[0]
    with TemporaryDirectory(prefix="dli-peers-") as folder:
        measured = [*evaluations.usual(options.zen_python), *evaluations.peers()]
        rows, absent = evaluations.measure(measured, Path(folder), _tell, options.cases)
    about = f"{cpu_count()} cores; the machine's load before and after: {before:.1f}, {getloadavg()[0]:.1f}."
    text = f"# The policy beside its peers\n\n{about}\n\n{evaluations.report(rows, options.cases)}"
    if absent:
        text += "\n## Not measured\n\n" + "".join(f"- {name}: {reason}\n" for name, reason in absent.items())
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "peers.md").write_text(text, encoding="utf-8")
    found = {"cases": options.cases, "evaluations": [row._asdict() for row in rows], "not_measured": absent}
    (options.out / "peers.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    sys.stdout.write(text)


def _tell(sentence: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {sentence}\n")


if __name__ == "__main__":
    main()
