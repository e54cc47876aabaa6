"""A developer's Kafka that outlives the command that started it: `up` and `down`."""

import contextlib
import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from workers.dev_brokers.broker import BrokerError, answers_within
from workers.dev_brokers.kafka import LIBS, KafkaBroker
from workers.dev_brokers.ports import LOOPBACK, Ports, is_free
from workers.dev_brokers.server import DRAIN_SECONDS
from workers.process import private_files


def up(folder: Path, *, libs: Path = LIBS) -> str:
    """Start a Kafka that outlives this process, with everything in `folder`; return its bootstrap address.

    A running one is left as it is. Ports stay the same between starts unless another program has taken them.

    Raises:
        BrokerError: it cannot be started, or a running one does not respond.
    """
    folder = folder.resolve()
    with _alone(folder):
        noted = _noted(folder)
        if noted is not None and _is_ours(noted.pid, folder):
            return _still_answering(noted, folder)
        ports = noted.ports if noted is not None and all(map(is_free, noted.ports)) else None
        broker = KafkaBroker(folder, ports=ports, libs=libs)
        broker.launch()
        # Recorded before the wait: if this process dies meanwhile, `down` still knows what to stop.
        _note(folder, _Noted(broker.pid or 0, broker.ports))
        broker.wait()
        broker.release()
        return broker.bootstrap


def down(folder: Path) -> bool:
    """Stop the Kafka that `up` started in this folder and keep its data; False if none runs.

    Raises:
        BrokerError: it runs, but cannot be stopped.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        return False
    with _alone(folder):
        noted = _noted(folder)
        if noted is None or not _is_ours(noted.pid, folder):
            return False
        _end(noted.pid, folder)
        return True


class _Noted(NamedTuple):
    """What `up` stores for the next `up` or `down`; `_is_ours` checks whether it is stale."""

    pid: int
    ports: Ports


def _note(folder: Path, noted: _Noted) -> None:
    """Replace the note atomically."""
    draft = folder / "broker.json.new"
    private_files.write(draft, json.dumps({"pid": noted.pid, **noted.ports._asdict()}))
    draft.replace(folder / "broker.json")


def _noted(folder: Path) -> _Noted | None:
    """The note of the last `up`, if any."""
    path = folder / "broker.json"
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return _Noted(int(note["pid"]), Ports(int(note["client"]), int(note["controller"])))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BrokerError(f"{path} cannot be read ({error!r}): end its Kafka if one runs, and remove it.") from error


def _is_ours(pid: int, folder: Path) -> bool:
    """Whether this process is this folder's Kafka, not another with the same process id."""
    return str(folder / "server.properties") in _command_line(pid)


def _command_line(pid: int) -> list[str]:
    """A process's arguments, or at least Kafka's; empty if it has ended."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return []
    # No /proc, as on macOS. Only Kafka's last argument is needed, and it may contain spaces.
    command = subprocess.run(  # noqa: S603 - our own arguments, and no shell
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607 - wherever the system keeps it
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return [command.partition(" kafka.Kafka ")[2]]


def _still_answering(noted: _Noted, folder: Path) -> str:
    """The address of a running Kafka, possibly just started."""
    bootstrap = f"{LOOPBACK}:{noted.ports.client}"
    if not answers_within(bootstrap, 60, {}):
        raise BrokerError(
            f"The Kafka of {folder} (process {noted.pid}) does not answer at {bootstrap}: "
            f"see {folder / 'kafka.log'}, then run `dli kafka down` and `dli kafka up`."
        )
    return bootstrap


def _end(pid: int, folder: Path) -> None:
    """Stop a Kafka that another command started, with SIGTERM, then SIGKILL."""
    for signal_number, seconds in ((15, DRAIN_SECONDS), (9, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _is_ours(pid, folder):
                return
            time.sleep(0.05)
    raise BrokerError(f"The Kafka of {folder} (process {pid}) does not end: see {folder / 'kafka.log'}.")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock a folder, so that one `up` or `down` runs at a time."""
    private_files.folder(folder)
    with private_files.opened(folder / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
