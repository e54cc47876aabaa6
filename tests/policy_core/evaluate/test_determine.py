"""One request under the packaged policy: the steps in their order, and what is said beside a determination."""

from collections.abc import Mapping
from datetime import datetime
from itertools import combinations
from typing import Any

import pytest

from policy_core.determinations import CONSEQUENCES, Action, ActsNext, Consequence, Determination, overall
from policy_core.diagrams.editions import Status
from policy_core.document.models import ClockAssignment, PolicyDocument
from policy_core.evaluate.case import Case, Diagnosis
from policy_core.evaluate.deadline import ClockState
from policy_core.evaluate.determine import MissingFact, Policy, Step
from policy_core.evaluate.facts import Claim
from policy_core.publications.publication import publications
from tests.support.cases import COVERED, case, decided, first_line, icd10, line, packaged, with_fact

MODIFIED: Mapping[str, Any] = {"infusion": {"leukocyte_modification": "other"}}


# --- the steps -------------------------------------------------------------------------------------

STEPS: dict[Step, dict[str, Any]] = {
    Step.CANCELLATION: {"certification": "cancellation"},
    Step.POLICY_ON_RECORD: {"day": "2010-06-10"},
    Step.EXCEPTION: {"line_of_business": "fep"},
    Step.CODE_VALID: {"code": "3824"},
    Step.CODE_LISTED: {"code": "99213"},
    Step.PRIOR_AUTHORIZATION: {"submitted_at": datetime.fromisoformat("2024-06-11T00:00:00-05:00")},
    Step.CLINICAL_STATEMENTS: {"clinical": MODIFIED},
}
"""What makes each step apply to a covered request; they stand together, the earlier one's code before the later's."""
DETERMINATIONS = {
    Step.CANCELLATION: Determination.CANCELLED,
    Step.POLICY_ON_RECORD: Determination.POLICY_NOT_ON_RECORD,
    Step.EXCEPTION: Determination.REDIRECTED,
    Step.CODE_VALID: Determination.INVALID_CODE,
    Step.CODE_LISTED: Determination.NOT_ADDRESSED,
    Step.PRIOR_AUTHORIZATION: Determination.NO_PRIOR_AUTHORIZATION,
    Step.CLINICAL_STATEMENTS: Determination.INVESTIGATIONAL,
}


def meeting(*steps: Step) -> Case:
    changes: dict[str, Any] = {}
    for step in reversed(steps):
        changes |= STEPS[step]
    service = {name: changes.pop(name) for name in ("day", "code") if name in changes}
    return case(line(**service), **changes)


@pytest.mark.parametrize("step", Step)
def test_each_step_decides_what_it_alone_applies_to(step: Step) -> None:
    answer = first_line(meeting(step)).answer

    assert (step, DETERMINATIONS[step]) == (answer.step, answer.determination)


@pytest.mark.parametrize(("earlier", "later"), list(combinations(Step, 2)))
def test_of_two_steps_that_apply_the_earlier_decides(earlier: Step, later: Step) -> None:
    answer = first_line(meeting(earlier, later)).answer

    assert (earlier, DETERMINATIONS[earlier]) == (answer.step, answer.determination)


def test_when_every_step_applies_the_first_decides() -> None:
    assert first_line(meeting(*Step)).answer.step is Step.CANCELLATION


def test_a_covered_request_is_medically_necessary() -> None:
    """A covered request is medically necessary, with the rule and the statement that carry it."""
    answer = first_line(case()).answer

    assert (answer.determination, answer.reasons) == (Determination.MEDICALLY_NECESSARY, ())
    assert (answer.rules, answer.rests_on) == (("covered-indication",), ("S1",))


def test_each_line_has_its_own_determination_and_order() -> None:
    lines = [line(), line(code="99213"), line(code="3824"), line("2010-06-10")]

    result = decided(case(*lines, has_prior_authorization=True))

    expected = ["medically_necessary", "not_addressed", "invalid_code", "policy_not_on_record"]
    assert expected == [one.answer.determination for one in result.lines]
    assert lines == [one.line for one in result.lines]


