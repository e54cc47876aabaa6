"""How processes get into Kafka: what settings become, and which cannot be meant."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError as ClientError
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from tests.support.places import ROOT
from tests.support.settings import nothing_from_outside  # noqa: F401 (a fixture)
from workers.configuration.settings import Settings, SettingsError, read
from workers.dev_brokers import LOOPBACK
from workers.kafka.connect import client, faust_arguments, tls

LOGIN = {"security_protocol": "SASL_SSL", "sasl_username": "dli-worker", "sasl_password": "marked-password"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("one", "other"):
        issued = authority.issue_cert(f"{name}@test")
        issued.private_key_pem.write_to_path(folder / f"{name}-key.pem")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return folder


def test_without_security_settings_clients_use_plain_text() -> None:
    """Without security settings, clients speak in plain text and log in nowhere."""
    found = read(bootstrap="a:1,b:2")

    assert client(found) == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT"}
    assert faust_arguments(found) == {"broker": "kafka://a:1;kafka://b:2", "broker_credentials": None}


def test_a_login_reaches_every_client(certificates: Path) -> None:
    found = read(**LOGIN, tls_ca=certificates / "ca.pem")

    arguments, credentials = client(found), faust_arguments(found)["broker_credentials"]

    assert {name: arguments[name] for name in arguments if name.startswith("sasl")} == {
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "dli-worker",
        "sasl_plain_password": "marked-password",
    }
    assert (credentials.username, credentials.password) == ("dli-worker", "marked-password")
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_every_encrypted_connection_checks_certificate_and_name(certificates: Path, protocol: str) -> None:
    """Every encrypted connection checks the certificate and its name."""
    login = LOGIN if protocol == "SASL_SSL" else {}
    found = read(**{**login, "security_protocol": protocol}, tls_ca=certificates / "ca.pem")
    credentials = faust_arguments(found)["broker_credentials"]

    for context in (client(found)["ssl_context"], getattr(credentials, "ssl_context", None) or credentials.context):
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"security_protocol": "SASL_SSL"}, "lacks DLI_SASL_USERNAME and DLI_SASL_PASSWORD"),
        ({**LOGIN, "sasl_password": None}, "DLI_SECURITY_PROTOCOL is SASL_SSL, and lacks DLI_SASL_PASSWORD"),
        ({**LOGIN, "security_protocol": None}, "DLI_SASL_USERNAME is used with DLI_SECURITY_PROTOCOL=SASL_SSL only"),
        ({"tls_ca": Path("ca.pem")}, "DLI_TLS_CA is used with DLI_SECURITY_PROTOCOL=SSL or SASL_SSL only"),
        (
            {"security_protocol": "SSL", "tls_key": Path("k")},
            "DLI_TLS_CERTIFICATE and DLI_TLS_KEY belong together",
        ),
        ({"security_protocol": "SASL_PLAINTEXT"}, "DLI_SECURITY_PROTOCOL: "),
    ],
)
def test_half_of_a_login_is_refused_before_anything_is_sent(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(**given)

    assert sentence in str(refused.value)
    assert "marked-password" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"tls_ca": "absent.pem"}, "absent.pem: No such file or directory"),
        ({"tls_ca": "one-key.pem"}, "not certificates"),
        ({"tls_certificate": "one.pem", "tls_key": "other-key.pem"}, "belong together"),
        ({"tls_certificate": "one.pem", "tls_key": "absent.pem"}, "No such file or directory"),
    ],
)
def test_certificates_that_cannot_be_used_are_named(certificates: Path, given: dict[str, str], sentence: str) -> None:
    found = read(security_protocol="SSL", **{name: certificates / file for name, file in given.items()})

    with pytest.raises(SettingsError, match=sentence) as refused:
        tls(found)

    assert next(iter(given)).upper() in str(refused.value)
    assert "BEGIN" not in str(refused.value)


def test_nothing_shows_a_password() -> None:
    found = read(**LOGIN)

    assert "marked-password" not in repr(found) + repr(faust_arguments(found))


def test_clients_are_made_of_nothing_but_these_arguments() -> None:
    """Whoever names servers by himself would speak in the clear to a cluster that does not."""
    folder = ROOT / "workers"
    by_themselves = [
        file.relative_to(folder).as_posix()
        for file in sorted(folder.rglob("*.py"))
        if "bootstrap_servers" in file.read_text("utf-8")
    ]

    assert by_themselves == [
        "dev_brokers/broker.py",
        "kafka/connect.py",
        "stream/faust_internals.py",
    ]  # a stream processor uses its app's settings


def test_a_process_started_with_these_settings_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(**LOGIN, tls_ca=Path("ca.pem"))
    for name, value in first.environment().items():
        monkeypatch.setenv(name, value)

    assert Settings() == first


@contextmanager
def listening(authority: trustme.CA, name: str) -> Iterator[tuple[int, list[bytes]]]:
    """Somebody with a certificate of ours for that name: their port, and what they were told once it was taken."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    told: list[bytes] = []
    with socket.create_server((LOOPBACK, 0)) as door:

        def answer() -> None:
            while True:
                try:
                    plain, _ = door.accept()
                except OSError:
                    return
                with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as one:
                    one.settimeout(5)
                    told.append(one.recv(1_000))

        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield door.getsockname()[1], told
        door.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def by_aiokafka(arguments: dict[str, Any]) -> None:
    async def connect() -> None:
        host, _, port = arguments["bootstrap_servers"][0].rpartition(":")
        others = {name: value for name, value in arguments.items() if name != "bootstrap_servers"}
        (await create_conn(host, int(port), **others, request_timeout_ms=5_000)).close()

    asyncio.run(connect())


def by_kafka_python(arguments: dict[str, Any]) -> None:
    KafkaAdminClient(**arguments, bootstrap_timeout_ms=3_000).close()


@pytest.mark.parametrize("connect", [by_aiokafka, by_kafka_python])
@pytest.mark.parametrize(("name", "is_told"), [("another.test", False), (LOOPBACK, True)])
def test_a_broker_with_a_misnamed_certificate_gets_no_password(
    tmp_path: Path, connect: Callable[[dict[str, Any]], None], name: str, is_told: bool
) -> None:
    """Signed by whom we trust, as anybody's in the same company: our password would go to them."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with listening(authority, name) as (port, told):
        found = read(bootstrap=f"{LOOPBACK}:{port}", **LOGIN, tls_ca=tmp_path / "ca.pem")
        with pytest.raises((KafkaError, ClientError, OSError)):  # it is no broker in either case
            connect(client(found))

    assert any(told) == is_told
