"""The command line, run as a person runs it: each command in a process of its own."""

import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from workers.main.cli import COMMANDS

PATIENCE_SECONDS = 120

# Most of a short command's time is Python's, loading what it imports. So each is forked from a process that has done
# so, and has no threads and nothing else that a command would not find in a new one.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["workers.main.cli", *{listed.module for listed in COMMANDS.values()}])


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


def dli(*arguments: str, given: bytes = b"") -> Ran:
    """Run a command.

    Raises:
        subprocess.TimeoutExpired: It does not end.
    """
    with tempfile.TemporaryDirectory(prefix="dli-command-") as folder:
        streams = [Path(folder) / name for name in ("in", "out", "err")]
        for stream, content in zip(streams, (given, b"", b""), strict=True):
            stream.write_bytes(content)
        process = _FORKS.Process(target=_run, args=(arguments, dict(os.environ), str(Path.cwd()), streams))
        process.start()
        process.join(PATIENCE_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(("dli", *arguments), PATIENCE_SECONDS)
        _, out, err = (stream.read_bytes().decode() for stream in streams)
        return Ran(process.exitcode, out, err)


def _run(arguments: Sequence[str], environment: Mapping[str, str], place: str, streams: Sequence[Path]) -> None:
    from workers.main.cli import main  # noqa: PLC0415 (there already, and only there)

    for number, (stream, flags) in enumerate(zip(streams, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        os.dup2(os.open(stream, flags), number)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), encoding="utf-8")  # noqa: SIM115 (the process's)
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), encoding="utf-8")  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), "utf-8", "backslashreplace", line_buffering=True)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    sys.argv = ["dli", *arguments]
    main()
