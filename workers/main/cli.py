"""`dli`: all commands and the handling of errors.

Bad input never causes a traceback: anything a user can fix is an error message on standard error, with exit code 1 (see
`workers.console.exit_codes` for the others).
"""

import logging
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from policy_core.document.problems import PolicyDocumentError
from policy_core.history.library import load_library
from policy_core.work_limit import TooComplexError
from workers.accounts import commands as accounts_commands
from workers.audit import commands as audit_commands
from workers.audit import record_acts
from workers.configuration import commands as configuration_commands
from workers.configuration.command_options import Bootstrap, DefaultPolicy, Policies, Prefix, settings
from workers.console.errors import DliError
from workers.console.exit_codes import CommandError, Exit
from workers.console.printable import printable
from workers.console.printing import OURS, err, out
from workers.console.streams import standard_streams
from workers.dashboard import commands as dashboard_commands
from workers.dead_letters import commands as dead_letters_commands
from workers.decide import commands as decide_commands
from workers.dev_brokers import commands as dev_brokers_commands
from workers.kafka import commands as kafka_commands
from workers.ledger import commands as ledger_commands
from workers.main import generated_files
from workers.monitoring import commands as monitoring_commands
from workers.policies import commands as policy_commands
from workers.process import logs, private_files
from workers.replay import commands as replay_commands
from workers.topics import commands as topics_commands
from workers.traffic import commands as traffic_commands

cli = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Prior-authorization requests, decided under a published medical policy.",
)
schemas_cli = typer.Typer(no_args_is_help=True, help="The generated files: JSON Schemas and the page of settings.")

decide_commands.add_commands(cli)
traffic_commands.add_commands(cli)
ledger_commands.add_commands(cli)
policy_commands.add_commands(cli)
replay_commands.add_commands(cli)
monitoring_commands.add_commands(cli)
accounts_commands.add_commands(cli)
dead_letters_commands.add_commands(cli)
topics_commands.add_commands(cli)
kafka_commands.add_commands(cli)
dashboard_commands.add_commands(cli)
audit_commands.add_commands(cli)
configuration_commands.add_commands(cli)
cli.add_typer(schemas_cli, name="schemas")
dev_brokers_commands.add_commands(cli)

PACKAGE = "dli-authorization"


def main() -> None:
    """Run the command line."""
    private_files.private_from_now_on()
    logs.configure(level="WARNING", form="console")
    # Acts are logged at any level.
    logging.getLogger(record_acts.__name__).setLevel(logging.INFO)
    # Broker errors become our own messages; the client's log lines would only be noise.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        with standard_streams():
            _run()
    except CommandError as error:
        # The output could not be written.
        _fail(error)


def _run() -> None:
    try:
        # Wired here, because packages must not import each other.
        cli(obj=replay_commands.effect)
    except (DliError, PolicyDocumentError, TooComplexError) as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    err.print(Text.assemble(("error:", "bold red"), f" {printable(str(error), OURS)}"))
    sys.exit(Exit.FAILED)


def _print_version(asked: bool) -> None:
    if not asked:
        return
    try:
        out.print(f"{PACKAGE} {version(PACKAGE)}")
    except PackageNotFoundError:
        raise CommandError(f"{PACKAGE} is not installed as a package, so that its version is not known") from None
    raise typer.Exit


@cli.callback()
def before_any_command(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """What stands before any command; Typer has the root's own help above."""


@cli.command()
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


@cli.command()
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
