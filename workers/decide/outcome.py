"""The result of deciding a request."""

from typing import NamedTuple

from events.request import AuthorizationRequest
from policy_core.evaluate.determine import CaseResult, Policy
from workers.decide.encode_decision import Encoded


class Decided(NamedTuple):
    """A request, its result and the encoded decision."""

    request: AuthorizationRequest
    result: CaseResult
    policy: Policy
    encoded: Encoded
