"""The interface of a format."""

from typing import NamedTuple, Protocol

from events.adapters.partner import Partner
from events.adapters.submission import Context, Format, Refusal, Submission
from events.decision import Decision

VERSION = 1
"""Of the mapping, as it stands in the source of canonical events: changed with anything that changes their bytes."""


class Decided(NamedTuple):
    """A decision as it stands on its topic."""

    decision: Decision
    timestamp: int
    """The record's, in milliseconds since the epoch."""


class Adapter(Protocol):
    """One format, in and out. Every method is pure, and raises for no message, however malformed."""

    format: Format

    def read(self, value: bytes, partner: Partner, received: int) -> tuple[Submission, ...]:
        """Every message in a record; at least one.

        `received` is the record's timestamp, in milliseconds since the epoch: the time of submission if the message
        states none.
        """

    def answer(self, context: Context, decided: Decided) -> bytes:
        """The answer to a request that was decided, whether by the machine or by a reviewer."""

    def refuse(self, refused: Submission | Context, refusal: Refusal, at: int) -> bytes:
        """The answer to a message that becomes no request, or to a request that cannot be decided.

        Empty if the message is itself an answer: two systems that answer each other's answers would never end.
        """

    def report(self, inquiry: Submission, context: Context | None, decided: Decided | None, at: int) -> bytes:
        """The answer to an inquiry: the newest decision of its trace, or that there is none."""
