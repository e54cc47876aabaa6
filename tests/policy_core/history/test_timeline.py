"""Time: every boundary of the packaged policy, the day before it, the day itself and the day after."""

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest

from policy_core.determinations import Determination
from tests.support.cases import COVERED, case, first_line, line, packaged, with_fact
from tests.support.naive import REVISIONS

DAY = timedelta(days=1)
NECESSARY = Determination.MEDICALLY_NECESSARY
NOT_ON_RECORD = Determination.POLICY_NOT_ON_RECORD
INVALID = Determination.INVALID_CODE

REFRACTORY = with_fact("purposes", [], with_fact("disease_status", "refractory"))
MODIFIED = with_fact("infusion.leukocyte_modification", "genetic")
NONHEMATOLOGIC = with_fact("malignancy", "nonhematologic")
AFTER_INVESTIGATIONAL = with_fact("transplant.original_determination", "investigational")


def determination(day: date, clinical: Mapping[str, Any], system: str, code: str, business: str) -> Determination:
    asked = case(
        line(day.isoformat(), code, system),
        clinical=clinical,
        line_of_business=business,
        has_prior_authorization=True,  # so that no day comes too early
    )
    return first_line(asked).answer.determination


CPT, ICD_9 = ("cpt", "38242"), ("icd-9-pcs", "99.09")
ICD_10, DELETED = ("icd-10-pcs", "30233Q1"), ("icd-10-pcs", "30253Q1")
COMMERCIAL = "commercial"
BOUNDARIES = [
    ("the policy is approved", "1998-08-01", COVERED, CPT, COMMERCIAL, NOT_ON_RECORD, NOT_ON_RECORD),
    ("the first statement", "2011-08-11", COVERED, CPT, COMMERCIAL, NOT_ON_RECORD, NECESSARY),
    ("refractory disease", "2011-08-11", REFRACTORY, CPT, COMMERCIAL, NOT_ON_RECORD, NECESSARY),
    ("refractory stays covered", "2016-03-08", REFRACTORY, CPT, COMMERCIAL, NECESSARY, NECESSARY),
    ("modified leukocytes", "2016-03-08", MODIFIED, CPT, COMMERCIAL, NOT_ON_RECORD, Determination.INVESTIGATIONAL),
    ("nonhematologic", "2016-03-08", NONHEMATOLOGIC, CPT, COMMERCIAL, NOT_ON_RECORD, Determination.INVESTIGATIONAL),
    (
        "investigational transplant",
        "2016-03-08",
        AFTER_INVESTIGATIONAL,
        CPT,
        COMMERCIAL,
        NOT_ON_RECORD,
        Determination.INVESTIGATIONAL,
    ),
    ("relapse stays covered", "2016-03-08", COVERED, CPT, COMMERCIAL, NECESSARY, NECESSARY),
    ("federal employees", "2024-04-29", COVERED, CPT, "fep", NOT_ON_RECORD, Determination.REDIRECTED),
    ("state and school", "2024-04-29", COVERED, CPT, "state_and_school", NOT_ON_RECORD, Determination.REDIRECTED),
    ("commercial unconcerned", "2024-04-29", COVERED, CPT, COMMERCIAL, NECESSARY, NECESSARY),
    ("ICD-10 codes listed", "2015-08-25", COVERED, ICD_10, COMMERCIAL, INVALID, INVALID),
    ("ICD-10 in use", "2015-10-01", COVERED, ICD_10, COMMERCIAL, INVALID, NECESSARY),
    ("ICD-9 out of use", "2015-10-01", COVERED, ICD_9, COMMERCIAL, NECESSARY, INVALID),
    ("a code deleted from its set", "2019-10-01", COVERED, DELETED, COMMERCIAL, NECESSARY, INVALID),
    ("a code taken off the list", "2021-12-27", COVERED, DELETED, COMMERCIAL, INVALID, INVALID),
    ("the newest review", "2025-03-28", COVERED, CPT, COMMERCIAL, NECESSARY, NECESSARY),
]


