"""Runs pytest again and again, each time in a fork of a process that has imported what others made.

    python tests/mutants/warm.py        in the project's folder

Each line read is `[seconds, [argument, ...]]` in JSON; the answer is a line with pytest's exit code, or the negative
number of the signal that ended it. Most of a short run is the import of libraries; no module of the project is among
them, for these may have a fault.
"""

import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence

import pytest

LIBRARIES = ("hypothesis", "pydantic", "pydantic_settings", "faust", "aiokafka", "kafka", "structlog", "typer", "yaml")


def run(seconds: float, arguments: Sequence[str]) -> int:
    """Pytest's exit code, or the negative number of the signal that ended it: SIGALRM after so many seconds."""
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        os._exit(pytest.main(list(arguments)))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Run what is asked for, until there is no more."""
    sys.path[0] = ""  # the project's folder, as with `python -m pytest`
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        seconds, arguments = json.loads(line)
        sys.stdout.write(f"{run(seconds, arguments)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
