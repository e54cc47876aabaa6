"""`dli gateway`."""

import asyncio
import signal
from typing import Annotated

import typer
from aiokafka.errors import KafkaError

from events.topics import PAS_REQUESTS, PAS_RESPONSES, SUBSCRIPTIONS, X12_REQUESTS, X12_RESPONSES
from workers.configuration.command_options import AppId, Bootstrap, Prefix, settings
from workers.configuration.settings import Settings
from workers.console.exit_codes import CommandError
from workers.console.printing import err
from workers.gateway.adapters import parts
from workers.gateway.server import serving
from workers.kafka.reader import MAKE_TOPICS, lacking
from workers.monitoring.host_header import is_loopback
from workers.process import logs


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(gateway)


def gateway(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    app_id: AppId = None,
    host: Annotated[str, typer.Option("--host", help="The address; reachable by others only with encryption.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="The port.")] = None,
) -> None:
    """Serve FHIR PAS and X12 278 over HTTP: submit, inquire, subscriptions; answered from Kafka."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id, gateway_port=port)
    if not is_loopback(host) and found.gateway_certificate is None and not found.gateway_behind_proxy:
        raise CommandError(
            f"{host}: others can reach the gateway there, and tokens would cross the network unencrypted: set "
            "DLI_GATEWAY_CERTIFICATE and DLI_GATEWAY_KEY, or DLI_GATEWAY_BEHIND_PROXY if a proxy in front encrypts"
        )
    topics = [PAS_REQUESTS, PAS_RESPONSES, X12_REQUESTS, X12_RESPONSES, SUBSCRIPTIONS]
    if (missing := lacking(found, [found.topic(name) for name in topics])) is not None:
        raise CommandError(f"{missing}; {MAKE_TOPICS}")
    logs.configure(level=found.log_level, form=found.log_format)
    try:
        asyncio.run(_serve(found, host))
    except KafkaError as error:
        raise CommandError(f"{found.bootstrap}: {type(error).__name__}; is Kafka there?") from None
    except OSError as error:
        raise CommandError(
            f"{error.strerror or type(error).__name__}; choose other ports with DLI_GATEWAY_PORT (--port) and "
            "DLI_GATEWAY_HEALTH_PORT"
        ) from None


async def _serve(found: Settings, host: str) -> None:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with serving(found, parts(found), host) as addresses:
        err.print(f"{host}:{addresses.interface}, of {found.bootstrap}; health at port {addresses.health}")
        await over.wait()
