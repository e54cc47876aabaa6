"""Apache Kafka on this machine as a broker."""

import atexit
import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from workers.dev_brokers.broker import Broker, BrokerError, Client
from workers.dev_brokers.ports import LOOPBACK, Ports, check_ports, free_ports
from workers.dev_brokers.server import Server, last_lines
from workers.process import private_files

LIBS = Path(__file__).resolve().parents[2] / "deploy" / "kafka" / "target" / "libs"
OLDEST_JAVA = 17


class KafkaBroker(Broker):
    """One node of Apache Kafka in KRaft mode, broker and controller in one process, on loopback.

    Args:
        folder: for data, settings and log, which are kept; by default a temporary one that `stop` removes.
        ports: the ports to use; by default free ones. They stay the same for this object.
        properties: server settings that add to those written here, or replace them.
        format_arguments: further arguments for formatting the data folder, such as `--add-scram=…`.
        cluster_id: 22 characters of base64, if several nodes form one cluster; by default a new one.
        client: settings of the client that checks for a response, if it must log in.
        loggers: levels of loggers of Kafka's own, by name, such as `kafka.authorizer.logger`.
        libs: the folder with Kafka's jars.
        heap_megabytes: the JVM's maximum heap.
        patience_seconds: how long Kafka may take to respond.
    """

    def __init__(  # noqa: PLR0913 - keyword arguments, each needed by a test
        self,
        folder: Path | None = None,
        *,
        ports: Ports | None = None,
        properties: Mapping[str, str] | None = None,
        format_arguments: Sequence[str] = (),
        cluster_id: str | None = None,
        client: Client | None = None,
        loggers: Mapping[str, str] | None = None,
        libs: Path = LIBS,
        heap_megabytes: int = 512,
        patience_seconds: float = 60.0,
    ) -> None:
        self.ports = ports or free_ports()
        self._kept = None if folder is None else folder.resolve()
        self._folder: Path | None = self._kept
        self._properties = {**_single_node(self.ports), **(properties or {})}
        self._format_arguments = tuple(format_arguments)
        self._cluster_id = cluster_id or _new_cluster_id()
        self._client = client or {}
        self._loggers = dict(loggers or {})
        self._libs = libs
        self._heap_megabytes = heap_megabytes
        self._patience = patience_seconds
        self._server: Server | None = None

    @property
    def bootstrap(self) -> str:  # noqa: D102 - said in Broker
        return f"{LOOPBACK}:{self.ports.client}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._server.pid if self._server else None

    @property
    def folder(self) -> Path | None:
        """The folder of its data and log; None for a temporary folder that does not exist."""
        return self._folder

    def start(self) -> None:  # noqa: D102 - said in Broker
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the process without waiting for a response: the nodes of a cluster need each other to respond.

        Raises:
            BrokerError: jars, Java or a port are unavailable, or Kafka refuses to format its folder.
        """
        if self._server is not None:
            return
        _check_jars(self._libs)
        java = _java()
        check_ports(self.ports)
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="dli-kafka-"))
        atexit.register(self.stop)
        try:
            self._write_settings(self._folder)
            self._format(java, self._folder)
            command = self._command(java, self._folder, "kafka.Kafka", str(self._folder / "server.properties"))
            self._server = Server("Apache Kafka", command, self._folder, self._folder / "kafka.log")
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Return once the launched broker responds.

        Raises:
            BrokerError: it does not respond in time, or its process ended. It is stopped then.
        """
        if self._server is None:
            raise BrokerError(f"The Kafka broker for {self.bootstrap} is not running: start it first.")
        try:
            self._server.await_answer(self.bootstrap, self._patience, self._client)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:  # noqa: D102 - said in Broker
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._folder is not None and self._kept is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        atexit.unregister(self.stop)

    def kill(self) -> None:
        """Kill the process with SIGKILL, as in a crash. Its data is kept for `restart`."""
        if self._server is not None:
            self._server.kill()
            self._server = None

    def restart(self) -> None:
        """Restart on the same data and ports, stopping the process first if it is running."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        self.start()

    def release(self) -> None:
        """Detach the process: neither `stop` nor the interpreter's exit stops it."""
        self._server = None
        atexit.unregister(self.stop)

    def _write_settings(self, folder: Path) -> None:
        """Write Kafka's and its logger's settings into the folder."""
        private_files.folder(folder)
        private_files.write(folder / "server.properties", _as_java_properties(self._properties))
        private_files.write(folder / "log4j2.properties", _as_java_properties(_logging(self._loggers)))

    def _format(self, java: str, folder: Path) -> None:
        """Format a new data folder with its cluster id; an existing id is kept."""
        if (folder / "data" / "meta.properties").exists():
            return
        # "-t=ID" and not "-t ID": an id may begin with a dash.
        arguments = (f"-t={self._cluster_id}", "-c", str(folder / "server.properties"), "-g")
        command = self._command(java, folder, "kafka.tools.StorageTool", "format", *arguments, *self._format_arguments)
        done = subprocess.run(  # noqa: S603 - our own arguments, and no shell
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            output = last_lines(done.stdout + done.stderr)
            raise BrokerError(f"Kafka refused to format {folder}: mend what it says, or remove the folder.\n{output}")

    def _command(self, java: str, folder: Path, main: str, *arguments: str) -> list[str]:
        """The command line that runs one of Kafka's programs."""
        logging = f"-Dlog4j2.configurationFile={(folder / 'log4j2.properties').as_uri()}"
        # A short-lived broker never amortizes the second compiler's cost, which exceeds all its other work.
        jvm = (java, "-XX:TieredStopAtLevel=1", f"-Xmx{self._heap_megabytes}m", "-Djava.awt.headless=true", logging)
        return [*jvm, "-cp", str(self._libs.resolve() / "*"), main, *arguments]


def _check_jars(libs: Path) -> None:
    """Raise BrokerError if the jars lack Kafka's server."""
    if not any(libs.glob("kafka_*.jar")):
        raise BrokerError(f"Apache Kafka's jars are not in {libs}: run `make kafka-jars`.")


def _java() -> str:
    """The Java program: under JAVA_HOME if set, otherwise on the path."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        where = f"under JAVA_HOME ({home})" if home else "on the path"
        raise BrokerError(f"Java was not found {where}: Apache Kafka needs Java {OLDEST_JAVA} or newer.")
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - our own arguments
    version = re.search(r'version "(?:1\.)?(\d+)', output)
    if version is None or int(version[1]) < OLDEST_JAVA:
        found = version[0] if version else last_lines(output)
        raise BrokerError(f"Apache Kafka needs Java {OLDEST_JAVA} or newer, but {java} says: {found}")
    return java


def _new_cluster_id() -> str:
    """A random id as Kafka writes them: 16 bytes in base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _single_node(ports: Ports) -> dict[str, str]:
    """Server settings of a single-node cluster."""
    copies = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic", "default")
    in_sync = ("transaction.state.log", "share.coordinator.state.topic")
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{ports.client},CONTROLLER://{LOOPBACK}:{ports.controller}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@{LOOPBACK}:{ports.controller}",
        # Relative to the process's folder: the setting is a comma-separated list, and a path may contain commas.
        "log.dirs": "data",
        # A missing topic must be an error, not created with one partition.
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A killed node can return only after its old session: 3 seconds here, 9 by default.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # The cleaner's minimum, instead of 128 MB of heap.
        "log.cleaner.dedupe.buffer.size": "1048577",
        **{f"{name}.replication.factor": "1" for name in copies},
        **{f"{name}.min.isr": "1" for name in in_sync},
    }


_LOGGING = {
    "appender.out.type": "Console",
    "appender.out.name": "out",
    "appender.out.layout.type": "PatternLayout",
    "appender.out.layout.pattern": "%d %p %m (%c)%n",
    "rootLogger.level": "INFO",
    "rootLogger.appenderRef.out.ref": "out",
    # Otherwise it prints every setting of every component.
    "logger.settings.name": "org.apache.kafka.common.config.AbstractConfig",
    "logger.settings.level": "WARN",
}


def _logging(levels: Mapping[str, str]) -> dict[str, str]:
    """The logger's settings, with levels of individual loggers."""
    named = {
        f"logger.own{number}.{key}": value
        for number, (name, level) in enumerate(levels.items())
        for key, value in (("name", name), ("level", level))
    }
    return {**_LOGGING, **named}


def _as_java_properties(settings: Mapping[str, str]) -> str:
    """The settings in Java's format, in ASCII: Java reads the escapes of a JSON string the same way."""
    return "".join(f"{name}={json.dumps(value)[1:-1]}\n" for name, value in settings.items())
