"""Certificates and passwords are read again: over real TLS, with either way that clients use a context."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import structlog
import trustme

from workers.configuration.settings import Settings, SettingsError, mounted, read
from workers.kafka.connect import tls
from workers.kafka.reloaded_credentials import RenewedPassword

HOST = "localhost"


def renew(folder: Path, authority: trustme.CA, name: str) -> None:
    """Put a certificate of this authority, and its key, where the client's are."""
    issued = authority.issue_cert(f"{name}@test", common_name=name)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def found(tmp_path: Path, authority: trustme.CA) -> Settings:
    """Settings with our own certificate, in a folder that is renewed."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    renew(tmp_path, authority, "first")
    return read(
        security_protocol="SSL",
        tls_ca=tmp_path / "ca.pem",
        tls_certificate=tmp_path / "certificate.pem",
        tls_key=tmp_path / "key.pem",
    )


@contextmanager
def server(authority: trustme.CA) -> Iterator[int]:
    """A server that asks who is there, and answers with the name on the certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as one:
                    subject: Any = (one.getpeercert() or {})["subject"]
                    one.sendall(dict(part[0] for part in subject)["commonName"].encode())

        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def by_socket(context: ssl.SSLContext, port: int) -> str:
    """Who we are, as kafka-python connects."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as one,
    ):
        return one.recv(100).decode()


def by_loop(context: ssl.SSLContext, port: int) -> str:
    """Who we are, as aiokafka connects."""

    async def asked() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=HOST)
        try:
            return (await reader.read(100)).decode()
        finally:
            writer.close()

    return asyncio.run(asked())


@pytest.mark.parametrize("connect", [by_socket, by_loop], ids=["kafka-python", "aiokafka"])
def test_a_renewed_certificate_is_shown_by_the_next_connection(
    connect: object, found: Settings, authority: trustme.CA, tmp_path: Path
) -> None:
    """The context is the one that a client was made with."""
    assert callable(connect)
    context = tls(found)
    with server(authority) as port:
        before = connect(context, port)
        renew(tmp_path, authority, "second")
        after = connect(context, port)

    assert (before, after) == ("first", "second")


def test_a_renewed_authority_is_trusted_and_the_old_one_no_more(found: Settings, tmp_path: Path) -> None:
    """Trust follows the file in both directions."""
    context, other = tls(found), trustme.CA()
    with server(other) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            by_socket(context, port)
        other.cert_pem.write_to_path(tmp_path / "ca.pem")
        renew(tmp_path, other, "third")

        assert by_socket(context, port) == "third"


@pytest.mark.parametrize("broken", ["not a certificate", "", None], ids=["words", "empty", "gone"])
def test_what_cannot_be_read_leaves_what_was_good_and_says_so(
    broken: str | None, found: Settings, authority: trustme.CA, tmp_path: Path
) -> None:
    """A file that is being written breaks nothing; each state of it is told once."""
    context = tls(found)
    with server(authority) as port, structlog.testing.capture_logs() as logs:
        if broken is None:
            (tmp_path / "certificate.pem").unlink()
        else:
            (tmp_path / "certificate.pem").write_text(broken)
        shown = [by_socket(context, port) for _ in range(3)]
        renew(tmp_path, authority, "mended")
        shown.append(by_socket(context, port))

    assert shown == ["first", "first", "first", "mended"]
    assert [one["event"] for one in logs] == ["certificates_not_renewed", "certificates_renewed"]


def test_an_unusable_certificate_is_refused_at_the_start(found: Settings, tmp_path: Path) -> None:
    """There is nothing good to go on with."""
    (tmp_path / "key.pem").write_text("")

    with pytest.raises(SettingsError, match="DLI_TLS_CERTIFICATE"):
        tls(found)


# --- passwords -----------------------------------------------------------------------------------------------------


def test_a_password_is_what_its_file_has_when_it_is_used(tmp_path: Path) -> None:
    """A file that is gone or empty for a moment leaves the last one."""
    file = tmp_path / "dli_sasl_password"
    file.write_text("one\n")
    password = RenewedPassword("one", file)
    used = [password.encode()]
    file.write_text("two\n")
    used.append(password.encode("utf-8"))
    file.write_text("")
    used.append(password.encode())
    file.unlink()
    with structlog.testing.capture_logs() as logs:
        used.append(password.encode())

    assert used == [b"one", b"two", b"two", b"two"]
    assert (repr(password), [one["event"] for one in logs]) == ("RenewedPassword(…)", ["password_not_renewed"])
    assert "two" not in str(logs)


def test_only_a_mounted_value_is_read_again_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says wins, and a file beside it is nobody's password."""
    (tmp_path / "dli_sasl_password").write_text("mounted\n")
    monkeypatch.setenv("DLI_SECRETS_DIR", str(tmp_path))
    login = {"security_protocol": "SASL_SSL", "sasl_username": "dli-worker"}

    by_file = read(**login).sasl_password
    by_flag = read(**login, sasl_password="given").sasl_password  # noqa: S106 (no password of anything)

    assert by_file is not None
    assert by_flag is not None
    assert (mounted("sasl_password", by_file), mounted("sasl_password", by_flag)) == (
        tmp_path / "dli_sasl_password",
        None,
    )
