"""`dli`: every command, and what becomes of an error.

An operator never sees a traceback for bad input: whatever a person can mend is an error with a sentence, printed to
standard error, exit code 1 (see `workers.console` for the others).
"""

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.table import Table
from rich.text import Text

from events.topics import AUDIT, TOPICS
from policy_core.document.problems import PolicyDocumentError
from policy_core.library import load_library
from policy_core.work import TooComplexError
from workers import files, logs, rights, schemas, topics
from workers import scale as scaling
from workers.access import RefusedError
from workers.audit import commands as audit_commands
from workers.audit import recorder
from workers.audit.recorder import acting
from workers.brokers import BrokerError, down, up
from workers.console import (
    OURS,
    Bootstrap,
    CommandError,
    DefaultPolicy,
    Exit,
    Policies,
    Prefix,
    err,
    out,
    settings,
    standard_streams,
)
from workers.dashboard import commands as dashboard_commands
from workers.decide import commands as decide_commands
from workers.ledger import commands as ledger_commands
from workers.operate import commands as operate_commands
from workers.packaged import ForkedError
from workers.policies import commands as policy_commands
from workers.printable import counted, printable
from workers.reading import ReadingError
from workers.replay import commands as replay_commands
from workers.rights import Right
from workers.settings import Settings, SettingsError
from workers.topics import TopicsError
from workers.traffic import commands as traffic_commands

KAFKA = Path("var/kafka")

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Prior-authorization requests, decided under a published medical policy.",
)
topics_cli = typer.Typer(no_args_is_help=True, help="The declared Kafka topics: create, compare, show.")
schemas_cli = typer.Typer(no_args_is_help=True, help="The JSON Schemas of events and of the policy document.")
kafka_cli = typer.Typer(no_args_is_help=True, help="Apache Kafka on this machine, for a developer.")

decide_commands.add_to(cli)
traffic_commands.add_to(cli)
ledger_commands.add_to(cli)
policy_commands.add_to(cli)
replay_commands.add_to(cli)
operate_commands.add_to(cli)
dashboard_commands.add_to(cli)
audit_commands.add_to(cli)
cli.add_typer(topics_cli, name="topics")
cli.add_typer(schemas_cli, name="schemas")
cli.add_typer(kafka_cli, name="kafka")


def main() -> None:
    """Run the command line."""
    files.private_from_now_on()
    logs.configure(level="WARNING", form="console")
    # Who does what is told, whatever else is.
    logging.getLogger(recorder.__name__).setLevel(logging.INFO)
    # What goes wrong with a broker becomes a sentence of ours; its client's own complaints would only stand around it.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        with standard_streams():
            _run()
    except CommandError as error:
        # What was to be printed cannot be.
        _fail(error)


def _run() -> None:
    try:
        # What the past of a revision is held against is wired here: a capability knows no other.
        cli(obj=replay_commands.effect)
    except (
        CommandError,
        PolicyDocumentError,
        SettingsError,
        RefusedError,
        TopicsError,
        BrokerError,
        ReadingError,
        TooComplexError,
    ) as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    err.print(Text.assemble(("error:", "bold red"), f" {printable(str(error), OURS)}"))
    sys.exit(Exit.FAILED)


Partitions = Annotated[int | None, typer.Option("--partitions", min=1, help="Of requests, decisions and dead letters.")]


@cli.command()
def worker(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    policies: Policies = None,
    policy: DefaultPolicy = None,
    web_port: Annotated[
        int | None, typer.Option("--web-port", help="Where it answers for its health and register.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Its tables; one folder for each worker.")] = None,
    instance: Annotated[str | None, typer.Option("--instance", help="A name it keeps over restarts.")] = None,
) -> None:
    """Run a worker: decide requests as they arrive, keep the register of revisions, answer for its health."""
    # Faust is imported by this command alone: the others start in a third of the time without it.
    from workers.run import run_worker  # noqa: PLC0415

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
    keep: Annotated[bool, typer.Option("--keep", help="Leave the broker and the worker running until Ctrl-C.")] = False,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="The same, with the dashboard.")] = False,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where the dashboard listens.")] = 8080,
) -> None:
    """Requests in, decisions out, on the embedded broker: the main job, to look at."""
    from workers.demo.run import run_demo  # noqa: PLC0415 (as for the worker)

    run_demo(keep=keep, dashboard=port if dashboard else None)


