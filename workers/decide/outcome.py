"""What the decision agent knows of a request once it is decided."""

from typing import NamedTuple

from events.request import AuthorizationRequest
from policy_core.evaluate.determine import CaseResult, Policy
from workers.decide.decision_json import Encoded


class Decided(NamedTuple):
    """One request with what was found of it, and the decision as it goes out."""

    request: AuthorizationRequest
    result: CaseResult
    policy: Policy
    encoded: Encoded
