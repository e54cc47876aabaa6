"""The life of a case: a test for each row of the table of states, and for each check of a verdict."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from events.case import Case
from events.case_event import LinkJudged, Superseding
from events.decision import Decision
from events.field_types import instant
from events.verdict import AuthorizationExtended, AuthorizationReviewed
from tests.support.case_lives import case_for, policy, stored
from tests.support.reviews import pended_request, verdict
from workers.cases import lifecycle
from workers.cases.lifecycle import Change

AT = 1_749_200_000_000
"""When verdicts are published: 2025-06-06, in milliseconds since the epoch."""
REQUESTED = "2025-06-02T09:30:00-05:00"
FULL = {
    "malignancy": "hematologic",
    "transplant": {"type": "allogeneic", "original_determination": "medically_necessary"},
    "disease_status": "relapsed",
    "infusion": {"leukocyte_modification": "none"},
}


def reviewed(case: Case, said: Mapping[str, Any], at: int = AT) -> Change:
    made = AuthorizationReviewed.model_validate_json(json.dumps(said))
    change = lifecycle.reviewed(case, made, at, policy())
    if change.decision is not None:
        # What is published is a decision of the declared form, and names itself.
        again = Decision.model_validate_json(change.decision.to_json())
        assert again == change.decision
        assert again.supersedes_decision == case.decision_id
    return change


def on(case: Case, *lines: tuple[int, str], name: str = "V-1", **changes: Any) -> dict[str, Any]:
    """A physician's verdict on some lines of a case."""
    adverse = {"reasons": ["0V"], "text": "Not within the policy."}
    said = [{"line": line, "action": action, **({} if action == "A1" else adverse)} for line, action in lines]
    decision = {"request_id": case.request_id, "decision_id": case.decision_id, "lines": []}
    return verdict(decision, name, "A1", lines=said, **changes)


def refusal(change: Change) -> tuple[str, list[str]]:
    assert change.rejected is not None
    assert change.decision is None
    return change.rejected.reason, [error.path for error in change.rejected.errors]


def extended(case: Case, until: str, name: str = "E-1") -> Change:
    said = {"extension_id": name, "request_id": case.request_id, "until": until, "reason": "More records are needed."}
    return lifecycle.extended(case, AuthorizationExtended.model_validate_json(json.dumps(said)), policy())


RECOMMENDED = pended_request("PA-1")
WAITING = pended_request("PA-2", clinical={})
FINAL = pended_request("PA-3", clinical=FULL)
UNAUTHORIZED = pended_request("PA-4", clinical=FULL, submitted_at="2025-06-25T09:30:00-05:00")
MIXED = pended_request(
    "PA-5",
    service_lines=[
        {"line": 1, "system": "cpt", "code": "38242", "units": 2, "service_date": "2025-06-20"},
        {"line": 2, "system": "cpt", "code": "99213", "units": 1, "service_date": "2025-06-20"},
        {"line": 3, "system": "cpt", "code": "36520", "units": 1, "service_date": "2025-06-20"},
    ],
)
"""A line for a physician, one for a medical-policy reviewer, one whose code is not valid."""


# --- none ---------------------------------------------------------------------------------------------------------


def test_a_decision_with_no_pended_line_is_final() -> None:
    case = case_for(FINAL)
    assert (case.state, case.by, case.action, case.acts_next) == ("final", "machine", "A1", ())
    assert case.determined_at == "2025-06-06T07:53:20.000Z"
    assert bytes(case.decision) == b"null"


def test_lines_pended_for_review_are_recommended() -> None:
    case = case_for(RECOMMENDED)
    assert (case.state, case.acts_next) == ("recommended", ("physician_reviewer",))
    assert (case.due_at, case.due_soon_at) == ("2025-06-09T09:30:00-05:00", "2025-06-08T09:30:00-05:00")


@pytest.mark.parametrize("request_", [WAITING, MIXED], ids=["information", "another code"])
def test_a_line_that_needs_something_of_the_provider_waits(request_: dict[str, Any]) -> None:
    case = case_for(request_)
    assert case.state == "waiting"
    assert "provider" in case.acts_next


