"""`dli topics …`, `dli reset-offset` and `dli restore`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from kafka import TopicPartition
from rich.table import Table

from events.topics import AUDIT, TOPICS, Topic
from workers.audit.record_acts import acting
from workers.configuration.command_options import AppId, ArchiveKeys, Bootstrap, Partitions, Prefix, settings
from workers.configuration.settings import Settings
from workers.console.exit_codes import CommandError, Exit, needs_replay_extra
from workers.console.printable import counted
from workers.console.printing import AsRows, Output, err, out, write_json
from workers.policies.publish_packaged import ForkedError
from workers.topics import add_partitions as scaling
from workers.topics import apply_topics
from workers.topics import reset_offset as reset

topics = typer.Typer(no_args_is_help=True, help="The declared Kafka topics: create, compare, show.")


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.add_typer(topics, name="topics")
    cli.command()(reset_offset)
    cli.command()(restore)


@topics.command()
def apply(bootstrap: Bootstrap = None, topic_prefix: Prefix = None, partitions: Partitions = None) -> None:
    """Create missing topics, correct required settings of others, and publish the packaged policies."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, partitions=partitions)
    # The one act that cannot be recorded before anything is done: it makes where acts are recorded.
    made = apply_topics.make(found, AUDIT)
    with acting(found, "topics apply") as act:
        try:
            done = apply_topics.apply(found)
        except ForkedError as forked:
            raise CommandError(str(forked)) from None
        created = sorted([*made, *done.created])
        act.note(topics=tuple(created), count=done.published)
    err.print(f"created: {', '.join(created)}" if created else "nothing to create")
    for topic in done.altered:
        err.print(f"{topic.topic}: {topic.what} was {topic.found}, is {topic.declared} now", markup=False)
    for topic in done.left:
        err.print(
            f"{topic.topic}: {topic.what} is {topic.found}, declared {topic.declared}; left as it is", markup=False
        )
    if done.published:
        err.print(f"published: {counted(done.published, 'revision')} that packaged documents know")


@topics.command("check")
def check_topics(bootstrap: Bootstrap = None, topic_prefix: Prefix = None, partitions: Partitions = None) -> None:
    """Compare the declared topics with those on the brokers; exit 3 if they differ."""
    differences = apply_topics.compare(settings(bootstrap=bootstrap, topic_prefix=topic_prefix, partitions=partitions))
    for difference in differences:
        out.print(
            f"{difference.topic}: {difference.what} is {difference.found}, declared {difference.declared}", markup=False
        )
    if differences:
        raise typer.Exit(Exit.DIFFERENT)
    err.print("topics are as declared")


