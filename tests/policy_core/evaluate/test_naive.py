"""The second opinion itself: counted, worked by hand, and compared with its own faster form."""

import random
from collections.abc import Mapping
from functools import cache
from itertools import product
from math import prod
from typing import Any, Final, get_args

import pytest

from tests.support import naive
from tests.support.naive import CONVERT, FACTS, PREVENT, Edition, Value

EDITIONS: tuple[Edition, ...] = get_args(Edition)

RELAPSED: Mapping[str, Value] = {
    naive.MALIGNANCY: "hematologic",
    naive.TRANSPLANT: "allogeneic",
    naive.ORIGINAL: "medically_necessary",
    naive.DEPLETED: False,
    naive.CONDITIONING: "myeloablative",
    naive.STATUS: "relapsed",
    naive.CHIMERISM: "full_donor",
    naive.PURPOSES: frozenset(),
    naive.OTHER_RISK: False,
    naive.MODIFICATION: "none",
    naive.SAME_DONOR: True,
}
"""A covered case: relapse after an allogeneic transplant. REMISSION is the same without an indication."""
REMISSION: Mapping[str, Value] = {**RELAPSED, naive.STATUS: "remission"}

# What differs from REMISSION, the row, and its answers from 2016 and from 2011.
PUBLISHED: Final = "2016-03-08"
NOT_RECORDED: Final = "2011-08-11"
NECESSARY, INVESTIGATIONAL, OFF_RECORD = "medically_necessary", "investigational", "policy_not_on_record"
TO_PREVENT, TO_CONVERT = frozenset({PREVENT}), frozenset({CONVERT})
ROWS: list[tuple[dict[str, Value], str, str, str, str | None]] = [
    ({naive.MODIFICATION: "genetic"}, "a", INVESTIGATIONAL, OFF_RECORD, None),
    ({naive.MODIFICATION: "other", naive.SAME_DONOR: False}, "a", INVESTIGATIONAL, OFF_RECORD, None),
    (
        {naive.SAME_DONOR: False, naive.MALIGNANCY: "none"},
        "b",
        "not_addressed",
        "not_addressed",
        "not_dli_by_definition",
    ),
    (
        {naive.MALIGNANCY: "none", naive.TRANSPLANT: "none"},
        "c",
        "not_addressed",
        "not_addressed",
        "not_a_malignancy",
    ),
    (
        {naive.TRANSPLANT: "autologous", naive.MALIGNANCY: "nonhematologic"},
        "d",
        "criteria_not_met",
        "criteria_not_met",
        "no_allogeneic_transplant",
    ),
    (
        {naive.TRANSPLANT: "none", naive.STATUS: "relapsed"},
        "d",
        "criteria_not_met",
        "criteria_not_met",
        "no_allogeneic_transplant",
    ),
    (
        {naive.MALIGNANCY: "nonhematologic", naive.ORIGINAL: "investigational"},
        "e",
        INVESTIGATIONAL,
        OFF_RECORD,
        None,
    ),
    ({naive.ORIGINAL: "investigational", naive.STATUS: "relapsed"}, "f", INVESTIGATIONAL, OFF_RECORD, None),
    ({naive.STATUS: "relapsed"}, "g", NECESSARY, NECESSARY, None),
    ({naive.PURPOSES: TO_PREVENT, naive.DEPLETED: True}, "g", NECESSARY, NECESSARY, None),
    ({naive.PURPOSES: TO_PREVENT, naive.CONDITIONING: "reduced_intensity"}, "g", NECESSARY, NECESSARY, None),
    ({naive.PURPOSES: TO_PREVENT, naive.CONDITIONING: "nonmyeloablative"}, "g", NECESSARY, NECESSARY, None),
    ({naive.PURPOSES: TO_CONVERT, naive.CHIMERISM: "mixed"}, "g", NECESSARY, NECESSARY, None),
    (
        {naive.STATUS: "refractory", naive.PURPOSES: TO_CONVERT, naive.CHIMERISM: "mixed"},
        "g",
        NECESSARY,
        NECESSARY,
        None,
    ),
    (
        {naive.PURPOSES: TO_PREVENT, naive.OTHER_RISK: True},
        "h",
        "not_addressed",
        "not_addressed",
        "unlisted_high_risk_setting",
    ),
    ({}, "i", "criteria_not_met", "criteria_not_met", "no_covered_indication"),
    ({naive.OTHER_RISK: True}, "i", "criteria_not_met", "criteria_not_met", "no_covered_indication"),
    ({naive.PURPOSES: TO_PREVENT}, "i", "criteria_not_met", "criteria_not_met", "no_covered_indication"),
    ({naive.DEPLETED: True}, "i", "criteria_not_met", "criteria_not_met", "no_covered_indication"),
    (
        {naive.PURPOSES: TO_CONVERT, naive.CHIMERISM: "recipient"},
        "i",
        "criteria_not_met",
        "criteria_not_met",
        "no_covered_indication",
    ),
    ({naive.CHIMERISM: "mixed"}, "i", "criteria_not_met", "criteria_not_met", "no_covered_indication"),
]