# --- verdicts on pended lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "valid_through"), [("A1", "2025-12-04"), ("A3", None)])
@pytest.mark.parametrize("request_", [RECOMMENDED, WAITING], ids=["recommended", "waiting"])
def test_a_verdict_on_all_pended_lines_is_final(
    request_: dict[str, Any], action: str, valid_through: str | None
) -> None:
    before = case_for(request_)
    change = reviewed(before, on(before, (1, action), (2, action)))
    case, decision = stored(change), change.decision
    assert decision is not None
    assert (change.became, case.state, case.by, case.action) == ("final", "final", "reviewer", action)
    assert case.determined_at == "2025-06-04T10:00:00-05:00"
    assert (decision.stage, decision.action) == ("final", action)
    assert decision.clock.state == "answered"
    for line in decision.lines:
        assert (line.action, line.acts_next, line.missing) == (action, "nobody", ())
        assert (str(line.valid_through) if line.valid_through else None) == valid_through
        assert line.review is not None
        assert (line.review.verdict_id, line.review.role, line.review.license_state) == ("V-1", "physician", "MS")


def test_the_reviewers_license_number_is_in_no_decision() -> None:
    case = case_for(RECOMMENDED)
    change = reviewed(case, on(case, (1, "A3"), (2, "A3")))
    assert change.decision is not None
    assert b"MS-12345" not in change.decision.to_json() + change.case.packed()


def test_a_verdict_on_some_lines_leaves_the_others() -> None:
    before = case_for(RECOMMENDED)
    change = reviewed(before, on(before, (2, "A1")))
    case, decision = stored(change), change.decision
    assert decision is not None
    assert (change.became, case.state, case.action) == ("partial", "recommended", "A4")
    assert (decision.stage, decision.clock.state, case.due_at) == ("recommendation", "running", before.due_at)
    last = reviewed(case, on(case, (1, "A3"), name="V-2"))
    assert (last.became, last.case.action) == ("final", "A2")


def test_a_clock_starts_when_no_line_needs_information_any_more() -> None:
    request = WAITING | {
        "service_lines": [
            {"line": 1, "system": "cpt", "code": "38242", "units": 2, "service_date": "2025-06-20"},
            {"line": 2, "system": "cpt", "code": "99213", "units": 1, "service_date": "2025-06-20"},
        ]
    }
    before = case_for(request)
    assert (before.clock_state, before.due_at) == ("waiting_for_information", None)
    change = reviewed(before, on(before, (1, "A1")))
    assert change.decision is not None
    assert (change.case.state, change.decision.stage) == ("recommended", "recommendation")
    # Seven days from the verdict, in its own offset.
    assert (change.case.clock_state, change.case.due_at) == ("running", "2025-06-11T10:00:00-05:00")
    assert change.case.due_soon_at == "2025-06-10T10:00:00-05:00"


@pytest.mark.parametrize("business", ["fep", "state_and_school"])
def test_a_verdict_starts_no_clock_where_there_is_none(business: str) -> None:
    member = {"member_id": "M-1", "line_of_business": business}
    lines = [{**line, "service_date": "2010-06-20"} for line in RECOMMENDED["service_lines"]]
    before = case_for(
        RECOMMENDED | {"member": member, "service_lines": lines, "submitted_at": "2010-06-02T09:30:00-05:00"}
    )
    assert (before.state, before.clock_state, before.due) == ("recommended", "no_clock", None)
    change = reviewed(before, on(before, (1, "A1")))
    assert (change.became, change.case.clock_state, change.case.due) == ("partial", "no_clock", None)
    assert (change.case.due_soon_at, lifecycle.next_moment(change.case)) == (None, None)


