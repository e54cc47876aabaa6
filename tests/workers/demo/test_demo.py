"""The demo, run as a newcomer runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.commands import dli
from tests.support.running import eventually
from workers.configuration.settings import read
from workers.dashboard.sign_in.roles import check, tokens_of
from workers.demo.run import dashboard_options

ANSWERED = ("reviewActionCode A4", "CommunicationRequest", "reviewActionCode A1", "HCR*A4**0U", "HI*LOI:102089-0")
"""What the claims platform hears."""


@pytest.mark.broker
def test_the_demo_answers_every_request_and_explains_one() -> None:
    ran = dli("demo")

    assert ran.code == 0, ran.err
    assert [line for line in ran.err.splitlines() if "rror" in line] == []
    assert "37 decisions and 2 dead letters for 39 requests" in ran.err
    # The table ends its last line, so that what is said on standard error begins one where both go to one place.
    assert [line for line in ran.out.splitlines() if line.startswith("└")]
    assert not [line for line in ran.out.splitlines() if "┘" in line.rstrip()[:-1]]
    text = " ".join(ran.out.split())
    for sentence in (
        "Request PA-2025-00101: A1 certified in total",
        "S1: yes",
        "how to go on",
        "undecodable",
        *ANSWERED,
    ):
        assert sentence in text


TOKEN, ACT = "a token of one's own to look", "a token of one's own to act"


@pytest.mark.parametrize(("given", "options"), [
    ({}, ["--allow-redrive"]), ({"dashboard_token": TOKEN, "dashboard_act_token": ACT}, ["--allow-redrive"]),
    ({"dashboard_act_token": ACT}, ["--allow-redrive"]), ({"dashboard_token": TOKEN}, []),
])  # fmt: skip
def test_the_demos_dashboard_starts_with_any_tokens(given: dict[str, str], options: list[str]) -> None:
    """The demo's dashboard starts with whatever tokens there are."""
    found = read(**given)

    assert dashboard_options(found) == options
    check("127.0.0.1", tokens_of(found), allow_redrive=bool(options))


def children_of(pid: int) -> list[int]:
    """Processes that a process started and that still run, by `/proc`."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # A program's name may hold anything, brackets too.
            after = status.read_text().rpartition(")")[2].split()
            if int(after[1]) == pid and after[0] != "Z":
                found.append(int(status.parent.name))
    return found


def runs(pid: int) -> bool:
    """Whether a process is there and not only waited for."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@contextmanager
def demo(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A demo that goes on until it is ended; whatever is left of it is ended in any case."""
    with subprocess.Popen(  # noqa: S603 (our own command)
        [sys.executable, "-m", "workers.main", "demo", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            for one in [*children_of(process.pid), process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks for processes in /proc")
@pytest.mark.broker
@pytest.mark.parametrize("started", [1, 2], ids=["in its set-up", "while it runs"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_demo_that_is_ended_leaves_nothing_running(number: signal.Signals, started: int) -> None:
    """The broker alone, or broker and worker: on Linux also where the demo had no say in it."""
    with demo("--keep") as process:
        assert eventually(lambda: len(children_of(process.pid)) >= started)
        left = children_of(process.pid)
        process.send_signal(number)
        assert eventually(lambda: process.poll() is not None)
        assert eventually(lambda: not any(map(runs, left))), left

    assert process.returncode == (128 + number if number != signal.SIGKILL else -number)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks for processes in /proc")
@pytest.mark.broker
def test_a_second_signal_does_not_stop_the_demos_cleanup() -> None:
    """A second signal does not keep the demo from stopping what it started."""
    with demo("--keep") as process:
        assert eventually(lambda: len(children_of(process.pid)) == 2)
        left = children_of(process.pid)
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        assert eventually(lambda: process.poll() is not None and not any(map(runs, left))), left
