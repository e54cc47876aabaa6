"""`dli archive` and `dli replay …`: the command line. The extra `replay` is imported inside the commands only."""

# ruff: noqa: PLC0415, PLR0913 (see above; and each argument is a flag)

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from events.topics import ANSWERED, DEAD_LETTERS, DECISIONS, POLICY_REVISIONS, REQUESTS
from policy_core.history.library import documents
from workers.audit.record_acts import Act, acting
from workers.configuration.command_options import ArchiveKeys, Bootstrap, DefaultPolicy, Policies, Prefix, settings
from workers.configuration.settings import Settings
from workers.console.exit_codes import CommandError, needs_replay_extra
from workers.console.printing import AsRows, Output, err
from workers.event_log.source import Format, Source

if TYPE_CHECKING:
    from policy_core.document.models import PolicyDocument
    from workers.event_log.ranges import Asked

TOPICS = (REQUESTS, DECISIONS, DEAD_LETTERS, POLICY_REVISIONS)
"""The replayed topics."""
ARCHIVED = (*TOPICS, ANSWERED)
"""The topics archived by default: enough to verify, and to restore without deciding requests again."""

From = Annotated[str | None, typer.Option("--from", help="First offset or instant of the requests.")]
To = Annotated[str | None, typer.Option("--to", help="First offset or instant behind them.")]
Partition = Annotated[list[int] | None, typer.Option("--partition", help="Of requests; may be given several times.")]
Processes = Annotated[int | None, typer.Option("--processes", min=1, help="At most; one for each core otherwise.")]
Folder = Annotated[Path, typer.Argument(metavar="ARCHIVE", help="A folder that `dli archive` made.")]
Log = Annotated[Path | None, typer.Argument(metavar="[ARCHIVE]", help="An archive; Kafka's topics otherwise.")]
Earlier = Annotated[
    list[Path] | None, typer.Option("--earlier", help="A folder of other documents that decisions may name.")
]
RequestIds = Annotated[bool, typer.Option("--request-ids", help="Name requests by their ids, which are personal data.")]
Key = Annotated[Path | None, typer.Option("--key", help="The private key, Ed25519 in PEM, that signs the archive.")]
WORK = Path("var/replay")
Work = Annotated[Path, typer.Option("--work", help="Where findings and an interrupted run's state are kept.")]

replay_cli = typer.Typer(no_args_is_help=True, help="Replay a log: prove it, or see what a change would make of it.")


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(archive)
    cli.add_typer(replay_cli, name="replay")


def archive(
    folder: Annotated[Path, typer.Argument(help="A new folder, or that of an interrupted run; see --continue.")],
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="A declared topic, instead of those needed.")
    ] = None,
    start: From = None,
    end: To = None,
    partition: Partition = None,
    form: Annotated[Format, typer.Option("--format", help="How records are written.")] = Format.PARQUET,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    processes: Processes = None,
    go_on: Annotated[
        bool,
        typer.Option("--continue", help="The folder is one of archives: make the next, from where the last one ended."),
    ] = False,
    key: Key = None,
) -> None:
    """Keep a range of topics in files, with counts and digests; interrupted, the same command goes on.

    With --continue exit code 3 where Kafka has forgotten records since the last archive, or some cannot be read.
    """
    with needs_replay_extra():
        from workers.archive import make, series
        from workers.event_log.ranges import declared
    topics = declared(topic or ())
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, archive_key=key)
    kept = tuple(map(found.topic, topics or ARCHIVED))
    if go_on:
        if start or end or partition:
            raise CommandError("--continue begins where the last archive ended: without --from, --to and --partition")
        with acting(found, "archive", topics=kept, group=found.archive_group):
            series.make_next(folder, form, topics or ARCHIVED, found, _processes(processes), needed=topics)
        return
    asked = _asked(start, end, partition)
    with acting(found, "archive", topics=kept) as act:
        made = make.make(folder, form, topics or ARCHIVED, asked, found, _processes(processes), topics)
        act.note(count=sum(segment.records for segment in made.segments))


@replay_cli.command("check")
def check(folder: Folder, keys: ArchiveKeys = None) -> None:
    """Read every file of an archive and hold it against its counts and digests; exit 3 where one differs.

    Exit 3 also where public keys are known and none of them signed the archive as it is.
    """
    with needs_replay_extra():
        from workers.archive import make
    make.check(folder, settings(archive_keys=keys))


@replay_cli.command("sign")
def sign(folder: Folder, key: Key = None) -> None:
    """Sign an archive that was made without a key, if every file of it is as it was kept; exit 3 where one differs."""
    with needs_replay_extra():
        from workers.archive import make
    make.sign(folder, settings(archive_key=key))