def test_a_modified_line_carries_what_is_authorized() -> None:
    case = case_for(RECOMMENDED)
    part = {"code": "38242", "units": 1, "from": "2025-06-20", "through": "2025-06-20"}
    said = on(case, (1, "A6"), (2, "A1"))
    said["lines"][0]["authorized"] = part
    change = reviewed(case, said)
    assert change.decision is not None
    line = json.loads(change.decision.to_json())["lines"][0]
    assert (change.case.action, line["authorized"], line["valid_through"]) == ("A2", part, "2025-12-04")


def test_case_management_certifies_what_the_statements_certify() -> None:
    case = case_for(UNAUTHORIZED)
    assert (case.state, case.acts_next) == ("recommended", ("case_management",))
    assert all(line.would_certify for line in case.lines)
    role = {"role": "case_management"}
    later = "2025-06-26T10:00:00-05:00"
    change = reviewed(case, on(case, (1, "A1"), (2, "A1"), reviewer=role, decided_at=later), at=AT + 3_600_000_000)
    assert change.decision is not None
    assert change.decision.trace is not None
    assert {"S1"} <= {one.id for edition in change.decision.trace.editions for one in edition.statements}


def test_case_management_certifies_nothing_else() -> None:
    case = case_for(UNAUTHORIZED | {"clinical": {"infusion": {"leukocyte_modification": "genetic"}}})
    role, later = {"role": "case_management"}, "2025-06-26T10:00:00-05:00"
    change = reviewed(case, on(case, (1, "A1"), (2, "A1"), reviewer=role, decided_at=later), at=AT + 3_600_000_000)
    assert refusal(change) == ("verdict_refused", ["reviewer.role"])


@pytest.mark.parametrize(
    ("role", "line", "action", "may"),
    [
        ("physician", 1, "A1", True),
        ("physician", 1, "A3", True),
        ("physician", 2, "A3", True),
        ("medical_policy", 2, "A1", True),
        ("medical_policy", 2, "A3", False),
        ("medical_policy", 1, "A1", False),
        ("case_management", 1, "A1", False),
        ("case_management", 2, "A1", False),
    ],
)
def test_only_whoever_may_answers_a_line(role: str, line: int, action: str, may: bool) -> None:
    case = case_for(MIXED)
    change = reviewed(case, on(case, (line, action), reviewer={"role": role, "license_state": "MS"}))
    assert change.became == ("partial" if may else "refused")
    if not may:
        assert refusal(change) == ("verdict_refused", ["reviewer.role"])


def test_nobody_answers_a_line_whose_code_is_not_valid() -> None:
    case = case_for(MIXED)
    assert refusal(reviewed(case, on(case, (3, "A1")))) == ("verdict_refused", ["lines.0.line"])


@pytest.mark.parametrize("action", ["A3", "A6"])
@pytest.mark.parametrize(
    ("lacks", "path"),
    [
        ({"reviewer": {"role": "physician"}}, "reviewer.license_state"),
        ({"reviewer": {"role": "physician", "license_state": "TN"}}, "reviewer.license_state"),
        ({"evaluated": False}, "evaluated"),
        ({"concurrence": False}, "concurrence"),
    ],
)
def test_an_adverse_verdict_needs_a_licensed_physician(action: str, lacks: dict[str, Any], path: str) -> None:
    case = case_for(RECOMMENDED)
    said = on(case, (1, action), **lacks)
    if action == "A6":
        said["lines"][0]["authorized"] = {"code": "38242", "units": 1}
    assert refusal(reviewed(case, said)) == ("verdict_refused", [path])


def test_an_adverse_line_needs_a_reason_and_words() -> None:
    case = case_for(RECOMMENDED)
    said = on(case, (1, "A3"))
    said["lines"] = [{"line": 1, "action": "A3"}]
    assert refusal(reviewed(case, said)) == ("verdict_refused", ["lines.0.reasons", "lines.0.text"])


