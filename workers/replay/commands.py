"""`dli replay verify` and `what-if`: the command line.

The extra `replay` and Kafka's clients are imported inside the commands that need them, as both are slow to load.
"""

# ruff: noqa: PLC0415, PLR0913 (see above; and each argument is a flag)

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from events.topics import REQUESTS
from policy_core.history.library import documents
from workers.configuration.command_options import ArchiveKeys, Bootstrap, DefaultPolicy, Policies, Prefix, settings
from workers.configuration.settings import Settings
from workers.console.exit_codes import CommandError, Exit, needs_replay_extra
from workers.console.printable import words
from workers.console.printing import AsRows, Output, err, out, write_line
from workers.console.progress import TerminalReporter
from workers.event_log.source import Source
from workers.process import private_files
from workers.replay import archive_commands
from workers.replay.archive_commands import TOPICS, From, Partition, Processes, To, asked_for, processes_of
from workers.replay.message_commands import messages

if TYPE_CHECKING:
    from policy_core.document.models import PolicyDocument
    from workers.audit.record_acts import Act
    from workers.event_log.asked import Asked
    from workers.replay.partition_replay import Plan
    from workers.replay.runs import Done
    from workers.replay.verify_report import Report as Verified
    from workers.replay.what_if_report import Compared
    from workers.replay.what_if_report import Report as WhatIf

Log = Annotated[Path | None, typer.Argument(metavar="[ARCHIVE]", help="An archive; by default, Kafka's topics.")]
Earlier = Annotated[
    list[Path] | None,
    typer.Option("--earlier", help="A folder with further documents that decisions name; may be repeated."),
]
RequestIds = Annotated[bool, typer.Option("--request-ids", help="Include request ids, which are personal data.")]
WORK = Path("var/replay")
SHOWN = 20
"""Findings shown on a terminal; `-o jsonl` prints all."""
Work = Annotated[Path, typer.Option("--work", help="The folder for findings and the state of interrupted runs.")]

replay_cli = typer.Typer(no_args_is_help=True, help="Replay a log: verify it, or see what a change would do.")


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    archive_commands.add_commands(cli, replay_cli)
    replay_cli.command()(verify)
    replay_cli.command("what-if")(what_if)
    replay_cli.command()(messages)
    cli.add_typer(replay_cli, name="replay")


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
        from workers.replay import runs
        from workers.replay.partition_replay import Plan
        from workers.replay.verify import verify as verify_partition
        from workers.replay.verify_report import report_of
    place = {"bootstrap": bootstrap, "topic_prefix": topic_prefix, "archive_keys": keys}
    found = settings(**place, policies=policies, default_policy=policy)
    source = _source(log, found, asked_for(start, end, partition))
    folders = tuple(earlier or ())
    name = runs.identity("verify", source.identity, _documents(found.policies), _documents(folders), request_ids)
    plan = Plan(source, found, folders, work / f"verify-{name}", request_ids)
    done = runs.over(plan, verify_partition, processes_of(processes), TerminalReporter())
    report = report_of(done)
    if output is Output.JSONL:
        _write_lines(report, done)
    else:
        _print_verified(report, done)
    if (code := _over(plan, done, differs=report.differs)) is not Exit.DONE:
        raise typer.Exit(code)


def _write_lines(report: "Verified | WhatIf", done: "Done") -> None:
    write_line(json.dumps({"summary": report.as_json(), "run": done.about()}).encode())
    for line in done.findings():
        write_line(line)


def _over(plan: "Plan", done: "Done", *, differs: bool) -> Exit:
    """How a run ended; a finished one is forgotten."""
    from workers.replay import runs

    if not done.finished:
        err.print(f"interrupted; the same command goes on, from {plan.folder}", markup=False)
        return Exit.INTERRUPTED
    runs.forget(plan.folder)
    return Exit.DIFFERENT if differs else Exit.DONE


def _print_verified(report: "Verified", done: "Done") -> None:
    from workers.replay.verify_text import sentence, table

    out.print(table(report))
    for line in islice(done.findings(), SHOWN):
        out.print(sentence(json.loads(line)), markup=False)
    left = report.found.total() - SHOWN
    if left > 0:
        out.print(f"… and {left:,} more; `-o jsonl` prints all")
    err.print(done.statistics())