@cache
def all_partial(edition: Edition) -> naive.Partial:
    return naive.all_partial(edition)


def names(bits: int, words: list[str]) -> set[str]:
    return {word for bit, word in enumerate(words) if bits >> bit & 1}


def look_up(edition: Edition, known: Mapping[str, Value]) -> tuple[str, set[str], set[str]]:
    table = all_partial(edition)
    index = tuple(values.index(known[fact]) if fact in known else len(values) for fact, values in FACTS.items())
    return (
        naive.DETERMINATIONS[table.determination[index]],
        names(int(table.reasons[index]), list(naive.REASONS)),
        names(int(table.missing[index]), list(FACTS)),
    )


def by_definition(edition: Edition, known: Mapping[str, Value]) -> tuple[str, set[str], set[str]]:
    """The definition word for word, in Python alone: slow, for few unknowns."""
    completions = [
        dict(zip(FACTS, values, strict=True))
        for values in product(*((known[fact],) if fact in known else FACTS[fact] for fact in FACTS))
    ]
    answers = [naive.decide_complete(edition, facts) for facts in completions]
    if len({determination for determination, _, _ in answers}) == 1:
        return answers[0][0], {reason for _, reason, _ in answers if reason is not None}, set()
    missing = {
        fact
        for one, (first, _, _) in zip(completions, answers, strict=True)
        for other, (second, _, _) in zip(completions, answers, strict=True)
        if first != second
        for fact in FACTS
        if {f for f in FACTS if one[f] != other[f]} == {fact}
    }
    return "information_needed", set(), missing


def sample(seed: int, count: int, unknown: float) -> list[dict[str, Value]]:
    rng = random.Random(seed)
    return [
        {fact: rng.choice(values) for fact, values in FACTS.items() if rng.random() >= unknown} for _ in range(count)
    ]


# --- Counts ----------------------------------------------------------------------------------------


def test_the_fact_space_has_the_expected_number_of_cases() -> None:
    """The fact space has 46,656 complete and 1,658,880 partial cases."""
    assert prod(len(values) for values in FACTS.values()) == 46_656
    assert prod(len(values) + 1 for values in FACTS.values()) == 1_658_880
    for edition in EDITIONS:
        assert naive.all_complete(edition).determination.size == 46_656
        assert all_partial(edition).determination.size == 1_658_880


def test_rows_a_to_c_have_their_arithmetic_share_of_cases() -> None:
    """Rows a to c decide the share of cases that arithmetic gives them."""
    table = naive.all_complete(PUBLISHED)
    modified = 46_656 * 2 // 3
    other_donor = (46_656 - modified) // 2
    none = (46_656 - modified - other_donor) // 3
    not_allogeneic = (46_656 - modified - other_donor - none) * 2 // 3
    reasons = {word: int((table.reasons == 1 << bit).sum()) for bit, word in enumerate(naive.REASONS)}
    assert reasons["not_dli_by_definition"] == other_donor
    assert reasons["not_a_malignancy"] == none
    assert reasons["no_allogeneic_transplant"] == not_allogeneic
    # Rows e and f: half of the allogeneic rest, then half of the other half.
    allogeneic = 46_656 - modified - other_donor - none - not_allogeneic
    investigational = int((table.determination == naive.DETERMINATIONS.index(INVESTIGATIONAL)).sum())
    assert investigational == modified + allogeneic // 2 + allogeneic // 4


# --- Rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "row", "published", "recorded", "reason"), ROWS)
def test_each_row(changes: dict[str, Value], row: str, published: str, recorded: str, reason: str | None) -> None:
    facts = {**REMISSION, **changes}
    assert naive.decide_complete(PUBLISHED, facts) == (published, reason, row)
    assert naive.decide_complete(NOT_RECORDED, facts) == (recorded, reason, row)