@cli.command("rights")
def show_rights(
    role: Annotated[str | None, typer.Option("--role", help=f"One of {', '.join(rights.ROLES)}.")] = None,
    topic_prefix: Prefix = None,
) -> None:
    """Show who needs which rights on a Kafka that asks who is there."""
    if role is not None and role not in rights.ROLES:
        raise CommandError(f"no role {role}; there are {', '.join(rights.ROLES)}")
    out.print(_rights_table(rights.rights(settings(topic_prefix=topic_prefix), role)))


def _rights_table(found: Iterable[Right]) -> Table:
    table = Table(header_style="bold")
    for column in ("role", "operations", "resource", "name", "why"):
        table.add_column(column, overflow="fold")
    for one in found:
        name = f"{one.name}*" if one.is_prefix else one.name
        table.add_row(one.role, ", ".join(one.operations), one.resource, name, one.why)
    return table


# --- topics --------------------------------------------------------------------------------------------------------


@topics_cli.command()
def apply(bootstrap: Bootstrap = None, topic_prefix: Prefix = None, partitions: Partitions = None) -> None:
    """Create the topics that are not there, set on others what must not differ, publish what packaged policies know."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, partitions=partitions)
    # The one act that cannot be recorded before anything is done: it makes where acts are recorded.
    made = topics.make(found, AUDIT)
    with acting(found, "topics apply") as act:
        try:
            done = topics.apply(found)
        except ForkedError as forked:
            raise CommandError(str(forked)) from None
        created = sorted([*made, *done.created])
        act.note(topics=tuple(created), count=done.published)
    err.print(f"created: {', '.join(created)}" if created else "nothing to create")
    for one in done.altered:
        err.print(f"{one.topic}: {one.what} was {one.found}, is {one.declared} now", markup=False)
    for one in done.left:
        err.print(f"{one.topic}: {one.what} is {one.found}, declared {one.declared}; left as it is", markup=False)
    if done.published:
        err.print(f"published: {counted(done.published, 'revision')} that packaged documents know")


@topics_cli.command("check")
def check_topics(bootstrap: Bootstrap = None, topic_prefix: Prefix = None, partitions: Partitions = None) -> None:
    """Compare the declared topics with what is there; exit 3 on a difference."""
    differences = topics.compare(settings(bootstrap=bootstrap, topic_prefix=topic_prefix, partitions=partitions))
    for one in differences:
        out.print(f"{one.topic}: {one.what} is {one.found}, declared {one.declared}", markup=False)
    if differences:
        raise typer.Exit(Exit.DIFFERENT)
    err.print("topics are as declared")


@topics_cli.command()
def scale(
    partitions: Annotated[int, typer.Argument(min=2, help="How many there are to be; a multiple of what there are.")],
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    app_id: Annotated[str | None, typer.Option("--app-id", help="The workers' consumer group.")] = None,
    before: Annotated[
        int | None, typer.Option("--from", min=1, help="How many there were, where requests have more already.")
    ] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without it, only say what would be done.")] = False,
) -> None:
    """Add partitions to all topics that must be alike, and put what is remembered where it will be looked for."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id)
    made = scaling.plan(found, partitions, before)
    for step in made.steps:
        copied = f", of up to {counted(step.copies, 'record')} each is copied" if step.copies else ""
        out.print(f"{step.topic}: {step.now} → {counted(step.then, 'partition')}{copied}", markup=False)
    if not execute:
        err.print("nothing is done yet (--execute does it): stop the platforms first, they must not publish meanwhile")
        return
    with acting(found, "topics scale", topics=tuple(one.topic for one in made.steps), partitions=partitions):
        scaling.execute(found, made, _tell_step)
    err.print(f"done: set DLI_PARTITIONS to {partitions}, start the workers, then the platforms")


