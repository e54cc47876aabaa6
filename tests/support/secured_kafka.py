"""Apache Kafka as a company runs it: TLS, passwords by SCRAM, and nobody may do what they were not given."""

import base64
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)

from workers.configuration.settings import Settings, read
from workers.dev_brokers import LOOPBACK, KafkaBroker, Ports, free_ports
from workers.kafka.acls import AclRule
from workers.topics import apply_topics

ADMIN = "admin"
AUDIENCE, ISSUER = "kafka", "https://login.test"
_TOKENS = "org.apache.kafka.common.security.oauthbearer"
WORKER = "dli-worker"


def password(user: str) -> str:
    return f"secret-of-{user}"


class Secured(NamedTuple):
    """A running broker, and what its clients need."""

    broker: KafkaBroker
    mutual: str
    """Where it listens for clients that show a certificate instead of a password."""
    by_token: str
    """Where it listens for clients that show a bearer token."""
    folder: Path
    """`ca.pem`, and `client.pem` with `client-key.pem`."""
    issuer: "Issuer"
    """Whose tokens the broker trusts."""

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
    ports, mutual, by_token = free_ports(), free_ports().client, free_ports().client
    keys = Issuer(folder / "issuer")
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
        properties=_properties(certificates, ports, mutual, by_token, keys.published),
        format_arguments=[
            f"--add-scram=SCRAM-SHA-512=[name={user},password={password(user)}]" for user in (ADMIN, *users)
        ],
        client=admin,
        loggers={"kafka.authorizer.logger": "DEBUG"},
    )
    # Kafka asks the JVM which places of keys it may read.
    allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys.published.as_uri()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", allowed)
        broker.start()
    try:
        yield Secured(broker, f"{LOOPBACK}:{mutual}", f"{LOOPBACK}:{by_token}", certificates, keys)
    finally:
        broker.stop()


class Issuer:
    """Who signs bearer tokens (JWT, RFC 7519), and publishes the key to check them by (RFC 7517)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.published = folder / "keys.json"
        numbers = self._key.public_key().public_numbers()
        found = {
            name: _base64(value.to_bytes(size, "big"))
            for name, value, size in (("n", numbers.n, 256), ("e", numbers.e, 3))
        }
        key = {"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", **found}
        self.published.write_text(json.dumps({"keys": [key]}), "utf-8")

    def token(self, user: str, seconds: int = 600) -> str:
        """A token that names a user."""
        now = int(time.time())
        claims = {"sub": user, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + seconds, "scope": "kafka"}
        parts = [_base64(json.dumps(one).encode()) for one in ({"alg": "RS256", "kid": "one", "typ": "JWT"}, claims)]
        signed = ".".join(parts)
        return f"{signed}.{_base64(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _key(issued: trustme.LeafCert) -> bytes:
    """The private key in PKCS #8, the one form that Kafka reads."""
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _properties(certificates: Path, ports: Ports, mutual: int, by_token: int, keys: Path) -> Mapping[str, str]:
    client, controller = ports.client, ports.controller
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return {
        "listeners": (
            f"SASL_SSL://{LOOPBACK}:{client},SSL://{LOOPBACK}:{mutual},TOKEN://{LOOPBACK}:{by_token},"
            f"CONTROLLER://{LOOPBACK}:{controller}"
        ),
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL,TOKEN:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            f'{scram} required username="{ADMIN}" password="{password(ADMIN)}";'
        ),
        "listener.name.ssl.ssl.client.auth": "required",
        "listener.name.token.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.token.oauthbearer.sasl.jaas.config": f"{_TOKENS}.OAuthBearerLoginModule required;",
        "listener.name.token.oauthbearer.sasl.server.callback.handler.class": (
            f"{_TOKENS}.OAuthBearerValidatorCallbackHandler"
        ),
        "listener.name.token.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": keys.as_uri(),
        "listener.name.token.oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
        "listener.name.token.oauthbearer.sasl.oauthbearer.expected.issuer": ISSUER,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates / "ca.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # The controller's listener has no login here, and is loopback's alone.
        "super.users": f"User:{ADMIN};User:ANONYMOUS",
    }


def give(secured: Secured, user: str, rights: Iterable[AclRule]) -> None:
    """Let a user do what these rights say."""
    with apply_topics.admin(secured.settings(ADMIN)) as client:
        client.create_acls(_acls(user, rights))


def take(secured: Secured, user: str, rights: Iterable[AclRule]) -> None:
    """Let a user do so no more."""
    with apply_topics.admin(secured.settings(ADMIN)) as client:
        client.delete_acls(_acls(user, rights))


def _acls(user: str, rights: Iterable[AclRule]) -> list[ACL]:
    return [
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
