"""Who may publish a policy's revisions: keys with names and validity periods, and their signatures.

Signatures are Ed25519 (RFC 8032), over `CONTEXT` and the publication's digest, which covers its whole content. Nothing
here reads a file or a clock.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, overload

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from policy_core.document.problems import PolicyDocumentError, Problem
from policy_core.loading.load import located, mapping, problems_of

CONTEXT = b"dli-authorization policy.revision.published.v1\0"
"""Prefix of the signed digest, so that other signatures are not valid for publications."""
SHOWN = 12
"""Number of digits of a key's id shown to people."""


class SignatureError(Exception):
    """A publication without a valid signature; the message says why."""


class PrivateKeyError(Exception):
    """A private key that cannot be read; the message says what to do."""


@dataclass(frozen=True)
class Signature:
    """A detached signature on a publication."""

    key: str
    """The key's id."""
    value: bytes


@dataclass(frozen=True)
class Key:
    """A public key and its owner."""

    id: str
    """SHA-256 of the public key's 32 bytes."""
    name: str
    """Its owner: the `author` of what it signs."""
    public: bytes
    since: datetime
    until: datetime | None
    """The first moment at which it is no longer valid; None if unlimited."""


class Keyring:
    """The keys of each policy."""

    def __init__(self, keys: Mapping[str, Iterable[Key]]) -> None:
        """Index keys by the policy that they may publish."""
        self._keys = {policy: {key.id: key for key in some} for policy, some in keys.items()}

    def of(self, policy: str) -> tuple[Key, ...]:
        """A policy's keys."""
        return tuple(self._keys.get(policy, {}).values())

    def signer(
        self, policy: str, digest: str, signature: Signature | None, at: datetime | None, context: bytes = CONTEXT
    ) -> Key:
        """The key that signed a publication.

        Args:
            policy: The policy's number.
            digest: The publication's digest.
            signature: Its signature.
            at: When the broker received it; None if unknown.
            context: The prefix of the signed digest.

        Raises:
            SignatureError: There is no valid signature.
        """
        if signature is None:
            raise SignatureError(f"is absent: a revision of {policy} counts only with the signature of one of its keys")
        key, name = self._keys.get(policy, {}).get(signature.key), signature.key[:SHOWN]
        if key is None:
            raise SignatureError(f"is of the key {name}, which is none of {policy}'s")
        if at is None:
            raise SignatureError("cannot be judged: its record has no time of the broker")
        if at < key.since:
            raise SignatureError(
                f"is of the key {name}, which at {_day(at)} was not valid yet: from {_day(key.since)} on"
            )
        if key.until is not None and at >= key.until:
            raise SignatureError(
                f"is of the key {name}, which at {_day(at)} was valid no more: until {_day(key.until)}"
            )
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature.value, context + bytes.fromhex(digest))
        except InvalidSignature:
            raise SignatureError(f"is none of the key {name} on this publication") from None
        return key


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# --- private keys --------------------------------------------------------------------------------------------------


def new_private_key() -> Ed25519PrivateKey:
    """A new random key."""
    return Ed25519PrivateKey.generate()


def sign(key: Ed25519PrivateKey, digest: str, context: bytes = CONTEXT) -> Signature:
    """Sign the digest of a publication, or of anything else with its own context."""
    return Signature(id_of(key), key.sign(context + bytes.fromhex(digest)))


def id_of(key: Ed25519PrivateKey) -> str:
    """The id of a key."""
    return sha256(key.public_key().public_bytes_raw()).hexdigest()


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key as written in a keyring file."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def as_pem(key: Ed25519PrivateKey, passphrase: bytes | None = None) -> bytes:
    """A private key as PKCS 8 in PEM, encrypted if a passphrase is given."""
    guarded = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, guarded)


def from_pem(raw: bytes, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """A private key from PEM.

    Raises:
        PrivateKeyError: It is not an Ed25519 key, or the passphrase is wrong.
    """
    encrypted = b"ENCRYPTED" in raw
    if encrypted and not passphrase:
        raise PrivateKeyError("is encrypted, and no passphrase is given")
    try:
        key = load_pem_private_key(raw, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PrivateKeyError(
            "is no private key in PEM" + (", or its passphrase is another" if encrypted else "")
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise PrivateKeyError("is a private key, but not one of Ed25519")
    return key


# --- files of public keys ------------------------------------------------------------------------------------------


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("should be a day or an instant, such as 2026-11-01")  # noqa: TRY004 (pydantic's way)
    return value


_When = Annotated[datetime, BeforeValidator(_text)]


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _WrittenKey(_Written):
    name: Annotated[str, Field(min_length=1, max_length=512)]
    public: str
    since: Annotated[_When, Field(alias="from")]
    until: _When | None = None


class _WrittenKeys(_Written):
    policy: Annotated[str, Field(min_length=1, max_length=128)]
    keys: Annotated[tuple[_WrittenKey, ...], Field(min_length=1)]


def keyring(files: Iterable[tuple[str, bytes]]) -> Keyring:
    """The keys in YAML files, each given by its name and bytes.

    Raises:
        PolicyDocumentError: A file is invalid; the error says why.
    """
    found: dict[str, dict[str, Key]] = {}
    for name, raw in files:
        tree, plain = mapping(raw, name, "a file of keys begins with `policy: …`")
        try:
            written = _WrittenKeys.model_validate(plain)
        except ValidationError as error:
            raise PolicyDocumentError(name, problems_of(error, tree)) from None
        mine = found.setdefault(written.policy, {})
        for index, entry in enumerate(written.keys):
            try:
                key = _key(entry)
            except _KeyError as error:
                raise PolicyDocumentError(
                    name, [located(tree, Problem(("keys", index, error.field), error.why))]
                ) from None
            if key.id in mine:
                message = (
                    f"the key {key.id[:SHOWN]} is there already for {written.policy}; it has one name and one time"
                )
                raise PolicyDocumentError(name, [located(tree, Problem(("keys", index, "public"), message))])
            mine[key.id] = key
    return Keyring({policy: mine.values() for policy, mine in found.items()})


class _KeyError(Exception):
    def __init__(self, field: str, why: str) -> None:
        self.field = field
        self.why = why
        super().__init__(field, why)


def _key(written: _WrittenKey) -> Key:
    try:
        raw = base64.b64decode(written.public, validate=True)
        Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError):
        message = "is no public key of Ed25519: 32 bytes in base64, as `dli policy keygen` prints them"
        raise _KeyError("public", message) from None
    since, until = _in_utc(written.since), _in_utc(written.until)
    if until is not None and until <= since:
        raise _KeyError("until", "is not after `from`")
    return Key(sha256(raw).hexdigest(), written.name, raw, since, until)


@overload
def _in_utc(written: datetime) -> datetime: ...


@overload
def _in_utc(written: datetime | None) -> datetime | None: ...


def _in_utc(written: datetime | None) -> datetime | None:
    """A moment; without an offset, as for a day, it is in UTC."""
    return written.replace(tzinfo=UTC) if written is not None and written.tzinfo is None else written