def _tell_step(step: scaling.Step, written: int) -> None:
    err.print(f"{step.topic}: {counted(step.then, 'partition')}, {counted(written, 'record')} copied", markup=False)


@topics_cli.command()
def show(topic_prefix: Prefix = None) -> None:
    """Show the declared topics."""
    out.print(_topic_table(settings(topic_prefix=topic_prefix)))


def _topic_table(found: Settings) -> Table:
    table = Table(header_style="bold")
    for column in ("topic", "event", "key", "partitions", "kept", "written by", "read by"):
        table.add_column(column, overflow="fold")
    for topic in TOPICS:
        days = counted(topic.retention.days, "day") if topic.retention else "ever"
        table.add_row(
            found.topic(topic.name),
            topic.event or topic.holds,
            topic.key,
            str(topics.partitions(topic, found)),
            "compacted" if topic.cleanup == "compact" else days,
            ", ".join(topic.producers),
            ", ".join(topic.consumers),
        )
    return table


# --- archives ------------------------------------------------------------------------------------------------------


@cli.command()
def restore(
    archives: Annotated[list[Path], typer.Argument(help="Folders that `dli archive` made, in that order.")],
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="A declared topic, instead of all archived.")
    ] = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    partitions: Partitions = None,
    app_id: Annotated[str | None, typer.Option("--app-id", help="The workers' consumer group.")] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without it, only say what would be done.")] = False,
    keys: replay_commands.Keys = None,
) -> None:
    """Put archives back on empty topics, with keys, headers and times, and hold what is there then against them."""
    with replay_commands.extra():
        from workers import restore as restoring  # noqa: PLC0415 (it needs the extra `replay`)
    place = {"bootstrap": bootstrap, "topic_prefix": topic_prefix, "archive_keys": keys}
    found = settings(**place, partitions=partitions, app_id=app_id)
    kept = restoring.opened(archives, err.print, found.archive_keys)
    made = restoring.plan(found, kept, topic or ())
    for one in made:
        out.print(
            f"{one.name}: {counted(one.partitions, 'partition')}, up to {counted(one.records, 'record')}", markup=False
        )
    if not execute:
        err.print("nothing is done yet (--execute does it)")
        return
    # As for `topics apply`, which comes behind this: nothing may be on the cluster yet.
    topics.make(found, AUDIT)
    records = sum(one.records for one in made)
    with acting(found, "restore", topics=tuple(one.name for one in made), count=records):
        restoring.execute(
            found, kept, made, lambda one, count: err.print(f"{one.name}: {counted(count, 'record')}, as archived")
        )
    err.print("done: topics have the broker's time; see `dli topics check`, then start workers")


# --- schemas -------------------------------------------------------------------------------------------------------


@schemas_cli.command()
def write() -> None:
    """Write every schema that is stale."""
    for file in schemas.write():
        err.print(f"written: {file.name}")


@schemas_cli.command("check")
def check_schemas() -> None:
    """Name every schema that is stale; exit 3 if there is one."""
    found = schemas.stale()
    for file in found:
        out.print(f"stale: {file.name}")
    if found:
        raise typer.Exit(Exit.DIFFERENT)


# --- kafka ---------------------------------------------------------------------------------------------------------


@kafka_cli.command("up")
def kafka_up() -> None:
    """Start Apache Kafka for a developer, from the jars that `make kafka-jars` brings; print its address."""
    out.print(up(KAFKA))


@kafka_cli.command("down")
def kafka_down() -> None:
    """Stop the Apache Kafka that `dli kafka up` started."""
    err.print("stopped" if down(KAFKA) else "none was running")
