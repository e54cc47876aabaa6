"""Whose request it is: a bearer token's trading partner.

A token is static, known by its SHA-256, or a JWT that the configured authorization server has issued to a client
(RFC 9068, RFC 7519): its signature by a key of the server's set, issuer, audience and times are checked.
"""

from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import Key, RSAKey

from workers.gateway.access.clients import Client, Clients, ClientsFile
from workers.gateway.access.key_set import KeySource

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures only: whoever can verify a token by a shared secret could issue one too."""
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
LEEWAY_SECONDS = 30
SMALLEST_RSA = 2048
LONGEST = 8_000
CLIENT_CLAIMS = ("client_id", "azp", "sub")
"""Where a token names its client; the first that is there counts."""


class NotLetInError(Exception):
    """A request without a valid token; the message is for its sender, and repeats nothing of the token."""


@dataclass(frozen=True)
class Issuer:
    """The authorization server whose tokens count."""

    name: str
    """The claim `iss`."""
    audience: str
    """The gateway's own name, which `aud` must have."""
    keys: KeySource


class Door:
    """Tells whose request it is."""

    def __init__(self, clients: ClientsFile, issuer: Issuer | None) -> None:
        self._clients, self._issuer = clients, issuer

    @property
    def clients(self) -> Clients:
        """The clients now."""
        return self._clients.current

    async def client(self, authorization: list[str]) -> Client:
        """The client of a request, by its headers `Authorization`.

        Raises:
            NotLetInError: None of ours.
            KeysUnavailableError: The token cannot be verified now.
        """
        token = _bearer(authorization)
        found = self._clients.current.by_token(token)
        if found is None and self._issuer is not None and token.count(".") == 2:  # noqa: PLR2004 (three parts)
            found = await self._by_jwt(token, self._issuer)
        if found is None:
            raise NotLetInError("the token is not known")
        return found

    async def _by_jwt(self, token: str, issuer: Issuer) -> Client | None:
        key = await self._key(token, issuer)
        try:
            claims = jwt.decode(token, key, algorithms=list(ALGORITHMS)).claims
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": issuer.name},
                aud={"essential": True, "value": issuer.audience},
                exp={"essential": True},
            ).validate(claims)
        except ExpiredTokenError:
            raise NotLetInError("the token has expired") from None
        except (JoseError, ValueError, TypeError):
            raise NotLetInError("the token is not valid here") from None
        named = next((claims[name] for name in CLIENT_CLAIMS if name in claims), None)
        return self._clients.current.by_oauth_client(named) if isinstance(named, str) else None

    async def _key(self, token: str, issuer: Issuer) -> Key:
        """The key that a token names, which is not verified yet."""
        try:
            header: dict[str, Any] = dict(jws.extract_compact(token.encode()).headers())
        except (JoseError, ValueError, TypeError):
            raise NotLetInError("the token is not known") from None
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        if algorithm not in ALGORITHMS or not isinstance(kind, str) or kind.lower() not in TYPES:
            raise NotLetInError("the token is not valid here")
        key = await issuer.keys.key(kid) if isinstance(kid, str) else None
        if key is None or key.get("alg", algorithm) != algorithm or _is_weak(key):
            raise NotLetInError("the token is not valid here")
        return key


def _is_weak(key: Key) -> bool:
    return isinstance(key, RSAKey) and key.public_key.key_size < SMALLEST_RSA


def _bearer(headers: list[str]) -> str:
    if not headers:
        raise NotLetInError("a token is needed: Authorization: Bearer ...")
    scheme, _, token = headers[0].partition(" ")
    token = token.strip()
    if len(headers) > 1 or scheme.lower() != "bearer" or not token or len(token) > LONGEST:
        raise NotLetInError("the header Authorization should have one bearer token")
    return token
