"""`dli policy skip`: prints a signed entry of the skip list, which the operator mounts."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from policy_core.publications.publication import Publication
from policy_core.publications.signatures import SHOWN
from policy_core.publications.skip_list import Skip, SkipList, signed_skip
from workers.audit.record_acts import acting_here
from workers.configuration.command_options import Bootstrap, Policies, Prefix, settings
from workers.console.exit_codes import CommandError
from workers.console.printing import err, out
from workers.policies.key_commands import name_of, private_key
from workers.policies.revision_commands import known_library
from workers.policies.revision_events import Outcome, terms_of
from workers.policies.revision_topic import Known, read_known


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(skip)


def skip(
    number: Annotated[str, typer.Argument(help="The policy's number.")],
    digest: Annotated[str, typer.Argument(help="The first characters of the publication's digest.")],
    why: Annotated[str, typer.Option("--why", help="The reason, for readers of the list; no personal data.")],
    key: Annotated[Path, typer.Option("--key", help="A private key for the policy, in PEM.")],
    policies: Policies = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
) -> None:
    """Print an entry for DLI_POLICY_SKIP_LIST, which makes readers ignore a publication. Correct it if possible."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    terms, library = terms_of(found), known_library(found)
    private = private_key(key, found)
    by = name_of(private, number, terms)
    known = read_known(found, library, terms)
    offset, publication = _accepted(known, number, digest)
    at = datetime.now(UTC).replace(microsecond=0)
    without = SkipList((*terms.skips, Skip(number, offset, publication.digest, why, at, by)))
    left = read_known(found, library, replace(terms, skips=without)).chain(number)
    gone = [other for other in known.chain(number) if left.find(other.digest) is None]
    for other in gone:
        err.print(f"counts no more: the revision of {other.revision}, by {other.author}, digest {other.digest}")
    newest = left.newest
    then = f"known through that of {newest.revision}, {newest.digest[:SHOWN]}" if newest is not None else "not known"
    err.print(f"{number} is then {then}; what was decided under what counts no more can be proved no more")
    acting_here(found, "policy skip", key=by)
    entry = signed_skip(private, number, offset, publication.digest, why, at)
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in entry.items()]
    out.print("  - " + "\n    ".join(lines), soft_wrap=True)


def _accepted(known: Known, number: str, digest: str) -> tuple[int, Publication]:
    """The accepted publication with this digest prefix, and its record's offset.

    Raises:
        CommandError: There is none or more than one.
    """
    found = [
        (offset, verdict.publication)
        for offset, verdict in known.verdicts.items()
        if verdict.outcome is Outcome.ACCEPTED
        and verdict.publication is not None
        and verdict.publication.policy == number
        if verdict.publication.digest.startswith(digest)
    ]
    if len(found) != 1:
        several = "several accepted revisions" if found else "no accepted revision"
        raise CommandError(
            f"there is {several} of {number} with the digest {digest}: see `dli policy history {number}`"
        )
    return found[0]
