"""`dli policy …` on revisions: differences, the register, and a revision as known at a moment.

The data comes from the brokers if given, otherwise from the packaged documents.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from events.attestation import PolicyAttestation
from events.topics import POLICY_REVISIONS
from policy_core.compare.answers import Comparison, compare
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import Chain, policy_of
from policy_core.history.library import Library, load_library
from policy_core.loading.load import load
from policy_core.publications.publication import Publication
from policy_core.work_limit import TooComplexError
from workers.accounts.account import decisions_under
from workers.configuration.command_options import Bootstrap, Policies, Prefix, settings
from workers.configuration.settings import Settings
from workers.console.exit_codes import CommandError, Exit
from workers.console.printing import AsReport, Form, err, out, write_json, write_line
from workers.policies.attestation import attestation
from workers.policies.diff_text import comparison
from workers.policies.register import Row, of_policy, row_of, with_decisions
from workers.policies.register_text import history_of, standing
from workers.policies.revision_events import moment
from workers.policies.revision_topic import read_known

Number = Annotated[str, typer.Argument(help="The policy's number.")]
Revision = Annotated[str, typer.Argument(metavar="DATE|FILE", help="A revision's date, or a document's file.")]


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    for command in (diff, history, show):
        cli.command()(command)


# --- reading -------------------------------------------------------------------------------------------------


def online(found: Settings) -> bool:
    """Whether the brokers were given."""
    return "bootstrap" in found.model_fields_set


def known_chain(number: str, found: Settings, library: Library) -> Chain:
    """Everything known about a policy.

    Raises:
        CommandError: Nothing is known.
        ReadingError: The brokers do not answer.
    """
    chain = read_known(found, library).chain(number) if online(found) else library.chain(number)
    if not chain.links:
        where = found.topic(POLICY_REVISIONS) if online(found) else "the folders of documents"
        raise CommandError(f"no policy {number} in {where}; there is {', '.join(library.numbers)}")
    return chain


def known_library(found: Settings) -> Library:
    """The policies of the folders; only displayed, so the default policy may be missing."""
    return load_library(found.policies, default=None)


# --- diff ----------------------------------------------------------------------------------------------------------


def diff(
    number: Number,
    old: Revision,
    new: Revision,
    output: AsReport = Form.TEXT,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Prove how one revision's answers differ from another's; exit 0 if they are equivalent, 3 if not."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    chain = known_chain(number, found, known_library(found))
    before, after = version(chain, old), version(chain, new)
    try:
        compared = compare(before, after)
    except TooComplexError as error:
        raise CommandError(f"{number}: {old} and {new} cannot be compared: this {error}") from None
    if output is Form.JSON:
        known = [policy.known_through if chain.find(policy.known_through) else None for policy in (before, after)]
        write_line(attestation(compared, *known).to_json())
    else:
        out.print(comparison(compared))
    if not compared.equivalent:
        raise typer.Exit(Exit.DIFFERENT)


def version(chain: Chain, named: str) -> Policy:
    """The policy of a revision's date or of a file.

    Raises:
        CommandError: There is no such revision, or the file has another policy.
        PolicyDocumentError: The file's document is invalid.
    """
    try:
        day = date.fromisoformat(named)
    except ValueError:
        other = Policy(load(Path(named)), known_through="draft")
        if other.number != chain.policy:
            raise CommandError(f"{named}: is policy {other.number}, not {chain.policy}") from None
        return other
    publication = chain.of(day)
    if publication is None:
        near = min((link.revision for link in chain), key=lambda link: abs((link - day).days))
        raise CommandError(f"{chain.policy} has no revision of {day}; the nearest is of {near}")
    return policy_of(publication)


# --- history and show ----------------------------------------------------------------------------------------------


def history(
    number: Number,
    output: AsReport = Form.TEXT,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Show every revision: date, kind, changes, what is on record; with brokers, its decisions."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    rows = rows_of(known_chain(number, found, known_library(found)))
    if online(found):
        rows = with_decisions(rows, decisions_under(found))
    if output is Form.JSON:
        write_json({"policy_number": number, "revisions": rows})
    else:
        out.print(history_of(number, rows))


def rows_of(chain: Chain) -> list[Row]:
    """The register's rows of a chain, each revision compared with its predecessor."""
    rows = []
    for publication in chain:
        before = chain.before(publication)
        rows.append(row_of(publication, _attested(before, publication)))
    return of_policy(rows, chain.policy)


def _attested(before: Publication | None, publication: Publication) -> PolicyAttestation | None:
    if before is None:
        return None
    try:
        return attestation(comparison_of(before, publication))
    except TooComplexError as error:
        err.print(
            f"revision of {publication.revision}: cannot be compared with the one before it: this {error}", markup=False
        )
        return None


def show(
    number: Number,
    on: Annotated[str, typer.Option("--on", metavar="DATE", help="The service date.")],
    as_known_at: Annotated[
        str | None,
        typer.Option("--as-known-at", metavar="DATE|INSTANT", help="As known at that time; by default, now."),
    ] = None,
    output: AsReport = Form.TEXT,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Show the policy for a service date, as known at a moment."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    day = day_of(on)
    chain = known_chain(number, found, known_library(found))
    if as_known_at is not None:
        chain = chain.as_known_at(_moment(as_known_at))
    newest = chain.newest
    if newest is None:
        raise CommandError(f"nothing of {number} was known at {as_known_at}")
    if output is Form.JSON:
        write_json(standing(chain, newest, day).as_row())
    else:
        out.print(standing(chain, newest, day).as_text())


def day_of(text: str) -> date:
    """Parse a day.

    Raises:
        CommandError: It is not a day.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text} is no day; write it as YYYY-MM-DD") from None


def _moment(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError:
        example = "2025-01-01, or 2025-01-01T12:00:00Z"
        raise CommandError(f"{text} is neither a day nor an instant; write it as {example}") from None


def comparison_of(before: Publication, after: Publication) -> Comparison:
    """Compare two publications."""
    return compare(policy_of(before), policy_of(after))
