"""Archive signatures: Ed25519 (RFC 8032) over the manifest, which lists every file with its digest.

    manifest.sig.json      the key, the archive's name, the time, the previous archive, the manifest's digest, and the
                           signature over all of these

Digests detect damage; only a signature shows that nobody altered both files and digests. It is checked with public
keys: a folder of files `NAME.pem`, each the key of NAME. The archive's name is signed too, so that an older archive in
its place is detected, and so is the previous archive.
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

from workers.archive import manifest
from workers.archive.manifest import Hex, Manifest
from workers.configuration.settings import Settings
from workers.console.printable import printable
from workers.event_log.source import ReplayError
from workers.process import private_files

NAME = "manifest.sig.json"
_CONTEXT = b"dli-authorization archive.manifest.v1\0"
"""Prefix of the signed bytes, so that signatures for other purposes are not valid here."""
_MOST = 10_000
"""Maximum size of signature and key files, in bytes."""
SHOWN = 12
"""Displayed digits of a key's id."""


class SignatureError(ReplayError):
    """An archive without a signature of a known key, or different from what was signed."""


class _Statement(BaseModel):
    """The signed statement."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1
    key: Hex
    """SHA-256 of the public key's 32 bytes."""
    archive: Annotated[str, Field(min_length=1, max_length=255)]
    """The name of its folder."""
    signed: Annotated[str, Field(max_length=40)]
    """The time in UTC, by the signer's clock."""
    previous: Hex | None
    """SHA-256 of the previous archive's manifest."""
    manifest: Hex
    """SHA-256 of the manifest."""

    def message(self) -> bytes:
        """The signed bytes."""
        fields = _Statement.model_validate(self.model_dump(include=set(_Statement.model_fields))).model_dump()
        return _CONTEXT + json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


class _Signed(_Statement):
    signature: Annotated[str, Field(max_length=200)]
    """In base64."""


@dataclass(frozen=True)
class SignatureStatus:
    """An archive's signature and whether it was verified."""

    name: str | None = None
    """The signer, if verified."""
    key: str | None = None
    """The id of the signing key, verified or not."""
    signed: str | None = None
    previous: str | None = None
    """The digest of the previous archive's manifest, if verified."""

    def __str__(self) -> str:
        if self.key is None:
            return "unsigned"
        if self.name is None:
            return f"signed with the key {self.key[:SHOWN]}, which nobody held against a public key (DLI_ARCHIVE_KEYS)"
        return f"signed by {printable(self.name)} at {self.signed}, key {self.key[:SHOWN]}"


# --- keys ----------------------------------------------------------------------------------------------------------


def private_key(found: Settings) -> Ed25519PrivateKey | None:
    """The key that archives are signed with, if configured.

    Raises:
        ReplayError: It cannot be read, or is readable by others.
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
    """The public keys of a folder with their names, by key id.

    Raises:
        ReplayError: There are none, or one is invalid.
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
    """Write the signature of a manifest next to it.

    Args:
        folder: The archive.
        text: The bytes of its manifest.
        key: The signing key.
        previous: The digest of the previous archive's manifest.
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


# --- verifying -------------------------------------------------------------------------------------------------------


def standing(folder: Path, text: bytes, made: Manifest, keys: Path | None) -> SignatureStatus:
    """Verify an archive's signature.

    Args:
        folder: The archive.
        text: The bytes of its manifest.
        made: The parsed manifest.
        keys: The folder of public keys; None to skip verification.

    Raises:
        SignatureError: Keys are known, and none of them signed it.
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
        statement = _Signed.model_validate_json(written)
        signature = b64decode(statement.signature, validate=True)
    except (ValidationError, ValueError):
        raise SignatureError(f"{folder / NAME}: tampered with, or damaged: it is no signature") from None
    if keys is None:
        return SignatureStatus(key=statement.key, signed=statement.signed)
    if statement.key not in known:
        raise SignatureError(f"{folder}: signed with the key {statement.key[:SHOWN]}, which is none of those in {keys}")
    name, key = known[statement.key]
    try:
        key.verify(signature, statement.message())
    except InvalidSignature:
        raise SignatureError(f"{folder / NAME}: tampered with: {printable(name)} did not sign what it says") from None
    _require_as_signed(folder, text, made, statement, name)
    return SignatureStatus(name, statement.key, statement.signed, statement.previous)


def _require_as_signed(folder: Path, text: bytes, made: Manifest, statement: _Signed, name: str) -> None:
    signer, there = printable(name), folder.resolve().name
    if sha256(text).hexdigest() != statement.manifest:
        raise SignatureError(f"{folder / manifest.NAME}: tampered with: it is not the one that {signer} signed")
    if statement.archive != there:
        raise SignatureError(
            f"{folder}: tampered with: {signer} signed it as {printable(statement.archive)}, so another archive is in "
            f"its place; or it was renamed: call it {printable(statement.archive)} again"
        )
    stray = next(_strays(folder, made), None)
    if stray is not None:
        raise SignatureError(
            f"{folder}: tampered with: {printable(stray)} is there, and not in the manifest that {signer} signed; an "
            "older one may be in its place"
        )


def _strays(folder: Path, made: Manifest) -> Iterator[str]:
    """Files that are not in the manifest, except leftovers of an interrupted run."""
    named = {segment.file for segment in made.segments} | {manifest.NAME, NAME}
    for above, _, inside in os.walk(folder):
        for name in inside:
            file = (Path(above) / name).relative_to(folder).as_posix()
            if file not in named and not file.endswith((".part", ".new")):
                yield file
