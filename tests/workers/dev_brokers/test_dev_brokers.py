"""What each kind of broker promises: it answers after `start`, and nothing of it is left after `stop`."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import (
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    TopicPartition,
)

from workers import dev_brokers
from workers.dev_brokers import BrokerError, EmbeddedBroker, GivenBroker, KafkaBroker, broker_named

VALUES = [b"one", b"two", b"three"]
PARTITIONS = 4


def create_topic(bootstrap: str, topic: str) -> None:
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        wanted = {topic: {"num_partitions": PARTITIONS, "replication_factor": 1}}
        admin.create_topics(wanted, wait_for_metadata=True)


def send(bootstrap: str, topic: str) -> None:
    """Have VALUES acknowledged in each partition."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    sent = [producer.send(topic, value, partition=p) for p in range(PARTITIONS) for value in VALUES]
    for record in sent:
        record.get(timeout=30)
    producer.close()


def read(bootstrap: str, topic: str) -> dict[int, list[bytes]]:
    """The values of each partition from its begin to its end as it is now."""
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    found: dict[int, list[bytes]] = {p: [] for p in range(PARTITIONS)}
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=30_000)
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    missing = sum(consumer.end_offsets(partitions).values())
    while missing and (record := next(consumer, None)):
        found[record.partition].append(record.value)
        missing -= 1
    consumer.close()
    return found


EVERYTHING = dict.fromkeys(range(PARTITIONS), VALUES)


def is_open(bootstrap: str) -> bool:
    host, port = bootstrap.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def assert_comes_and_goes(broker: EmbeddedBroker | KafkaBroker) -> None:
    """The promises that brokers started here have in common."""
    with broker:
        bootstrap, pid, folder = broker.bootstrap, broker.pid, broker.folder
        assert pid is not None
        assert folder is not None
        broker.start()
        assert broker.pid == pid, "a second start leaves it as it is"

        create_topic(bootstrap, "letters")
        send(bootstrap, "letters")
        assert read(bootstrap, "letters") == EVERYTHING
        assert bootstrap.startswith("127.0.0.1:")
        assert os.getsid(pid) != os.getsid(0), "Ctrl-C here must not reach it before it is drained"
    assert not is_open(bootstrap)
    assert not is_alive(pid)
    assert not folder.exists()
    broker.stop()


def closed_port() -> int:
    return dev_brokers.free_ports().client


def test_embedded_broker_comes_and_goes() -> None:
    assert_comes_and_goes(EmbeddedBroker())


def test_embedded_broker_starts_empty_after_a_stop() -> None:
    broker = EmbeddedBroker()
    with broker:
        create_topic(broker.bootstrap, "letters")
    with broker, KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        assert "letters" not in admin.list_topics()


def test_embedded_broker_has_no_address_before_its_start() -> None:
    with pytest.raises(BrokerError, match=r"call start\(\) first"):
        _ = EmbeddedBroker().bootstrap


def test_embedded_broker_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "noida_db", None)
    with pytest.raises(BrokerError, match=r"pip install 'dli-authorization\[embedded\]'"):
        EmbeddedBroker().start()


def test_embedded_broker_that_ends_at_once_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "noida-db"
    program.write_text("#!/bin/sh\necho no room\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr("workers.dev_brokers.embedded._embedded_binary", lambda: program)
    broker = EmbeddedBroker()
    with pytest.raises(BrokerError, match=r"exit code 3 while starting\. Its log ends:\n    no room"):
        broker.start()
    assert broker.folder is None


def test_brokers_are_stopped_when_the_interpreter_ends() -> None:
    """A script that forgets `stop` leaves neither a process nor a folder."""
    forgetful = "from workers.dev_brokers import *; b = EmbeddedBroker(); b.start(); print(b.pid, b.folder)"
    ended = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", forgetful], capture_output=True, text=True, check=True
    )
    pid, folder = ended.stdout.split()
    assert not is_alive(int(pid))
    assert not Path(folder).exists()


def test_given_broker_is_found_and_left_alone() -> None:
    with EmbeddedBroker() as embedded:
        with broker_named("given", embedded.bootstrap) as given:
            assert given.bootstrap == embedded.bootstrap
        assert is_open(embedded.bootstrap)


def test_one_working_address_of_a_given_broker_suffices() -> None:
    """A given broker may have several addresses, of which only one answers."""
    with EmbeddedBroker() as embedded:
        addresses = f"127.0.0.1:{closed_port()},{embedded.bootstrap}"
        with GivenBroker(addresses) as given:
            assert given.bootstrap == addresses


