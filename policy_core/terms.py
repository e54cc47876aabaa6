"""On which terms a deployment takes a publication: whose signature is wanted, and from where on.

What a release ever packaged needs none: its digests are listed beside the documents, and come with the software.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from policy_core.chain import RefusedError
from policy_core.library import PACKAGED
from policy_core.signature import Key, Keyring, Signature, SignatureError

_ANCHOR = re.compile(r"(\d{1,18})@([0-9a-f]{64})")


@cache
def released() -> frozenset[str]:
    """The digest of every publication that a release ever packaged."""
    lines = (PACKAGED / "released.txt").read_text("utf-8").splitlines()
    return frozenset(line.split()[0] for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True)
class Anchor:
    """The last record that counts without a signature, by its offset and its publication's digest."""

    offset: int
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Anchor":
        """An anchor as it is written, `OFFSET@DIGEST`.

        Raises:
            ValueError: It is none.
        """
        if (found := _ANCHOR.fullmatch(text)) is None:
            raise ValueError("is written as OFFSET@DIGEST, as `dli policy anchor` prints it")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.offset}@{self.digest}"


@dataclass(frozen=True)
class Terms:
    """The terms of one deployment; without keys, whoever may write to the topic is trusted."""

    keyring: Keyring | None = None
    signed_from: Anchor | None = None

    def wants_signature(self, offset: int, digest: str) -> bool:
        """Whether a publication that stands at an offset counts with a signature only."""
        return self.keyring is not None and not self.settled(offset) and digest not in released()

    def settled(self, offset: int) -> bool:
        """Whether what stands there came before these terms."""
        return self.signed_from is not None and offset <= self.signed_from.offset

    def signer(
        self, policy: str, author: str, digest: str, signature: Signature | None, offset: int, at: datetime | None
    ) -> Key | None:
        """The key that vouches for a publication; None where none does and none is wanted.

        Raises:
            RefusedError: One is wanted.
        """
        if self.keyring is None:
            return None
        try:
            key = self.keyring.signer(policy, digest, signature, at)
        except SignatureError as error:
            if self.wants_signature(offset, digest):
                raise RefusedError(("signature",), str(error)) from None
            return None
        if key.name != author:
            if self.wants_signature(offset, digest):
                raise RefusedError(("author",), "is not the name that its key stands for")
            return None
        return key
