"""`dli dashboard`."""

from pathlib import Path
from typing import Annotated

import typer

from workers.configuration.command_options import Bootstrap, Prefix, settings
from workers.console.exit_codes import CommandError
from workers.console.printing import err
from workers.dashboard.sign_in.roles import UnguardedError, check, tokens_of
from workers.process import logs

REPORTS = Path("var/reports")


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(dashboard)


def dashboard(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    app_id: Annotated[str | None, typer.Option("--app-id", help="The workers' consumer group.")] = None,
    host: Annotated[
        str, typer.Option("--host", help="The address; reachable by others only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port.")] = 8080,
    reports: Annotated[Path, typer.Option("--reports", help="A folder with reports of `dli replay`.")] = REPORTS,
    allow_redrive: Annotated[
        bool,
        typer.Option(
            "--allow-redrive", help="Allow users who may act to resend dead letters; without it, it only reads."
        ),
    ] = False,
) -> None:
    """Serve the dashboard: lag, decisions, policy revisions, dead letters, replays; live, from the brokers."""
    try:
        # Only this command needs the extra `dashboard`.
        from workers.dashboard.server import serve  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"nicegui", "fastapi", "starlette", "uvicorn"}:
            raise
        raise CommandError("the dashboard needs more: pip install 'dli-authorization[dashboard]'") from None
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id)
    try:
        check(host, tokens_of(found), allow_redrive=allow_redrive)
    except UnguardedError as error:
        raise CommandError(str(error)) from None
    logs.configure(level=found.log_level, form=found.log_format)
    try:
        with serve(found, host, port, reports=reports, allow_redrive=allow_redrive) as server:
            address = f"[{host}]" if ":" in host else host
            err.print(f"http://{address}:{port}/, of {found.bootstrap}; Ctrl-C ends it")
            server.run()
    except OSError as error:
        raise CommandError(f"{host}:{port}: {error.strerror}; choose another with --host and --port") from None
