"""Cases as the case agent makes them, without a broker."""

import json
from collections.abc import Mapping
from typing import Any

from events.case import Case, case_of
from events.case_event import Decided, case_event_of, decided
from events.request import AuthorizationRequest
from events.request_parts import parts_of
from policy_core.evaluate.determine import Policy
from tests.support.packaged import packaged_library
from workers.cases import lifecycle
from workers.cases.lifecycle import Change
from workers.cases.opening import Opening
from workers.decide.handler import decide_parts


def policy() -> Policy:
    return packaged_library()["L.2.03.402"]


def case_for(request: Mapping[str, Any], at: int = 1_749_196_400_000) -> Case:
    """The case of a request once it is decided."""
    parts = parts_of(AuthorizationRequest.model_validate_json(json.dumps(request)))
    decision = decide_parts(parts, policy())
    event = case_event_of(decided("matter", parts.content, decision.to_json()))
    assert isinstance(event, Decided)
    opening, beside = Opening(event), None
    if opening.needs_statements:
        beside = decide_parts(parts._replace(has_prior_authorization=True), policy())
    return stored(lifecycle.opened(opening, at, policy(), beside))


def stored(change: Change) -> Case:
    """The case as the topic has it."""
    made = case_of(change.case.packed())
    assert made.packed() == change.case.packed()
    return made
