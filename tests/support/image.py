"""The image, built and run with no container engine: buildah in storage of its own, on a base from Debian's packages.

The base stands in for the one that the Dockerfile names, under its name: Debian with a Python of its own. So what is
proved is the Dockerfile and what it makes, and not the base that a registry gives.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from deploy.generate import FOLDER as DEPLOY

ROOT = DEPLOY.parent
DOCKERFILE = DEPLOY / "image" / "Dockerfile"
TARGET = DEPLOY / "image" / "target"
BASE = TARGET / "base.tar"
DATA = "/var/lib/dli"
PACKAGES = ("ca-certificates", "python-is-python3", "python3", "python3-venv")
SUITE = "bookworm"


def absent() -> list[str]:
    """What is not here of what is needed to build and run it."""
    return [tool for tool in ("buildah", "mmdebstrap") if shutil.which(tool) is None]


def base_name() -> str:
    """The image that the Dockerfile builds on."""
    return next(line.split()[1] for line in DOCKERFILE.read_text("utf-8").splitlines() if line.startswith("FROM "))


def make_base() -> None:
    """Make the base's files, once: they are kept beside the Dockerfile."""
    if BASE.is_file():
        return
    TARGET.mkdir(parents=True, exist_ok=True)
    unfinished = BASE.with_suffix(".new.tar")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(unfinished)]
    subprocess.run([*command, *_sources()], check=True, stdin=subprocess.DEVNULL)  # noqa: S603 (our own command)
    unfinished.replace(BASE)


def _sources() -> list[str]:
    """Where this machine itself gets the suite's packages from; none where it is of another one."""
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]
    files += sorted(folder.glob("sources.list.d/*.sources"))
    return [str(file) for file in files if file.is_file() and SUITE in file.read_text("utf-8")]


class Ran(NamedTuple):
    """What a command in the image left behind."""

    code: int
    out: str
    err: str


class Store:
    """Images and containers in a folder of ours: nobody else's are touched, and removing it removes all of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._driver = "vfs" if not self._has_overlay() else "overlay"

    def _has_overlay(self) -> bool:
        done = subprocess.run(self._command("overlay", "info"), capture_output=True, check=False)  # noqa: S603
        return done.returncode == 0

    def _command(self, driver: str, *arguments: str) -> list[str]:
        where = ["--root", str(self._folder / "storage"), "--runroot", str(self._folder / "run")]
        return ["buildah", *where, "--storage-driver", driver, *arguments]

    def command(self, *arguments: str) -> list[str]:
        """The command line of buildah on this store."""
        return self._command(self._driver, *arguments)

    def told(self, *arguments: str) -> str:
        """What buildah says.

        Raises:
            RuntimeError: It fails; with its own words.
        """
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"buildah {shlex.join(arguments)}: {done.stdout[-4_000:]}{done.stderr[-4_000:]}")
        return done.stdout.strip()

    def take_in_base(self) -> None:
        """Have the base under the name that the Dockerfile gives it."""
        container = self.told("from", "scratch")
        self.told("add", "--quiet", container, str(BASE), "/")
        self.told("commit", "--quiet", "--rm", container, base_name())

    def build(self, tag: str) -> None:
        """Build the image as the Dockerfile says, with this machine's own settings of pip."""
        volumes = [f"--volume={source}:{inside}:ro" for source, inside in _pip_settings(self._folder).items()]
        self.told(
            *("build", "--isolation", "chroot", "--network", "host", "--pull-never", *volumes),
            *("--tag", tag, "--file", str(DOCKERFILE), str(ROOT)),
        )

    def remove(self) -> None:
        """Remove all that is in it."""
        self.told("rm", "--all")
        self.told("rmi", "--all", "--force")
        shutil.rmtree(self._folder)


