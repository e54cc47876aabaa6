"""The result of deciding a request."""

from typing import NamedTuple

from events.request_parts import RequestParts
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.plan import PlannedResult
from workers.decide.encode_decision import Encoded


class Decided(NamedTuple):
    """A request, its result and the encoded decision."""

    request: RequestParts
    result: PlannedResult
    policy: Policy
    encoded: Encoded
    writer: int
    """The version of the writer that encoded it."""
