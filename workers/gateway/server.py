"""The gateway process: everything is wired here."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from aiohttp import web

from workers.configuration.settings import Settings, SettingsError
from workers.gateway.access.bearer import Door, Issuer
from workers.gateway.access.clients import ClientsFile
from workers.gateway.access.key_set import KeySource
from workers.gateway.api.application import Questionnaires, health, interface
from workers.gateway.api.messages_api import MessagesApi
from workers.gateway.api.subscriptions_api import SubscriptionsApi
from workers.gateway.exchange import Exchange
from workers.gateway.messages import Reading, pas, x12
from workers.gateway.subscriptions.delivery import Pace
from workers.gateway.subscriptions.notifier import Notifier
from workers.gateway.subscriptions.register import Register
from workers.gateway.subscriptions.rest_hook import rest_hook
from workers.kafka.reloaded_credentials import RenewedContext, state

log = structlog.get_logger(__name__)

LONGEST_LINE = 8_190
"""Bytes of a request's first line, and of one header."""
MOST_HEADERS = 64
KEPT_SECONDS = 75.0
"""How long an idle connection is kept."""
LINGER_SECONDS = 2.0
"""How long the rest of a body that was refused is read, so that its sender sees the response."""
GRACE_SECONDS = 20.0
"""For requests under way when the process is to end."""
CERTIFICATE_SECONDS = 60.0
"""How often the certificate's files are looked at."""


class Parts(NamedTuple):
    """What the gateway is told by its surroundings."""

    pas: Reading
    x12: Reading
    questionnaires: Questionnaires


class Addresses(NamedTuple):
    """Where a gateway listens."""

    interface: int
    health: int


@asynccontextmanager
async def serving(settings: Settings, parts: Parts, host: str, *, pace: Pace | None = None) -> AsyncIterator[Addresses]:
    """Serve inside the context.

    Raises:
        SettingsError: A file of the settings cannot be used.
        KafkaError: The brokers do not respond at the start.
        OSError: A port is taken.
    """
    base = (settings.gateway_url or _own_address(settings, host)).rstrip("/")
    tls = _trusted(settings)
    door = door_of(settings, tls)
    formats = pas(parts.pas), x12(parts.x12)
    server_tls = _certificate(settings)
    register = Register(settings)
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(Exchange(settings, formats).running())
        await stack.enter_async_context(register.following())
        hook = await stack.enter_async_context(rest_hook(tls))
        pace = pace or Pace(give_up=settings.gateway_retry_hours * 3600)
        notifier = Notifier(settings, register, door, hook, lambda: exchange.producer, base=base, pace=pace)
        await stack.enter_async_context(_running(notifier.run()))
        if server_tls is not None:
            await stack.enter_async_context(_running(_renew(server_tls, settings)))
        routes = [
            *MessagesApi(exchange, *formats).routes(),
            *SubscriptionsApi(settings, register, exchange, base).routes(),
        ]
        partners = interface(door, routes, parts.questionnaires, base, settings.gateway_body_bytes)
        operators = health(lambda: exchange.is_up)
        yield Addresses(
            await stack.enter_async_context(_site(partners, host, settings.gateway_port, server_tls)),
            await stack.enter_async_context(_site(operators, settings.web_host, settings.gateway_health_port)),
        )


def door_of(settings: Settings, tls: Callable[[], ssl.SSLContext]) -> Door:
    """Who may ask.

    Raises:
        SettingsError: The clients' file is missing or cannot be used.
    """
    if settings.gateway_clients is None:
        raise SettingsError("DLI_GATEWAY_CLIENTS: nobody could sign in; name the file of the gateway's clients")
    issuer = None
    if settings.gateway_oauth_issuer and settings.gateway_oauth_audience and settings.gateway_oauth_keys:
        keys = KeySource(settings.gateway_oauth_keys, tls)
        issuer = Issuer(settings.gateway_oauth_issuer, settings.gateway_oauth_audience, keys)
    return Door(ClientsFile(settings.gateway_clients), issuer)


@asynccontextmanager
async def _site(app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    runner = web.AppRunner(
        app,
        access_log=None,  # addresses have ids of subscriptions, and clients may write anything there
        keepalive_timeout=KEPT_SECONDS,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
        max_headers=MOST_HEADERS,
        lingering_time=LINGER_SECONDS,
        auto_decompress=False,
        shutdown_timeout=GRACE_SECONDS,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        await site.start()
        yield port
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


# --- TLS --------------------------------------------------------------------------------------------------------------


def _trusted(settings: Settings) -> Callable[[], ssl.SSLContext]:
    """The context of connections that the gateway opens."""
    files = (settings.gateway_ca,) if settings.gateway_ca is not None else ()
    try:
        made = RenewedContext(lambda: ssl.create_default_context(cafile=settings.gateway_ca), files)
    except OSError as error:
        raise SettingsError(f"DLI_GATEWAY_CA: {settings.gateway_ca}: {_why(error)}") from None
    return made.current


def _certificate(settings: Settings) -> ssl.SSLContext | None:
    if settings.gateway_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        _load(context, settings)
    except OSError as error:
        where = f"{settings.gateway_certificate}, {settings.gateway_key}"
        raise SettingsError(f"DLI_GATEWAY_CERTIFICATE, DLI_GATEWAY_KEY: {where}: {_why(error)}") from None
    return context


def _load(context: ssl.SSLContext, settings: Settings) -> None:
    # Never without a password: OpenSSL would prompt for one at the terminal.
    context.load_cert_chain(settings.gateway_certificate or Path(), settings.gateway_key, "")


async def _renew(context: ssl.SSLContext, settings: Settings) -> None:
    """Load the certificate again when its files change; open connections keep the one they have."""
    files = tuple(file for file in (settings.gateway_certificate, settings.gateway_key) if file is not None)
    seen = state(files)
    while True:
        await asyncio.sleep(CERTIFICATE_SECONDS)
        if state(files) != seen:
            seen = state(files)
            try:
                _load(context, settings)
            except OSError as error:
                log.error("certificate_not_renewed", error=_why(error))  # noqa: TRY400 (the message suffices)
            else:
                log.info("certificate_renewed")


def _why(error: OSError) -> str:
    return "is no usable PEM" if isinstance(error, ssl.SSLError) else error.strerror or type(error).__name__


def _own_address(settings: Settings, host: str) -> str:
    scheme = "https" if settings.gateway_certificate is not None else "http"
    address = f"[{host}]" if ":" in host else host
    return f"{scheme}://{address}:{settings.gateway_port}/fhir"