def _pip_settings(folder: Path) -> Mapping[str, str]:
    """What pip is told here, as files to be seen in the build: its settings in one, and those that they name."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found: dict[str, str] = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        # What the environment says comes before what files say, and is listed first.
        found.setdefault(name.rpartition(".")[2], literal_eval(value))
    file = folder / "pip.conf"
    file.write_text("[global]\n" + "".join(f"{name} = {_indented(value)}\n" for name, value in found.items()), "utf-8")
    named = (one for value in found.values() for one in value.split() if one.startswith("/") and Path(one).exists())
    return {str(file): "/etc/pip.conf", **{one: one for one in named}}


def _indented(value: str) -> str:
    return "\n    ".join(value.split("\n"))


class Container:
    """A container of the image, in which commands run as its own user, on this machine's network."""

    def __init__(self, store: Store, image: str, data: Path) -> None:
        self._store = store
        self._name = store.told("from", "--pull-never", image)
        self._data = data
        data.mkdir(parents=True)
        os.chown(data, UID, UID)

    def command(self, *arguments: str, environment: Mapping[str, str]) -> list[str]:
        """The command line that runs a command in it, whole."""
        given = [f"--env={name}={value}" for name, value in environment.items()]
        volume = f"--volume={self._data}:{DATA}"
        return self._store.command("run", "--isolation", "chroot", volume, *given, self._name, "--", *arguments)

    def run(self, *arguments: str, environment: Mapping[str, str], given: bytes = b"") -> Ran:
        """Run a command to its end."""
        command = self.command(*arguments, environment=environment)
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=300)  # noqa: S603
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def running(self, *arguments: str, environment: Mapping[str, str], log: Path) -> Iterator["Running"]:
        """Run a command while this lasts."""
        with log.open("wb") as stream:
            started = subprocess.Popen(  # noqa: S603 (our own command)
                self.command(*arguments, environment=environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
            running = Running(started, log)
            try:
                yield running
            finally:
                running.stop()

    @contextmanager
    def tree(self) -> Iterator[Path]:
        """Its files, as this machine sees them."""
        try:
            yield Path(self._store.told("mount", self._name))
        finally:
            self._store.told("umount", self._name)


UID = 10001


class Running:
    """A process in a container."""

    def __init__(self, started: "subprocess.Popen[bytes]", log: Path) -> None:
        self._started = started
        self._log = log

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text("utf-8", "replace")

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._started.poll()

    def stop(self) -> int:
        """End it as a container engine does, by SIGTERM to its first process; returns its exit code."""
        if self._started.poll() is None:
            os.kill(_innermost(self._started.pid), signal.SIGTERM)
        return self._started.wait(60)


def _innermost(pid: int) -> int:
    """The process that a chain of only children ends with."""
    while children := _children(pid):
        pid = children[0]
    return pid


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(one) for one in task.read_text("ascii").split()]
    return found


class Entry(NamedTuple):
    """What there is of a file or folder that changes when somebody writes."""

    mode: int
    owner: int
    size: int
    changed: int


def entries(tree: Path, without: Sequence[str]) -> dict[str, Entry]:
    """Everything below a root, but for some folders."""
    left_out = {tree / one.lstrip("/") for one in without}
    found = {}
    for folder, folders, files in os.walk(tree):
        folders[:] = [name for name in folders if Path(folder) / name not in left_out]
        for path in (Path(folder), *(Path(folder) / name for name in files)):
            said = path.lstat()
            found["/" + path.relative_to(tree).as_posix()] = Entry(
                said.st_mode, said.st_uid, said.st_size, said.st_mtime_ns
            )
    return found


def wait_until(what: str, holds: Callable[[], bool], running: Running, patience_seconds: float = 120.0) -> None:
    """Return once something holds of a process that runs.

    Raises:
        AssertionError: It does not in time, or the process ended.
    """
    until = time.monotonic() + patience_seconds
    while not holds():
        if running.code is not None or time.monotonic() > until:
            raise AssertionError(f"not {what}; code {running.code}: {running.log[-3_000:]}")
        time.sleep(0.2)