@pytest.mark.parametrize("purposes", FACTS[naive.PURPOSES])
def test_refractory_alone_is_an_indication_in_both_editions(purposes: Value) -> None:
    facts = {**REMISSION, naive.STATUS: "refractory", naive.PURPOSES: purposes, naive.OTHER_RISK: True}
    assert naive.decide_complete(PUBLISHED, facts) == ("medically_necessary", None, "g")
    assert naive.decide_complete(NOT_RECORDED, facts) == ("medically_necessary", None, "g")


def test_every_row_of_both_editions_decides_some_case() -> None:
    cases = sample(7, 20_000, 0.0)
    for edition in (PUBLISHED, NOT_RECORDED):
        assert {naive.decide_complete(edition, facts)[2] for facts in cases} == set("abcdefghi")


# --- Missing facts ---------------------------------------------------------------------------------


def without(facts: Mapping[str, Value], *unknown: str) -> dict[str, Value]:
    return {fact: value for fact, value in facts.items() if fact not in unknown}


def test_modified_leukocytes_are_decided_with_nothing_else_known() -> None:
    known = {naive.MODIFICATION: "genetic"}
    assert naive.decide_partial(PUBLISHED, known) == ("investigational", set(), set())
    assert naive.decide_partial(NOT_RECORDED, known) == ("policy_not_on_record", set(), set())


def test_a_relapse_needs_no_further_facts() -> None:
    """A relapse needs no conditioning, graft, chimerism or purpose to be decided."""
    known = without(RELAPSED, naive.CONDITIONING, naive.DEPLETED, naive.CHIMERISM, naive.PURPOSES)
    assert naive.decide_partial(PUBLISHED, known) == ("medically_necessary", set(), set())


def test_a_fact_that_changes_nothing_is_not_asked_for() -> None:
    """A fact that cannot change the determination is not asked for."""
    known = without(REMISSION, naive.PURPOSES, naive.CONDITIONING)
    # The chimerism is not mixed and there is no other high risk: only conditioning with the purpose decides.
    assert naive.decide_partial(PUBLISHED, known) == (
        "information_needed",
        set(),
        {naive.PURPOSES, naive.CONDITIONING},
    )
    depleted = {**known, naive.DEPLETED: True}
    assert naive.decide_partial(PUBLISHED, depleted) == ("information_needed", set(), {naive.PURPOSES})


def test_completions_with_different_reasons_give_all_reasons() -> None:
    """Completions that differ only in their reason are decided, with all the reasons."""
    known = without({**RELAPSED, naive.MALIGNANCY: "none"}, naive.SAME_DONOR)
    assert naive.decide_partial(PUBLISHED, known) == (
        "not_addressed",
        {"not_dli_by_definition", "not_a_malignancy"},
        set(),
    )
    known = without(REMISSION, naive.TRANSPLANT, naive.CONDITIONING)
    assert naive.decide_partial(PUBLISHED, known) == (
        "criteria_not_met",
        {"no_allogeneic_transplant", "no_covered_indication"},
        set(),
    )


def test_nothing_known_needs_everything() -> None:
    for edition in EDITIONS:
        assert naive.decide_partial(edition, {}) == ("information_needed", set(), set(FACTS))


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_table_of_partial_cases_agrees_with_enumeration(edition: Edition) -> None:
    """The table of all partial cases says what enumeration says."""
    cases = sample(11, 300, 0.5) + sample(12, 300, 0.25) + sample(13, 100, 0.0)
    assert [look_up(edition, known) for known in cases] == [naive.decide_partial(edition, known) for known in cases]


@pytest.mark.parametrize("edition", EDITIONS)
def test_enumeration_says_what_the_definition_says(edition: Edition) -> None:
    allogeneic: dict[str, Value] = {
        naive.MODIFICATION: "none",
        naive.SAME_DONOR: True,
        naive.TRANSPLANT: "allogeneic",
    }
    cases = sample(21, 150, 0.25) + [{**case, **allogeneic} for case in sample(22, 100, 0.3)]
    few = [known for known in cases if len(known) >= 7]
    assert len(few) > 150
    assert [naive.decide_partial(edition, known) for known in few] == [by_definition(edition, known) for known in few]


# --- Whole requests --------------------------------------------------------------------------------


