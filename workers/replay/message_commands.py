"""`dli replay messages`: platforms' messages, read and answered again.

The extra `replay` and Kafka's clients are imported inside the command, as both are slow to load.
"""

# ruff: noqa: PLC0415 (see above)

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from workers.configuration.command_options import ArchiveKeys, Bootstrap, Prefix, settings
from workers.console.exit_codes import CommandError, Exit, needs_replay_extra
from workers.console.printable import words
from workers.console.printing import AsRows, Output, err, out, write_line
from workers.console.progress import TerminalReporter

if TYPE_CHECKING:
    from workers.configuration.settings import Settings
    from workers.event_log.source import Source
    from workers.replay.platform_messages import Report

Log = Annotated[Path | None, typer.Argument(metavar="[ARCHIVE]", help="An archive; by default, Kafka's topics.")]
SHOWN = 20
"""Findings shown on a terminal; `-o jsonl` prints all."""


def messages(
    log: Log = None,
    partners: Annotated[
        Path | None,
        typer.Option("--partners", help="The trading partners' files as they were then: a file or a folder."),
    ] = None,
    output: AsRows = Output.TABLE,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    keys: ArchiveKeys = None,
) -> None:
    """Read and answer platforms' messages again; exit 3 unless all bytes are identical.

    An archive has the messages if it was made with `dli archive --messages`. Messages that arrived just now may be
    found `missing`: they are not answered yet.
    """
    with needs_replay_extra():
        from workers.integration.partners import load
        from workers.process import logs
        from workers.replay.platform_messages import verify
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, archive_keys=keys, partners=partners)
    if found.partners is None:
        raise CommandError("messages are read as their trading partner's: name the files with --partners")
    loaded = load(found.partners)
    # What is wrong with a message was logged when it was read.
    logs.configure(level="CRITICAL", form=found.log_format)
    report = verify(_source(log, found), found, loaded, TerminalReporter())
    if output is Output.JSONL:
        write_line(json.dumps({"summary": report.as_json()}).encode())
        for finding in report.findings:
            write_line(json.dumps(finding).encode())
    else:
        _print(report)
    if report.differs:
        raise typer.Exit(Exit.DIFFERENT)


def _source(log: Path | None, found: "Settings") -> "Source":
    if log is None:
        from workers.event_log.asked import Asked
        from workers.event_log.ranges import on_kafka
        from workers.replay.platform_messages import TOPICS

        return on_kafka(found.bootstrap, found.topic_prefix, TOPICS, Asked())
    from workers.archive.archive_source import ArchiveSource

    source = ArchiveSource(log, keys_in=found.archive_keys)
    err.print(f"{log}: {source.standing}", markup=False)
    return source


def _print(report: "Report") -> None:
    from workers.replay.platform_messages import KINDS

    table = Table(header_style="bold", box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    counts = report.as_json()
    table.add_row("messages", f"{report.messages:,}", "")
    parts = ", ".join(f"{count:,} {topic}" for topic, count in sorted(report.identical.items()))
    table.add_row("identical", f"{report.identical.total():,}", parts)
    table.add_row("before this log", f"{report.before:,}", "depends on what came earlier" if report.before else "")
    for kind, says in KINDS.items():
        table.add_row(words(kind), f"{counts[kind]:,}", says if counts[kind] else "")
    out.print(table)
    for finding in islice(report.findings, SHOWN):
        out.print(_sentence(finding), markup=False)
    if len(report.findings) > SHOWN:
        out.print(f"… and {len(report.findings) - SHOWN:,} more; `-o jsonl` prints all")


def _sentence(finding: dict[str, Any]) -> str:
    if finding["kind"] == "damaged":
        from workers.replay.verify_text import sentence

        return sentence(finding)
    where = f"{finding['topic']}/{finding['partition']}, offset {finding['offset']}"
    if "of" not in finding:
        return f"{finding['kind']}: {where}"
    recorded = finding["recorded"]
    at = f", recorded at offset {recorded['offset']} of partition {recorded['partition']}" if recorded else ""
    return f"{finding['kind']}: {finding['of']}{at}; made from {where}"