@topics.command()
def scale(
    partitions: Annotated[int, typer.Argument(min=2, help="The new number, a multiple of the current one.")],
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    app_id: AppId = None,
    before: Annotated[
        int | None, typer.Option("--from", min=1, help="The old number, if requests already have more.")
    ] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; otherwise only show what would be done.")] = False,
) -> None:
    """Add partitions to all topics that must have the same number, and copy their state to the new ones."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id)
    made = scaling.plan(found, partitions, before)
    for step in made.steps:
        copied = f", of up to {counted(step.copies, 'record')} each is copied" if step.copies else ""
        out.print(f"{step.topic}: {step.now} → {counted(step.then, 'partition')}{copied}", markup=False)
    if not execute:
        err.print("nothing is done yet (--execute does it): stop the platforms first, they must not publish meanwhile")
        return
    with acting(found, "topics scale", topics=tuple(step.topic for step in made.steps), partitions=partitions):
        scaling.execute(found, made, _print_step)
    err.print(f"done: set DLI_PARTITIONS to {partitions}, start the workers, then the platforms")


def _print_step(step: scaling.Step, written: int) -> None:
    err.print(f"{step.topic}: {counted(step.then, 'partition')}, {counted(written, 'record')} copied", markup=False)


@topics.command()
def show(topic_prefix: Prefix = None, output: AsRows = Output.TABLE) -> None:
    """Show the declared topics."""
    found = settings(topic_prefix=topic_prefix)
    if output is Output.JSONL:
        for topic in TOPICS:
            write_json(_fields(topic, found))
    else:
        out.print(_topic_table(found))


def _fields(topic: Topic, found: Settings) -> dict[str, Any]:
    return {
        "topic": found.topic(topic.name),
        "events": list(topic.events),
        "holds": topic.holds,
        "key": topic.key,
        "partitions": apply_topics.partitions(topic, found),
        "cleanup": topic.cleanup,
        "retention_days": topic.retention.days if topic.retention else None,
        "written_by": list(topic.producers),
        "read_by": list(topic.consumers),
    }


def _topic_table(found: Settings) -> Table:
    table = Table(header_style="bold")
    for column in ("topic", "event", "key", "partitions", "kept", "written by", "read by"):
        table.add_column(column, overflow="fold")
    for topic in TOPICS:
        days = counted(topic.retention.days, "day") if topic.retention else "ever"
        table.add_row(
            found.topic(topic.name),
            ", ".join(topic.events) or topic.holds,
            topic.key,
            str(apply_topics.partitions(topic, found)),
            "compacted" if topic.cleanup == "compact" else days,
            ", ".join(topic.producers),
            ", ".join(topic.consumers),
        )
    return table


def reset_offset(
    topic: Annotated[str, typer.Argument(help="The topic with its prefix, as in the worker's log.")],
    partition: Annotated[int, typer.Argument(min=0)],
    to: Annotated[str, typer.Option("--to", help=f"An offset, or one of {', '.join(reset.PLACES)}.")],
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    app_id: AppId = None,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; otherwise only show what would be done.")] = False,
) -> None:
    """Set the offset of a partition: one that workers refuse, or any while no worker runs."""
    place = reset.wanted(to)
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id)
    plan = reset.planned(found, TopicPartition(topic, partition), place)
    out.print(str(plan), markup=False)
    if not execute:
        err.print("nothing is done without --execute")
        return
    with acting(found, "reset-offset", topics=(topic,), partition=partition, offset=plan.offset, group=found.app_id):
        reset.carry_out(found, plan)
    err.print("set")


def restore(
    archives: Annotated[list[Path], typer.Argument(help="Folders created by `dli archive`, oldest first.")],
    topic: Annotated[
        list[str] | None,
        typer.Option("--topic", help="A declared topic, instead of all archived ones; may be repeated."),
    ] = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    partitions: Partitions = None,
    app_id: AppId = None,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; otherwise only show what would be done.")] = False,
    keys: ArchiveKeys = None,
) -> None:
    """Restore archives to empty topics, with keys, headers and times, and verify the result."""
    with needs_replay_extra():
        from workers.topics import restore_archive as restoring  # noqa: PLC0415 (needs the extra `replay`)
    place = {"bootstrap": bootstrap, "topic_prefix": topic_prefix, "archive_keys": keys}
    found = settings(**place, partitions=partitions, app_id=app_id)
    kept = restoring.opened(archives, err.print, found.archive_keys)
    made = restoring.plan(found, kept, topic or ())
    for restored in made:
        numbers = f"{counted(restored.partitions, 'partition')}, up to {counted(restored.records, 'record')}"
        out.print(f"{restored.name}: {numbers}", markup=False)
    if not execute:
        err.print("nothing is done yet (--execute does it)")
        return
    # As for `topics apply`, which comes later: the cluster may still be empty.
    apply_topics.make(found, AUDIT)
    records = sum(restored.records for restored in made)
    with acting(found, "restore", topics=tuple(restored.name for restored in made), count=records):
        restoring.execute(
            found,
            kept,
            made,
            lambda restored, count: err.print(f"{restored.name}: {counted(count, 'record')}, as archived"),
        )
    err.print("done: topics have the broker's time; see `dli topics check`, then start workers")
