"""`dli archive`, `dli replay check` and `dli replay sign`; and what they share with the other commands on a log.

The extra `replay` and Kafka's clients are imported inside the commands that need them, as both are slow to load.
"""

# ruff: noqa: PLC0415, PLR0913 (see above; and each argument is a flag)

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from events.topics import (
    ANSWERED,
    CASES,
    CHAINS,
    CONTEXTS,
    DEAD_LETTERS,
    DECISIONS,
    MESSAGES,
    POLICY_REVISIONS,
    REQUESTS,
    VERDICTS,
)
from workers.configuration.command_options import ArchiveKeys, Bootstrap, Prefix, settings
from workers.console.exit_codes import CommandError, Exit, needs_replay_extra
from workers.console.printing import err, out
from workers.console.progress import TerminalReporter
from workers.event_log.source import Format

if TYPE_CHECKING:
    from workers.archive.archive_source import ArchiveSource
    from workers.event_log.asked import Asked

TOPICS = (REQUESTS, DECISIONS, DEAD_LETTERS, VERDICTS, POLICY_REVISIONS)
"""The replayed topics."""
ARCHIVED = (*TOPICS, ANSWERED, CASES, CHAINS, CONTEXTS)
"""The topics archived by default: enough to verify, and to restore without deciding requests again, and with what is
known of platforms' traces.

Cases are archived, not made again: links were judged and deadlines announced when time had come, which no archive of
events repeats, and case events are kept for a month only."""

From = Annotated[str | None, typer.Option("--from", help="First offset or instant of the requests.")]
To = Annotated[str | None, typer.Option("--to", help="Offset or instant after the last request.")]
Partition = Annotated[list[int] | None, typer.Option("--partition", help="A partition of requests; may be repeated.")]
Processes = Annotated[
    int | None, typer.Option("--processes", min=1, help="The maximum number of processes; by default one per core.")
]
Folder = Annotated[Path, typer.Argument(metavar="ARCHIVE", help="A folder created by `dli archive`.")]
Key = Annotated[Path | None, typer.Option("--key", help="The private key, Ed25519 in PEM, that signs the archive.")]


def add_commands(cli: typer.Typer, replay_cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(archive)
    replay_cli.command()(check)
    replay_cli.command()(sign)


def archive(
    folder: Annotated[
        Path, typer.Argument(help="A new folder, or that of an interrupted run; with --continue, a folder of archives.")
    ],
    topic: Annotated[
        list[str] | None,
        typer.Option("--topic", help="A declared topic, instead of the default ones; may be repeated."),
    ] = None,
    start: From = None,
    end: To = None,
    partition: Partition = None,
    form: Annotated[Format, typer.Option("--format", help="The file format.")] = Format.PARQUET,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    processes: Processes = None,
    go_on: Annotated[
        bool,
        typer.Option("--continue", help="Make the next archive in the folder, from where the last one ended."),
    ] = False,
    messages: Annotated[
        bool, typer.Option("--messages", help="Also platforms' messages and their answers, for `dli replay messages`.")
    ] = False,
    key: Key = None,
) -> None:
    """Store ranges of topics in files, with counts and digests; if interrupted, repeat the command.

    With --continue, exit code 3 if Kafka removed records since the last archive, or some are unreadable.
    """
    with needs_replay_extra():
        from workers.archive import make_archive as make
        from workers.archive import series
        from workers.audit.commands import END_BY_EXIT
        from workers.audit.record_acts import acting
        from workers.event_log.asked import declared
    topics = declared(topic or ())
    chosen = tuple(dict.fromkeys((*(topics or ARCHIVED), *(MESSAGES if messages else ()))))
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, archive_key=key)
    kept = tuple(map(found.topic, chosen))
    if go_on:
        if start or end or partition:
            raise CommandError("--continue begins where the last archive ended: without --from, --to and --partition")
        with acting(found, "archive", topics=kept, group=found.archive_group) as act:
            following = series.make_next(
                folder,
                form,
                chosen,
                found,
                processes_of(processes),
                needed=topics,
                reporter=TerminalReporter(),
            )
            code = _exit_of(finished=following.finished, whole=following.whole)
            act.ended = END_BY_EXIT[code]
    else:
        asked = asked_for(start, end, partition)
        with acting(found, "archive", topics=kept) as act:
            made = make.make(
                folder,
                form,
                chosen,
                asked,
                found,
                processes_of(processes),
                topics,
                reporter=TerminalReporter(),
            )
            code = _exit_of(finished=made.finished, whole=made.whole)
            act.ended = END_BY_EXIT[code]
            if made.whole:
                act.note(count=sum(segment.records for segment in made.manifest.segments))
    if code is not Exit.DONE:
        raise typer.Exit(code)


def _exit_of(*, finished: bool, whole: bool) -> Exit:
    return Exit.INTERRUPTED if not finished else Exit.DONE if whole else Exit.DIFFERENT


def check(folder: Folder, keys: ArchiveKeys = None) -> None:
    """Check every file of an archive against its counts and digests; exit 3 if one differs.

    Exit 3 also if public keys are configured and none of them signed the archive.
    """
    with needs_replay_extra():
        from workers.archive.archive_signature import SignatureError
        from workers.archive.archive_source import ArchiveSource
    source = ArchiveSource(folder, keys_in=settings(archive_keys=keys).archive_keys)
    try:
        err.print(f"{folder}: {source.standing}", markup=False)
    except SignatureError as error:
        out.print(str(error), markup=False)
        raise typer.Exit(Exit.DIFFERENT) from None
    _check_files(source)


def _check_files(source: "ArchiveSource") -> None:
    """Print which files differ from the manifest.

    Raises:
        typer.Exit: Some do.
    """
    from workers.archive.archive_source import check as checked

    wrong = total = 0
    for segment, problem in checked(source):
        total += segment.records
        if problem is not None:
            wrong += 1
            out.print(f"{segment.file}: damaged or altered: {problem}", markup=False)
    err.print(f"{total:,} records; {wrong} files differ from what was kept")
    if wrong:
        err.print("put a sound copy of each in its place, or archive its range again while Kafka has it")
        raise typer.Exit(Exit.DIFFERENT)


def sign(folder: Folder, key: Key = None) -> None:
    """Sign an archive that was made without a key, if all files are unchanged; exit 3 if one differs."""
    with needs_replay_extra():
        from workers.archive import make_archive as make
    source, private = make.to_sign(folder, settings(archive_key=key))
    _check_files(source)
    err.print(f"{folder}: signed with the key {make.sign(folder, private)}", markup=False)


def asked_for(start: str | None, end: str | None, partition: list[int] | None) -> "Asked":
    """The range that options name.

    Raises:
        ReplayError: They name none.
    """
    from workers.event_log import asked

    return asked.asked_for(start, end, partition or ())


def processes_of(asked: int | None) -> int:
    """The most processes that may run: as asked for, or one for each core."""
    from workers.event_log.process_pool import cores

    return asked or cores()