@pytest.mark.parametrize(
    ("part", "paths"),
    [
        (None, ["lines.0.authorized"]),
        ({"code": "38242", "units": 2}, ["lines.0.authorized"]),
        ({"code": "38242", "units": 3}, ["lines.0.authorized.units"]),
        ({"code": "38242", "units": 1, "from": "2025-06-19"}, ["lines.0.authorized.from"]),
        ({"code": "38242", "units": 1, "through": "2025-06-21"}, ["lines.0.authorized.through"]),
    ],
)
def test_a_modified_line_is_less_than_was_asked_and_within_it(part: dict[str, Any] | None, paths: list[str]) -> None:
    case = case_for(RECOMMENDED)
    said = on(case, (1, "A6"))
    if part is not None:
        said["lines"][0]["authorized"] = part
    assert refusal(reviewed(case, said)) == ("verdict_refused", paths)


def test_a_verdict_names_pended_lines_of_the_request() -> None:
    case = case_for(RECOMMENDED)
    assert refusal(reviewed(case, on(case, (7, "A1")))) == ("verdict_refused", ["lines.0.line"])
    partly = stored(reviewed(case, on(case, (1, "A1"))))
    assert refusal(reviewed(partly, on(partly, (1, "A1"), name="V-2"))) == ("verdict_refused", ["lines.0.line"])


@pytest.mark.parametrize(("decided_at", "refused"), [("2025-06-02T14:29:59Z", True), (REQUESTED, False)])
def test_a_verdict_is_not_decided_before_its_request_came(decided_at: str, *, refused: bool) -> None:
    case = case_for(RECOMMENDED)
    change = reviewed(case, on(case, (1, "A1"), decided_at=decided_at))
    assert (change.became == "refused") is refused


def test_a_verdict_is_not_decided_after_it_was_published() -> None:
    case = case_for(RECOMMENDED)
    at = round(instant("2025-06-04T10:00:00-05:00").timestamp() * 1000)
    assert reviewed(case, on(case, (1, "A1")), at=at - 300_000).became == "partial"
    assert refusal(reviewed(case, on(case, (1, "A1")), at=at - 300_001)) == ("verdict_refused", ["decided_at"])


def test_a_verdict_names_the_decision_that_the_reviewer_saw() -> None:
    case = case_for(RECOMMENDED)
    assert refusal(reviewed(case, on(case, (1, "A1"), decision_id="0" * 32))) == ("verdict_refused", ["decision_id"])
    partly = stored(reviewed(case, on(case, (1, "A1"))))
    # An older one will do for lines that have not changed since.
    assert reviewed(partly, on(partly, (2, "A1"), name="V-2", decision_id=case.decision_id)).became == "final"


def test_the_first_check_that_fails_gives_the_reason() -> None:
    case = case_for(RECOMMENDED)
    wrong: dict[str, Any] = {
        "decision_id": "0" * 32,
        "reviewer": {"role": "case_management"},
        "decided_at": "2020-01-01T00:00:00Z",
    }
    order = [["lines.0.line"], ["reviewer.role"], ["decided_at"], ["decision_id"]]
    found = [refusal(reviewed(case, on(case, (7, "A1"), **wrong)))[1]]
    found += [refusal(reviewed(case, on(case, (1, "A1"), **wrong)))[1]]
    found += [refusal(reviewed(case, on(case, (1, "A1"), **wrong | {"reviewer": {"role": "physician"}})))[1]]
    last = wrong | {"reviewer": {"role": "physician"}, "decided_at": "2025-06-04T10:00:00-05:00"}
    assert [*found, refusal(reviewed(case, on(case, (1, "A1"), **last)))[1]] == order


# --- a known verdict ------------------------------------------------------------------------------------------------


def test_the_same_verdict_again_changes_nothing_in_any_state() -> None:
    before = case_for(RECOMMENDED)
    said = on(before, (1, "A1"), (2, "A1"))
    final = stored(reviewed(before, said))
    again = reviewed(final, dict(reversed(said.items())))
    assert (again.became, again.case, again.decision, again.rejected) == ("duplicate", final, None, None)
    cancelled = stored(lifecycle.superseded(final, Superseding("PA-9", "cancellation", "1234567893"), AT))
    assert reviewed(cancelled, said).became == "duplicate"


