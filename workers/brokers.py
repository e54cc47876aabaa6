"""Brokers for demos, developers and tests, behind one small interface.

`EmbeddedBroker`  the `noida-db` binary: up in a moment, forgets everything; never for patients' data
`KafkaBroker`     Apache Kafka itself on this machine, one node; can be killed and started again on its data
`GivenBroker`     one that runs elsewhere: only asked whether it answers
`up`, `down`      a developer's Kafka that outlives the command that started it

All listen on loopback only. Whatever starts here is stopped here: by `stop`, at the end of a `with` block, or
when the interpreter exits. A parent that is itself killed with SIGKILL leaves its broker running.

`BrokerError` is the only error. Its sentence says what was wrong, where, and what to do.
"""

import atexit
import base64
import contextlib
import fcntl
import json
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

Kind = Literal["embedded", "kafka", "given"]
Client = Mapping[str, object]
"""What a client needs to get in, as kafka-python names it: `security_protocol`, `ssl_context` and so on."""

LOOPBACK = "127.0.0.1"
LIBS = Path(__file__).resolve().parents[1] / "deploy" / "kafka" / "target" / "libs"
OLDEST_JAVA = 17
DRAIN_SECONDS = 30.0
"""How long a server may take to stop by itself before it is killed."""


class BrokerError(Exception):
    """A broker could not be started, reached or stopped."""


class Ports(NamedTuple):
    """The TCP ports of one Kafka node."""

    client: int
    controller: int


