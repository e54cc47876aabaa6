"""`dli policy sign` and `publish`: check a new revision against the published ones, sign it, send it.

Signing needs no access to the brokers, and sending needs no key: `sign` writes what `publish` sends.
"""

# ruff: noqa: PLR0913 (each argument is an option)

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from events.audit import What
from events.decode import LARGEST
from events.topics import POLICY_REVISIONS
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.determine import Policy
from policy_core.loading.load import parse, read
from policy_core.publications.publication import Publication
from workers.audit.record_acts import DONE, Ended, acting, acting_here, ourselves
from workers.configuration.command_options import Bootstrap, Policies, Prefix, settings
from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.console.exit_codes import CommandError, Exit
from workers.console.printing import err, out, write_line
from workers.kafka.records import OutgoingRecord
from workers.policies.diff_text import comparison
from workers.policies.document_check import run_examples, warnings_text
from workers.policies.key_commands import name_of, private_key
from workers.policies.publication_candidates import candidates, taken_back, withdrawal
from workers.policies.register_text import signer
from workers.policies.revision_commands import comparison_of, day_of, known_library, online
from workers.policies.revision_events import Judging, Outcome, Verdict, terms_of
from workers.policies.revision_records import is_event, judged, records_of, signed_before
from workers.policies.revision_topic import Known, read_known, send
from workers.process import private_files
from workers.process.input_file import opened

Effect = Callable[[PolicyDocument, Settings, Path | None], bool]
"""Prints how a document would change recorded decisions; returns whether it would."""

Log = Annotated[
    Path | None,
    typer.Option("--log", metavar="ARCHIVE", help="Count past decisions in this archive; by default, on Kafka."),
]
Key = Annotated[Path | None, typer.Option("--key", help="The private key to sign with, in PEM.")]
Author = Annotated[
    str | None, typer.Option("--author", help="Who is responsible for the document; by default the key's name.")
]
Effective = Annotated[
    str | None,
    typer.Option(
        "--effective",
        metavar="DATE",
        help="The first service date whose answers may change; by default the revision's date.",
    ),
]
Retroactive = Annotated[
    bool, typer.Option("--retroactive", help="Declare that it may change answers for past services.")
]
Corrects = Annotated[
    str | None,
    typer.Option(
        "--corrects",
        metavar="DIGEST",
        help="Revoke the publication whose digest begins with this, and all later ones.",
    ),
]


OVERTAKEN = Ended("failed", "conditions")
"""It was sent, so it is no refusal, but somebody else's revision came first."""
Execute = Annotated[bool, typer.Option("--execute", help="Publish it; otherwise only check it.")]


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("sign")(sign_)
    cli.command()(publish)
    cli.command()(withdraw)


# --- the commands --------------------------------------------------------------------------------------------------


