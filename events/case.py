"""The state of a case: one request, from its decision until nobody has to act any more.

The case agent writes a record for every change on `authorization.cases`, keyed by the request's id. Whatever counts
pended or overdue requests reads these, so that all counts agree.

    recommended ─┬─► final          decided by the machine, or by verdicts on all pended lines
    waiting ─────┼─► superseded     another request takes its place
                 └─► cancelled      as is a final approval that its requester cancels
"""

from datetime import datetime
from typing import Final, Literal

import msgspec

from events.field_types import instant

State = Literal["recommended", "waiting", "final", "superseded", "cancelled"]
"""`recommended`: reviewers have to act. `waiting`: the provider has to, for one line at least."""
OPEN: frozenset[State] = frozenset({"recommended", "waiting"})
PENDED: Final = "A4"


class CaseLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One service line: what was asked, and how it stands."""

    line: int
    system: str
    code: str
    units: int
    service_date: str
    """ISO 8601."""
    determination: str
    action: str
    """X12 code list 306."""
    acts_next: str
    would_certify: bool = False
    """Whether the clinical statements, evaluated beside an administrative determination, certify it."""
    reasons: tuple[str, ...] = ()
    """Of a verdict: X12 code list 886."""
    authorized_code: str | None = None
    """What a verdict certified, if less than was asked."""
    authorized_units: int | None = None
    reviewed: bool = False
    """Whether a verdict has answered it."""


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a request stands, with what the next event needs to know of it."""

    state: State
    request_id: str
    decision_id: str
    """The newest decision."""
    opened_at: int
    """When the decision that opened it was published, in milliseconds since the epoch."""
    certification: str
    urgency: str
    line_of_business: str
    requester: str
    """The provider's NPI."""
    submitted_at: str
    """RFC 3339, as are all instants here."""
    lines: tuple[CaseLine, ...]
    action: str
    """X12 code list 306, for the whole request."""
    clock_state: str
    first_submitted_at: str | None = None
    """When the first request of its chain was submitted; absent: this one's `submitted_at`."""
    channel: str = "electronic"
    clock: str | None = None
    rule: str | None = None
    """Where the clock's rule is published."""
    due_at: str | None = None
    due_soon_at: str | None = None
    """When it is announced that it will be due; absent if it is not."""
    announced: tuple[str, ...] = ()
    """What was announced of the present `due_at`: `due_soon`, `overdue`."""
    extended: bool = False
    """Whether its timeframe was ever extended."""
    supersedes: str | None = None
    link: Literal["stands", "refused"] | None = None
    """Whether its link to that request stands; absent until it is judged."""
    superseded_by: str | None = None
    """The request that superseded or cancelled it."""
    closed_at: int | None = None
    """When the record that closed it was published, in milliseconds since the epoch."""
    determined_at: str | None = None
    """When it was finally determined: the verdict's `decided_at`, or when the machine's decision was published."""
    by: Literal["machine", "reviewer"] | None = None
    """Who made the final determination."""
    earlier_decisions: tuple[str, ...] = ()
    """Their ids, oldest first."""
    verdicts: dict[str, str] = {}
    """The digest of each verdict that stands, by id."""
    last_verdict: str | None = None
    extensions: dict[str, str] = {}
    """The digest of each extension that stands, by id."""
    correlation: str | None = None
    """The id that all events of the matter share."""
    policy: str = ""
    """The number of the policy that the decision was made under."""
    known_through: str = ""
    """The digest of that policy's newest revision known then."""
    decision: msgspec.Raw = msgspec.Raw(b"null")
    """The newest decision's data, while a verdict may still build on it."""
    beside: msgspec.Raw = msgspec.Raw(b"null")
    """The trace of the clinical statements beside an administrative determination, likewise."""

    def __repr__(self) -> str:
        return "Case('personal data not shown')"

    @property
    def is_open(self) -> bool:
        """Whether somebody has to act: the request is pended."""
        return self.state in OPEN

    @property
    def acts_next(self) -> tuple[str, ...]:
        """Who has to act, each once, in the order of the lines; nobody if it is closed."""
        return tuple(dict.fromkeys(line.acts_next for line in self.lines if line.action == PENDED and self.is_open))

    @property
    def due(self) -> datetime | None:
        """When it is due, if its clock runs."""
        return instant(self.due_at) if self.is_open and self.due_at and self.clock_state == "running" else None

    def is_overdue(self, now: datetime) -> bool:
        """Whether its clock runs and its deadline has passed."""
        return is_past(self.due, now)

    @property
    def first_submitted(self) -> datetime:
        """When the first request of its chain was submitted."""
        return instant(self.first_submitted_at or self.submitted_at)

    def packed(self) -> bytes:
        """The record's value: JSON."""
        return _encoder.encode(self)


def is_past(due: datetime | None, now: datetime) -> bool:
    """Whether a deadline has passed: at the moment itself it has not."""
    return due is not None and due < now


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Case)


def case_of(value: bytes) -> Case:
    """Decode a record of `authorization.cases`.

    Raises:
        ValueError: It is no case.
    """
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("is no case") from None
