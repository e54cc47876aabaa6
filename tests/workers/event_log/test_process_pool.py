"""Processes that share tasks end with the process that started them, however that ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.running import eventually

PROGRAM = """
import os, sys, time
from pathlib import Path
from workers.event_log.process_pool import run

def work(folder, handle):
    Path(folder, str(os.getpid())).touch()
    handle.send(os.getpid())
    time.sleep(600)

if __name__ == "__main__":
    run([sys.argv[1]] * 2, work, lambda _: None, 2)
"""


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_one_that_started_it(sent: signal.Signals, tmp_path: Path) -> None:
    program, marks = tmp_path / "program.py", tmp_path / "marks"
    program.write_text(PROGRAM, "utf-8")
    marks.mkdir()
    with subprocess.Popen([sys.executable, str(program), str(marks)], env={"PYTHONPATH": str(ROOT)}) as main:  # noqa: S603 (our own)
        assert eventually(lambda: len(list(marks.iterdir())) == 2)
        started = [int(mark.name) for mark in marks.iterdir()]
        assert all(map(is_running, started))
        main.send_signal(sent)
        main.wait()

    assert eventually(lambda: not any(map(is_running, started)))