def what_if(
    policy: Annotated[
        str, typer.Option("--policy", metavar="FILE|DATE|DIGEST", help="A document, or a published revision.")
    ],
    log: Log = None,
    start: From = None,
    end: To = None,
    partition: Partition = None,
    number: Annotated[
        str | None, typer.Option("--number", help="The number of the policy with the revision DATE.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--html", help="A new file for the report, as a page with charts.")
    ] = None,
    publish: Annotated[
        str | None,
        typer.Option("--publish", metavar="NAME", help="Also write the resulting decisions to replay.NAME.decisions."),
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
    """Decide a log under another document and report the changes; exit 3 if there are any."""
    with needs_replay_extra():
        from workers.replay import runs
        from workers.replay.documents import draft
        from workers.replay.partition_replay import Plan
    place = {"bootstrap": bootstrap, "topic_prefix": topic_prefix, "archive_keys": keys}
    found = settings(**place, policies=policies)
    source = _source(log, found, asked_for(start, end, partition))
    folders = tuple(earlier or ())
    meant = draft(policy, number)
    document = meant.file.read_bytes() if meant.file is not None else (meant.published, number)
    documents = _documents(found.policies), _documents(folders)
    name = runs.identity("what-if", source.identity, document, *documents, request_ids, publish)
    plan = Plan(source, found, folders, work / f"what-if-{name}", request_ids, meant, publish)
    with _published(found, publish) if publish is not None else nullcontext() as act:
        code = _compare(plan, processes_of(processes), output, page)
        if act is not None:
            from workers.audit.commands import END_BY_EXIT

            act.ended = END_BY_EXIT[code]
    if code is not Exit.DONE:
        raise typer.Exit(code)


def _compare(plan: "Plan", processes: int, output: Output, page: Path | None) -> Exit:
    """Compare a log with its decisions under another document, and print the report."""
    from workers.replay import runs
    from workers.replay.what_if import what_if as what_if_partition
    from workers.replay.what_if_report import policies_of, report_of

    compared = policies_of(plan)
    if page is not None and page.exists():
        raise CommandError(f"{page}: is there already, and is not written over")
    topic = _replay_topic(plan, plan.publish) if plan.publish is not None else None
    done = runs.over(plan, what_if_partition, processes, TerminalReporter())
    report = report_of(done, list(compared.before.values()), compared.after)
    if output is Output.JSONL:
        _write_lines(report, done)
    else:
        _print_what_if(report, done.statistics())
    if page is not None:
        _write_page(page, report, done, compared)
    if topic is not None:
        sent = sum(state["judge"]["published"] for state in done.states.values())
        err.print(f"{sent:,} decisions under that document on {topic}, marked as a replay's", markup=False)
    return _over(plan, done, differs=report.differs)


def _replay_topic(plan: "Plan", name: str) -> str:
    """The replay's topic, created unless an interrupted run is resumed."""
    from workers.replay import runs
    from workers.replay.publish_decisions import make, own_topic

    topic = own_topic(plan.settings, name)
    if not runs.interrupted(plan.folder):
        make(plan.settings, topic, 1 + max(plan.source.partitions(plan.source.topic(REQUESTS)), default=0))
    return topic


def _print_what_if(report: "WhatIf", statistics: str) -> None:
    from workers.replay.what_if_text import what_if_text

    for part in what_if_text(report):
        out.print(part)
    err.print(statistics)


def _write_page(page: Path, report: "WhatIf", done: "Done", compared: "Compared") -> None:
    from workers.replay.what_if_page import html  # charts are slow to load
    from workers.replay.what_if_report import examples

    text = html(report, examples(done), compared.before[compared.after.number], compared.after)
    try:
        private_files.write(page, text)
    except OSError as error:
        raise CommandError(f"{page}: {error.strerror}") from None
    err.print(f"written: {page}", markup=False)


def _published(found: Settings, name: str) -> AbstractContextManager["Act"]:
    """Record the publishing of a replay's decisions in the audit log.

    Raises:
        ReplayError: The name is invalid.
    """
    from workers.audit.record_acts import acting
    from workers.replay.publish_decisions import own_topic

    return acting(found, "replay what-if --publish", topics=(own_topic(found, name),), name=name)


def effect(document: "PolicyDocument", found: Settings, log: Path | None) -> bool:
    """Print how an unpublished document would change recorded decisions; return whether it would.

    Raises:
        CommandError: The log cannot be read.
    """
    with needs_replay_extra():
        from workers.replay.draft_effect import effect_of
    source = _source(log, found, asked_for(None, None, None))
    found_effect = effect_of(document, source, found, processes_of(None), TerminalReporter())
    _print_what_if(found_effect.report, found_effect.statistics)
    for (_, before, after), places in sorted(found_effect.examples.items()):
        out.print(f"{words(before)} → {words(after)}, such as {', '.join(places)}")
    return found_effect.report.differs


def _documents(folders: Sequence[Path]) -> list[str]:
    """The digests of the folders' documents, for a run's name."""
    from hashlib import sha256

    return sorted(sha256(file.read_bytes()).hexdigest() for file in documents(folders))


def _source(log: Path | None, found: Settings, part: "Asked") -> Source:
    """The log: an archive or Kafka.

    Raises:
        ReplayError: It does not exist, or the options do not fit it.
    """
    from workers.archive.archive_source import ArchiveSource, holds
    from workers.event_log.source import ReplayError

    if log is None:
        from workers.event_log.ranges import on_kafka

        return on_kafka(found.bootstrap, found.topic_prefix, TOPICS, part)
    if part.start is not None or part.end is not None:
        raise ReplayError("--from and --to are for Kafka: an archive has the range that it was made with")
    source = ArchiveSource(log, part.partitions, found.archive_keys)
    err.print(f"{log}: {source.standing}", markup=False)
    holds(source, source.topic(REQUESTS), part.partitions)
    return source
