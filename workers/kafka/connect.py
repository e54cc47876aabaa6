"""Connecting to Kafka: turns settings into the arguments of every client.

kafka-python and aiokafka use the same argument names; Faust has its own. No other module does this.
"""

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import AuthenticationFailedError, SaslAuthenticationFailed, UnsupportedSaslMechanismError
from aiokafka.errors import KafkaError as ConnectionRefused
from aiokafka.protocol.metadata import MetadataRequest
from pydantic import SecretStr

from workers.configuration.settings import Settings, SettingsError, mounted
from workers.kafka import compression, damaged_records
from workers.kafka.bearer_tokens import Client, TokenEndpoint, TokenError, TokenFile, Tokens
from workers.kafka.errors import AccessRefusedError, user_of
from workers.kafka.reloaded_credentials import RenewedContext, RenewedPassword

if TYPE_CHECKING:
    import faust

NOT_LET_IN = (AuthenticationFailedError, SaslAuthenticationFailed, UnsupportedSaslMechanismError)

PATIENCE = 8.0
"""How long brokers may take to answer a question, in seconds.

Less than the 10 s that Prometheus allows a scrape by default: within them the exporter reports that nobody answered.
"""
LONG_PATIENCE = 30.0
"""The exception to it, for what takes longer where all is well, in seconds.

Many records cross a slow line, topics are created, and a record is acknowledged by all replicas: after a broker's crash
that takes until its session ends (9 s by default) and its partitions have other leaders.
"""


def milliseconds(seconds: float) -> int:
    """A time as clients take it."""
    return round(seconds * 1000)


def client(settings: Settings) -> dict[str, Any]:
    """The connection arguments of a kafka-python or aiokafka client.

    Raises:
        SettingsError: A certificate or key is unusable.
    """
    compression.patch_clients()
    damaged_records.patch_clients()
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap.split(","),
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol != "PLAINTEXT":
        arguments["ssl_context"] = tls(settings)
    if settings.security_protocol == "SASL_SSL":
        arguments["sasl_mechanism"] = settings.sasl_mechanism
        if settings.sasl_mechanism == "OAUTHBEARER":
            arguments["sasl_oauth_token_provider"] = tokens(settings)
        else:
            arguments["sasl_plain_username"] = settings.sasl_username
            arguments["sasl_plain_password"] = _renewed("sasl_password", settings.sasl_password)
    return arguments


def faust_arguments(settings: Settings) -> dict[str, Any]:
    """The same for a Faust app.

    Raises:
        SettingsError: A certificate or key is unusable.
    """
    compression.patch_clients()
    damaged_records.patch_clients()
    return {
        "broker": f"kafka://{settings.bootstrap.replace(',', ';kafka://')}",
        "broker_credentials": _faust_credentials(settings),
    }


def _faust_credentials(settings: Settings) -> "faust.types.auth.CredentialsT | None":
    # Only workers import Faust: commands start three times as fast without it.
    from faust import OAuthCredentials, SASLCredentials, SSLCredentials  # noqa: PLC0415

    if settings.security_protocol == "PLAINTEXT":
        return None
    if settings.security_protocol == "SSL":
        return SSLCredentials(tls(settings))
    if settings.sasl_mechanism == "OAUTHBEARER":
        return OAuthCredentials(oauth_cb=tokens(settings), ssl_context=tls(settings))
    return SASLCredentials(
        username=settings.sasl_username,
        password=_renewed("sasl_password", settings.sasl_password),
        mechanism=settings.sasl_mechanism,
        ssl_context=tls(settings),
    )


def tls(settings: Settings) -> RenewedContext:
    """The TLS context: verifies the cluster's certificate and host name, with our own certificate if set.

    Raises:
        SettingsError: A certificate or key is unusable; the message names the file, not its content.
    """
    files = (settings.tls_ca, settings.tls_certificate, settings.tls_key)
    return RenewedContext(lambda: _tls(settings), tuple(file for file in files if file is not None))


