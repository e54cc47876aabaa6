"""`dli exporter`."""

import signal
from threading import Event
from typing import Annotated

import typer

from workers.configuration.command_options import AppId, Bootstrap, Prefix, settings
from workers.console.exit_codes import CommandError
from workers.console.printing import err
from workers.monitoring.exporter import serving
from workers.process import logs


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(exporter)


def exporter(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    app_id: AppId = None,
    port: Annotated[int | None, typer.Option("--port", help="The port of /metrics.")] = None,
) -> None:
    """Export lag and accounts to Prometheus, as the brokers have them: also for stalled or dead workers."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id, exporter_port=port)
    logs.configure(level=found.log_level, form=found.log_format)
    over = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    try:
        with serving(found):
            err.print(f"http://{found.web_host}:{found.exporter_port}/metrics, of {found.bootstrap}")
            over.wait()
    except OSError as error:
        where = f"{found.web_host}:{found.exporter_port}"
        raise CommandError(f"{where}: {error.strerror}; choose another port with DLI_EXPORTER_PORT (--port)") from None
