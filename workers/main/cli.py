"""`dli`: all commands and the handling of errors.

Bad input never causes a traceback: anything a user can fix is an error message on standard error, with exit code 1 (see
`workers.console.exit_codes` for the others).

A command's module is imported when the command is used, with all that it needs; so nothing is imported here that not
every command needs.
"""

import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from copy import copy
from importlib import import_module
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from policy_core.document.problems import PolicyDocumentError
from policy_core.work_limit import TooComplexError
from workers.console.errors import DliError
from workers.console.exit_codes import CommandError, Exit
from workers.console.printable import printable
from workers.console.printing import OURS, err, out
from workers.console.streams import standard_streams
from workers.process import private_files

PACKAGE = "dli-authorization"


class Listed(NamedTuple):
    """A command as the help of `dli` lists it."""

    module: str
    """Its `add_commands` adds it."""
    help: str
    """The first paragraph of its own help."""


COMMANDS = {
    "decide": Listed(
        "workers.decide.commands", "Decide every request of a file: one decision or dead letter each, in order."
    ),
    "explain": Listed("workers.decide.commands", "Explain one request's decision in plain text."),
    "generate": Listed(
        "workers.traffic.commands", "Generate synthetic requests, one per line, to publish or to decide."
    ),
    "publish": Listed(
        "workers.traffic.commands",
        "Publish every event of a file as a request, keyed by its request id; bare data gets an envelope.",
    ),
    "tail": Listed(
        "workers.traffic.commands",
        "Print a topic's values as they arrive, one per line; joins no group and commits nothing.",
    ),
    "trace": Listed(
        "workers.ledger.commands",
        "Trace a request: the request, every answer, its basis, and the position of each event.",
    ),
    "cases": Listed(
        "workers.work_list.commands", "List the open cases: who acts next and by when; overdue ones first."
    ),
    "archive": Listed(
        "workers.replay.commands",
        "Store ranges of topics in files, with counts and digests; if interrupted, repeat the command.",
    ),
    "exporter": Listed(
        "workers.monitoring.commands",
        "Export lag and accounts to Prometheus, as the brokers have them: also for stalled or dead workers.",
    ),
    "accounts": Listed(
        "workers.accounts.commands",
        "Check for every partition that consumed = decided + duplicates + dead-lettered, and nothing is lost; else "
        "exit 3.",
    ),
    "reset-offset": Listed(
        "workers.topics.commands",
        "Set the offset of a partition: one that workers refuse, or any while no worker runs.",
    ),
    "restore": Listed(
        "workers.topics.commands",
        "Restore archives to empty topics, with keys, headers and times, and verify the result.",
    ),
    "review": Listed(
        "workers.cases.review_command",
        "Publish reviewers' verdicts and extensions of timeframes; nothing unless all of the file are valid.",
    ),
    "rights": Listed("workers.kafka.commands", "Show the rights of each role on a Kafka that requires authentication."),
    "dashboard": Listed(
        "workers.dashboard.commands",
        "Serve the dashboard: lag, decisions, policy revisions, dead letters, replays; live, from the brokers.",
    ),
    "gateway": Listed(
        "workers.gateway.commands",
        "Serve FHIR PAS and X12 278 over HTTP: submit, inquire, subscriptions; answered from Kafka.",
    ),
    "audit": Listed(
        "workers.audit.commands",
        "Show who changed something, or tried to, with arguments and outcome; newest first.",
    ),
    "settings": Listed(
        "workers.configuration.commands",
        "Show every setting with its value and origin; for a secret, only whether it is set.",
    ),
    "worker": Listed(
        "workers.main.commands", "Run a worker: decide requests, keep the register of revisions, report its health."
    ),
    "integration": Listed(
        "workers.main.commands",
        "Run the integration agents: FHIR PAS and X12 278 messages to requests, and decisions back to platforms.",
    ),
    "demo": Listed(
        "workers.main.commands", "Decide example requests on the embedded broker, and explain one decision."
    ),
    "adapt": Listed(
        "workers.integration.commands",
        "Read, decide and answer platforms' messages, without a broker: one object for each message, in order.",
    ),
    "partners": Listed("workers.integration.commands", "Trading partners: check their files."),
    "policy": Listed("workers.policies.commands", "Policy documents and their revisions: check, compare, publish."),
    "replay": Listed("workers.replay.commands", "Replay a log: verify it, or see what a change would do."),
    "report": Listed("workers.figures.commands", "Reports for the public: the figures of a year."),
    "dead-letters": Listed("workers.dead_letters.commands", "Events that could not be decided: list, show, resend."),
    "topics": Listed("workers.topics.commands", "The declared Kafka topics: create, compare, show."),
    "schemas": Listed("workers.main.commands", "The generated files: JSON Schemas and the page of settings."),
    "kafka": Listed("workers.dev_brokers.commands", "Apache Kafka on this machine, for developers."),
}
"""Every command and group, in the order of the help. A test compares them with what their modules add."""


class _Imported(MutableMapping[str, Any]):
    """The commands by name, each imported when it is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known.update(commands_of(COMMANDS[name].module))
        return self._known[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS


def commands_of(module: str) -> MutableMapping[str, Any]:
    """The commands and groups that a module adds, by name."""
    added = typer.Typer()
    import_module(module).add_commands(added)
    return typer.main.get_group(added).commands


class _Root(TyperGroup):
    """All commands; to list them imports none."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Imported()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, with commands as they are listed here."""
        shown = copy(self)
        shown.commands = {name: TyperCommand(name, help=listed.help) for name, listed in COMMANDS.items()}
        super(_Root, shown).format_help(ctx, formatter)


cli = typer.Typer(
    cls=_Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Prior-authorization requests, decided under a published medical policy.",
)


def main() -> None:
    """Run the command line."""
    private_files.private_from_now_on()
    # No plugin that another package brings is looked for, which is slow, or sees requests.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    if any(not argument.startswith("-") for argument in sys.argv[1:]):
        _configure_logs()
    try:
        with standard_streams():
            _run()
    except CommandError as error:
        # The output could not be written.
        _fail(error)


def _configure_logs() -> None:
    from workers.process import logs  # noqa: PLC0415 (it takes a third of the time of `dli --help`, which logs nothing)

    logs.configure(level="WARNING", form="console")
    # Acts are logged at any level.
    logging.getLogger("workers.audit.record_acts").setLevel(logging.INFO)
    # Broker errors become our own messages; the client's log lines would only be noise.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def _run() -> None:
    try:
        # Wired here, because packages must not import each other.
        cli(obj=_effect)
    except (DliError, PolicyDocumentError, TooComplexError) as error:
        _fail(error)


def _effect(*arguments: Any, **named: Any) -> Any:
    """What a revision would have changed: `workers.replay.commands.effect`."""
    return import_module("workers.replay.commands").effect(*arguments, **named)


def _fail(error: Exception) -> NoReturn:
    err.print(Text.assemble(("error:", "bold red"), f" {printable(str(error), OURS)}"))
    sys.exit(Exit.FAILED)


def _print_version(asked: bool) -> None:
    if not asked:
        return
    # As slow to import as all that is above.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

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