def _tls(settings: Settings) -> ssl.SSLContext:
    context = _trust(settings)
    if settings.tls_certificate is not None:
        password = _secret(settings.tls_key_password) or ""
        try:
            # Never without a password: OpenSSL would prompt for one at the terminal.
            context.load_cert_chain(settings.tls_certificate, settings.tls_key, password)
        except OSError as error:
            where = f"{settings.tls_certificate}, {settings.tls_key}"
            raise SettingsError(f"DLI_TLS_CERTIFICATE, DLI_TLS_KEY: {where}: {_why(error)}") from None
    return context


def _trust(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.tls_ca)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"DLI_TLS_CA: {settings.tls_ca}: {_why(error)}") from None


def tokens(settings: Settings) -> Tokens:
    """The provider of bearer tokens.

    Raises:
        SettingsError: A certificate is unusable.
    """
    if settings.oauth_token_file is not None:
        return Tokens(TokenFile(settings.oauth_token_file))
    secret = _renewed("oauth_client_secret", settings.oauth_client_secret) or ""
    asks = Client(
        settings.oauth_client_id or "",
        secret.current if isinstance(secret, RenewedPassword) else lambda: secret,
        settings.oauth_scope,
    )
    context = RenewedContext(lambda: _trust(settings), (settings.tls_ca,) if settings.tls_ca is not None else ())
    return Tokens(TokenEndpoint(settings.oauth_token_url or "", asks, context))


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "not certificates and keys in PEM that belong together and open with the password given"
    return error.strerror or type(error).__name__


def check(settings: Settings) -> None:
    """Check that the cluster accepts our credentials; a refused client reports only a timeout.

    No response is not an error here, and without encryption there is nothing to check.

    Raises:
        AccessRefusedError: It refuses them.
    """
    if settings.security_protocol == "PLAINTEXT":
        return
    refusal = asyncio.run(_knock(settings))
    if isinstance(refusal, NOT_LET_IN):
        see = (
            "DLI_OAUTH_TOKEN_FILE or DLI_OAUTH_TOKEN_URL, and whether the cluster trusts who issues its tokens"
            if settings.sasl_mechanism == "OAUTHBEARER"
            else "DLI_SASL_USERNAME, DLI_SASL_PASSWORD and DLI_SASL_MECHANISM"
        )
        raise AccessRefusedError(f"{settings.bootstrap}: the cluster refuses {user_of(settings)}: see {see}")
    if isinstance(refusal, TokenError):
        raise AccessRefusedError(str(refusal))
    if isinstance(refusal, ssl.SSLCertVerificationError):
        raise AccessRefusedError(
            f"{settings.bootstrap}: the cluster's certificate is not trusted ({refusal.verify_message.rstrip('.')}): "
            "see DLI_TLS_CA, and whether DLI_BOOTSTRAP names the brokers as their certificate does"
        )


async def _knock(settings: Settings) -> BaseException | None:
    """The refusal of the first server that responds; None if it accepts us, or if none responds."""
    arguments = client(settings)
    for server in arguments.pop("bootstrap_servers"):
        host, _, port = server.rpartition(":")
        try:
            connection = await create_conn(host, int(port), request_timeout_ms=milliseconds(PATIENCE), **arguments)
            if settings.sasl_mechanism == "OAUTHBEARER":
                await _is_let_in(connection)
        except (*NOT_LET_IN, TokenError, ssl.SSLCertVerificationError) as error:
            return error
        except (ConnectionRefused, OSError):
            continue
        connection.close()
        return None
    return None


async def _is_let_in(connection: AIOKafkaConnection) -> None:
    """Check that a token was accepted: aiokafka mistakes a refusal for success.

    Raises:
        SaslAuthenticationFailed: The server closes the connection on the next request, or sends an empty response.
    """
    try:
        answer = await connection.send(MetadataRequest([]))
    except ConnectionRefused:
        answer = None
    if answer is None or not answer.brokers:
        raise SaslAuthenticationFailed("the token was refused")


def _renewed(name: str, value: SecretStr | None) -> str | None:
    """A secret; one from a mounted file is read again on each use."""
    file = mounted(name, value) if value is not None else None
    return _secret(value) if file is None or value is None else RenewedPassword(value.get_secret_value(), file)


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None