def test_another_verdict_under_a_known_id_is_a_conflict() -> None:
    before = case_for(RECOMMENDED)
    partly = stored(reviewed(before, on(before, (1, "A1"))))
    assert refusal(reviewed(partly, on(partly, (2, "A1")))) == ("conflicting_duplicate", ["verdict_id"])


def test_a_refused_verdict_may_come_again_under_its_id() -> None:
    case = case_for(RECOMMENDED)
    assert reviewed(case, on(case, (1, "A3"), evaluated=False)).became == "refused"
    assert reviewed(case, on(case, (1, "A3"))).became == "partial"


# --- amendments -----------------------------------------------------------------------------------------------------


def final_case(*actions: str) -> Case:
    before = case_for(RECOMMENDED)
    said = on(before, *enumerate(actions, 1))
    for line, action in zip(said["lines"], actions, strict=True):
        if action == "A6":
            line["authorized"] = {"code": "38242", "units": 1}
    return stored(reviewed(before, said))


def amending(case: Case, *lines: tuple[int, str], **changes: Any) -> Change:
    said = on(case, *lines, name="V-2", amends="V-1", decided_at="2025-06-05T10:00:00-05:00")
    for line, (_, action) in zip(said["lines"], lines, strict=True):
        if action == "A6":
            line["authorized"] = {"code": "38242", "units": 1}
    return reviewed(case, said | changes)


def test_a_verdict_that_amends_the_last_one_is_final_again() -> None:
    case = final_case("A3", "A3")
    change = amending(case, (1, "A1"), (2, "A1"))
    assert (change.became, change.case.state, change.case.action) == ("final", "final", "A1")
    assert (change.case.last_verdict, change.case.determined_at) == ("V-2", "2025-06-05T10:00:00-05:00")
    assert amending(stored(change), (1, "A1"), (2, "A1"), verdict_id="V-3", amends="V-2").became == "final"


@pytest.mark.parametrize(
    ("before", "after", "may"),
    [
        ("A1", "A3", False),
        ("A1", "A6", False),
        ("A1", "A1", True),
        ("A6", "A3", False),
        ("A6", "A6", True),
        ("A6", "A1", True),
        ("A3", "A6", True),
        ("A3", "A3", True),
        ("A3", "A1", True),
    ],
)
def test_nothing_is_taken_away_from_an_approval(before: str, after: str, may: bool) -> None:
    change = amending(final_case(before, "A3"), (1, after))
    assert (change.became == "final") is may
    if not may:
        assert refusal(change) == ("verdict_refused", ["lines.0.action"])


@pytest.mark.parametrize(
    ("changes", "path"),
    [({"amends": None}, "amends"), ({"amends": "V-0"}, "amends"), ({"decision_id": "0" * 32}, "decision_id")],
)
def test_another_verdict_on_a_final_case_is_refused(changes: dict[str, Any], path: str) -> None:
    assert refusal(amending(final_case("A3", "A3"), (1, "A1"), **changes)) == ("verdict_refused", [path])


def test_what_the_machine_decided_is_not_amended() -> None:
    case = case_for(FINAL)
    assert refusal(reviewed(case, on(case, (1, "A3")))) == ("verdict_refused", ["amends"])


def test_only_a_final_decision_is_amended() -> None:
    case = case_for(RECOMMENDED)
    assert refusal(reviewed(case, on(case, (1, "A1"), amends="V-0"))) == ("verdict_refused", ["amends"])


# --- superseded and cancelled ---------------------------------------------------------------------------------------

OWN, OTHERS = "1234567893", "1245319599"


@pytest.mark.parametrize("request_", [RECOMMENDED, WAITING], ids=["recommended", "waiting"])
@pytest.mark.parametrize("certification", ["initial", "revision", "extension", "renewal", "reconsideration"])
def test_a_request_that_supersedes_a_pended_one_takes_its_place(request_: dict[str, Any], certification: str) -> None:
    change = lifecycle.superseded(case_for(request_), Superseding("PA-9", certification, OTHERS), AT)
    case = stored(change)
    assert (case.state, case.superseded_by, case.acts_next, case.due) == ("superseded", "PA-9", (), None)
    assert lifecycle.next_moment(case) is None


