"""The keys of an authorization server (JWKS), from a file or its address, kept and renewed."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from workers.configuration.settings import SettingsError
from workers.kafka.reloaded_credentials import State, state
from workers.monitoring.host_header import is_loopback

log = structlog.get_logger(__name__)

FRESH_SECONDS = 300.0
"""How long keys are used without asking for them again."""
UNKNOWN_SECONDS = 10.0
"""How often an unknown key may cause a request: a stranger names as many as they like."""
STALE_SECONDS = 24 * 3600.0
"""How long keys are used while their server does not respond."""
PATIENCE_SECONDS = 5.0
LARGEST = 1_000_000
"""Bytes of a key set."""


class KeysUnavailableError(Exception):
    """There are no keys to verify a token with now."""


class KeySource:
    """The keys, by their ids."""

    def __init__(
        self, where: str, tls: Callable[[], ssl.SSLContext], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take keys from a file or an address.

        Raises:
            SettingsError: It is neither.
        """
        self._where, self._tls, self._clock = where, tls, clock
        parts = urlsplit(where)
        self._is_address = parts.scheme in {"https", "http"}
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise SettingsError("DLI_GATEWAY_OAUTH_KEYS: should be https; http is for loopback only")
        self._keys: dict[str, Key] = {}
        self._fetched, self._asked = float("-inf"), float("-inf")
        self._file_state: State = ()
        self._lock = asyncio.Lock()

    async def key(self, kid: str) -> Key | None:
        """The key with an id; None if there is none.

        Raises:
            KeysUnavailableError: No keys are known now.
        """
        if not self._is_address:
            self._read_file()
            return self._keys.get(kid)
        async with self._lock:
            now = self._clock()
            due = now - self._fetched >= FRESH_SECONDS or kid not in self._keys
            if due and now - self._asked >= UNKNOWN_SECONDS:
                self._asked = now
                await self._fetch()
            if self._clock() - self._fetched >= STALE_SECONDS:
                raise KeysUnavailableError
            return self._keys.get(kid)

    def _read_file(self) -> None:
        file = Path(self._where)
        seen = state((file,))
        if seen != self._file_state:
            self._file_state = seen
            try:
                self._take(file.read_bytes())
            except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
                log.warning("keys_not_read", file=self._where, error=type(error).__name__)
        if not self._keys:
            raise KeysUnavailableError

    async def _fetch(self) -> None:
        try:
            async with (
                ClientSession(
                    timeout=ClientTimeout(total=PATIENCE_SECONDS), cookie_jar=DummyCookieJar(), trust_env=False
                ) as session,
                session.get(self._where, ssl=self._tls(), allow_redirects=False) as response,
            ):
                response.raise_for_status()
                content = bytearray()
                async for part in response.content.iter_chunked(1 << 16):
                    content += part
                    if len(content) > LARGEST:
                        raise ValueError("too large")  # noqa: TRY301 (as any other unusable answer)
                self._take(bytes(content))
        except (ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError, JoseError) as error:
            log.warning("keys_not_fetched", error=type(error).__name__, known=len(self._keys))
        else:
            self._fetched = self._clock()

    def _take(self, content: bytes) -> None:
        written: Any = json.loads(content)
        signing = [one for one in written["keys"] if one.get("use", "sig") == "sig" and isinstance(one.get("kid"), str)]
        # A key without an id cannot be chosen, and a symmetric one must not be here.
        usable = [one for one in signing if one.get("kty") in {"RSA", "EC", "OKP"}]
        keys = KeySet.import_key_set({"keys": usable}).keys
        self._keys = {key.kid: key for key in keys if key.kid is not None}
