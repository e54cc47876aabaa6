"""Bearer tokens for Kafka (SASL OAUTHBEARER, RFC 7628), from a renewed file or a token endpoint.

The endpoint uses the client-credentials grant of OAuth 2.0 (RFC 6749, 4.4). A token is reused until shortly before it
expires, or until it expires if the endpoint is unavailable.
"""

import asyncio
import base64
import re
import ssl
import time
from collections.abc import Callable, Generator
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode, urlsplit

import orjson
import structlog
from aiokafka.abc import AbstractTokenProvider as AsyncProvider
from kafka.net.sasl.oauth import AbstractTokenProvider as Provider

log = structlog.get_logger()

ANSWER_WITHIN_S = 10
RENEW_AT = 0.8
"""The fraction of a token's lifetime after which it is renewed."""
LIFE_S = 300
"""The assumed lifetime of a token without one; RFC 6749 makes it optional."""
LARGEST_ANSWER = 100_000
_SECONDS = re.compile(r"[0-9]{1,9}")
"""A valid lifetime; a longer one would never be renewed."""


class TokenError(ConnectionError):
    """No token is available; the message says from where and why, without tokens or secrets.

    A `ConnectionError`, so that clients retry.
    """


class Source(Protocol):
    """Where tokens come from."""

    def token(self) -> str:
        """A token that is valid now.

        Raises:
            TokenError: None is available.
        """


class TokenFile:
    """A file with a token that is renewed externally, as Kubernetes does for service accounts."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def token(self) -> str:
        """The file's current token."""
        try:
            found = self._file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise TokenError(f"DLI_OAUTH_TOKEN_FILE: {self._file}: {_why(error)}") from None
        if not found:
            raise TokenError(f"DLI_OAUTH_TOKEN_FILE: {self._file}: is empty; whoever renews it must write a token")
        return found


class Client(NamedTuple):
    """The credentials and scope of a token request."""

    id: str
    secret: Callable[[], str]
    scope: str | None


class TokenEndpoint:
    """An OAuth 2.0 endpoint that issues tokens to an authenticated client."""

    def __init__(
        self, url: str, client: Client, context: ssl.SSLContext, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._client, self._context, self._clock = urlsplit(url), client, context, clock
        self._lock = Lock()
        self._held: str | None = None
        self._renew = self._end = 0.0

    def token(self) -> str:
        """The current token, or a new one if that is about to expire."""
        with self._lock:
            now = self._clock()
            if self._held is None or now >= self._renew:
                try:
                    self._take(self._ask(), now)
                except TokenError as error:
                    if self._held is None or now >= self._end:
                        raise
                    log.warning("token_not_renewed", error=str(error), good_for_s=round(self._end - now))
            return self._held or ""

    def _take(self, answer: Any, now: float) -> None:
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise TokenError(f"{self._where}: answered without an access_token")
        life = answer.get("expires_in", LIFE_S)
        seconds = float(life) if _SECONDS.fullmatch(str(life)) else float(LIFE_S)
        self._held, self._renew, self._end = token, now + RENEW_AT * seconds, now + seconds

    @property
    def _where(self) -> str:
        return f"DLI_OAUTH_TOKEN_URL: {self._url.hostname}"

    def _ask(self) -> Any:
        form = {"grant_type": "client_credentials"} | ({"scope": self._client.scope} if self._client.scope else {})
        # Both parts are form-encoded before they are joined: RFC 6749, 2.3.1.
        proof = f"{quote(self._client.id, safe='')}:{quote(self._client.secret(), safe='')}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(proof.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        host, port = self._url.hostname or "", self._url.port
        connection = HTTPSConnection(host, port, timeout=ANSWER_WITHIN_S, context=self._context)
        try:
            connection.request("POST", self._url.path or "/", urlencode(form), headers)
            answer = connection.getresponse()
            body = answer.read(LARGEST_ANSWER)
        except (OSError, HTTPException) as error:
            raise TokenError(f"{self._where}: {_why(error)}") from None
        finally:
            connection.close()
        if answer.status != HTTPStatus.OK:
            raise TokenError(f"{self._where}: answered {answer.status}; see DLI_OAUTH_CLIENT_ID and its secret")
        try:
            return orjson.loads(body)
        except ValueError:
            raise TokenError(f"{self._where}: answered with what is no JSON") from None


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message.rstrip('.')}); see DLI_TLS_CA"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


class Pending:
    """A token fetched on use: aiokafka awaits it, kafka-python formats it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __await__(self) -> Generator[Any, None, str]:
        """Fetch without blocking the event loop."""
        return asyncio.to_thread(self._source.token).__await__()

    def __format__(self, wanted: str) -> str:
        """Fetch now."""
        return format(self._source.token(), wanted)

    def __repr__(self) -> str:
        """Never the token."""
        return "Pending(…)"


class Tokens(AsyncProvider, Provider):  # type: ignore[misc]  # kafka-python has no types
    """A token provider for either client; each connection gets a valid token."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def token(self) -> Any:
        """A pending token for either client."""
        return Pending(self._source)

    def extensions(self) -> dict[str, str]:
        """None."""
        return {}