@pytest.mark.parametrize("business", ["fep", "state_and_school"])
def test_a_redirected_line_names_the_program_that_answers(business: str) -> None:
    answer = first_line(case(line_of_business=business)).answer

    program = answer.program
    assert program is not None
    assert ("vendor" in program.name) == (business == "state_and_school")
    assert (program.says.startswith("Ask "), answer.missing) == (True, ())


def test_an_unlisted_code_is_never_a_refusal() -> None:
    found = first_line(case(line(code="99213")))

    assert (found.answer.reasons, found.answer.rests_on) == (("code_not_listed",), ("code-list",))
    assert (found.action, found.acts_next) == (Action.PENDED, ActsNext.MEDICAL_POLICY_REVIEWER)


# --- prior authorization ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("submitted_at", "service", "expected"),
    [
        ("2024-06-10T00:00:00-05:00", "2024-06-09", Step.PRIOR_AUTHORIZATION),
        ("2024-06-10T23:59:59-05:00", "2024-06-10", Step.CLINICAL_STATEMENTS),
        ("2024-06-10T00:00:00-05:00", "2024-06-11", Step.CLINICAL_STATEMENTS),
        # In UTC it is the 11th already, and in Tokyo the 11th when it is the 10th in UTC: what counts is as written.
        ("2024-06-10T20:00:00-05:00", "2024-06-10", Step.CLINICAL_STATEMENTS),
        ("2024-06-11T08:00:00+09:00", "2024-06-10", Step.PRIOR_AUTHORIZATION),
    ],
)
def test_the_service_must_not_precede_the_request(submitted_at: str, service: str, expected: Step) -> None:
    """The service must not come before the day of the request at the place where it was written."""
    asked = case(line(service), submitted_at=datetime.fromisoformat(submitted_at))

    assert expected == first_line(asked).answer.step


def test_a_prior_authorization_lets_the_service_come_first() -> None:
    asked = case(line("2024-01-02"), has_prior_authorization=True)

    assert first_line(asked).answer.determination is Determination.MEDICALLY_NECESSARY


# --- facts that are missing ------------------------------------------------------------------------


@pytest.mark.parametrize("modification", ["genetic", "other"])
def test_modified_leukocytes_are_decided_with_nothing_else_known(modification: str) -> None:
    clinical = {"infusion": {"leukocyte_modification": modification}}

    answer = first_line(case(clinical=clinical)).answer

    assert (answer.determination, answer.missing, answer.rests_on) == (Determination.INVESTIGATIONAL, (), ("S4",))


def test_only_facts_that_can_change_the_answer_are_asked_for() -> None:
    """Only the facts that can change the determination are asked for."""
    clinical = with_fact("disease_status", None)

    found = first_line(case(clinical=clinical))

    expected = [
        "clinical.transplant.graft_t_cell_depleted",
        "clinical.transplant.conditioning",
        "clinical.disease_status",
        "clinical.chimerism",
        "clinical.purposes",
    ]
    assert found.answer.determination is Determination.INFORMATION_NEEDED
    assert expected == [missing.path for missing in found.answer.missing]
    assert found.acts_next is ActsNext.PROVIDER


def test_a_missing_fact_comes_with_its_question() -> None:
    clinical = with_fact("transplant.original_determination", None)

    missing = first_line(case(clinical=clinical)).answer.missing

    question = "Was the original transplant considered medically necessary or investigational?"
    assert (MissingFact("clinical.transplant.original_determination", question),) == missing


def test_a_contradicted_fact_is_asked_for_with_its_claims() -> None:
    """A fact whose sources contradict each other is asked for, with the claims that conflict."""
    asked = case(clinical=with_fact("malignancy", "nonhematologic"), diagnoses=icd10("C92.02"))

    answer = first_line(asked).answer

    claims = (Claim("nonhematologic", ()), Claim("hematologic", icd10("C92.02")))
    assert answer.determination is Determination.INFORMATION_NEEDED
    assert [("clinical.malignancy", claims)] == [(one.path, one.conflict) for one in answer.missing]


def test_a_contradiction_that_cannot_matter_is_not_asked_for() -> None:
    clinical = {**MODIFIED, "malignancy": "nonhematologic"}

    answer = first_line(case(clinical=clinical, diagnoses=icd10("C92.02"))).answer

    assert (answer.determination, answer.missing) == (Determination.INVESTIGATIONAL, ())