class Broker(ABC):
    """A Kafka-speaking broker that is there from `start` to `stop`."""

    @property
    @abstractmethod
    def bootstrap(self) -> str:
        """Where clients connect, as `host:port`.

        Raises:
            BrokerError: the broker has not been started and its port is not known yet.
        """

    @abstractmethod
    def start(self) -> None:
        """Return once the broker answers; at once where it already runs.

        Raises:
            BrokerError: it does not answer in time. Nothing of it is left running then.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the broker, and wait for its end. Stopping twice is fine."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def broker_named(kind: Kind, bootstrap: str | None = None) -> Broker:
    """The broker that a setting or a test option names; it is not started yet.

    Raises:
        BrokerError: a given broker needs its address.
    """
    if kind == "embedded":
        return EmbeddedBroker()
    if kind == "kafka":
        return KafkaBroker()
    if not bootstrap:
        raise BrokerError("The broker is to be a given one, but no address was given: name it as host:port.")
    return GivenBroker(bootstrap)


class GivenBroker(Broker):
    """A broker that somebody else runs."""

    def __init__(self, bootstrap: str, *, client: Client | None = None, patience_seconds: float = 10.0) -> None:
        self._bootstrap = bootstrap
        self._client = client or {}
        self._patience = patience_seconds

    @property
    def bootstrap(self) -> str:  # noqa: D102 - said in Broker
        return self._bootstrap

    def start(self) -> None:  # noqa: D102 - said in Broker
        if not _answers_within(self._bootstrap, self._patience, self._client):
            raise BrokerError(
                f"No broker answered at {self._bootstrap} within {self._patience:g} seconds: "
                "check the address, that the broker runs, and the credentials if it asks for any."
            )

    def stop(self) -> None:
        """Leave it alone: it is not ours."""


class EmbeddedBroker(Broker):
    """The `noida-db` binary, serving Kafka's protocol only, from memory and a temporary folder.

    Its port is of its own choosing: a port chosen here could be taken before the binary binds it.
    """

    def __init__(self, *, patience_seconds: float = 20.0) -> None:
        self._patience = patience_seconds
        self._folder: Path | None = None
        self._server: _Server | None = None
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
        """Start the binary and learn from its first words which port it took."""
        command = [str(binary), "start", "--only", "kafka", "--host", LOOPBACK, "--kafka-port", "0"]
        server = _Server("noida-db", [*command, "--data-dir", str(folder / "data")], folder, folder / "log")
        self._server = server
        deadline = time.monotonic() + self._patience
        while (said := re.search(r"^\s*kafka\s+(\S+:\d+)$", server.said(), re.MULTILINE)) is None:
            server.check(deadline)
            time.sleep(0.01)
        self._bootstrap = said[1]
        server.await_answer(said[1], self._patience, {})

    def stop(self) -> None:  # noqa: D102 - said in Broker
        if self._server is not None:
            self._server.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._server = self._folder = self._bootstrap = None
        atexit.unregister(self.stop)


class KafkaBroker(Broker):
    """One node of Apache Kafka in KRaft mode, broker and controller in one process, on loopback.

    Args:
        folder: where data, settings and log live, to be kept; else a temporary one that `stop` removes.
        ports: which ports to take; free ones otherwise. They stay the same for the life of this object.
        properties: server settings that add to those written here, or replace them.
        format_arguments: further arguments for formatting the data folder, such as `--add-scram=…`.
        cluster_id: 22 characters of base64, where several nodes form one cluster; a new one otherwise.
        client: settings for the client that asks whether the broker answers, where it must log in.
        loggers: levels of loggers of Kafka's own, by name, such as `kafka.authorizer.logger`.
        libs: the folder with Kafka's jars.
        heap_megabytes: the most heap that the JVM may take.
        patience_seconds: how long Kafka may take until it answers.
    """

    def __init__(  # noqa: PLR0913 - all but the first are by name, each for a test that needs it
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
        self._server: _Server | None = None

    @property
    def bootstrap(self) -> str:  # noqa: D102 - said in Broker
        return f"{LOOPBACK}:{self.ports.client}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._server.pid if self._server else None

    @property
    def folder(self) -> Path | None:
        """Where its data and its log are; None for a temporary folder that is not there (any more)."""
        return self._folder

    def start(self) -> None:  # noqa: D102 - said in Broker
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the process without waiting for an answer: the nodes of a cluster need each other to answer.

        Raises:
            BrokerError: jars, Java or a port are not to be had, or Kafka refuses to format its folder.
        """
        if self._server is not None:
            return
        _check_jars(self._libs)
        java = _java()
        _check_ports(self.ports)
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="dli-kafka-"))
        atexit.register(self.stop)
        try:
            self._write_settings(self._folder)
            self._format(java, self._folder)
            command = self._command(java, self._folder, "kafka.Kafka", str(self._folder / "server.properties"))
            self._server = _Server("Apache Kafka", command, self._folder, self._folder / "kafka.log")
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Return once the launched broker answers.

        Raises:
            BrokerError: it does not answer in time, or its process ended. It is stopped then.
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
        """End the process with SIGKILL, as a crash would. Its data stay for `restart`."""
        if self._server is not None:
            self._server.kill()
            self._server = None

    def restart(self) -> None:
        """Start again on the same data and ports, stopping the process first where it still runs."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        self.start()

    def release(self) -> None:
        """Let the process live on by itself: neither `stop` nor the interpreter's end touches it any more."""
        self._server = None
        atexit.unregister(self.stop)

    def _write_settings(self, folder: Path) -> None:
        """Write Kafka's and its logger's settings into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "server.properties").write_text(_as_java_properties(self._properties), encoding="ascii")
        (folder / "log4j2.properties").write_text(_as_java_properties(_logging(self._loggers)), encoding="ascii")

    def _format(self, java: str, folder: Path) -> None:
        """Give a new data folder its cluster id; a folder that has one keeps it."""
        if (folder / "data" / "meta.properties").exists():
            return
        # "-t=ID" and not "-t ID": an id may begin with a dash.
        arguments = (f"-t={self._cluster_id}", "-c", str(folder / "server.properties"), "-g")
        command = self._command(java, folder, "kafka.tools.StorageTool", "format", *arguments, *self._format_arguments)
        done = subprocess.run(  # noqa: S603 - our own arguments, and no shell
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = _last_lines(done.stdout + done.stderr)
            raise BrokerError(f"Kafka refused to format {folder}: mend what it says, or remove the folder.\n{said}")

    def _command(self, java: str, folder: Path, main: str, *arguments: str) -> list[str]:
        """The command line that runs one of Kafka's programs."""
        logging = f"-Dlog4j2.configurationFile={(folder / 'log4j2.properties').as_uri()}"
        # A broker of minutes never gets back what its second compiler takes, which is more than all else it does.
        jvm = (java, "-XX:TieredStopAtLevel=1", f"-Xmx{self._heap_megabytes}m", "-Djava.awt.headless=true", logging)
        return [*jvm, "-cp", str(self._libs.resolve() / "*"), main, *arguments]


