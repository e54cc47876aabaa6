"""`dli worker`, `dli demo` and `dli schemas`: what the composition root itself has."""

from pathlib import Path
from typing import Annotated

import typer

from policy_core.history.library import load_library
from workers.configuration.command_options import Bootstrap, DefaultPolicy, Policies, Prefix, settings
from workers.console.exit_codes import CommandError, Exit
from workers.console.printing import err, out
from workers.integration.partners import load
from workers.main import generated_files

schemas_cli = typer.Typer(no_args_is_help=True, help="The generated files: JSON Schemas and the page of settings.")


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(worker)
    cli.command()(integration)
    cli.command()(demo)
    cli.add_typer(schemas_cli, name="schemas")


def worker(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    policies: Policies = None,
    policy: DefaultPolicy = None,
    web_port: Annotated[int | None, typer.Option("--web-port", help="The port for health and register.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="The folder for its tables; one per worker.")
    ] = None,
    instance: Annotated[str | None, typer.Option("--instance", help="A name that it keeps across restarts.")] = None,
) -> None:
    """Run a worker: decide requests, keep the register of revisions, report its health."""
    # Only this command imports Faust: the others start three times as fast without it.
    from workers.main.run import run_worker  # noqa: PLC0415

    found = settings(
        bootstrap=bootstrap,
        topic_prefix=topic_prefix,
        policies=policies,
        default_policy=policy,
        web_port=web_port,
        data_dir=data_dir,
        instance=instance,
    )
    run_worker(found, load_library(found.policies, found.default_policy))


def integration(
    partners: Annotated[
        Path | None, typer.Option("--partners", help="The folder of trading partners, or the file of one.")
    ] = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    web_port: Annotated[int | None, typer.Option("--web-port", help="The port for health and metrics.")] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="The folder for its stores.")] = None,
    instance: Annotated[str | None, typer.Option("--instance", help="A name that it keeps across restarts.")] = None,
) -> None:
    """Run the integration agents: FHIR PAS and X12 278 messages to requests, and decisions back to platforms."""
    # As for the worker.
    from workers.main.run import run_integration  # noqa: PLC0415

    found = settings(
        partners=partners,
        bootstrap=bootstrap,
        topic_prefix=topic_prefix,
        integration_port=web_port,
        data_dir=data_dir,
        instance=instance,
    )
    if found.partners is None:
        raise CommandError("no trading partners: give --partners, or set DLI_PARTNERS to their folder")
    run_integration(found, load(found.partners))


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the broker and the worker running until Ctrl-C.")] = False,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Like --keep, with the dashboard.")] = False,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The dashboard's port.")] = 8080,
) -> None:
    """Decide example requests on the embedded broker, and explain one decision."""
    from workers.demo.commands import run_demo  # noqa: PLC0415 (as for the worker)

    run_demo(keep=keep, dashboard=port if dashboard else None)


# --- schemas -------------------------------------------------------------------------------------------------------


@schemas_cli.command()
def write() -> None:
    """Write every stale file."""
    for file in generated_files.write():
        err.print(f"written: {file.name}")


@schemas_cli.command("check")
def check_schemas() -> None:
    """List the stale files; exit 3 if there are any."""
    found = generated_files.stale()
    for file in found:
        out.print(f"stale: {file.name}")
    if found:
        raise typer.Exit(Exit.DIFFERENT)
