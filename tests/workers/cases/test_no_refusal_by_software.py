"""Whatever happens to a case, nothing is refused without a licensed physician's verdict that says so."""

import json
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from events.case import Case
from events.case_event import Superseding
from events.field_types import instant, written_instant
from events.verdict import AuthorizationExtended, AuthorizationReviewed
from policy_core.review.actions import overall_of
from tests.support.case_lives import case_for, policy, stored
from tests.support.reviews import pended_request
from workers.cases import lifecycle
from workers.cases.lifecycle import Change

BEGIN = instant("2025-06-02T09:30:00-05:00")
LINES = [
    {"line": 1, "system": "cpt", "code": "38242", "units": 2, "service_date": "2025-06-20"},
    {"line": 2, "system": "cpt", "code": "99213", "units": 3, "service_date": "2025-06-20"},
    {"line": 3, "system": "cpt", "code": "36520", "units": 1, "service_date": "2025-06-20"},
]
CLINICAL: list[dict[str, Any]] = [{}, {"infusion": {"leukocyte_modification": "genetic"}}]
SUBMITTED = ["2025-06-02T09:30:00-05:00", "2025-06-25T09:30:00-05:00"]

lines = st.fixed_dictionaries(
    {"line": st.integers(1, 4), "action": st.sampled_from(["A1", "A3", "A6"])},
    optional={
        "reasons": st.lists(st.sampled_from(["0V", "12"]), max_size=2),
        "text": st.just("In words."),
        "authorized": st.fixed_dictionaries(
            {"code": st.sampled_from(["38242", "99213", "86812"]), "units": st.integers(1, 3)}
        ),
    },
)
verdicts = st.fixed_dictionaries(
    {
        "verdict_id": st.sampled_from(["V-1", "V-2", "V-3"]),
        "reviewer": st.fixed_dictionaries(
            {"role": st.sampled_from(["physician", "medical_policy", "case_management"])},
            optional={"license_state": st.sampled_from(["MS", "TN"])},
        ),
        "lines": st.lists(lines, min_size=1, max_size=3, unique_by=lambda line: line["line"]),
        "evaluated": st.booleans(),
        "concurrence": st.booleans(),
    },
    optional={"amends": st.sampled_from(["V-1", "V-2", "V-4"])},
).filter(lambda said: said.get("amends") != said["verdict_id"])
supersessions = st.builds(
    Superseding,
    st.just("PA-9"),
    st.sampled_from(["revision", "reconsideration", "cancellation"]),
    st.sampled_from(["1234567893", "1245319599"]),
)
happenings = st.lists(
    st.one_of(verdicts, verdicts, supersessions, st.sampled_from(["time", "extension"])), min_size=1, max_size=8
)


def happened(case: Case, what: Any, number: int) -> tuple[Change, AuthorizationReviewed | None]:
    now = BEGIN + timedelta(days=25 + number)
    at = round(now.timestamp() * 1000)
    if isinstance(what, Superseding):
        return lifecycle.superseded(case, what, at), None
    if what == "time":
        return lifecycle.passed(case, now), None
    if what == "extension":
        until = written_instant(now + timedelta(days=30))
        said = {"extension_id": f"E-{number}", "request_id": case.request_id, "until": until, "reason": "More to read."}
        return lifecycle.extended(case, AuthorizationExtended.model_validate_json(json.dumps(said)), policy()), None
    whole = {**what, "request_id": case.request_id, "decision_id": case.decision_id, "decided_at": written_instant(now)}
    verdict = AuthorizationReviewed.model_validate_json(json.dumps(whole))
    return lifecycle.reviewed(case, verdict, at, policy()), verdict


@given(st.sampled_from(CLINICAL), st.sampled_from(SUBMITTED), happenings)
def test_nothing_is_refused_without_a_physicians_verdict(
    clinical: dict[str, Any], submitted_at: str, what: list[Any]
) -> None:
    request = pended_request("PA-1", clinical=clinical, submitted_at=submitted_at, service_lines=LINES)
    case = case_for(request)
    assert not {line.action for line in case.lines} & {"A3", "A6"}
    for number, event in enumerate(what):
        change, verdict = happened(case, event, number)
        before = {line.line: line.action for line in case.lines}
        for line in change.case.lines:
            if line.action == before[line.line]:
                continue
            assert verdict is not None
            [said] = [one for one in verdict.lines if one.line == line.line]
            assert said.action == line.action
            if line.action in {"A3", "A6"}:
                assert (verdict.reviewer.role, verdict.reviewer.license_state) == ("physician", "MS")
                assert verdict.evaluated
                assert verdict.concurrence
                assert said.reasons
                assert said.text
        if change.rejected is not None:
            assert (change.decision, change.case) == (None, case)
        if change.decision is not None:
            assert change.decision.action == overall_of([line.action for line in change.case.lines])
        case = stored(change)
