"""`dli policy …`: check a document, list loaded policies, check citations against the text."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from events.topics import POLICY_REVISIONS
from policy_core.citations import SourceReport, verify
from policy_core.evaluate.determine import Policy
from policy_core.history.library import documents, load_library
from policy_core.loading.check import places
from policy_core.loading.load import load, load_with_warnings
from policy_core.publications.signatures import SHOWN
from workers.audit.record_acts import acting
from workers.configuration.command_options import Bootstrap, Policies, Prefix, settings
from workers.console.exit_codes import CommandError, Exit
from workers.console.printable import counted
from workers.console.printing import AsRows, Output, err, out, write_json
from workers.policies import (
    key_commands,
    new_command,
    publish_commands,
    questionnaire_command,
    revision_commands,
    skip_command,
)
from workers.policies.document_check import coverage_text, run_examples, warnings_text
from workers.policies.publish_packaged import ForkedError, is_behind, publish_packaged
from workers.process.input_file import opened

Number = Annotated[str, typer.Argument(help="The policy's number.")]

cli = typer.Typer(no_args_is_help=True, help="Policy documents and their revisions: check, compare, publish.")


def add_commands(root: typer.Typer) -> None:
    """Add the commands."""
    new_command.add_commands(cli)
    revision_commands.add_commands(cli)
    publish_commands.add_commands(cli)
    key_commands.add_commands(cli)
    skip_command.add_commands(cli)
    questionnaire_command.add_commands(cli)
    root.add_typer(cli, name="policy")


def loaded(number: str, policies: list[Path] | None) -> Policy:
    """The policy with this number from the folders.

    Raises:
        CommandError: No document has it.
    """
    folders = settings(policies=policies).policies
    found = {policy.number: policy for policy in (Policy(load(file)) for file in documents(folders))}
    if number not in found:
        raise CommandError(f"no policy {number}; there is {', '.join(sorted(found)) or 'none'}")
    return found[number]


@cli.command()
def check(files: Annotated[list[Path], typer.Argument(help="Policy documents.")]) -> None:
    """Check documents: their parts fit, their rules answer every case, their examples hold. Warn of missing parts."""
    for file in files:
        found = load_with_warnings(file)
        for line in warnings_text(found, file):
            err.print(line, markup=False)
        policy = Policy(found.document)
        trial = run_examples(found, policy, file)
        cases = policy.cases()
        out.print(f"{file}: {policy.number}, {len(policy.register.revisions)} revisions, sha256 {policy.sha256}")
        for since in policy.editions:
            out.print(f"  edition {since}: every one of {cases:,} cases is decided, every rule can apply")
        for line in coverage_text(policy, trial):
            out.print(f"  {line}", markup=False)


@cli.command("list")
def list_(policies: Policies = None, output: AsRows = Output.TABLE) -> None:
    """List the loaded policies."""
    rows = [_row(Policy(load(file))) for file in documents(settings(policies=policies).policies)]
    if output is Output.JSONL:
        for row in rows:
            write_json(row)
        return
    table = Table(header_style="bold")
    for column in ("policy", "title", "revisions", "newest", "sha256"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in {**row, "sha256": row["sha256"][:SHOWN]}.values()))
    out.print(table)


def _row(policy: Policy) -> dict[str, Any]:
    return {
        "policy": policy.number,
        "title": policy.document.title,
        "revisions": len(policy.register.revisions),
        "newest": policy.register.revisions[-1].revision.date.isoformat(),
        "sha256": policy.sha256,
    }


@cli.command("publish-packaged")
def publish_packaged_(policies: Policies = None, bootstrap: Bootstrap = None, topic_prefix: Prefix = None) -> None:
    """Publish the packaged revisions that the topic of revisions lacks, as `dli topics apply` does."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    library, count = load_library(found.policies, default=None), 0
    try:
        # Called every few minutes, but rarely changes anything.
        if is_behind(found, library):
            with acting(found, "policy publish-packaged", topics=(found.topic(POLICY_REVISIONS),)) as act:
                count = publish_packaged(found, library)
                act.note(count=count)
    except ForkedError as forked:
        raise CommandError(str(forked)) from None
    err.print(f"published: {counted(count, 'revision')}" if count else "nothing to publish")


@cli.command("verify-source")
def verify_source(
    number: Number,
    file: Annotated[Path, typer.Argument(metavar="FILE|-", help="The published text, UTF-8.")],
    policies: Policies = None,
) -> None:
    """Check a document's citations against the published text; exit 3 if a sentence or citation has no match."""
    document = loaded(number, policies).document
    with opened(file) as stream:
        try:
            text = stream.read().decode()
        except UnicodeDecodeError as error:
            raise CommandError(f"{file}: not UTF-8 at byte {error.start}") from None
    report = verify(places(document), document.source.sections, text)
    _print(report)
    if not report.agrees:
        raise typer.Exit(Exit.DIFFERENT)


def _print(report: SourceReport) -> None:
    for sentence in report.without_home:
        out.print(f"line {sentence.line}: no element claims this sentence: {sentence.text}", markup=False)
        out.print(f"  sha256 {sentence.sha256}", markup=False)
    for place in report.without_sentence:
        where = f"{place.section} {place.ordinal}"
        out.print(
            f"{place.claimed_by}: cites {where}, which is not in the text (sha256 {place.sha256})",
            markup=False,
        )
    homeless, lost = len(report.without_home), len(report.without_sentence)
    err.print(f"{report.sentences} sentences; {homeless} without a home; {lost} citations without a sentence")
