"""The last resort: a signed list of publications to ignore, each identified by its offset and digest.

A correction revokes a publication but keeps it known. A skip makes it void from the beginning: decisions made under it
can no longer be proved. Skips are for what no correction can reach, such as publications signed with a stolen key.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from policy_core.document.problems import PolicyDocumentError, Problem
from policy_core.loading.load import located, mapping, problems_of
from policy_core.publications.publication import instant
from policy_core.publications.signatures import Keyring, Signature, SignatureError, sign

CONTEXT = b"dli-authorization policy.revisions.skip.v1\0"
"""Prefix of the signed digest, so that signatures on publications and on skips are not interchangeable."""


@dataclass(frozen=True)
class Skip:
    """A publication to ignore."""

    policy: str
    offset: int
    """The offset of its record; later repeats are ignored too."""
    digest: str
    why: str
    at: datetime
    """When it was signed, according to the signer."""
    by: str
    """The owner of the key."""


class SkipList:
    """All publications that a deployment ignores."""

    def __init__(self, skips: tuple[Skip, ...] = ()) -> None:
        # If a publication has several entries, the lowest offset counts.
        by_place = sorted(skips, key=lambda skip: skip.offset, reverse=True)
        self._skips = {(skip.policy, skip.digest): skip for skip in by_place}

    def of(self, policy: str, offset: int, digest: str) -> Skip | None:
        """The skip for a policy's publication at an offset; None if there is none.

        Skips are looked up by policy, so a key of one policy cannot skip publications of another.
        """
        found = self._skips.get((policy, digest))
        return found if found is not None and found.offset <= offset else None

    def __iter__(self) -> Iterator[Skip]:
        return iter(self._skips.values())


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("should be an instant, such as 2026-12-01T12:00:00Z")  # noqa: TRY004 (pydantic's way)
    return value


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _WrittenSkip(_Written):
    policy: Annotated[str, Field(min_length=1, max_length=128)]
    offset: Annotated[int, Field(ge=0, le=10**15, strict=True)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    why: Annotated[str, Field(min_length=1, max_length=512)]
    at: Annotated[datetime, BeforeValidator(_text)]
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: str

    def digest_to_sign(self) -> str:
        """The signed digest."""
        return _digest_to_sign(self.policy, self.offset, self.digest, self.why, self.at)


class _WrittenList(_Written):
    skip: tuple[_WrittenSkip, ...]


def _digest_to_sign(policy: str, offset: int, digest: str, why: str, at: datetime) -> str:
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    content: dict[str, str | int] = {
        "policy": policy,
        "offset": offset,
        "digest": digest,
        "why": why,
        "at": instant(at),
    }
    return sha256(rfc8785.dumps(content)).hexdigest()


def signed_skip(
    key: Ed25519PrivateKey, policy: str, offset: int, digest: str, why: str, at: datetime
) -> dict[str, str | int]:
    """A signed entry as written in a list."""
    made = sign(key, _digest_to_sign(policy, offset, digest, why, at), CONTEXT)
    return {
        "policy": policy,
        "offset": offset,
        "digest": digest,
        "why": why,
        "at": instant(at),
        "key": made.key,
        "signature": base64.b64encode(made.value).decode(),
    }


def skip_list(name: str, raw: bytes, keys: Keyring) -> SkipList:
    """The skip list in a YAML text.

    Raises:
        PolicyDocumentError: It is invalid, or an entry is not signed by a key of its policy.
    """
    tree, plain = mapping(raw, name, "a list of skips begins with `skip:`")
    try:
        written = _WrittenList.model_validate(plain)
    except ValidationError as error:
        raise PolicyDocumentError(name, problems_of(error, tree)) from None
    found: list[Skip] = []
    for index, entry in enumerate(written.skip):
        try:
            value = base64.b64decode(entry.signature, validate=True)
            at = entry.at if entry.at.tzinfo is not None else entry.at.replace(tzinfo=UTC)
            key = keys.signer(entry.policy, entry.digest_to_sign(), Signature(entry.key, value), at, CONTEXT)
        except (ValueError, SignatureError) as error:
            why = str(error) if isinstance(error, SignatureError) else "is no base64"
            problem = located(tree, Problem(("skip", index, "signature"), why))
            raise PolicyDocumentError(name, [problem]) from None
        found.append(Skip(entry.policy, entry.offset, entry.digest, entry.why, at, key.name))
    return SkipList(tuple(found))
