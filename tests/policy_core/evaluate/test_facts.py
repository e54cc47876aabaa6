"""Facts: stated, derived from codes, presumed, conflicting or not stated, and never a value in a message."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policy_core.diagrams.diagram import UNKNOWN
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.case import Diagnosis
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.facts import (
    MOST_VALUES,
    Claim,
    ClinicalViolationError,
    Fact,
    FactReader,
    Origin,
    Violation,
)
from tests.support.cases import case, icd9, icd10, other, packaged, with_fact

MALIGNANCY = "clinical.malignancy"
STATUS = "clinical.disease_status"
DONOR = "clinical.infusion.donor_is_transplant_donor"
OTHER_RISK = "clinical.other_high_relapse_risk"
PURPOSES = "clinical.purposes"
DATE = "clinical.transplant.date"


def read(clinical: Mapping[str, Any], *diagnoses: Diagnosis, reader: FactReader | None = None) -> Mapping[str, Fact]:
    return (reader or packaged().reader).read(case(clinical=clinical, diagnoses=diagnoses))


def violations(clinical: object, reader: FactReader | None = None) -> tuple[Violation, ...]:
    with pytest.raises(ClinicalViolationError) as refused:
        read(clinical, reader=reader)  # type: ignore[arg-type]  # what a sender may send is not what it should
    return refused.value.violations


# --- where a fact comes from -----------------------------------------------------------------------


def test_a_stated_fact_is_what_the_request_says() -> None:
    assert Fact(MALIGNANCY, Origin.STATED, "none") == read({"malignancy": "none"})[MALIGNANCY]


def test_a_fact_that_nothing_says_is_not_stated_and_has_no_value() -> None:
    facts = read({})

    assert Fact(MALIGNANCY, Origin.NOT_STATED, None) == facts[MALIGNANCY]
    assert [fact.path for fact in packaged().document.facts] == list(facts)


def test_a_derived_fact_names_every_code_it_follows_from() -> None:
    facts = read({}, *icd10("C92.02", "Z94.84", "C91.02"))

    assert Fact(MALIGNANCY, Origin.DERIVED, "hematologic", icd10("C92.02", "C91.02")) == facts[MALIGNANCY]
    assert Fact(STATUS, Origin.DERIVED, "relapsed", icd10("C92.02", "C91.02")) == facts[STATUS]


def test_a_code_that_stands_twice_is_named_once() -> None:
    assert icd10("C92.02") == read({}, *icd10("C92.02", "C92.02"))[MALIGNANCY].diagnoses


def test_a_stated_value_that_a_code_confirms_stays_stated() -> None:
    facts = read({"malignancy": "hematologic"}, *icd10("C92.00"))

    assert Fact(MALIGNANCY, Origin.STATED, "hematologic") == facts[MALIGNANCY]


def test_exactly_two_facts_are_presumed() -> None:
    presumed = {path: fact.value for path, fact in read({}).items() if fact.origin is Origin.PRESUMED}

    assert presumed == {DONOR: True, OTHER_RISK: False}


@pytest.mark.parametrize(
    ("path", "value"), [("infusion.donor_is_transplant_donor", False), ("other_high_relapse_risk", True)]
)
def test_what_is_stated_goes_before_what_is_presumed(path: str, *, value: bool) -> None:
    fact = read(with_fact(path, value, {}))[f"clinical.{path}"]

    assert Fact(f"clinical.{path}", Origin.STATED, value) == fact


def test_a_derived_value_goes_before_a_presumed_one() -> None:
    presuming = other().document.model_dump(mode="json", by_alias=True)
    presuming["facts"][1]["presumed"] = {"value": False, "because": "Most are not."}
    policy = Policy(PolicyDocument.model_validate(presuming, strict=False))

    assert read({}, reader=policy.reader)["clinical.diabetes.insulin"].origin is Origin.PRESUMED
    assert read({}, *icd10("Z79.4"), reader=policy.reader)["clinical.diabetes.insulin"].value is True


@pytest.mark.parametrize("path", [MALIGNANCY, "clinical.transplant.type", PURPOSES, DONOR, OTHER_RISK])
def test_null_is_the_same_as_absent(path: str) -> None:
    written = with_fact(path.removeprefix("clinical."), None, {})

    assert read({})[path] == read(written)[path]


def test_an_object_that_is_null_has_nothing_in_it() -> None:
    assert read({}) == read({"transplant": None, "infusion": None})


def test_a_stated_set_is_complete_and_has_one_order() -> None:
    """A stated set is complete even when it is empty, and it has one order."""
    empty = read({"purposes": []})[PURPOSES]
    two = read({"purposes": ["convert_mixed_chimerism", "treat_relapse", "treat_relapse"]})[PURPOSES]

    assert Fact(PURPOSES, Origin.STATED, ()) == empty
    assert Fact(PURPOSES, Origin.STATED, ("treat_relapse", "convert_mixed_chimerism")) == two


def test_a_date_is_recorded_and_no_rule_asks_for_it() -> None:
    fact = read({"transplant": {"date": "2023-02-28"}})[DATE]

    assert Fact(DATE, Origin.STATED, "2023-02-28") == fact
    assert DATE not in [variable.path for variable in packaged().variables]


# --- derivations, rule by rule ---------------------------------------------------------------------

HEMATOLOGIC, NONHEMATOLOGIC, NOTHING = "hematologic", "nonhematologic", None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("C00.0", NONHEMATOLOGIC),
        ("B99.9", NOTHING),
        ("C50.911", NONHEMATOLOGIC),
        ("C4A.9", NONHEMATOLOGIC),
        ("C7A.00", NONHEMATOLOGIC),
        ("C7B.02", NONHEMATOLOGIC),
        ("C80.1", NONHEMATOLOGIC),
        ("C81.90", HEMATOLOGIC),
        ("C9190", HEMATOLOGIC),
        ("C96.9", HEMATOLOGIC),
        ("C97", NOTHING),
        ("D45", NOTHING),
        ("D46.9", HEMATOLOGIC),
        ("D46", HEMATOLOGIC),
        ("d46.9", HEMATOLOGIC),
        ("D47.1", NOTHING),
        ("Z94.84", NOTHING),
        ("Z94.81", NOTHING),
        ("T86.5", NOTHING),
        ("C8", NOTHING),
    ],
)
def test_the_malignancy_follows_from_an_icd_10_code(code: str, expected: str | None) -> None:
    assert expected == read({}, *icd10(code))[MALIGNANCY].value


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("139", NOTHING),
        ("140.9", NONHEMATOLOGIC),
        ("199.1", NONHEMATOLOGIC),
        ("200.00", HEMATOLOGIC),
        ("200", HEMATOLOGIC),
        ("208.91", HEMATOLOGIC),
        ("209.00", NONHEMATOLOGIC),
        ("209", NONHEMATOLOGIC),
        ("210.0", NOTHING),
        ("238.71", NOTHING),
        ("238.72", HEMATOLOGIC),
        ("23874", HEMATOLOGIC),
        ("238.75", HEMATOLOGIC),
        ("238.76", NOTHING),
        ("238.7", NOTHING),
        ("20", NOTHING),
        ("C92.00", NOTHING),
    ],
)
def test_the_malignancy_follows_from_an_icd_9_code(code: str, expected: str | None) -> None:
    assert expected == read({}, *icd9(code))[MALIGNANCY].value


@pytest.mark.parametrize("code", ["205.01", "140.9", "238.72"])
def test_an_icd_9_code_says_nothing_when_called_icd_10(code: str) -> None:
    assert read({}, *icd10(code))[MALIGNANCY].value is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("C92.00", None),
        ("C92.01", "remission"),
        ("C92.02", "relapsed"),
        ("C9202", "relapsed"),
        ("c92.a2", "relapsed"),
        ("C92.A1", "remission"),
        ("C90.02", "relapsed"),
        ("C95.91", "remission"),
        ("C89.02", None),
        ("C96.01", None),
        ("C92", None),
        ("C92.1", None),
        ("C92.2", None),
        ("C92.022", None),
    ],
)
def test_the_disease_status_follows_from_the_fifth_character(code: str, expected: str | None) -> None:
    """The disease status follows from the fifth character of the code alone."""
    assert expected == read({}, *icd10(code))[STATUS].value


def test_the_disease_status_follows_from_no_icd_9_code() -> None:
    assert read({}, *icd9("205.01", "205.02"))[STATUS].origin is Origin.NOT_STATED


@pytest.mark.parametrize("code", ["Z94.84", "Z94.81", "T86.5"])
def test_nothing_follows_for_the_kind_of_transplant(code: str) -> None:
    assert read({}, *icd10(code))["clinical.transplant.type"].origin is Origin.NOT_STATED


# --- contradictions --------------------------------------------------------------------------------


def test_codes_that_say_different_things_make_a_fact_conflicting() -> None:
    fact = read({}, *icd10("C50.911", "C92.00", "C91.00"))[MALIGNANCY]

    claims = (Claim("nonhematologic", icd10("C50.911")), Claim("hematologic", icd10("C92.00", "C91.00")))
    assert Fact(MALIGNANCY, Origin.CONFLICTING, None, claims=claims) == fact


def test_a_code_that_contradicts_a_statement_makes_a_conflict() -> None:
    """A code that contradicts the stated value makes the fact conflicting."""
    fact = read({"malignancy": "none"}, *icd10("C92.00"))[MALIGNANCY]

    claims = (Claim("none", ()), Claim("hematologic", icd10("C92.00")))
    assert Fact(MALIGNANCY, Origin.CONFLICTING, None, claims=claims) == fact


def test_a_statement_does_not_settle_contradicting_codes() -> None:
    """Codes that contradict each other are not settled by what is stated."""
    fact = read({"malignancy": "hematologic"}, *icd10("C92.00"), *icd9("174.9"))[MALIGNANCY]

    claims = (
        Claim("hematologic", ()),
        Claim("hematologic", icd10("C92.00")),
        Claim("nonhematologic", icd9("174.9")),
    )
    assert Fact(MALIGNANCY, Origin.CONFLICTING, None, claims=claims) == fact


def test_a_conflicting_fact_counts_as_unknown() -> None:
    facts = read({}, *icd10("C92.01", "C92.02"))
    index = [variable.path for variable in packaged().variables].index(STATUS)

    assert facts[STATUS].origin is Origin.CONFLICTING
    assert packaged().reader.pattern(facts)[index] == UNKNOWN


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clinical", "path", "message"),
    [
        ({"malignancy": "blood"}, MALIGNANCY, "should be 'hematologic', 'nonhematologic' or 'none'"),
        ({"malignancy": ["none"]}, MALIGNANCY, "should be 'hematologic', 'nonhematologic' or 'none'"),
        ({"malignency": "none"}, "clinical.?", "no fact of this policy"),
        ({"transplant": {"kind": "none"}}, "clinical.transplant.?", "no fact of this policy"),
        ({"a b": 1}, "clinical.?", "no fact of this policy"),
        ({"mathilde_musterfrau": 1}, "clinical.?", "no fact of this policy"),
        ({"19551231": 1}, "clinical.?", "no fact of this policy"),
        ({"transplant": "none"}, "clinical.transplant", "should be an object"),
        ({"transplant": []}, "clinical.transplant", "should be an object"),
        ({"other_high_relapse_risk": "true"}, OTHER_RISK, "should be a valid boolean"),
        ({"other_high_relapse_risk": 1}, OTHER_RISK, "should be a valid boolean"),
        ({"purposes": "treat_relapse"}, PURPOSES, "should be a valid list"),
        (
            {"purposes": ["treat_relapse", "cure"]},
            "clinical.purposes.1",
            "should be 'treat_relapse', 'treat_refractory_disease', 'prevent_relapse' or 'convert_mixed_chimerism'",
        ),
        (
            {"transplant": {"date": "2023-02-29"}},
            "clinical.transplant.date",
            "should be a day that exists, as YYYY-MM-DD",
        ),
        (
            {"transplant": {"date": "20230228"}},
            "clinical.transplant.date",
            "should be a day that exists, as YYYY-MM-DD",
        ),
        ({"transplant": {"date": 20230228}}, "clinical.transplant.date", "should be a valid string"),
        ([], "clinical", "should be an object"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path_and_a_remedy(clinical: object, path: str, message: str) -> None:
    """A value that does not fit is refused with its path and with what belongs there."""
    assert (Violation(path, message),) == violations(clinical)


def test_a_set_may_have_so_many_entries_and_no_more() -> None:
    many = ["treat_relapse"] * MOST_VALUES

    assert read({"purposes": many})[PURPOSES].value == ("treat_relapse",)
    assert violations({"purposes": [*many, "treat_relapse"]}) == (
        Violation(PURPOSES, "should have at most 99 entries"),
    )


def test_every_violation_is_told_at_once() -> None:
    found = violations({"malignancy": "x", "chimerism": "y", "transplant": {"type": "z"}})

    assert {one.path for one in found} == {MALIGNANCY, "clinical.chimerism", "clinical.transplant.type"}


MARK = "Jane-Doe-1970"
anything = st.recursive(
    st.sampled_from([MARK, f"{MARK}!", f"1999-{MARK}", 7, True, None]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from([MARK, "type", "date"]), below),
    max_leaves=6,
)
FIELDS = ["malignancy", "transplant", "purposes", "other_high_relapse_risk", "infusion", "chimerism", MARK]


@given(st.dictionaries(st.sampled_from(FIELDS), anything, min_size=1))
def test_no_message_repeats_a_value_wherever_it_stands(clinical: dict[str, Any]) -> None:
    told = refusal(clinical)

    assert MARK not in (told or "")
    assert told != ""
    assert told is not None or MARK not in str(clinical)


def test_no_error_of_the_model_itself_shows_a_value() -> None:
    """Whoever lets it escape, such as a library that logs it, shows no patient's data."""
    with pytest.raises(ValidationError) as refused:
        packaged().reader.model.model_validate({"malignancy": MARK, MARK: 1, "purposes": [MARK]})

    assert refused.value.error_count() == 3
    assert MARK not in str(refused.value).replace(f"\n{MARK}\n", "\n")


def refusal(clinical: Mapping[str, Any]) -> str | None:
    try:
        read(clinical)
    except ClinicalViolationError as refused:
        return str(refused)
    return None
