"""Apache Kafka as a company runs it: TLS, passwords by SCRAM, and nobody may do what they were not given."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)

from workers import topics
from workers.brokers import LOOPBACK, KafkaBroker, free_ports
from workers.rights import Right
from workers.settings import Settings, read

ADMIN = "admin"
WORKER = "dli-worker"


def password(user: str) -> str:
    return f"secret-of-{user}"


class Secured(NamedTuple):
    """A running broker, and what its clients need."""

    broker: KafkaBroker
    mutual: str
    """Where it listens for clients that show a certificate instead of a password."""
    folder: Path
    """`ca.pem`, and `client.pem` with `client-key.pem`."""

    def settings(self, user: str, **flags: Any) -> Settings:
        """Settings of somebody who logs in."""
        return read(
            **{
                "bootstrap": self.broker.bootstrap,
                "security_protocol": "SASL_SSL",
                "sasl_username": user,
                "sasl_password": password(user),
                "tls_ca": self.folder / "ca.pem",
                **flags,
            }
        )

    def log(self) -> str:
        """All that the broker has written."""
        return (self.broker.folder or Path()).joinpath("kafka.log").read_text("utf-8", "replace")


@contextmanager
def secured_broker(folder: Path, users: tuple[str, ...]) -> Iterator[Secured]:
    """Kafka with these users and a superuser; certificates are made now and gone with the folder."""
    certificates = folder / "certificates"
    certificates.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(certificates / "ca.pem")
    server = authority.issue_cert(LOOPBACK, "localhost")
    (certificates / "server.pem").write_bytes(_key(server) + b"".join(one.bytes() for one in server.cert_chain_pems))
    own = authority.issue_cert("client@loopback.test", common_name="dli-mutual")
    (certificates / "client.pem").write_bytes(b"".join(one.bytes() for one in own.cert_chain_pems))
    (certificates / "client-key.pem").write_bytes(_key(own))
    ports, mutual = free_ports(), free_ports().client
    admin = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": ADMIN,
        "sasl_plain_password": password(ADMIN),
        "ssl_cafile": str(certificates / "ca.pem"),
    }
    broker = KafkaBroker(
        folder / "kafka",
        ports=ports,
        properties=_properties(certificates, ports.client, ports.controller, mutual),
        format_arguments=[
            f"--add-scram=SCRAM-SHA-512=[name={user},password={password(user)}]" for user in (ADMIN, *users)
        ],
        client=admin,
        loggers={"kafka.authorizer.logger": "DEBUG"},
    )
    with broker:
        yield Secured(broker, f"{LOOPBACK}:{mutual}", certificates)


def _key(issued: trustme.LeafCert) -> bytes:
    """The private key in PKCS #8, the one form that Kafka reads."""
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _properties(certificates: Path, client: int, controller: int, mutual: int) -> Mapping[str, str]:
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return {
        "listeners": f"SASL_SSL://{LOOPBACK}:{client},SSL://{LOOPBACK}:{mutual},CONTROLLER://{LOOPBACK}:{controller}",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            f'{scram} required username="{ADMIN}" password="{password(ADMIN)}";'
        ),
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates / "ca.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # The controller's listener has no login here, and is loopback's alone.
        "super.users": f"User:{ADMIN};User:ANONYMOUS",
    }


def give(secured: Secured, user: str, rights: Iterable[Right]) -> None:
    """Let a user do what these rights say."""
    acls = [
        ACL(
            f"User:{user}",
            "*",
            ACLOperation[operation],
            ACLPermissionType.ALLOW,
            ResourcePattern(
                ResourceType[one.resource.upper().replace("-", "_")],
                one.name,
                ACLResourcePatternType.PREFIXED if one.is_prefix else ACLResourcePatternType.LITERAL,
            ),
        )
        for one in rights
        for operation in one.operations
    ]
    with topics.admin(secured.settings(ADMIN)) as client:
        client.create_acls(acls)