def test_given_broker_that_does_not_answer_is_named() -> None:
    bootstrap = f"127.0.0.1:{closed_port()}"
    with pytest.raises(BrokerError, match=f"No broker answered at {bootstrap} within 0.1 seconds: check"):
        GivenBroker(bootstrap, patience_seconds=0.1).start()


@pytest.mark.parametrize("address", ["broker", "broker:port", ":9092", "one:9092,", "a b:9092", "a:123456"])
def test_given_broker_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BrokerError, match="is not host:port"):
        GivenBroker(address).start()


@pytest.mark.parametrize("bootstrap", [None, ""])
def test_given_broker_needs_an_address(bootstrap: str | None) -> None:
    with pytest.raises(BrokerError, match="name it as host:port"):
        broker_named("given", bootstrap)


def test_brokers_are_named_as_in_settings() -> None:
    assert isinstance(broker_named("embedded"), EmbeddedBroker)
    assert isinstance(broker_named("kafka"), KafkaBroker)
    assert isinstance(broker_named("given", "somewhere:9092"), GivenBroker)


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    """A folder that passes for one with Kafka's jars, as long as nobody runs them."""
    libs = tmp_path / "libs"
    libs.mkdir()
    (libs / "kafka_2.13-4.4.0.jar").touch()
    return libs


def put_java(folder: Path, script: str) -> None:
    """Put a program named java into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    java = folder / "java"
    java.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    java.chmod(0o755)


def test_missing_jars_are_said_with_the_command_that_brings_them(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=f"jars are not in {tmp_path}: run `make kafka-jars`"):
        KafkaBroker(libs=tmp_path).start()


def test_missing_java_is_said(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BrokerError, match=r"Java was not found on the path: .* Java 17 or newer"):
        KafkaBroker(libs=jars).start()


def test_java_home_without_java_is_said(jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BrokerError, match=rf"Java was not found under JAVA_HOME \({tmp_path}\)"):
        KafkaBroker(libs=jars).start()


@pytest.mark.parametrize("version", ['openjdk version "11.0.22" 2024-01-16', 'java version "1.8.0_402"'])
def test_java_too_old_is_said(version: str, jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_java(tmp_path / "bin", f"echo '{version}' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BrokerError, match=r"needs Java 17 or newer, but .*/bin/java says: version"):
        KafkaBroker(libs=jars).start()


def test_taken_port_is_said(jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_java(tmp_path / "bin", "echo 'version \"17\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(BrokerError, match=f"Port {taken} of 127.0.0.1 is taken"):
            KafkaBroker(ports=dev_brokers.Ports(taken, closed_port()), libs=jars).start()


def test_refused_formatting_is_quoted(jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_java(tmp_path / "bin", 'case "$*" in *format*) echo bad disk; exit 1;; esac; echo \'version "17"\' >&2')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    broker = KafkaBroker(libs=jars)
    with pytest.raises(BrokerError, match=r"(?s)refused to format .*\n    bad disk"):
        broker.start()
    assert broker.folder is None


def test_down_finds_nothing_where_nothing_was_up(tmp_path: Path) -> None:
    assert dev_brokers.down(tmp_path / "kafka") is False
    assert not (tmp_path / "kafka").exists()


@pytest.fixture
def bystander() -> Iterator[int]:
    """The id of a process that is not Kafka."""
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        yield process.pid
        process.kill()


def test_down_spares_a_process_that_inherited_the_number(tmp_path: Path, bystander: int) -> None:
    note = {"pid": bystander, "client": 1, "controller": 2}
    (tmp_path / "broker.json").write_text(json.dumps(note), encoding="utf-8")
    assert dev_brokers.down(tmp_path) is False
    assert is_alive(bystander)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "x", "client": 1, "controller": 2}'])
def test_an_unreadable_note_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "broker.json").write_text(text, encoding="utf-8")
    with pytest.raises(BrokerError, match=r"broker\.json cannot be read"):
        dev_brokers.down(tmp_path)


@pytest.mark.kafka
def test_kafka_comes_and_goes() -> None:
    assert_comes_and_goes(KafkaBroker())


@pytest.mark.kafka
def test_kafka_keeps_what_it_acknowledged_when_killed() -> None:
    with KafkaBroker() as broker:
        bootstrap, pid = broker.bootstrap, broker.pid
        create_topic(bootstrap, "letters")
        send(bootstrap, "letters")
        broker.kill()
        assert not is_open(bootstrap)
        broker.restart()
        assert (broker.bootstrap, broker.pid != pid) == (bootstrap, True)
        assert read(bootstrap, "letters") == EVERYTHING


@pytest.mark.kafka
def test_kafka_keeps_a_given_folder(tmp_path: Path) -> None:
    """Also where the folder's name is not one that Java or a list of folders would take as it is."""
    folder = tmp_path / "día, 1"
    with KafkaBroker(folder) as broker:
        create_topic(broker.bootstrap, "letters")
        send(broker.bootstrap, "letters")
    with KafkaBroker(folder) as broker:
        assert read(broker.bootstrap, "letters") == EVERYTHING