@pytest.mark.parametrize(
    ("boundary", "clinical", "code", "business", "before", "since"),
    [(day, *rest) for _, day, *rest in BOUNDARIES],
    ids=[f"{what} {day}" for what, day, *_ in BOUNDARIES],
)
def test_an_answer_changes_on_the_day_itself(
    boundary: str,
    clinical: Mapping[str, Any],
    code: tuple[str, str],
    business: str,
    before: Determination,
    since: Determination,
) -> None:
    day = date.fromisoformat(boundary)
    around = [determination(one, clinical, *code, business) for one in (day - DAY, day, day + DAY)]

    assert [before, since, since] == around


def test_no_day_but_these_changes_an_answer() -> None:
    """Walk the months and the days around each boundary: whatever changes stands in the table."""
    facts = [COVERED, REFRACTORY, MODIFIED, NONHEMATOLOGIC, AFTER_INVESTIGATIONAL]
    asked = [(one, CPT, COMMERCIAL) for one in facts]
    asked += [(COVERED, code, COMMERCIAL) for code in (ICD_9, ICD_10, DELETED)]
    asked += [(COVERED, CPT, "fep"), (COVERED, CPT, "state_and_school")]
    changes = set()
    for clinical, code, business in asked:
        answers = {day: determination(day, clinical, *code, business) for day in months_and_boundaries()}
        changes |= {later for earlier, later in pairwise(answers) if answers[earlier] != answers[later]}

    expected = {date.fromisoformat(day) for _, day, *_, before, since in BOUNDARIES if before != since}
    assert expected == changes


def months_and_boundaries() -> list[date]:
    """A change on any other day would show on the first of a month that is none of the boundaries."""
    months = {date(year, month, 1) for year in range(1998, 2027) for month in range(1, 13)}
    around = {date.fromisoformat(day) + shift for _, day, *_ in BOUNDARIES for shift in (-DAY, 0 * DAY, DAY)}
    return sorted(months | around)


# --- editions and revisions ------------------------------------------------------------------------


def test_all_nineteen_revisions_are_registered_in_order() -> None:
    assert list(REVISIONS) == [one.revision.date for one in packaged().register.revisions]
    assert len(REVISIONS) == 19


def test_revisions_follow_each_other_without_gap_or_overlap() -> None:
    revisions = packaged().register.revisions

    assert [later.revision.date for later in revisions[1:]] == [earlier.until for earlier in revisions[:-1]]
    assert revisions[-1].until is None


@pytest.mark.parametrize("number", range(len(REVISIONS)))
def test_a_revision_is_in_force_from_its_day_up_to_the_next(number: int) -> None:
    register = packaged().register
    day = REVISIONS[number]
    before = register.revisions[number - 1] if number else None

    assert before == register.in_force(day - DAY)
    assert register.revisions[number] == register.in_force(day)
    assert register.revisions[number] == register.in_force(day + DAY)


def test_every_day_has_one_edition_on_record_or_none() -> None:
    """Every day since the first revision has one edition on record or none."""
    policy = packaged()
    found = []
    for edition in policy.document.editions:
        drawn = [policy.edition_on(edition.since + shift) for shift in (-DAY, 0 * DAY, DAY)]
        found.append([one.since.isoformat() if one else None for one in drawn])

    assert found == [
        [None, None, None],
        [None, "2011-08-11", "2011-08-11"],
        ["2011-08-11", "2016-03-08", "2016-03-08"],
    ]


def test_a_decision_names_the_revision_in_force() -> None:
    """A decision names the revision in force on the service date."""
    named = {
        day: first_line(case(line(day), has_prior_authorization=True)).revision
        for day in ("1998-07-31", "2025-03-27", "2025-03-28", "2031-01-01")
    }

    assert {day: one.revision.date.isoformat() if one else None for day, one in named.items()} == {
        "1998-07-31": None,
        "2025-03-27": "2024-04-29",
        "2025-03-28": "2025-03-28",
        "2031-01-01": "2025-03-28",
    }


def test_the_policy_has_the_number_that_each_revision_gave_it() -> None:
    numbers = [one.number for one in packaged().register.revisions]

    assert numbers == [None] * 13 + ["A.2.03.03"] * 3 + ["L.2.03.402"] * 3


def test_statements_are_on_record_from_2011_on() -> None:
    recorded = [one.revision.date for one in packaged().register.revisions if one.statements_on_record]

    assert [day for day in REVISIONS if day >= date(2011, 8, 11)] == recorded
