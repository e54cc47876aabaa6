"""Sends a notification to a subscriber's address."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from workers.gateway.subscriptions.resource import Wanted

PATIENCE_SECONDS = 30.0
GONE = 410
"""The status by which a subscriber says that it never wants another notification."""


class Sent(NamedTuple):
    """What came of sending a notification."""

    accepted: bool
    why: str = ""
    """Why not, in words that repeat nothing of an answer."""
    for_good: bool = False
    """Whether it is no use to try again."""


class RestHook:
    """A client for all addresses: no redirects, no cookies, no proxy of the environment."""

    def __init__(self, session: ClientSession, tls: Callable[[], ssl.SSLContext]) -> None:
        self._session, self._tls = session, tls

    async def send(self, wanted: Wanted, notification: bytes) -> Sent:
        """Send a notification; never raises because of what the other side does."""
        headers = {**dict(wanted.headers), "Content-Type": wanted.payload}
        try:
            async with self._session.post(
                wanted.endpoint, data=notification, headers=headers, ssl=self._tls(), allow_redirects=False
            ) as response:
                status = response.status
        except TimeoutError:
            return Sent(accepted=False, why="the address did not respond in time")
        except (ClientError, OSError, ValueError) as error:
            return Sent(accepted=False, why=f"the address could not be reached: {type(error).__name__}")
        if 200 <= status < 300:  # noqa: PLR2004 (the class of success)
            return Sent(accepted=True)
        return Sent(accepted=False, why=f"the address responded {status}", for_good=status == GONE)


@asynccontextmanager
async def rest_hook(tls: Callable[[], ssl.SSLContext]) -> AsyncIterator[RestHook]:
    """A client, closed on exit."""
    async with ClientSession(
        timeout=ClientTimeout(total=PATIENCE_SECONDS),
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
    ) as session:
        yield RestHook(session, tls)