@pytest.mark.kafka
def test_kafka_takes_further_properties() -> None:
    properties = {"num.partitions": str(PARTITIONS)}
    with (
        KafkaBroker(properties=properties) as broker,
        KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin,
    ):
        admin.create_topics(["letters"], wait_for_metadata=True)
        [letters] = admin.describe_topics(["letters"])
        assert len(letters["partitions"]) == PARTITIONS


@pytest.mark.kafka
def test_kafka_lets_in_who_knows_the_password() -> None:
    """What a broker with listeners and users of its own needs can all be said."""
    ports = dev_brokers.free_ports()
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    properties = {
        "listeners": f"USERS://127.0.0.1:{ports.client},CONTROLLER://127.0.0.1:{ports.controller}",
        "listener.security.protocol.map": "USERS:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "USERS",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
        "listener.name.users.scram-sha-256.sasl.jaas.config": f'{login} username="me" password="open";',
    }
    client = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "me",
        "sasl_plain_password": "open",
    }
    user = ["--add-scram", "SCRAM-SHA-256=[name=me,password=open]"]
    with KafkaBroker(ports=ports, properties=properties, format_arguments=user, client=client) as broker:
        with GivenBroker(broker.bootstrap, client=client) as given:
            assert given.bootstrap == broker.bootstrap
        wrong = {**client, "sasl_plain_password": "shut"}
        with pytest.raises(BrokerError, match="No broker answered"):
            GivenBroker(broker.bootstrap, client=wrong, patience_seconds=0.1).start()


@pytest.mark.kafka
def test_kafka_creates_no_topic_unasked() -> None:
    with KafkaBroker() as broker, KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap)
        assert not consumer.partitions_for_topic("forgotten")
        consumer.close()
        assert "forgotten" not in admin.list_topics()


@pytest.mark.kafka
def test_kafka_that_fails_to_start_is_quoted() -> None:
    broker = KafkaBroker(properties={"metric.reporters": "no.such.Reporter"})
    with pytest.raises(BrokerError, match=r"(?s)ended with exit code 1 while starting.*no\.such\.Reporter"):
        broker.start()
    assert broker.folder is None


@pytest.mark.kafka
def test_up_twice_is_one_kafka_and_down_keeps_its_data(tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    try:
        bootstrap = dev_brokers.up(folder)
        create_topic(bootstrap, "letters")
        send(bootstrap, "letters")
        assert dev_brokers.up(folder) == bootstrap
        assert dev_brokers.down(folder) is True
        assert not is_open(bootstrap)
        assert dev_brokers.down(folder) is False

        assert dev_brokers.up(folder) == bootstrap
        assert read(bootstrap, "letters") == EVERYTHING
    finally:
        dev_brokers.down(folder)


@pytest.mark.kafka
def test_up_outlives_the_command_and_a_crash_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    command = "import sys, pathlib; from workers.dev_brokers import up; print(up(pathlib.Path(sys.argv[1])))"
    try:
        ended = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-c", command, str(folder)], capture_output=True, text=True, check=True
        )
        bootstrap = ended.stdout.strip()
        assert dev_brokers.up(folder) == bootstrap
        crashed = json.loads((folder / "broker.json").read_text(encoding="utf-8"))["pid"]
        os.kill(crashed, signal.SIGKILL)
        while is_open(bootstrap):
            pass
        assert dev_brokers.up(folder) == bootstrap
        assert json.loads((folder / "broker.json").read_text(encoding="utf-8"))["pid"] != crashed
    finally:
        dev_brokers.down(folder)
