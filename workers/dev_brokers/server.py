"""A broker's process: start, output, stop."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from workers.dev_brokers.broker import BrokerError, Client, answers_within
from workers.process import private_files

DRAIN_SECONDS = 30.0
"""How long a server may take to stop before it is killed."""
BOUND = Path(__file__).with_name("child_process.py")


class Server:
    """A server's process, in its own session so that Ctrl-C does not reach it directly."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, log: Path) -> None:
        self._name = name
        self._log = log
        try:
            with private_files.opened(log, "ab") as sink:
                self._process = subprocess.Popen(  # noqa: S603 - our own arguments, and no shell
                    command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise BrokerError(f"{name} cannot be run: {error}. Install it again.") from error

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def output(self) -> str:
        """Its output so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def check(self, deadline: float | None = None) -> None:
        """Raise BrokerError if the process ended, or the deadline (monotonic clock) has passed."""
        if (code := self._process.poll()) is not None:
            raise BrokerError(f"{self._name} ended with exit code {code} while starting. Its log ends:\n{self._tail()}")
        if deadline is not None and time.monotonic() > deadline:
            raise BrokerError(f"{self._name} did not say where it listens. Its log ends:\n{self._tail()}")

    def await_answer(self, bootstrap: str, seconds: float, client: Client) -> None:
        """Return once it responds; raise BrokerError if it ends first or takes longer."""
        if answers_within(bootstrap, seconds, client, self.check):
            return
        raise BrokerError(f"{self._name} did not answer within {seconds:g} seconds. Its log ends:\n{self._tail()}")

    def stop(self) -> None:
        """Ask it to end; kill it if it takes too long."""
        self._process.terminate()
        try:
            self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def _tail(self) -> str:
        return last_lines(self.output())


def bound(command: Sequence[str]) -> list[str]:
    """The command line that runs a command until this process ends, on Linux even by SIGKILL.

    Linux treats the end of the starting thread as the parent's end: start it from the main thread.
    """
    return [sys.executable, "-I", "-S", str(BOUND), str(os.getpid()), *command]


def last_lines(text: str, count: int = 20) -> str:
    """The end of a log, indented, without the frames of Java's stack traces."""
    lines = [line for line in text.splitlines() if not re.match(r"\s+(at |\.\.\. \d+ more)", line)]
    return "\n".join(f"    {line}" for line in lines[-count:])
