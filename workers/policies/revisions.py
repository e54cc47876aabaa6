"""`dli policy …` on revisions: what one changes, the register of all, one as it was known, and to publish another.

What is known comes from the brokers where they are named, and from the packaged documents otherwise.
"""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from events.attestation import PolicyAttestation
from events.topics import POLICY_REVISIONS
from policy_core.chain import Chain, RefusedError, policy_of
from policy_core.compare import Comparison, compare
from policy_core.determine import Policy
from policy_core.document.history import as_of
from policy_core.document.load import load
from policy_core.document.models import PolicyDocument
from policy_core.library import Library, load_library
from policy_core.publication import Publication, publication, publications
from policy_core.work import TooComplexError
from workers.accounts import decisions_under
from workers.attestation import attestation
from workers.console import Bootstrap, CommandError, Exit, Form, Policies, Prefix, err, out, settings, write_line
from workers.known import read_known, send
from workers.policies.compared import comparison
from workers.policies.shown import history_of, standing
from workers.records import Outgoing
from workers.register import Row, of_policy, row_of, with_decisions
from workers.revisions import as_record, moment
from workers.settings import Settings

Number = Annotated[str, typer.Argument(help="The policy's number.")]
Revision = Annotated[str, typer.Argument(metavar="DATE|FILE", help="A revision's date, or a document's file.")]
Shape = Annotated[Form, typer.Option("-o", "--output", help="How to print it.")]


def add_to(cli: typer.Typer) -> None:
    """Add the commands."""
    for command in (diff, history, show, publish):
        cli.command()(command)


# --- what is known -------------------------------------------------------------------------------------------------


def _online(found: Settings) -> bool:
    """Whether somebody named the brokers."""
    return "bootstrap" in found.model_fields_set


def _chain(number: str, found: Settings, library: Library) -> Chain:
    """All that is known of a policy.

    Raises:
        CommandError: Nothing is.
        ReadingError: The brokers do not answer.
    """
    chain = read_known(found, library).chain(number) if _online(found) else library.chain(number)
    if not chain.links:
        where = found.topic(POLICY_REVISIONS) if _online(found) else "the folders of documents"
        raise CommandError(f"no policy {number} in {where}; there is {', '.join(library.numbers)}")
    return chain


def _library(found: Settings) -> Library:
    """The policies of the folders; they are looked at and decide nothing, so the default need not be among them."""
    return load_library(found.policies, default=None)


# --- diff ----------------------------------------------------------------------------------------------------------