@replay_cli.command("verify")
def verify(
    log: Log = None,
    start: From = None,
    end: To = None,
    partition: Partition = None,
    earlier: Earlier = None,
    request_ids: RequestIds = False,
    output: AsRows = Output.TABLE,
    work: Work = WORK,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    policies: Policies = None,
    policy: DefaultPolicy = None,
    processes: Processes = None,
    keys: ArchiveKeys = None,
) -> None:
    """Decide each request again under the document that its decision names; exit 3 unless all bytes are identical."""
    with needs_replay_extra():
        from workers.replay import runs, verify_report
        from workers.replay.partition_replay import Plan
    place = {"bootstrap": bootstrap, "topic_prefix": topic_prefix, "archive_keys": keys}
    found = settings(**place, policies=policies, default_policy=policy)
    source = _source(log, found, _asked(start, end, partition))
    folders = tuple(earlier or ())
    name = runs.identity("verify", source.identity, _documents(found.policies), _documents(folders), request_ids)
    plan = Plan(source, found, folders, work / f"verify-{name}", request_ids)
    verify_report.run(plan, _processes(processes), output)


@replay_cli.command("what-if")
def what_if(
    policy: Annotated[
        str, typer.Option("--policy", metavar="FILE|DATE|DIGEST", help="A document, or a revision that was published.")
    ],
    log: Log = None,
    start: From = None,
    end: To = None,
    partition: Partition = None,
    number: Annotated[str | None, typer.Option("--number", help="Of the policy whose revision DATE is.")] = None,
    page: Annotated[Path | None, typer.Option("--html", help="A new file: the report as a page with charts.")] = None,
    publish: Annotated[
        str | None, typer.Option("--publish", metavar="NAME", help="Write its decisions to replay.NAME.decisions.")
    ] = None,
    earlier: Earlier = None,
    request_ids: RequestIds = False,
    output: AsRows = Output.TABLE,
    work: Work = WORK,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    policies: Policies = None,
    processes: Processes = None,
    keys: ArchiveKeys = None,
) -> None:
    """Decide a log under another document and report what changes, pair by pair; exit 3 when anything does."""
    with needs_replay_extra():
        from workers.replay import runs, what_if_report
        from workers.replay.documents import draft
        from workers.replay.partition_replay import Plan
    place = {"bootstrap": bootstrap, "topic_prefix": topic_prefix, "archive_keys": keys}
    found = settings(**place, policies=policies)
    source = _source(log, found, _asked(start, end, partition))
    folders = tuple(earlier or ())
    meant = draft(policy, number)
    said = meant.file.read_bytes() if meant.file is not None else (meant.published, number)
    documents_said = _documents(found.policies), _documents(folders)
    name = runs.identity("what-if", source.identity, said, *documents_said, request_ids, publish)
    plan = Plan(source, found, folders, work / f"what-if-{name}", request_ids, meant, publish)
    with _published(found, publish) if publish is not None else nullcontext():
        what_if_report.run(plan, _processes(processes), output, page)


def _published(found: Settings, name: str) -> AbstractContextManager[Act]:
    """Record the publishing of a replay's decisions in the audit log.

    Raises:
        ReplayError: The name is invalid.
    """
    from workers.replay.publish_decisions import own_topic

    return acting(found, "replay what-if --publish", topics=(own_topic(found, name),), name=name)


def effect(document: "PolicyDocument", found: Settings, log: Path | None) -> bool:
    """Print how an unpublished document would change recorded decisions; return whether it would.

    Raises:
        CommandError: The log cannot be read.
    """
    with needs_replay_extra():
        from workers.replay import draft_effect
    return draft_effect.print_effect(document, _source(log, found, _asked(None, None, None)), found, _processes(None))


def _documents(folders: Sequence[Path]) -> list[str]:
    """The digests of the folders' documents, for a run's name."""
    from hashlib import sha256

    return sorted(sha256(file.read_bytes()).hexdigest() for file in documents(folders))


def _source(log: Path | None, found: Settings, part: "Asked") -> Source:
    """The log: an archive or Kafka.

    Raises:
        ReplayError: It does not exist, or the options do not fit it.
    """
    from workers.archive import make
    from workers.archive.archive import ArchiveSource
    from workers.event_log.ranges import on_kafka
    from workers.event_log.source import ReplayError

    if log is None:
        return on_kafka(found.bootstrap, found.topic_prefix, TOPICS, part)
    if part.start is not None or part.end is not None:
        raise ReplayError("--from and --to are for Kafka: an archive has the range that it was made with")
    source = ArchiveSource(log, part.partitions, found.archive_keys)
    err.print(f"{log}: {source.standing}", markup=False)
    make.holds(source, source.topic(REQUESTS), part.partitions)
    return source


def _asked(start: str | None, end: str | None, partition: list[int] | None) -> "Asked":
    from workers.event_log.ranges import asked_for

    return asked_for(start, end, partition or ())


def _processes(asked: int | None) -> int:
    from workers.event_log.process_pool import cores

    return asked or cores()