def test_a_code_answers_what_nobody_states() -> None:
    clinical = with_fact("malignancy", None, with_fact("disease_status", None))

    assert first_line(case(clinical=clinical)).answer.determination is Determination.INFORMATION_NEEDED
    coded = first_line(case(clinical=clinical, diagnoses=icd10("C92.02")))
    assert coded.answer.determination is Determination.MEDICALLY_NECESSARY


def test_completions_with_different_reasons_give_all_reasons() -> None:
    """Completions that differ only in their reason are decided, with all the reasons."""
    clinical = with_fact("infusion.donor_is_transplant_donor", value=False, clinical=with_fact("malignancy", "none"))
    known = first_line(case(clinical=clinical)).answer
    turned_off = Policy(without_presumptions())
    unknown = first_line(case(clinical=with_fact("malignancy", "none")), turned_off).answer

    assert (known.reasons, known.rules) == (("not_dli_by_definition",), ("another-donor",))
    assert unknown.reasons == ("not_dli_by_definition", "not_a_malignancy")
    assert unknown.rules == ("another-donor", "no-malignancy")
    assert unknown.rests_on == ("what-it-is", "S1", "S2", "S3")


def without_presumptions() -> PolicyDocument:
    document = packaged().document
    facts = [
        fact.model_copy(update={"presumed": fact.presumed.model_copy(update={"enabled": False})})
        if fact.presumed
        else fact
        for fact in document.facts
    ]
    return document.model_copy(update={"facts": tuple(facts)})


def test_a_fact_without_its_presumption_is_asked_for() -> None:
    """A fact whose presumption is turned off is asked for."""
    asked = first_line(case(), Policy(without_presumptions())).answer

    assert first_line(case()).answer.missing == ()
    assert [one.path for one in asked.missing] == ["clinical.infusion.donor_is_transplant_donor"]


def test_every_statement_tells_its_own_status() -> None:
    result = decided(case(clinical=with_fact("transplant.original_determination", None)))

    (finding,) = result.findings
    assert finding.statuses == {
        "S1": Status.UNKNOWN,
        "S2": Status.UNKNOWN,
        "S3": Status.DOES_NOT_APPLY,
        "S4": Status.DOES_NOT_APPLY,
        "S1-relapsed": Status.APPLIES,
        "S1-refractory": Status.DOES_NOT_APPLY,
        "S1-prevent-relapse": Status.UNKNOWN,
        "S1-convert-chimerism": Status.UNKNOWN,
    }


def test_only_the_editions_that_a_line_asked_are_told_of() -> None:
    result = decided(case(line("2012-01-01"), line("2024-06-10"), line(code="99213"), has_prior_authorization=True))

    assert [one.since.isoformat() for one in result.findings] == ["2011-08-11", "2016-03-08"]
    assert decided(case(line(code="3824"))).findings == ()


def test_a_policy_is_known_through_its_own_newest_publication() -> None:
    """Unless it is told a later one, such as that of a correction."""
    document = packaged().document

    assert Policy(document).known_through == publications(document)[-1].digest
    assert Policy(document, "5e" * 32).known_through == "5e" * 32


def test_a_case_is_determined_alike_and_shows_no_personal_data() -> None:
    """The same case is determined alike every time and shows no personal data."""
    asked = case(diagnoses=icd10("C92.02"))

    assert decided(asked) == Policy(packaged().document).determine(asked)
    assert "C92" not in repr(asked)


# --- guidance and definitions ----------------------------------------------------------------------

ALWAYS = "benefit-plan-language"


def guidance(asked: Case) -> set[str]:
    return set(first_line(asked).guidance)


@pytest.mark.parametrize("step", Step)
def test_every_line_is_told_that_the_benefit_plan_prevails(step: Step) -> None:
    assert ALWAYS in guidance(meeting(step))


def test_a_donor_line_says_who_bears_the_expense() -> None:
    """A line performed on the donor gets guidance that says whose expense it is."""
    assert "donor-leukapheresis" in guidance(case(line(on="donor")))
    assert "donor-leukapheresis" not in guidance(case())