def request(**changes: Any) -> dict[str, Any]:
    """A covered request of one line; `line` and `clinical` change parts of it, other names the header."""
    line = {"line": 1, "system": "cpt", "code": "38242", "units": 1, "service_date": "2024-06-10"}
    clinical = {
        "malignancy": "hematologic",
        "transplant": {"type": "allogeneic", "original_determination": "medically_necessary"},
        "disease_status": "relapsed",
        "infusion": {"leukocyte_modification": "none"},
    }
    return {
        "request_id": "REQ-1",
        "certification": "initial",
        "urgency": "standard",
        "submitted_at": "2024-06-03T09:00:00-05:00",
        "member": {"member_id": "SYN-1", "line_of_business": "commercial"},
        "provider": {"npi": "1234567893"},
        "diagnoses": [],
        "service_lines": [{**line, **changes.pop("line", {})}],
        "clinical": {**clinical, **changes.pop("clinical", {})},
        **changes,
    }


def decided(**changes: Any) -> tuple[str, list[str]]:
    line = naive.decide_request(request(**changes))["lines"][0]
    return line["determination"], line["reasons"]


def test_a_covered_request_is_certified_and_due_in_seven_days() -> None:
    assert naive.decide_request(request()) == {
        "stage": "final",
        "action": "A1",
        "due_at": "2024-06-10T09:00:00-05:00",
        "clock_state": "running",
        "lines": [
            {
                "line": 1,
                "determination": "medically_necessary",
                "reasons": [],
                "action": "A1",
                "valid_through": "2024-12-03",
                "missing": [],
                "conflicts": [],
                "revision": "2024-04-29",
            }
        ],
    }
    assert naive.decide_request(request(urgency="expedited"))["due_at"] == "2024-06-05T09:00:00-05:00"


@pytest.mark.parametrize(
    ("day", "determination", "revision"),
    [
        ("1998-07-31", "policy_not_on_record", None),
        ("1998-08-01", "policy_not_on_record", "1998-08-01"),
        ("2011-08-10", "policy_not_on_record", "2005-01-10"),
        ("2011-08-11", "medically_necessary", "2011-08-11"),
        ("2016-03-07", "medically_necessary", "2015-09-18"),
        ("2016-03-08", "medically_necessary", "2016-03-08"),
        ("2025-03-27", "medically_necessary", "2024-04-29"),
        ("2025-03-28", "medically_necessary", "2025-03-28"),
    ],
)
def test_the_service_date_chooses_the_revision(day: str, determination: str, revision: str | None) -> None:
    answer = naive.decide_request(request(line={"service_date": day}, prior_authorization_number="PA1"))
    assert answer["lines"][0]["determination"] == determination
    assert answer["lines"][0]["revision"] == revision


@pytest.mark.parametrize(
    ("day", "program", "determination"),
    [
        ("2024-04-28", "fep", "policy_not_on_record"),
        ("2024-04-29", "fep", "redirected"),
        ("2024-04-28", "state_and_school", "policy_not_on_record"),
        ("2024-04-29", "state_and_school", "redirected"),
    ],
)
def test_exceptions_are_on_record_from_2024_04_29(day: str, program: str, determination: str) -> None:
    member = {"member_id": "SYN-1", "line_of_business": program}
    answer = naive.decide_request(request(line={"service_date": day, "code": "no"}, member=member))
    assert answer["lines"][0]["determination"] == determination
    assert (answer["due_at"], answer["clock_state"]) == (None, "no_clock")


@pytest.mark.parametrize(
    ("system", "code", "day", "determination"),
    [
        ("cpt", "3824", "2024-06-10", "invalid_code"),
        ("cpt", "382.42", "2024-06-10", "invalid_code"),
        ("cpt", "38240", "2024-06-10", "not_addressed"),
        ("cpt", "36511", "2024-06-10", "not_addressed"),
        ("cpt", "36520", "2024-06-10", "invalid_code"),
        ("cpt", "86950", "2024-06-10", "medically_necessary"),
        ("hcpcs", "S2150", "2024-06-10", "not_addressed"),
        ("hcpcs", "38242", "2024-06-10", "not_addressed"),
        ("icd-9-pcs", "99.09", "2015-09-30", "medically_necessary"),
        ("icd-9-pcs", "9909", "2015-09-30", "medically_necessary"),
        ("icd-9-pcs", "99.09", "2015-10-01", "invalid_code"),
        ("icd-9-pcs", "99.72", "2015-09-30", "not_addressed"),
        ("icd-10-pcs", "30233Q1", "2015-09-30", "invalid_code"),
        ("icd-10-pcs", "30233q1", "2015-10-01", "medically_necessary"),
        ("icd-10-pcs", "30253Q1", "2019-09-30", "medically_necessary"),
        ("icd-10-pcs", "30253Q1", "2019-10-01", "invalid_code"),
        ("icd-10-pcs", "30263Q1", "2021-12-27", "invalid_code"),
        ("icd-10-pcs", "30233Y1", "2024-06-10", "not_addressed"),
    ],
)
def test_code_lists(system: str, code: str, day: str, determination: str) -> None:
    line = {"system": system, "code": code, "service_date": day}
    reasons = ["code_not_listed"] if determination == "not_addressed" else []
    assert decided(line=line, prior_authorization_number="PA1") == (determination, reasons)


