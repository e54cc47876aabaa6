"""What opens a case: the decided event, and what a case keeps of its request and decision."""

import msgspec

from events.case_event import Decided
from policy_core.determinations import Determination


class _Line(msgspec.Struct):
    """What a case keeps of a request's service line."""

    line: int
    units: int
    service_date: str


class _Member(msgspec.Struct):
    line_of_business: str


class _Provider(msgspec.Struct):
    npi: str


class KeptOfRequest(msgspec.Struct):
    """What a case keeps of a request's canonical content."""

    request_id: str
    certification: str
    urgency: str
    submitted_at: str
    member: _Member
    provider: _Provider
    service_lines: list[_Line]
    first_submitted_at: str | None = None
    channel: str = "electronic"
    supersedes: str | None = None


class _DecidedLine(msgspec.Struct):
    line: int
    system: str
    code: str
    determination: str
    action: str
    acts_next: str


class _Clock(msgspec.Struct):
    state: str
    name: str | None = None
    rule: str | None = None


class _Policy(msgspec.Struct):
    number: str
    known_through: str


class KeptOfDecision(msgspec.Struct):
    """What a case keeps of a decision."""

    decision_id: str
    action: str
    clock: _Clock
    lines: list[_DecidedLine]
    policies: list[_Policy]
    due_at: str | None = None


_requests = msgspec.json.Decoder(KeptOfRequest)
_decisions = msgspec.json.Decoder(KeptOfDecision)


class Opening:
    """A decided event, read."""

    def __init__(self, decided: Decided) -> None:
        """Read an event.

        Raises:
            msgspec.MsgspecError: It is not what the decision agent writes.
        """
        self.decided = decided
        self.decision = _decisions.decode(decided.decision)

    def request(self) -> KeptOfRequest:
        """What the case keeps of the request.

        Raises:
            msgspec.MsgspecError: It is not what the decision agent writes.
        """
        return _requests.decode(self.decided.request)

    @property
    def decision_id(self) -> str:
        """The decision's id."""
        return self.decision.decision_id

    @property
    def policy(self) -> tuple[str, str]:
        """The number of the policy that the decision names, and the digest of its newest revision known then."""
        named = self.decision.policies[0]
        return named.number, named.known_through

    @property
    def needs_statements(self) -> bool:
        """Whether the clinical statements are to be evaluated beside an administrative determination."""
        return any(line.determination == Determination.NO_PRIOR_AUTHORIZATION for line in self.decision.lines)
