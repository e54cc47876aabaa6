"""A broker's process: started, listened to, ended."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from workers import private_files
from workers.dev_brokers.broker import BrokerError, Client, answers_within

DRAIN_SECONDS = 30.0
"""How long a server may take to stop by itself before it is killed."""
BOUND = Path(__file__).with_name("child_process.py")


class Server:
    """A server's process, in a session of its own so that Ctrl-C reaches us first and we end it in order."""

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

    def said(self) -> str:
        """All it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def check(self, deadline: float | None = None) -> None:
        """Raise BrokerError where the process ended, or the monotonic clock is past the deadline."""
        if (code := self._process.poll()) is not None:
            raise BrokerError(f"{self._name} ended with exit code {code} while starting. Its log ends:\n{self._tail()}")
        if deadline is not None and time.monotonic() > deadline:
            raise BrokerError(f"{self._name} did not say where it listens. Its log ends:\n{self._tail()}")

    def await_answer(self, bootstrap: str, seconds: float, client: Client) -> None:
        """Return once it answers; raise BrokerError where it ends before that, or takes longer."""
        if answers_within(bootstrap, seconds, client, self.check):
            return
        raise BrokerError(f"{self._name} did not answer within {seconds:g} seconds. Its log ends:\n{self._tail()}")

    def stop(self) -> None:
        """Ask it to end; kill it where it takes too long."""
        self._process.terminate()
        try:
            self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def _tail(self) -> str:
        return last_lines(self.said())


def bound(command: Sequence[str]) -> list[str]:
    """The command line that runs a command until this process ends, however it ends: by SIGKILL too, on Linux.

    To Linux the end of the thread that starts it is the end of its parent: start it from the main one.
    """
    return [sys.executable, "-I", "-S", str(BOUND), str(os.getpid()), *command]


def last_lines(text: str, count: int = 20) -> str:
    """The end of a log, indented to stand apart in a message, without the frames of Java's stack traces."""
    told = [line for line in text.splitlines() if not re.match(r"\s+(at |\.\.\. \d+ more)", line)]
    return "\n".join(f"    {line}" for line in told[-count:])