STORED = ["C92.00", "C92.01", "C92.10", "C92.22", "C92.4", "C92.50", "C92.62", "C92.A0", "C93.02", "C94.00", "C94.20"]
NOT_STORED = ["C92.30", "C92.90", "C92.Z0", "C91.00", "C93.10", "C94.30", "C94.40", "D46.9"]


@pytest.mark.parametrize(("code", "concerned"), [*((c, True) for c in STORED), *((c, False) for c in NOT_STORED)])
def test_cml_and_aml_are_told_that_leukocytes_may_be_stored(code: str, *, concerned: bool) -> None:
    assert concerned == ("stored-leukocytes" in guidance(case(diagnoses=icd10("Z94.84", code))))


def test_no_icd_9_code_is_told_that_leukocytes_may_be_stored() -> None:
    assert "stored-leukocytes" not in guidance(case(diagnoses=(Diagnosis("icd-9-cm", "C92.00"),)))


@pytest.mark.parametrize(
    ("code", "shared"), [("86812", True), ("86813", True), ("86817", True), ("86950", True), ("38242", False)]
)
def test_typing_and_transfusion_share_a_determination(code: str, *, shared: bool) -> None:
    """Typing and transfusion lines share the infusion's determination."""
    found = first_line(case(line(code=code)))

    assert shared == ("shared-determination" in found.guidance)
    assert first_line(case()).answer == found.answer


def test_an_unlisted_high_risk_setting_gets_the_listed_ones() -> None:
    """A request with an unlisted high-risk setting gets guidance that says which settings are listed."""
    clinical = {
        **COVERED,
        "disease_status": "remission",
        "purposes": ["prevent_relapse"],
        "other_high_relapse_risk": True,
    }
    clinical = with_fact("transplant.conditioning", "myeloablative", clinical)
    asked = case(clinical=with_fact("transplant.graft_t_cell_depleted", value=False, clinical=clinical))

    assert first_line(asked).answer.reasons == ("unlisted_high_risk_setting",)
    assert guidance(asked) == {ALWAYS, "high-risk-settings"}


def test_a_determination_cites_the_definition_of_its_word() -> None:
    assert guidance(case()) == {ALWAYS, "medically-necessary"}
    assert guidance(case(clinical=MODIFIED)) == {ALWAYS, "investigative"}
    assert guidance(case(clinical=with_fact("transplant.type", "none"))) == {ALWAYS}


# --- deadlines -------------------------------------------------------------------------------------

UNKNOWN = with_fact("disease_status", None)


def under_the_second_clock() -> Policy:
    assigned = (ClockAssignment(line_of_business="commercial", clock="cms-0057-f"),)
    return Policy(packaged().document.model_copy(update={"clock_for": assigned}))


def due(policy: Policy, **header: Any) -> tuple[str, str | None]:
    deadline = decided(case(**header), policy).deadline
    return deadline.state.value, deadline.due_at.isoformat() if deadline.due_at else None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({}, ("answered", "2024-06-10T09:00:00-05:00")),
        ({"urgency": "expedited"}, ("answered", "2024-06-05T09:00:00-05:00")),
        ({"clinical": MODIFIED}, ("running", "2024-06-10T09:00:00-05:00")),
        ({"clinical": UNKNOWN}, ("waiting_for_information", None)),
        ({"clinical": UNKNOWN, "urgency": "expedited"}, ("waiting_for_information", None)),
        ({"line_of_business": "fep"}, ("no_clock", None)),
        ({"line_of_business": "state_and_school"}, ("no_clock", None)),
    ],
)
def test_the_states_clock_starts_when_all_information_is_there(
    header: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    assert expected == due(packaged(), **header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({}, ("answered", "2024-06-10T09:00:00-05:00")),
        ({"clinical": MODIFIED, "urgency": "expedited"}, ("running", "2024-06-06T09:00:00-05:00")),
        ({"clinical": UNKNOWN}, ("running", "2024-06-10T09:00:00-05:00")),
        ({"clinical": UNKNOWN, "urgency": "expedited"}, ("running", "2024-06-06T09:00:00-05:00")),
    ],
)
def test_the_federal_clock_starts_at_submission(header: dict[str, Any], expected: tuple[str, str | None]) -> None:
    """The federal clock starts at submission, whatever information is missing."""
    assert expected == due(under_the_second_clock(), **header)