def test_an_early_service_needs_a_prior_authorization() -> None:
    """A service before the request's date as written needs a prior authorization."""
    late = {"submitted_at": "2024-06-11T00:10:00+05:30"}  # still 2024-06-10 in UTC
    assert decided(**late) == ("no_prior_authorization", [])
    assert decided(**late, prior_authorization_number="PA1") == ("medically_necessary", [])
    assert decided(**late, prior_authorization_number=None) == ("no_prior_authorization", [])
    same_day = {"submitted_at": "2024-06-10T23:50:00-06:00"}  # already 2024-06-11 in UTC
    assert decided(**same_day) == ("medically_necessary", [])


def test_a_cancellation_comes_before_everything() -> None:
    answer = naive.decide_request(request(certification="cancellation", line={"service_date": "1990-01-01"}))
    assert answer["action"] == "C"
    assert answer["lines"][0]["determination"] == "cancelled"


@pytest.mark.parametrize(
    ("system", "code", "malignancy", "status"),
    [
        ("icd-10-cm", "C92.02", "hematologic", "relapsed"),
        ("icd-10-cm", "c92a1", "hematologic", "remission"),
        ("icd-10-cm", "C92.00", "hematologic", None),
        ("icd-10-cm", "C94.6", "hematologic", None),
        ("icd-10-cm", "C81.12", "hematologic", None),
        ("icd-10-cm", "C80.1", "nonhematologic", None),
        ("icd-10-cm", "C96.2", "hematologic", None),
        ("icd-10-cm", "C7A.012", "nonhematologic", None),
        ("icd-10-cm", "D46.9", "hematologic", None),
        ("icd-10-cm", "D45", None, None),
        ("icd-10-cm", "D47.1", None, None),
        ("icd-10-cm", "Z94.84", None, None),
        ("icd-9-cm", "205.01", "hematologic", None),
        ("icd-9-cm", "238.75", "hematologic", None),
        ("icd-9-cm", "238.71", None, None),
        ("icd-9-cm", "238.76", None, None),
        ("icd-9-cm", "209.00", "nonhematologic", None),
        ("icd-9-cm", "174.9", "nonhematologic", None),
        ("icd-9-cm", "210.0", None, None),
    ],
)
def test_derivations(system: str, code: str, malignancy: str | None, status: str | None) -> None:
    said = {"diagnoses": [{"system": system, "code": code}]}
    assert naive.derived(said, naive.MALIGNANCY) == ({malignancy} if malignancy else set())
    assert naive.derived(said, naive.STATUS) == ({status} if status else set())


def test_a_derived_value_against_a_stated_one_is_a_conflict() -> None:
    """A derived value that contradicts the stated one makes the fact conflicting."""
    remission = [{"system": "icd-10-cm", "code": "C92.01"}]
    line = naive.decide_request(request(diagnoses=remission))["lines"][0]
    assert line["determination"] == "information_needed"
    assert naive.STATUS in line["missing"]
    assert line["conflicts"] == [naive.STATUS]


def test_two_derived_values_conflict_and_a_stated_null_does_not() -> None:
    """Diagnoses that derive two values make a fact conflicting, and a stated null does not."""
    two = [{"system": "icd-10-cm", "code": "C92.02"}, {"system": "icd-10-cm", "code": "C50.911"}]
    answer = naive.decide_request(request(diagnoses=two, clinical={"malignancy": None}))
    assert answer["lines"][0]["conflicts"] == [naive.MALIGNANCY]
    assert answer["lines"][0]["missing"] == [naive.MALIGNANCY]
    assert (answer["action"], answer["due_at"], answer["clock_state"]) == (
        "A4",
        None,
        "waiting_for_information",
    )
    one = request(diagnoses=two[:1], clinical={"malignancy": None, "disease_status": None})
    assert naive.decide_request(one)["action"] == "A1"