def up(folder: Path, *, libs: Path = LIBS) -> str:
    """Have a Kafka run that outlives this process, with all it needs in `folder`; say its bootstrap address.

    One that already runs there is left as it is. Ports stay the same from one time to the next unless another
    program has taken them.

    Raises:
        BrokerError: it cannot be started, or one that runs does not answer.
    """
    folder = folder.resolve()
    with _alone(folder):
        noted = _noted(folder)
        if noted is not None and _is_ours(noted.pid, folder):
            return _still_answering(noted, folder)
        ports = noted.ports if noted is not None and all(map(_is_free, noted.ports)) else None
        broker = KafkaBroker(folder, ports=ports, libs=libs)
        broker.launch()
        # Noted before the wait: if this process dies meanwhile, `down` still knows what to end.
        _note(folder, _Noted(broker.pid or 0, broker.ports))
        broker.wait()
        broker.release()
        return broker.bootstrap


def down(folder: Path) -> bool:
    """Stop the Kafka that `up` started in this folder and keep its data; False where none runs.

    Raises:
        BrokerError: it runs, but cannot be ended.
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


def free_ports() -> Ports:
    """Two ports that nothing listens on now.

    From below the range that systems hand to outgoing connections, so that none of those takes the port of a
    broker that was killed and is to come back on it.
    """
    candidates = random.SystemRandom().sample(range(20_000, 32_000), 200)
    free = (port for port in candidates if _is_free(port))
    try:
        return Ports(next(free), next(free))
    except StopIteration:
        raise BrokerError(f"No free port found on {LOOPBACK} between 20000 and 32000: end what holds them.") from None


class _Server:
    """A server's process, in a session of its own so that Ctrl-C reaches us first and we end it in order."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, log: Path) -> None:
        self._name = name
        self._log = log
        try:
            with log.open("ab") as sink:
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
        if _answers_within(bootstrap, seconds, client, self.check):
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
        self._process.kill()
        self._process.wait()

    def _tail(self) -> str:
        return _last_lines(self.said())


def _last_lines(text: str, count: int = 20) -> str:
    """The end of a log, indented to stand apart in a message, without the frames of Java's stack traces."""
    told = [line for line in text.splitlines() if not re.match(r"\s+(at |\.\.\. \d+ more)", line)]
    return "\n".join(f"    {line}" for line in told[-count:])


def _answers_within(bootstrap: str, seconds: float, client: Client, check: Callable[[], None] = lambda: None) -> bool:
    """Whether the broker answers in that time; `check` may end the wait early by raising."""
    deadline = time.monotonic() + seconds
    servers = _servers(bootstrap)
    while True:
        check()
        # A bare connection first: refusals are the rule while a broker starts, and the client would log each.
        if any(map(_accepts, servers)) and _has_a_live_broker(bootstrap, client):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def _servers(bootstrap: str) -> list[tuple[str, int]]:
    """The hosts and ports of a comma-separated list."""
    found = [re.fullmatch(r"\s*\[?([^\s,\]]+)\]?:(\d{1,5})\s*", server) for server in bootstrap.split(",")]
    if not all(found):
        raise BrokerError(f"The broker's address {bootstrap!r} is not host:port, or several of them with commas.")
    return [(server[1], int(server[2])) for server in found if server]


def _accepts(server: tuple[str, int]) -> bool:
    """Whether something accepts a connection there."""
    try:
        with socket.create_connection(server, timeout=2):
            return True
    except (OSError, OverflowError):  # OverflowError: a port above 65535
        return False


def _has_a_live_broker(bootstrap: str, client: Client) -> bool:
    """Whether the cluster names a broker that serves clients; Kafka accepts connections a little before."""
    try:
        # The client's first step is to ask for the brokers, until there is one.
        KafkaAdminClient(bootstrap_servers=bootstrap.split(","), bootstrap_timeout_ms=5000, **client).close()
    except KafkaError:
        return False
    return True


def _is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback."""
    with socket.socket() as probe:
        # As Java does: a port is free although connections of its last server are still timing out.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


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


def _check_jars(libs: Path) -> None:
    """Raise BrokerError where Kafka's server is not among the jars."""
    if not any(libs.glob("kafka_*.jar")):
        raise BrokerError(f"Apache Kafka's jars are not in {libs}: run `make kafka-jars`.")