@pytest.mark.parametrize("request_", [RECOMMENDED, WAITING], ids=["recommended", "waiting"])
def test_a_cancellation_of_a_pended_request_cancels_it(request_: dict[str, Any]) -> None:
    change = lifecycle.superseded(case_for(request_), Superseding("PA-9", "cancellation", OTHERS), AT)
    assert (stored(change).state, change.case.closed_at) == ("cancelled", AT)


@pytest.mark.parametrize(
    ("case", "requester", "state"),
    [
        (final_case("A1", "A1"), OWN, "cancelled"),
        (final_case("A1", "A3"), OWN, "cancelled"),
        (final_case("A1", "A1"), OTHERS, "final"),
        (final_case("A3", "A3"), OWN, "final"),
        (case_for(FINAL), OWN, "cancelled"),
    ],
)
def test_only_the_requester_cancels_an_approval(case: Case, requester: str, state: str) -> None:
    assert lifecycle.superseded(case, Superseding("PA-9", "cancellation", requester), AT).case.state == state


@pytest.mark.parametrize("certification", ["revision", "extension", "renewal", "reconsideration"])
def test_a_request_of_its_own_does_not_end_an_approval(certification: str) -> None:
    case = final_case("A1", "A1")
    change = lifecycle.superseded(case, Superseding("PA-9", certification, OWN), AT)
    assert (change.case, change.rejected, change.told) == (case, None, ())


@pytest.mark.parametrize("certification", ["revision", "extension", "renewal"])
def test_the_link_of_a_request_that_revises_a_denial_is_refused(certification: str) -> None:
    case = final_case("A3", "A3")
    change = lifecycle.superseded(case, Superseding("PA-9", certification, OWN), AT)
    assert refusal(change) == ("denied_link", ["supersedes"])
    assert change.rejected is not None
    assert (change.case, change.rejected.request_id) == (case, "PA-9")
    assert change.told == (("PA-9", LinkJudged("PA-1", stands=False)),)


def test_an_appeal_of_a_denial_is_linked_and_leaves_it() -> None:
    case = final_case("A3", "A3")
    change = lifecycle.superseded(case, Superseding("PA-9", "reconsideration", OWN), AT)
    assert (change.case, change.rejected, change.told) == (case, None, ())


@pytest.mark.parametrize("certification", ["revision", "cancellation"])
def test_verdicts_and_extensions_of_a_closed_case_are_refused(certification: str) -> None:
    before = case_for(RECOMMENDED)
    case = stored(lifecycle.superseded(before, Superseding("PA-9", certification, OWN), AT))
    assert refusal(reviewed(case, on(before, (1, "A1")))) == ("verdict_refused", ["request_id"])
    assert refusal(extended(case, "2025-06-12T09:30:00-05:00")) == ("verdict_refused", ["request_id"])
    assert lifecycle.superseded(case, Superseding("PA-10", "revision", OWN), AT).case == case


# --- links ----------------------------------------------------------------------------------------------------------


def test_a_case_whose_link_stands_tells_the_superseded_one() -> None:
    case = case_for(RECOMMENDED | {"request_id": "PA-9", "supersedes": "PA-1", "certification": "revision"})
    change = lifecycle.judged(case, LinkJudged("PA-1", stands=True))
    assert change.told == (("PA-1", Superseding("PA-9", "revision", OWN)),)
    again = lifecycle.judged(stored(change), LinkJudged("PA-1", stands=True))
    assert (again.case.link, again.told) == ("stands", ())


def test_a_case_whose_link_is_refused_tells_nobody() -> None:
    case = case_for(RECOMMENDED | {"request_id": "PA-9", "supersedes": "PA-1", "certification": "revision"})
    change = lifecycle.judged(case, LinkJudged("PA-1", stands=False))
    assert (stored(change).link, change.told) == ("refused", ())


