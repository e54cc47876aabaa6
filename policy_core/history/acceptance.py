"""On which terms a deployment takes a publication: whose signature is wanted, from where on, and what its times may be.

What a release ever packaged needs none: its digests are listed beside the documents, and come with the software.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple

from policy_core.history.chain import PublicationRefusedError
from policy_core.history.library import PACKAGED
from policy_core.publications.publication import instant
from policy_core.publications.signatures import Key, Keyring, Signature, SignatureError
from policy_core.publications.skip_list import SkipList

NOTICE = timedelta(days=180)
"""The notice that is given of a change, unless a deployment says otherwise."""
AHEAD = timedelta(days=1)
"""How far a publisher's clock, or its time zone, may be ahead of the broker's."""
BEHIND = timedelta(days=1)
"""How long a publication may take from its publisher to the broker before it counts as reaching back."""
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


class Times(NamedTuple):
    """What a publication says of time."""

    revision: date
    effective: date
    published: datetime
    retroactive: bool


@dataclass(frozen=True)
class Terms:
    """The terms of one deployment; without keys, whoever may write to the topic is trusted."""

    keyring: Keyring | None = None
    signed_from: Anchor | None = None
    notice: timedelta = NOTICE
    """How far ahead a revision's dates may lie when the broker takes it."""
    skips: SkipList = field(default_factory=SkipList, compare=False)
    """What counts no more."""

    def wants_signature(self, offset: int, digest: str) -> bool:
        """Whether a publication that stands at an offset counts with a signature only."""
        return self.keyring is not None and not self.settled(offset) and digest not in released()

    def settled(self, offset: int) -> bool:
        """Whether what stands there came before these terms."""
        return self.signed_from is not None and offset <= self.signed_from.offset

    def timely(self, said: Times, digest: str, offset: int, at: datetime | None) -> None:
        """See that a publication's times fit the time at which the broker took it.

        Raises:
            PublicationRefusedError: They lie too far ahead, or reach back without saying so under a signature.
        """
        if at is None or self.settled(offset) or digest in released():
            return
        if said.published - at > AHEAD:
            raise PublicationRefusedError(
                ("published",), f"is later than the broker took it, {instant(at)}, by more than a day"
            )
        for name, day in (("revision", said.revision), ("effective", said.effective)):
            if day - at.date() > self.notice:
                sentence = f"{day} lies further ahead than notice is given of a change here, {self.notice.days} days"
                raise PublicationRefusedError((name,), sentence)
        if self.wants_signature(offset, digest) and not said.retroactive and said.effective < reached(said, at):
            raise PublicationRefusedError(
                ("effective",), f"{said.effective} lies in the past, and it does not say `retroactive`"
            )

    def signer(
        self, policy: str, author: str, digest: str, signature: Signature | None, offset: int, at: datetime | None
    ) -> Key | None:
        """The key that vouches for a publication; None where none does and none is wanted.

        Raises:
            PublicationRefusedError: One is wanted.
        """
        if self.keyring is None:
            return None
        try:
            key = self.keyring.signer(policy, digest, signature, at)
        except SignatureError as error:
            if self.wants_signature(offset, digest):
                raise PublicationRefusedError(("signature",), str(error)) from None
            return None
        if key.name != author:
            if self.wants_signature(offset, digest):
                raise PublicationRefusedError(("author",), "is not the name that its key stands for")
            return None
        return key


def reached(said: Times, at: datetime) -> date:
    """The first service date that a publication may answer otherwise without reaching into the past.

    What it says itself of when it was published counts as far as the broker bears it out.
    """
    return max(said.published, at - BEHIND).astimezone(UTC).date()
