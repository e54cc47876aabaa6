"""`authorization.deadline.v1`: the deadline of a pended request nears, or has passed.

Each is announced once for a request, a clock, and the moment at which it is due; a new `due_at` arms it again. It
changes no answer.
"""

from hashlib import sha256
from typing import ClassVar, Literal

from events.decision import DecisionId
from events.field_types import Instant, RequestId
from events.personal_types import Private

DeadlineKind = Literal["due_soon", "overdue"]


class Deadline(Private):
    """One announcement."""

    TYPE: ClassVar = "authorization.deadline.v1"

    request_id: RequestId
    decision_id: DecisionId
    """The newest decision on the request."""
    clock: str
    rule: str
    """Where the clock's rule is published."""
    kind: DeadlineKind
    due_at: Instant
    late: bool
    """Whether the announcement comes late, as after an outage."""

    def to_json(self) -> bytes:
        """The canonical event data."""
        return self.model_dump_json().encode()

    def event_id(self) -> str:
        """The digest of request, clock, `due_at` and kind: the same announcement is the same event."""
        named = (self.request_id, self.clock, self.due_at.isoformat(), self.kind)
        return sha256("\x00".join(named).encode()).hexdigest()[:32]
