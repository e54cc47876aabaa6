"""`dli.acted.v1`: who changed something here, or tried to, with what, and what came of it; nothing of a member.

An act is told of twice under one id: before it begins, as `begun`, and once it is over. So one whose process dies in
between leaves its beginning. What is over at once, as a login, is told of once. When it was is the record's time, which
is the broker's.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from events.dead_letter import Reason as LetterReason
from events.field_types import Day, Sha256
from events.personal_types import Model

What = Literal[
    "topics apply",
    "topics scale",
    "policy publish",
    "policy withdraw",
    "policy publish-packaged",
    "dead-letters redrive",
    "reset-offset",
    "restore",
    "archive",
    "replay what-if --publish",
    "publish",
    "dashboard redrive",
    "dashboard login",
    "dashboard logout",
    "dashboard token",
]
"""The command, or what is done on the dashboard; `dashboard token` is one that was shown and is none."""

Outcome = Literal["begun", "done", "refused", "failed"]
"""`refused` is what was not let happen, `failed` what went wrong while it happened and may be done in part."""

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Several = Field(strict=False)
MOST_LETTERS = 100
"""Letters that are named; of more there is their number."""


class Actor(Model):
    """Who it was, by whatever there is of: each is what their process says of itself."""

    user: str | None = None
    """The user of the machine that a command ran on."""
    kafka_user: str | None = None
    """The user that its process is for the brokers."""
    key: str | None = None
    """Whom the key stands for that signed a revision."""
    session: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")] | None = None
    """Of the dashboard, as its log names it."""
    role: Literal["view", "act"] | None = None
    """What they may do on the dashboard."""
    address: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None
    """Who showed a wrong token to the dashboard: its log has the address, this the keyed hash of it."""


class Arguments(Model):
    """With what: each field is of a kind that leads to nobody, and there is no other."""

    topics: Annotated[tuple[str, ...], Several] = ()
    """Their full names."""
    group: str | None = None
    """The consumer group."""
    partition: int | None = None
    partitions: int | None = None
    """How many there are to be."""
    offset: int | None = None
    policy_number: str | None = None
    revision: Day | None = None
    digest: Sha256 | None = None
    """Of the publication."""
    letter_reason: LetterReason | None = None
    """By which letters were chosen."""
    letters: Annotated[tuple[Id, ...], Several] = ()
    """Ids of dead letters, the first hundred."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")] | None = None
    """Of a replay whose decisions are published."""
    count: int | None = None
    """Of records, letters or revisions: to begin with those meant, in the end those that it was done to."""


class Acted(Model):
    """One act, begun or over."""

    TYPE: ClassVar = "dli.acted.v1"

    act: Id
    """The same of its beginning and its end."""
    what: What
    who: Actor
    arguments: Arguments
    outcome: Outcome
    reason: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")] | None = None
    """Why, in a word, where it is not simply done."""

    @property
    def event_id(self) -> str:
        """The event's id."""
        return f"{self.act}-{'begun' if self.outcome == 'begun' else 'over'}"

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(exclude_defaults=True).encode()
