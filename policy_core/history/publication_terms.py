"""The terms on which a deployment accepts publications: required signatures, their starting offset, and allowed times.

Publications packaged with any release need no signature: their digests are listed beside the documents.
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
"""Default notice period for a change."""
AHEAD = timedelta(days=1)
"""How far a publisher's clock, or its time zone, may be ahead of the broker's."""
BEHIND = timedelta(days=1)
"""How long a publication may take to reach the broker before it counts as retroactive."""
_ANCHOR = re.compile(r"(\d{1,18})@([0-9a-f]{64})")


@cache
def released() -> frozenset[str]:
    """The digests of all publications packaged with any release."""
    lines = (PACKAGED / "released.txt").read_text("utf-8").splitlines()
    return frozenset(line.split()[0] for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True)
class Anchor:
    """The last record that is valid without a signature: its offset and its publication's digest."""

    offset: int
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Anchor":
        """Parse an anchor, `OFFSET@DIGEST`.

        Raises:
            ValueError: The text is not an anchor.
        """
        if (found := _ANCHOR.fullmatch(text)) is None:
            raise ValueError("is written as OFFSET@DIGEST, as `dli policy anchor` prints it")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.offset}@{self.digest}"


class Times(NamedTuple):
    """The times in a publication."""

    revision: date
    effective: date
    published: datetime
    retroactive: bool


@dataclass(frozen=True)
class Terms:
    """The terms of a deployment; without keys, every writer to the topic is trusted."""

    keyring: Keyring | None = None
    signed_from: Anchor | None = None
    notice: timedelta = NOTICE
    """How far in the future a revision's dates may be when the broker receives it."""
    skips: SkipList = field(default_factory=SkipList, compare=False)
    """Publications to ignore."""

    def wants_signature(self, offset: int, digest: str) -> bool:
        """Whether the publication at an offset requires a signature."""
        return self.keyring is not None and not self.settled(offset) and digest not in released()

    def settled(self, offset: int) -> bool:
        """Whether the record at an offset precedes these terms."""
        return self.signed_from is not None and offset <= self.signed_from.offset

    def timely(self, times: Times, digest: str, offset: int, at: datetime | None) -> None:
        """Check a publication's times against the broker's time.

        Raises:
            PublicationRefusedError: They are too far ahead, or in the past without a signed `retroactive`.
        """
        if at is None or self.settled(offset) or digest in released():
            return
        if times.published - at > AHEAD:
            raise PublicationRefusedError(
                ("published",), f"is later than the broker took it, {instant(at)}, by more than a day"
            )
        for name, day in (("revision", times.revision), ("effective", times.effective)):
            if day - at.date() > self.notice:
                sentence = f"{day} lies further ahead than notice is given of a change here, {self.notice.days} days"
                raise PublicationRefusedError((name,), sentence)
        if self.wants_signature(offset, digest) and not times.retroactive and times.effective < reached(times, at):
            raise PublicationRefusedError(
                ("effective",), f"{times.effective} lies in the past, and it does not say `retroactive`"
            )

    def signer(
        self, policy: str, author: str, digest: str, signature: Signature | None, offset: int, at: datetime | None
    ) -> Key | None:
        """The key that signed a publication; None if there is no valid signature and none is required.

        Raises:
            PublicationRefusedError: A valid signature is required and missing.
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


def reached(times: Times, at: datetime) -> date:
    """The first service date for which a publication may change answers without being retroactive.

    Its own publication time counts only if the broker's time supports it.
    """
    return max(times.published, at - BEHIND).astimezone(UTC).date()