def _java() -> str:
    """The Java program: under JAVA_HOME where that is set, as Java's own tools do, else on the path."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        where = f"under JAVA_HOME ({home})" if home else "on the path"
        raise BrokerError(f"Java was not found {where}: Apache Kafka needs Java {OLDEST_JAVA} or newer.")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - as above
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        found = version[0] if version else _last_lines(said)
        raise BrokerError(f"Apache Kafka needs Java {OLDEST_JAVA} or newer, but {java} says: {found}")
    return java


def _check_ports(ports: Ports) -> None:
    """Raise BrokerError where another program listens; it might even answer in our broker's place."""
    for port in ports:
        if not _is_free(port):
            raise BrokerError(f"Port {port} of {LOOPBACK} is taken: end the program that listens there.")


def _new_cluster_id() -> str:
    """A random id as Kafka writes them: 16 bytes in base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _single_node(ports: Ports) -> dict[str, str]:
    """Server settings for one node that is all of its cluster."""
    copies = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic", "default")
    in_sync = ("transaction.state.log", "share.coordinator.state.topic")
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{ports.client},CONTROLLER://{LOOPBACK}:{ports.controller}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@{LOOPBACK}:{ports.controller}",
        # Seen from the process's own folder: the setting is a list, and a path may hold its comma.
        "log.dirs": "data",
        # A topic that somebody forgot to create must be an error, not a topic of one partition.
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A killed node may come back only once its old session is over: 3 seconds here, Kafka's default is 9.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # The least the cleaner takes instead of 128 MB of heap.
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
    # Prints every setting of every component, hundreds of lines.
    "logger.settings.name": "org.apache.kafka.common.config.AbstractConfig",
    "logger.settings.level": "WARN",
}


def _logging(levels: Mapping[str, str]) -> dict[str, str]:
    """The logger's settings, with levels of single loggers besides."""
    named = {
        f"logger.own{number}.{key}": value
        for number, (name, level) in enumerate(levels.items())
        for key, value in (("name", name), ("level", level))
    }
    return {**_LOGGING, **named}


def _as_java_properties(settings: Mapping[str, str]) -> str:
    """The settings in Java's format, in ASCII: Java reads the escapes of a JSON string the same way."""
    return "".join(f"{name}={json.dumps(value)[1:-1]}\n" for name, value in settings.items())


class _Noted(NamedTuple):
    """What `up` leaves in its folder for the next `up` or `down`; `_is_ours` tells whether it is stale."""

    pid: int
    ports: Ports


def _note(folder: Path, noted: _Noted) -> None:
    """Replace the note in one step, so that no reader sees half of it."""
    draft = folder / "broker.json.new"
    draft.write_text(json.dumps({"pid": noted.pid, **noted.ports._asdict()}), encoding="utf-8")
    draft.replace(folder / "broker.json")


def _noted(folder: Path) -> _Noted | None:
    """What the last `up` noted; None where there was none."""
    path = folder / "broker.json"
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return _Noted(int(note["pid"]), Ports(int(note["client"]), int(note["controller"])))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BrokerError(f"{path} cannot be read ({error!r}): end its Kafka if one runs, and remove it.") from error


def _is_ours(pid: int, folder: Path) -> bool:
    """Whether this process is the Kafka of this folder, and not another that got the same number later."""
    return str(folder / "server.properties") in _command_line(pid)


def _command_line(pid: int) -> list[str]:
    """A process's arguments, or at least Kafka's; empty where it has ended."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return []
    # No /proc, as on a Mac. Kafka's last argument is all that is asked for, and it may hold spaces.
    said = subprocess.run(  # noqa: S603 - our own arguments, and no shell
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607 - wherever the system keeps it
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return [said.partition(" kafka.Kafka ")[2]]


def _still_answering(noted: _Noted, folder: Path) -> str:
    """The address of a Kafka that is up, perhaps only just."""
    bootstrap = f"{LOOPBACK}:{noted.ports.client}"
    if not _answers_within(bootstrap, 60, {}):
        raise BrokerError(
            f"The Kafka of {folder} (process {noted.pid}) does not answer at {bootstrap}: "
            f"see {folder / 'kafka.log'}, then run `dli kafka down` and `dli kafka up`."
        )
    return bootstrap


def _end(pid: int, folder: Path) -> None:
    """End a Kafka that another command started: by SIGTERM, and by SIGKILL where that is not enough."""
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
    """One `up` or `down` in a folder at a time; another waits, or goes on once the first one dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