def diff(
    number: Number,
    old: Revision,
    new: Revision,
    output: Shape = Form.TEXT,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Prove what one revision answers otherwise than another; exit 0 where they are equivalent, 3 where not."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    chain = _chain(number, found, _library(found))
    before, after = version(chain, old), version(chain, new)
    try:
        compared = compare(before, after)
    except TooComplexError as error:
        raise CommandError(f"{number}: {old} and {new} cannot be compared: this {error}") from None
    if output is Form.JSON:
        known = [one.known_through if chain.find(one.known_through) else None for one in (before, after)]
        write_line(attestation(compared, *known).to_json())
    else:
        out.print(comparison(compared))
    if not compared.equivalent:
        raise typer.Exit(Exit.DIFFERENT)


def version(chain: Chain, named: str) -> Policy:
    """The policy as the revision of a date has it, or as a file does.

    Raises:
        CommandError: There is no such revision, or the file has another policy.
        PolicyDocumentError: The file's document cannot be used.
    """
    try:
        day = date.fromisoformat(named)
    except ValueError:
        other = Policy(load(Path(named)), known_through="draft")
        if other.number != chain.policy:
            raise CommandError(f"{named}: is policy {other.number}, not {chain.policy}") from None
        return other
    one = chain.of(day)
    if one is None:
        near = min((link.revision for link in chain), key=lambda link: abs((link - day).days))
        raise CommandError(f"{chain.policy} has no revision of {day}; the nearest is of {near}")
    return policy_of(one)


# --- history and show ----------------------------------------------------------------------------------------------


def history(
    number: Number,
    output: Shape = Form.TEXT,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Show every revision: its date, kind, what it changed, what is on record; with brokers, the decisions under it."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    rows = rows_of(_chain(number, found, _library(found)))
    if _online(found):
        rows = with_decisions(rows, decisions_under(found))
    if output is Form.JSON:
        _write({"policy_number": number, "revisions": rows})
    else:
        out.print(history_of(number, rows))


def rows_of(chain: Chain) -> list[Row]:
    """The register's rows of a chain, each revision compared with the one before it."""
    rows = []
    for one in chain:
        before = chain.before(one)
        rows.append(row_of(one, _attested(before, one)))
    return of_policy(rows, chain.policy)


def _attested(before: Publication | None, one: Publication) -> PolicyAttestation | None:
    if before is None:
        return None
    try:
        return attestation(_compared(before, one))
    except TooComplexError as error:
        err.print(f"revision of {one.revision}: cannot be compared with the one before it: this {error}", markup=False)
        return None


def _write(content: object) -> None:
    write_line(json.dumps(content, ensure_ascii=False).encode())


def show(
    number: Number,
    on: Annotated[str, typer.Option("--on", metavar="DATE", help="The service date.")],
    as_known_at: Annotated[
        str | None,
        typer.Option("--as-known-at", metavar="DATE|INSTANT", help="Among what was known then; by default, now."),
    ] = None,
    output: Shape = Form.TEXT,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Show the policy for services of a day, as it was known at a moment: in two times."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    day = _day(on)
    chain = _chain(number, found, _library(found))
    if as_known_at is not None:
        chain = chain.as_known_at(_moment(as_known_at))
    newest = chain.newest
    if newest is None:
        raise CommandError(f"nothing of {number} was known at {as_known_at}")
    if output is Form.JSON:
        _write(standing(chain, newest, day).as_row())
    else:
        out.print(standing(chain, newest, day).as_text())


def _day(text: str) -> date:
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


# --- publish -------------------------------------------------------------------------------------------------------


def publish(
    file: Annotated[Path, typer.Argument(help="A policy document with a revision that is not published yet.")],
    author: Annotated[str, typer.Option("--author", help="Who answers for the document.")],
    effective: Annotated[
        str | None,
        typer.Option("--effective", metavar="DATE", help="The first service date it may change; by default its own."),
    ] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Send it; otherwise it is only checked.")] = False,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Check a new revision against all that is published, prove what it changes, and with --execute publish it."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    document = load(file)
    library = _library(found)
    chain = read_known(found, library).chain(document.number)
    day = _day(effective) if effective is not None else None
    wanted = candidates(document, chain, author, day, datetime.now(UTC))
    records: list[Outgoing] = []
    for one in wanted:
        try:
            chain = chain.accept(one)
            records.append(as_record(one, found.topic(POLICY_REVISIONS), found.source, found.mode))
        except RefusedError as refused:
            raise CommandError(f"{file}: {refused}") from None
        _tell(chain, one)
    if not records:
        err.print(f"{document.number}: this document is published already, as the revision of {_newest(chain)}")
    elif execute:
        send(found, records)
        _look(found, library, wanted)
    else:
        err.print("nothing was sent; --execute publishes it")


def candidates(
    document: PolicyDocument, chain: Chain, author: str, effective: date | None, published: datetime
) -> list[Publication]:
    """What a document has that is not published yet: its revisions behind the newest, or all of a new policy's past."""
    newest = chain.newest
    if newest is None:
        return list(publications(document))
    if document.digest() == newest.sha256:
        return []
    later = [one.date for one in document.revisions if one.date > newest.revision] or [document.revisions[-1].date]
    made: list[Publication] = []
    for day in later:
        predecessor = made[-1].digest if made else newest.digest
        mine = effective if day == later[-1] else None
        past = as_of(document, day)
        made.append(publication(past, predecessor, author=author, effective=mine, published=published))
    return made


def _newest(chain: Chain) -> date | None:
    return chain.newest.revision if chain.newest is not None else None


def _tell(chain: Chain, one: Publication) -> None:
    before = chain.before(one)
    if before is not None:
        out.print(comparison(_compared(before, one)))
    else:
        out.print(f"{one.policy}: revision of {one.revision}, the first")
    out.print(f"\neffective from {one.effective}; document {one.sha256}; digest {one.digest}\n")


def _compared(before: Publication, after: Publication) -> Comparison:
    return compare(policy_of(before), policy_of(after))


def _look(found: Settings, library: Library, wanted: list[Publication]) -> None:
    """See that what was sent is what is in force: somebody else may have published in between."""
    known = read_known(found, library).chain(wanted[-1].policy)
    if known.find(wanted[-1].digest) is None:
        raise CommandError(
            "another revision was published at the same time and came first; this one was sent and is refused: "
            "compare again, and publish it behind the other"
        )
    err.print(f"published; {wanted[-1].policy} is known through {wanted[-1].digest}")
