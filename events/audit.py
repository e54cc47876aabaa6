"""`dli.acted.v1`: who changed something, or tried to, with which arguments and outcome; no member data.

An act is recorded twice under one id: before it begins, as `begun`, and when it ends. If its process dies in between,
its beginning remains. Instant acts, such as a login, are recorded once. The time is that of the record, set by the
broker.
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
    "review",
    "dashboard redrive",
    "dashboard login",
    "dashboard logout",
    "dashboard token",
]
"""The command or dashboard action; `dashboard token` is the use of a wrong token."""

Outcome = Literal["begun", "done", "refused", "failed"]
"""`refused`: it was not allowed. `failed`: it went wrong and may be partly done."""

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Several = Field(strict=False)
MOST_LETTERS = 100
"""Maximum number of letters named; `count` has the total."""


class Actor(Model):
    """Who it was, by whatever there is of: each is what their process says of itself."""

    user: str | None = None
    """The operating-system user that ran the command."""
    kafka_user: str | None = None
    """The Kafka user of the process."""
    key: str | None = None
    """The owner of the key that signed a revision."""
    session: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")] | None = None
    """The dashboard session, as named in its log."""
    role: Literal["view", "act"] | None = None
    """The role on the dashboard."""
    address: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None
    """The keyed hash of the address that used a wrong token; the dashboard's log has the address."""


class Arguments(Model):
    """With what: each field is of a kind that leads to nobody, and there is no other."""

    topics: Annotated[tuple[str, ...], Several] = ()
    """Their full names."""
    group: str | None = None
    """The consumer group."""
    partition: int | None = None
    partitions: int | None = None
    """The new number of partitions."""
    offset: int | None = None
    policy_number: str | None = None
    revision: Day | None = None
    digest: Sha256 | None = None
    """The publication's digest."""
    letter_reason: LetterReason | None = None
    """The reason by which letters were selected."""
    letters: Annotated[tuple[Id, ...], Several] = ()
    """The ids of the first hundred dead letters."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")] | None = None
    """The name of a replay whose decisions are published."""
    count: int | None = None
    """Number of records, letters or revisions: at the beginning those selected, at the end those processed."""


class Acted(Model):
    """One act, begun or over."""

    TYPE: ClassVar = "dli.acted.v1"

    act: Id
    """The same at its beginning and end."""
    what: What
    who: Actor
    arguments: Arguments
    outcome: Outcome
    reason: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")] | None = None
    """Why, in one word, if it is not simply done."""

    @property
    def event_id(self) -> str:
        """The event's id."""
        return f"{self.act}-{'begun' if self.outcome == 'begun' else 'over'}"

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json(exclude_defaults=True).encode()