def sign_(
    file: Annotated[Path, typer.Argument(help="A policy document with an unpublished revision.")],
    key: Key = None,
    author: Author = None,
    effective: Effective = None,
    retroactive: Retroactive = False,
    corrects: Corrects = None,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; by default, standard output.")] = None,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Sign a new revision that follows the published (without brokers, the packaged) ones; `publish` sends it."""
    if key is None:
        raise CommandError("name the private key to sign with: --key FILE")
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    known = _known(found)
    signing = _Signing(key, author, effective, retroactive=retroactive, corrects=corrects)
    made = _made(file, _read(file), known, found, signing)
    judged(file, made, known)
    lines = [publication.value for publication in made]
    acting_here(found, "policy sign")
    if to is not None:
        try:
            with private_files.opened(to, "wb") as stream:
                stream.writelines(line + b"\n" for line in lines)
        except OSError as error:
            raise CommandError(f"{to}: {error.strerror}") from None
    else:
        for line in lines:
            write_line(line)
    err.print(f"{len(lines)} signed" if lines else "this document is published already")


def publish(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A policy document with an unpublished revision, or the output of `sign`.")
    ],
    author: Author = None,
    effective: Effective = None,
    retroactive: Retroactive = False,
    corrects: Corrects = None,
    key: Key = None,
    execute: Execute = False,
    log: Log = None,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Check a new revision against the published ones, prove what it changes, and publish it with --execute."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    raw = _read(file)
    ready = list(signed_before(file, raw, found))
    known = _from_brokers(found)
    signing = _Signing(key, author, effective, retroactive=retroactive, corrects=corrects)
    records = ready or _made(file, raw, known, found, signing)
    past = partial(_print_effect, effect=context.obj, log=log, found=found)
    if not _publish("policy publish", file, records, known, found, past, execute=execute):
        err.print(f"{file}: this is published already{_as_what(raw, known)}")


def _publish(
    what: What,
    file: Path | str,
    records: list[OutgoingRecord],
    known: Known,
    found: Settings,
    past: Callable[[Publication], bool],
    *,
    execute: bool,
) -> bool:
    """Print the effect of records, and send them if requested; False if all are already published."""
    verdicts = [verdict for verdict in judged(file, records, known) if verdict.outcome is Outcome.ACCEPTED]
    for verdict in verdicts:
        _print_verdict(verdict)
    if not verdicts:
        return False
    if execute:
        _send(what, records, verdicts, found)
    else:
        newest = verdicts[-1].publication
        differs = newest is not None and past(newest)
        err.print("nothing was sent; --execute publishes it")
        if differs:
            raise typer.Exit(Exit.DIFFERENT)
    return True


def _send(what: What, records: list[OutgoingRecord], verdicts: list[Verdict], found: Settings) -> None:
    newest = [verdict.publication for verdict in verdicts if verdict.publication is not None][-1]
    where = {"policy_number": newest.policy, "revision": newest.revision, "digest": newest.digest}
    topics = (found.topic(POLICY_REVISIONS),)
    signer_of = newest.author if newest.signed_by is not None else None
    with acting(found, what, ourselves(found, signer_of), **where, topics=topics, count=len(verdicts)) as act:
        send(found, records)
        in_force = _from_brokers(found).chain(newest.policy).find(newest.digest) is not None
        act.ended = DONE if in_force else OVERTAKEN
    if not in_force:
        raise CommandError(
            "another revision was published at the same time and came first; this one was sent and is refused: "
            "compare again, and publish it behind the other"
        )
    err.print(f"published; {newest.policy} is known through {newest.digest}")


def withdraw(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The policy's number.")],
    digest: Annotated[str, typer.Argument(help="The first characters of the publication's digest.")],
    author: Author = None,
    key: Key = None,
    retroactive: Retroactive = False,
    execute: Execute = False,
    log: Log = None,
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Withdraw a publication and all later ones: the policy is as before it; decisions stay unchanged."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    known = _from_brokers(found)
    name, private = _Signing(key, author, None, retroactive=retroactive).by(number, found)
    publication = withdrawal(known.chain(number), digest, name, datetime.now(UTC), retroactive=retroactive)
    records = records_of(number, [publication], private, found)
    past = partial(_print_effect, effect=context.obj, log=log, found=found)
    _publish("policy withdraw", number, records, known, found, past, execute=execute)


# --- recorded decisions that a retroactive revision affects ---------------------------------------------------------


def _print_effect(publication: Publication, effect: Effect, log: Path | None, found: Settings) -> bool:
    """Print whether a revision is retroactive and which recorded decisions it would change; return whether any."""
    days = (datetime.now(UTC).date() - publication.effective).days
    if days <= 0 or publication.predecessor is None:
        return False
    out.print(
        f"It lies in the past: it is effective from {publication.effective}, {days} days ago. Of what is recorded:"
    )
    try:
        return effect(publication.document, found, log)
    except DliError as error:
        err.print(f"what it would change of recorded decisions is not known: {error}; --log ARCHIVE names another log")
        return False


# --- published revisions -------------------------------------------------------------------------------------


def _from_brokers(found: Settings) -> Known:
    return read_known(found, known_library(found))


def _known(found: Settings) -> Known:
    """Everything published, from the brokers or, if none are given, the packaged documents."""
    if online(found):
        return _from_brokers(found)
    library = known_library(found)
    judging = Judging(terms_of(found), chains := [library.chain(number) for number in library.numbers])
    judging.chains = {chain.policy: chain for chain in chains}
    return Known(judging, {}, 0)


def _as_what(raw: bytes, known: Known) -> str:
    newest = None if is_event(raw) else known.chain(parse(raw, "").number).newest
    return f", as the revision of {newest.revision}" if newest is not None else ""


# --- new revisions ------------------------------------------------------------------------------------------------


class _Signing:
    """The author, the key and further properties of a new publication."""

    def __init__(
        self,
        key: Path | None,
        author: str | None,
        effective: str | None,
        *,
        retroactive: bool,
        corrects: str | None = None,
    ) -> None:
        self._file = key
        self._author = author
        self.effective = day_of(effective) if effective is not None else None
        self.retroactive = retroactive
        self.corrects = corrects

    def by(self, policy: str, found: Settings) -> tuple[str, Ed25519PrivateKey | None]:
        """The author and the signing key, if any.

        Raises:
            CommandError: There is no author, or the key is unusable.
        """
        if self._file is None:
            if self._author is None:
                raise CommandError("name who answers for the document: sign it with --key FILE, or name the --author")
            return self._author, None
        key = private_key(self._file, found)
        return self._author or name_of(key, policy, terms_of(found)), key


def _read(file: Path) -> bytes:
    with opened(file) as stream:
        return stream.read(64 * LARGEST)


def _made(file: Path, raw: bytes, known: Known, found: Settings, signing: _Signing) -> list[OutgoingRecord]:
    """The records for a document's unpublished revisions."""
    draft = read(raw, str(file))
    for line in warnings_text(draft, file):
        err.print(line, markup=False)
    document = draft.document
    run_examples(draft, Policy(document), file)
    author, key = signing.by(document.number, found)
    chain = known.chain(document.number)
    corrected = taken_back(chain, signing.corrects) if signing.corrects is not None else None
    wanted = candidates(
        document,
        chain,
        author,
        signing.effective,
        datetime.now(UTC),
        retroactive=signing.retroactive,
        corrects=corrected,
    )
    return records_of(file, wanted, key, found)


def _print_verdict(verdict: Verdict) -> None:
    publication, chain = verdict.publication, verdict.chain
    if publication is None or chain is None:
        return
    before = chain.before(publication)
    if before is not None:
        out.print(comparison(comparison_of(before, publication)))
    else:
        out.print(f"{publication.policy}: revision of {publication.revision}, the first")
    signed = (
        signer(publication.author, publication.signed_by) if publication.signed_by is not None else "signed by nobody"
    )
    if publication.corrects is not None:
        gone = [back for back, by in chain.taken_back.items() if by == publication.digest]
        out.print(f"\ntakes back {', '.join(gone)}")
    digests = f"document {publication.sha256}; digest {publication.digest}"
    out.print(f"\neffective from {publication.effective}; {digests}; {signed}\n")
