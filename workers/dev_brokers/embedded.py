"""The `noida-db` binary as a broker."""

import atexit
import re
import shutil
import tempfile
import time
from importlib import resources
from pathlib import Path

from workers.dev_brokers.broker import Broker, BrokerError
from workers.dev_brokers.ports import LOOPBACK
from workers.dev_brokers.server import Server, bound


class EmbeddedBroker(Broker):
    """The `noida-db` binary, serving only Kafka's protocol, from memory and a temporary folder.

    It chooses its own port: one chosen here could be taken before it binds.
    """

    def __init__(self, *, patience_seconds: float = 20.0) -> None:
        self._patience = patience_seconds
        self._folder: Path | None = None
        self._server: Server | None = None
        self._bootstrap: str | None = None

    @property
    def bootstrap(self) -> str:  # noqa: D102 - said in Broker
        if self._bootstrap is None:
            raise BrokerError("The embedded broker has no address before it is started: call start() first.")
        return self._bootstrap

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._server.pid if self._server else None

    @property
    def folder(self) -> Path | None:
        """Where its data and its log are while it runs."""
        return self._folder

    def start(self) -> None:  # noqa: D102 - said in Broker
        if self._server is not None:
            return
        binary = _embedded_binary()
        self._folder = Path(tempfile.mkdtemp(prefix="dli-embedded-"))
        atexit.register(self.stop)
        try:
            self._launch(binary, self._folder)
        except BaseException:
            self.stop()
            raise

    def _launch(self, binary: Path, folder: Path) -> None:
        """Start the binary and read its port from its first output."""
        command = [str(binary), "start", "--only", "kafka", "--host", LOOPBACK, "--kafka-port", "0"]
        command = bound([*command, "--data-dir", str(folder / "data")])
        server = Server("noida-db", command, folder, folder / "log")
        self._server = server
        deadline = time.monotonic() + self._patience
        while (listening := re.search(r"^\s*kafka\s+(\S+:\d+)$", server.output(), re.MULTILINE)) is None:
            server.check(deadline)
            time.sleep(0.01)
        self._bootstrap = listening[1]
        server.await_answer(listening[1], self._patience, {})

    def stop(self) -> None:  # noqa: D102 - said in Broker
        if self._server is not None:
            self._server.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._server = self._folder = self._bootstrap = None
        atexit.unregister(self.stop)


def _embedded_binary() -> Path:
    """Where the noida-db package keeps its program."""
    try:
        binary = Path(str(resources.files("noida_db").joinpath("noida-db")))
    except ModuleNotFoundError:
        raise BrokerError(
            "The embedded broker is not installed: pip install 'dli-authorization[embedded]', "
            "or choose Apache Kafka instead."
        ) from None
    return binary
