"""Who made an archive: an Ed25519 signature (RFC 8032) beside its manifest, which names every file with its digest.

    manifest.sig.json      whose key, what the archive is called, when, behind which one, the manifest's digest; and the
                           signature over all of these

Digests beside the files tell damage. That nobody altered both, only the signature tells, to whoever has the public
keys: a folder of files `NAME.pem`, each the key of NAME. It says what the archive is called, too, so that an older one
in its place is told; and where one goes on from another, which.
"""

import json
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workers import private_files
from workers.archive import manifest
from workers.archive.manifest import Hex, Manifest
from workers.event_log.source import ReplayError
from workers.printable import printable
from workers.settings import Settings

NAME = "manifest.sig.json"
_CONTEXT = b"dli-authorization archive.manifest.v1\0"
"""Stands before what is signed, so that no signature on anything else is one on an archive."""
_MOST = 10_000
"""Bytes of a signature's file, and of a key's."""
SHOWN = 12
"""Digits of a key's id that are shown."""


class SignatureError(ReplayError):
    """An archive that nobody who is known vouches for, or that is not what they signed."""


class _Statement(BaseModel):
    """What is signed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1
    key: Hex
    """SHA-256 of the public key's 32 bytes."""
    archive: Annotated[str, Field(min_length=1, max_length=255)]
    """What its folder is called."""
    signed: Annotated[str, Field(max_length=40)]
    """When, in UTC, by the clock of who signed."""
    previous: Hex | None
    """SHA-256 of the manifest of the archive that it goes on from."""
    manifest: Hex
    """SHA-256 of the manifest."""

    def message(self) -> bytes:
        """The bytes under the signature."""
        fields = _Statement.model_validate(self.model_dump(include=set(_Statement.model_fields))).model_dump()
        return _CONTEXT + json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


class _Signed(_Statement):
    signature: Annotated[str, Field(max_length=200)]
    """In base64."""


@dataclass(frozen=True)
class SignatureStatus:
    """What is known of who made an archive."""

    name: str | None = None
    """Whose signature was proved."""
    key: str | None = None
    """The id of the key that signed, proved or not."""
    signed: str | None = None
    previous: str | None = None
    """The digest of the manifest that it goes on from, where that was proved."""

    def __str__(self) -> str:
        if self.key is None:
            return "unsigned"
        if self.name is None:
            return f"signed with the key {self.key[:SHOWN]}, which nobody held against a public key (DLI_ARCHIVE_KEYS)"
        return f"signed by {printable(self.name)} at {self.signed}, key {self.key[:SHOWN]}"


# --- keys ----------------------------------------------------------------------------------------------------------