def test_presumptions_hold_until_the_request_says_otherwise() -> None:
    known, conflicting = naive.known_facts(request())
    assert known[naive.SAME_DONOR] is True
    assert known[naive.OTHER_RISK] is False
    assert not conflicting
    other_donor = {"infusion": {"leukocyte_modification": "none", "donor_is_transplant_donor": False}}
    assert decided(clinical=other_donor) == ("not_addressed", ["not_dli_by_definition"])


def test_purposes_are_complete_if_present_and_unknown_if_absent() -> None:
    """Purposes are complete when they are present and unknown when they are absent."""
    settled = {"disease_status": "remission", "chimerism": "mixed"}
    assert decided(clinical={**settled, "purposes": []})[0] == "criteria_not_met"
    assert decided(clinical={**settled, "purposes": ["treat_relapse", "treat_relapse"]})[0] == "criteria_not_met"
    assert decided(clinical={**settled, "purposes": [CONVERT, CONVERT]})[0] == "medically_necessary"
    assert decided(clinical=settled)[0] == "information_needed"


def test_the_overall_action() -> None:
    assert naive.overall_action({"CT"}) == "CT"
    assert naive.overall_action({"A1", "A4"}) == "A4"
    assert naive.overall_action({"A1", "C"}) == "A2"


@pytest.mark.parametrize(
    ("submitted_at", "valid_through"),
    [
        ("2024-06-03T23:59:59-05:00", "2024-12-03"),  # already 2024-06-04 in UTC
        ("2023-08-31T09:00:00Z", "2024-02-29"),
        ("2024-08-31T09:00:00Z", "2025-02-28"),
        ("2024-12-31T00:00:00+14:00", "2025-06-30"),  # still 2024-12-30 in UTC
        ("2024-02-29T09:00:00Z", "2024-08-29"),
    ],
)
def test_an_approval_holds_for_six_calendar_months(submitted_at: str, valid_through: str) -> None:
    answer = naive.decide_request(request(submitted_at=submitted_at, prior_authorization_number="PA1"))
    assert answer["lines"][0]["valid_through"] == valid_through


def test_only_an_approval_has_a_last_day() -> None:
    assert naive.decide_request(request(clinical={"malignancy": "none"}))["lines"][0]["valid_through"] is None
    redirected = request(member={"member_id": "SYN-1", "line_of_business": "fep"})
    assert naive.decide_request(redirected)["lines"][0]["valid_through"] is None


@pytest.mark.parametrize(
    ("determinations", "stage"),
    [
        ({"medically_necessary"}, "final"),
        ({"medically_necessary", "redirected"}, "final"),
        ({"cancelled"}, "final"),
        ({"information_needed"}, "open"),
        ({"medically_necessary", "invalid_code"}, "open"),
        ({"information_needed", "criteria_not_met"}, "recommendation"),
        ({"no_prior_authorization"}, "recommendation"),
        ({"medically_necessary", "not_addressed"}, "recommendation"),
    ],
)
def test_the_stage_follows_from_whom_the_lines_wait_for(determinations: set[str], stage: str) -> None:
    assert naive.stage(determinations) == stage


def test_a_clock_from_submission_runs_from_the_chains_first() -> None:
    later = request(certification="extension", first_submitted_at="2024-05-20T09:00:00Z", clinical={"malignancy": None})
    usual = naive.decide_request(later)
    federal = naive.decide_request(later, naive.CMS_0057_F)
    assert (usual["due_at"], usual["clock_state"]) == (None, "waiting_for_information")
    assert (federal["due_at"], federal["clock_state"]) == ("2024-05-27T09:00:00+00:00", "running")


def test_a_reconsideration_has_the_clock_of_appeals() -> None:
    appeal = request(certification="reconsideration", urgency="expedited")
    assert naive.decide_request(appeal)["due_at"] == "2024-06-05T09:00:00-05:00"
    assert naive.decide_request(appeal, of_appeals=naive.CMS_0057_F)["due_at"] == "2024-06-06T09:00:00-05:00"
    first = request(urgency="expedited")
    assert naive.decide_request(first, of_appeals=naive.CMS_0057_F)["due_at"] == "2024-06-05T09:00:00-05:00"
