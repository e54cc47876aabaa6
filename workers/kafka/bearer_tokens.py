"""Bearer tokens for Kafka (SASL OAUTHBEARER, RFC 7628): from a file that somebody renews, or from a token endpoint.

The endpoint is asked by the client-credentials grant of OAuth 2.0 (RFC 6749, 4.4). A token is used again until it is
near its end; a token that is held while the endpoint is away is used to its very end.
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
"""The part of a token's life after which a new one is asked for."""
LIFE_S = 300
"""What is assumed of a token that does not say how long it lives: RFC 6749 leaves it open."""
LARGEST_ANSWER = 100_000
_SECONDS = re.compile(r"[0-9]{1,9}")
"""A life that one can reckon with: a longer one would never be renewed."""


class TokenError(ConnectionError):
    """No token is to be had; the sentence says from where and why, and has nothing of a token or secret.

    Clients take it for what it is: a connection that cannot be made now, and is tried again.
    """


class Source(Protocol):
    """Where tokens come from."""

    def token(self) -> str:
        """One that is good now.

        Raises:
            TokenError: None is to be had.
        """


class TokenFile:
    """A file with a token, which somebody else renews: Kubernetes does, for service accounts."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def token(self) -> str:
        """What the file has now."""
        try:
            found = self._file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise TokenError(f"DLI_OAUTH_TOKEN_FILE: {self._file}: {_why(error)}") from None
        if not found:
            raise TokenError(f"DLI_OAUTH_TOKEN_FILE: {self._file}: is empty; whoever renews it must write a token")
        return found


class Client(NamedTuple):
    """Who asks an endpoint for tokens, and for which."""

    id: str
    secret: Callable[[], str]
    scope: str | None


class TokenEndpoint:
    """An OAuth 2.0 endpoint that gives tokens to a client who proves who it is."""

    def __init__(
        self, url: str, client: Client, context: ssl.SSLContext, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._client, self._context, self._clock = urlsplit(url), client, context, clock
        self._lock = Lock()
        self._held: str | None = None
        self._renew = self._end = 0.0

    def token(self) -> str:
        """The token that is held, or a new one where that is near its end."""
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
        # Both are encoded as in a form before they are joined: RFC 6749, 2.3.1.
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
    """A token that is fetched when it is used: awaited by aiokafka, put into a text by kafka-python."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __await__(self) -> Generator[Any, None, str]:
        """Fetched beside the loop, which goes on."""
        return asyncio.to_thread(self._source.token).__await__()

    def __format__(self, wanted: str) -> str:
        """Fetched now."""
        return format(self._source.token(), wanted)

    def __repr__(self) -> str:
        """Never the token."""
        return "Pending(…)"


class Tokens(AsyncProvider, Provider):  # type: ignore[misc]  # kafka-python has no types
    """Tokens for either client, for each connection one that is good then."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def token(self) -> Any:
        """For aiokafka to await and kafka-python to write."""
        return Pending(self._source)

    def extensions(self) -> dict[str, str]:
        """None."""
        return {}