# --- extensions -----------------------------------------------------------------------------------------------------


def test_an_extension_arms_a_running_clock_again() -> None:
    before = stored(lifecycle.passed(case_for(RECOMMENDED), instant("2025-06-08T15:00:00Z")))
    assert before.announced == ("due_soon",)
    change = extended(before, "2025-06-16T09:30:00-05:00")
    assert change.decision is not None
    assert (change.became, change.case.state, change.case.extended) == ("extended", "recommended", True)
    assert (change.case.due_at, change.case.announced) == ("2025-06-16T09:30:00-05:00", ())
    decision = json.loads(change.decision.to_json())
    assert (decision["due_at"], decision["supersedes_decision"]) == (change.case.due_at, before.decision_id)
    assert extended(stored(change), "2025-06-16T09:30:00-05:00").became == "duplicate"
    conflict = extended(stored(change), "2025-06-17T09:30:00-05:00")
    assert refusal(conflict) == ("conflicting_duplicate", ["extension_id"])


def test_an_extension_to_the_same_moment_announces_nothing_anew() -> None:
    before = stored(lifecycle.passed(case_for(RECOMMENDED), instant("2025-06-08T15:00:00Z")))
    change = extended(before, "2025-06-09T14:30:00Z")
    assert (change.became, change.case.announced) == ("extended", ("due_soon",))


def test_an_extension_never_makes_it_shorter() -> None:
    assert refusal(extended(case_for(RECOMMENDED), "2025-06-09T09:29:59-05:00")) == ("verdict_refused", ["until"])


def test_only_a_running_clock_is_extended() -> None:
    assert refusal(extended(case_for(WAITING), "2025-06-16T09:30:00-05:00")) == ("verdict_refused", ["request_id"])


# --- time -----------------------------------------------------------------------------------------------------------


def kinds(change: Change) -> Sequence[tuple[str, bool]]:
    return [(one.kind, one.late) for one in change.announced]


def test_a_deadline_is_announced_once_before_and_once_after_it() -> None:
    case = case_for(RECOMMENDED)
    due = case.due
    assert due is not None
    assert kinds(lifecycle.passed(case, due - timedelta(hours=24, seconds=1))) == []
    soon = lifecycle.passed(case, due - timedelta(hours=24))
    assert kinds(soon) == [("due_soon", False)]
    assert kinds(lifecycle.passed(stored(soon), due - timedelta(seconds=1))) == []
    over = lifecycle.passed(stored(soon), due)
    assert kinds(over) == [("overdue", False)]
    assert kinds(lifecycle.passed(stored(over), due + timedelta(days=9))) == []
    assert lifecycle.next_moment(stored(over)) is None


def test_after_an_outage_both_are_announced_and_late() -> None:
    change = lifecycle.passed(case_for(RECOMMENDED), instant("2025-07-01T00:00:00Z"))
    assert kinds(change) == [("due_soon", True), ("overdue", True)]


def test_an_announcement_names_its_moment() -> None:
    case = case_for(RECOMMENDED)
    first, second = lifecycle.passed(case, instant("2025-07-01T00:00:00Z")).announced
    later = lifecycle.passed(stored(extended(case, "2025-06-16T09:30:00-05:00")), instant("2025-07-01T00:00:00Z"))
    ids = [one.event_id() for one in (first, second, *later.announced)]
    assert len(set(ids)) == len(ids) == 4


def test_an_expedited_request_is_announced_eight_hours_before() -> None:
    case = case_for(RECOMMENDED | {"urgency": "expedited"})
    assert (case.due_at, case.due_soon_at) == ("2025-06-04T09:30:00-05:00", "2025-06-04T01:30:00-05:00")


@pytest.mark.parametrize("request_", [WAITING, FINAL], ids=["no clock runs", "final"])
def test_time_makes_nothing_of_a_case_whose_clock_does_not_run(request_: dict[str, Any]) -> None:
    case = case_for(request_)
    assert lifecycle.passed(case, instant("2030-01-01T00:00:00Z")).case == case
