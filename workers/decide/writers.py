"""Writers: every version of a decision's bytes. The newest decides; an older one stays, to decide again what it wrote.

    a worker                        the newest writer; its version is the decision's header `dli-writer`
    a decision that may repeat      the writer that its request's entry names, see `duplicates.Entry`
    a replay                        the writer that the recorded decision's header names

A change of bytes is a new `Writer` at the end of `WRITERS`: [how](../replay/README.md#change-a-decisions-bytes).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from events.origin_headers import WRITER_VERSION
from events.request_parts import RequestParts
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.plan import PlannedResult
from workers.decide.encode_decision import DecisionEncoder, Encoded


class Encoder(Protocol):
    """Writes the decisions made under one policy."""

    def encode(self, request: RequestParts, result: PlannedResult) -> Encoded:
        """The decision's id and event data."""


@dataclass(frozen=True)
class Writer:
    """One version of a decision's bytes."""

    version: int
    encoder: Callable[[Policy], Encoder]
    """Makes the encoder of a policy; picklable, because replays run in several processes."""


@dataclass(frozen=True)
class Writers:
    """All versions that a program has, oldest first."""

    versions: tuple[Writer, ...]

    def __post_init__(self) -> None:
        """Check that versions rise, and that there is one.

        Raises:
            ValueError: They do not.
        """
        numbers = [writer.version for writer in self.versions]
        if not numbers or numbers != sorted(set(numbers)):
            raise ValueError(f"writers' versions should rise: {numbers}")

    @property
    def newest(self) -> Writer:
        """The writer of new decisions."""
        return self.versions[-1]

    def of(self, version: int) -> Writer | None:
        """The writer of a version; None if it is not here."""
        return next((writer for writer in self.versions if writer.version == version), None)


WRITERS = Writers((Writer(WRITER_VERSION, DecisionEncoder),))
"""The versions of this program."""