def private_key(found: Settings) -> Ed25519PrivateKey | None:
    """The key that archives are signed with; None where none is named.

    Raises:
        ReplayError: It cannot be read, or others than its owner can read it too.
    """
    file, secret = found.archive_key, found.archive_key_passphrase
    if file is None:
        return None
    raw = _raw(file, "DLI_ARCHIVE_KEY")
    if file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ReplayError(f"{file}: anybody on this machine may read it: chmod 600, and take another key if they did")
    locked = b"ENCRYPTED" in raw
    if locked and secret is None:
        raise ReplayError(f"{file}: is encrypted, and no passphrase is given (DLI_ARCHIVE_KEY_PASSPHRASE)")
    try:
        key = load_pem_private_key(raw, secret.get_secret_value().encode() if locked and secret is not None else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        also = ", or its passphrase is another (DLI_ARCHIVE_KEY_PASSPHRASE)" if locked else ""
        raise ReplayError(f"{file}: is no private key in PEM{also}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ReplayError(f"{file}: is a private key, but not one of Ed25519")
    return key


def public_keys(folder: Path) -> Mapping[str, tuple[str, Ed25519PublicKey]]:
    """The keys of a folder by their ids, each with its name.

    Raises:
        ReplayError: There are none, or one cannot be used.
    """
    found: dict[str, tuple[str, Ed25519PublicKey]] = {}
    try:
        there = sorted(folder.glob("*.pem")) if folder.is_dir() else []
    except OSError as error:
        raise ReplayError(f"{folder}: {error.strerror}") from None
    if not there:
        raise ReplayError(
            f"{folder}: no public keys there: one NAME.pem for each who makes archives (DLI_ARCHIVE_KEYS)"
        )
    for file in there:
        try:
            key = load_pem_public_key(_raw(file, "DLI_ARCHIVE_KEYS"))
        except (ValueError, UnsupportedAlgorithm):
            raise ReplayError(f"{file}: is no public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ReplayError(f"{file}: is a public key, but not one of Ed25519")
        name = id_of(key)
        if name in found:
            raise ReplayError(f"{file}: is the key of {found[name][0]}; a key has one name")
        found[name] = (file.stem, key)
    return found


def _raw(file: Path, setting: str) -> bytes:
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MOST + 1)
    except OSError as error:
        raise ReplayError(f"{file}: {error.strerror} ({setting})") from None
    if len(raw) > _MOST:
        raise ReplayError(f"{file}: is too large for a key ({setting})")
    return raw


def id_of(key: Ed25519PublicKey) -> str:
    """The id of a key."""
    return sha256(key.public_bytes_raw()).hexdigest()


# --- signing -------------------------------------------------------------------------------------------------------


def sign(folder: Path, text: bytes, key: Ed25519PrivateKey, previous: str | None = None) -> SignatureStatus:
    """Put a signature on a manifest beside it.

    Args:
        folder: The archive.
        text: Its manifest, as it is written or is going to be.
        key: Whose signature.
        previous: The digest of the manifest of the archive that it goes on from.
    """
    statement = _Statement(
        key=id_of(key.public_key()),
        archive=folder.resolve().name,
        signed=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        previous=previous,
        manifest=sha256(text).hexdigest(),
    )
    signature = b64encode(key.sign(statement.message())).decode()
    signed = _Signed(**statement.model_dump(), signature=signature).model_dump_json(indent=1)
    beside = folder / f"{NAME}.new"
    with private_files.opened(beside, "w") as stream:
        stream.write(signed + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(folder / NAME)
    return SignatureStatus(key=statement.key, signed=statement.signed)


# --- proving -------------------------------------------------------------------------------------------------------


def standing(folder: Path, text: bytes, made: Manifest, keys: Path | None) -> SignatureStatus:
    """Who made an archive.

    Args:
        folder: The archive.
        text: Its manifest as it is written.
        made: What that says.
        keys: The folder of public keys; None where signatures are not held against any.

    Raises:
        SignatureError: Keys are known, and none of them vouches for it.
        ReplayError: The keys cannot be read.
    """
    known = public_keys(keys) if keys is not None else {}
    written = manifest.written(folder, NAME, _MOST)
    if written is None:
        if keys is not None:
            raise SignatureError(
                f"{folder}: unsigned, and refused, because DLI_ARCHIVE_KEYS says whose archives are taken; whoever "
                "trusts it signs it with `dli replay sign`"
            )
        return SignatureStatus()
    try:
        said = _Signed.model_validate_json(written)
        signature = b64decode(said.signature, validate=True)
    except (ValidationError, ValueError):
        raise SignatureError(f"{folder / NAME}: tampered with, or damaged: it is no signature") from None
    if keys is None:
        return SignatureStatus(key=said.key, signed=said.signed)
    if said.key not in known:
        raise SignatureError(f"{folder}: signed with the key {said.key[:SHOWN]}, which is none of those in {keys}")
    name, key = known[said.key]
    try:
        key.verify(signature, said.message())
    except InvalidSignature:
        raise SignatureError(f"{folder / NAME}: tampered with: {printable(name)} did not sign what it says") from None
    _is_what_was_signed(folder, text, made, said, name)
    return SignatureStatus(name, said.key, said.signed, said.previous)


def _is_what_was_signed(folder: Path, text: bytes, made: Manifest, said: _Signed, name: str) -> None:
    signer, there = printable(name), folder.resolve().name
    if sha256(text).hexdigest() != said.manifest:
        raise SignatureError(f"{folder / manifest.NAME}: tampered with: it is not the one that {signer} signed")
    if said.archive != there:
        raise SignatureError(
            f"{folder}: tampered with: {signer} signed it as {printable(said.archive)}, so another archive is in its "
            f"place; or it was renamed: call it {printable(said.archive)} again"
        )
    stray = next(_strays(folder, made), None)
    if stray is not None:
        raise SignatureError(
            f"{folder}: tampered with: {printable(stray)} is there, and not in the manifest that {signer} signed; an "
            "older one may be in its place"
        )


def _strays(folder: Path, made: Manifest) -> Iterator[str]:
    """Files that the manifest does not name, but for what an interrupted run left."""
    named = {one.file for one in made.segments} | {manifest.NAME, NAME}
    for above, _, inside in os.walk(folder):
        for one in inside:
            file = (Path(above) / one).relative_to(folder).as_posix()
            if file not in named and not file.endswith((".part", ".new")):
                yield file
