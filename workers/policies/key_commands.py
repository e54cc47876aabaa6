"""`dli policy keygen` and `anchor`: publishers' keys, and from which record signatures are required."""

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from events.topics import POLICY_REVISIONS
from policy_core.history.publication_terms import Terms
from policy_core.publications.signatures import (
    SHOWN,
    PrivateKeyError,
    as_pem,
    from_pem,
    id_of,
    keyring,
    new_private_key,
    public_text,
)
from workers.audit.record_acts import acting_here
from workers.configuration.command_options import Bootstrap, Policies, Prefix, settings
from workers.configuration.settings import Settings
from workers.console.exit_codes import CommandError
from workers.console.printing import err, out
from workers.policies.revision_commands import day_of, known_library
from workers.policies.revision_events import Outcome, terms_of
from workers.policies.revision_topic import read_known
from workers.process import private_files
from workers.process.input_file import opened

LARGEST = 10_000
"""Maximum size of a private key file, in bytes."""


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(keygen)
    cli.command()(anchor)


def private_key(file: Path, found: Settings) -> Ed25519PrivateKey:
    """The private key in a file.

    Raises:
        CommandError: It is unreadable, or readable by others.
    """
    with opened(file) as stream:
        raw = stream.read(LARGEST)
    if str(file) != "-" and file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise CommandError(f"{file}: anybody on this machine may read it: chmod 600, and take another key if they did")
    try:
        return from_pem(raw, _passphrase(found))
    except PrivateKeyError as error:
        raise CommandError(f"{file}: {error} (DLI_POLICY_KEY_PASSPHRASE)") from None


def _passphrase(found: Settings) -> bytes | None:
    secret = found.policy_key_passphrase
    return secret.get_secret_value().encode() if secret is not None else None


def name_of(key: Ed25519PrivateKey, policy: str, terms: Terms) -> str:
    """The owner of a key.

    Raises:
        CommandError: The policy's keys do not include it.
    """
    if terms.keyring is None:
        raise CommandError("whom the key stands for is not known: name their keys (DLI_POLICY_KEYS), or the --author")
    names = [known.name for known in terms.keyring.of(policy) if known.id == id_of(key)]
    if not names:
        raise CommandError(f"the key {id_of(key)[:SHOWN]} is none of {policy}'s (DLI_POLICY_KEYS)")
    return names[0]


def keygen(
    file: Annotated[Path, typer.Argument(help="The new file for the private key.")],
    name: Annotated[str, typer.Option("--name", help="The key's owner, and the author of what it signs.")],
    policy: Annotated[str, typer.Option("--policy", help="The policy whose revisions it may sign.")],
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="The first day on which it is no longer valid.")
    ] = None,
) -> None:
    """Create a key pair: the private key in a file for our user only; print the public one as a key entry."""
    found = settings()
    for option, value in (("--name", name), ("--policy", policy)):
        if not value.isprintable():
            raise CommandError(f"{option}: is no text in UTF-8, of one line")
    key = new_private_key()
    since = datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    lines = [
        f"policy: {json.dumps(policy, ensure_ascii=False)}",
        "keys:",
        f"  - name: {json.dumps(name, ensure_ascii=False)}",
        f"    public: {public_text(key)}",
        f"    from: {since}",
        *([f"    until: {day_of(until)}"] if until is not None else []),
    ]
    text = "\n".join(lines) + "\n"
    keyring([("the new key", text.encode())])  # validate name and day before creating anything
    acting_here(found, "policy keygen")
    try:
        with private_files.opened(file, "xb") as stream:
            stream.write(as_pem(key, _passphrase(found)))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    out.print(text, end="", soft_wrap=True)
    guarded = "encrypted" if found.policy_key_passphrase is not None else "not encrypted (DLI_POLICY_KEY_PASSPHRASE)"
    err.print(
        f"the key {id_of(key)[:SHOWN]}: private in {file}, {guarded}; public above, for a file in DLI_POLICY_KEYS"
    )


def anchor(policies: Policies = None, bootstrap: Bootstrap = None, topic_prefix: Prefix = None) -> None:
    """Print the last currently accepted revision, as OFFSET@DIGEST: signatures may be required after it."""
    found = settings(policies=policies, bootstrap=bootstrap, topic_prefix=topic_prefix)
    # Current verdicts regardless of signatures: the keys are about to be set.
    open_to_all = replace(terms_of(found), keyring=None, signed_from=None)
    known = read_known(found, known_library(found), open_to_all)
    accepted = [
        (offset, verdict.publication.digest)
        for offset, verdict in known.verdicts.items()
        if verdict.publication is not None and verdict.outcome is not Outcome.REFUSED
    ]
    if not accepted:
        raise CommandError(f"{found.topic(POLICY_REVISIONS)} has no revision: set the keys, and no anchor")
    offset, digest = accepted[-1]
    out.print(f"{offset}@{digest}", soft_wrap=True)