@pytest.mark.parametrize(
    ("submitted_at", "expected"),
    [
        ("2024-02-26T09:00:00-06:00", "2024-03-04T09:00:00-06:00"),
        ("2024-03-08T23:30:00-06:00", "2024-03-15T23:30:00-06:00"),  # the clocks change, the request's offset does not
        ("2023-12-28T00:00:00+00:00", "2024-01-04T00:00:00+00:00"),
        ("2024-01-01T00:00:00.250000+05:45", "2024-01-08T00:00:00.250000+05:45"),
    ],
)
def test_a_deadline_is_elapsed_time_in_the_requests_own_offset(submitted_at: str, expected: str) -> None:
    assert due(packaged(), submitted_at=datetime.fromisoformat(submitted_at))[1] == expected


def test_one_line_that_needs_information_holds_the_request() -> None:
    """One line that needs information makes the whole request wait."""
    result = decided(case(line(code="3824"), line(), clinical=UNKNOWN))

    assert result.deadline.state is ClockState.WAITING_FOR_INFORMATION
    assert result.deadline.clock is not None
    assert result.deadline.clock.id == "ms-prior-authorization-reform-act"


def test_nothing_is_awaited_if_no_line_needs_statements() -> None:
    """Nothing is awaited where no line asks for the clinical statements."""
    assert due(packaged(), clinical=UNKNOWN, certification="cancellation") == ("answered", "2024-06-10T09:00:00-05:00")


# --- consequences ----------------------------------------------------------------------------------


def test_every_determination_has_its_consequence() -> None:
    nobody, provider = ActsNext.NOBODY, ActsNext.PROVIDER
    physician, policy = ActsNext.PHYSICIAN_REVIEWER, ActsNext.MEDICAL_POLICY_REVIEWER
    expected = {
        "medically_necessary": ("A1", nobody),
        "information_needed": ("A4", provider),
        "investigational": ("A4", physician),
        "not_medically_necessary": ("A4", physician),
        "criteria_not_met": ("A4", physician),
        "not_addressed": ("A4", policy),
        "policy_not_on_record": ("A4", policy),
        "no_prior_authorization": ("A4", ActsNext.CASE_MANAGEMENT),
        "redirected": ("CT", ActsNext.OTHER_PROGRAM),
        "invalid_code": ("A4", provider),
        "cancelled": ("C", nobody),
    }

    assert {word: Consequence(Action(action), who) for word, (action, who) in expected.items()} == CONSEQUENCES
    assert set(Determination) == set(CONSEQUENCES)


def test_no_determination_refuses_or_modifies_care() -> None:
    assert {"A3", "A6"}.isdisjoint(Action)
    assert {"A3", "A6"}.isdisjoint(one.action.value for one in CONSEQUENCES.values())


OVERALL = {
    "A1": "A1",
    "A2": "A2",
    "A4": "A4",
    "C": "C",
    "CT": "CT",
    "A1 A2": "A2",
    "A1 A4": "A4",
    "A1 C": "A2",
    "A1 CT": "A2",
    "A2 A4": "A4",
    "A4 C": "A4",
    "A4 CT": "A4",
    "C CT": "A4",
    "A1 A4 C": "A4",
    "A1 A4 CT": "A4",
    "A1 C CT": "A2",
    "A4 C CT": "A4",
    "A1 A4 C CT": "A4",
}


@pytest.mark.parametrize(("actions", "expected"), OVERALL.items())
def test_a_requests_action_follows_from_its_lines_actions(actions: str, expected: str) -> None:
    """A request's action follows from the set of its lines' actions."""
    lines = [Action(one) for one in actions.split()]

    assert expected == overall(lines)
    assert expected == overall(lines[::-1])
    assert expected == overall(lines * 2)


def test_the_table_has_every_set_of_the_actions_that_lines_have() -> None:
    possible = sorted({one.action.value for one in CONSEQUENCES.values()})
    sets = {" ".join(some) for size in range(1, 5) for some in combinations(possible, size)}

    assert sets <= set(OVERALL)
    assert possible == ["A1", "A4", "C", "CT"]
