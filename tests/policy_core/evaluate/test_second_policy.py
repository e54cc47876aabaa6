"""Another policy, of another insurer: nothing in the core is made for the packaged one."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

import policy_core
from policy_core.determinations import Action, ActsNext, Determination, Stage
from policy_core.diagrams.diagram import UNKNOWN
from policy_core.diagrams.variables import Value
from policy_core.document.models import FactDeclaration, FactKind
from policy_core.evaluate.case import Case as Request
from policy_core.evaluate.deadline import ClockState
from policy_core.evaluate.determine import Policy, Step
from policy_core.evaluate.facts import Claim, Origin
from policy_core.history.library import PACKAGED, load_library
from policy_core.loading.load import parse
from tests.support.cases import FOLDER, OTHER_FILE, case, decided, first_line, icd10, line, other
from tests.support.second_policy import decide

CLINICAL: Mapping[str, Any] = {
    "diabetes": {"type": "type_1", "insulin": True},
    "hypoglycemia": [],
    "monitor": "personal",
}
LISTED = {"code": "E2103", "system": "hcpcs"}
EDITIONS = [date(2020, 7, 1), date(2023, 4, 1)]


# --- loaded beside the packaged one ----------------------------------------------------------------


def test_two_policies_in_a_library_decide_by_their_documents() -> None:
    """Two policies in one library each decide by their own document."""
    library = load_library([PACKAGED, FOLDER], "L.2.03.402")
    asked = case(line(**LISTED), clinical=CLINICAL, line_of_business="marketplace")

    answer = first_line(asked, library["EV-12"]).answer

    assert answer.determination is Determination.MEDICALLY_NECESSARY
    assert answer.rests_on == ("covered",)
    assert library["EV-12"].sha256 == other().sha256 != library["L.2.03.402"].sha256


# --- every case there can be, by brute force -------------------------------------------------------


def values(fact: FactDeclaration) -> list[Value]:
    if fact.kind is FactKind.BOOLEAN:
        return [False, True]
    if fact.kind is FactKind.SET:
        return [some for size in range(len(fact.values) + 1) for some in combinations(fact.values, size)]
    return list(fact.values)


def deciding() -> list[FactDeclaration]:
    """Every fact but the date: unlike the engine, this does not look at which of them conditions test."""
    return [fact for fact in other().document.facts if fact.kind is not FactKind.DATE]


@cache
def complete(day: date) -> dict[tuple[Value, ...], tuple[str, str | None]]:
    paths = [fact.path for fact in deciding()]
    cases = product(*(values(fact) for fact in deciding()))
    return {one: decide(dict(zip(paths, one, strict=True)), other().document, day) for one in cases}


def by_brute_force(known: tuple[Value | None, ...], day: date) -> tuple[str, set[str], set[int]]:
    """The determination of every completion, its reasons, and the facts that alone can change it."""
    answers = complete(day)
    space = [[value] if value is not None else values(fact) for value, fact in zip(known, deciding(), strict=True)]
    completions = list(product(*space))
    if len({answers[one][0] for one in completions}) == 1:
        reasons = {reason for one in completions if (reason := answers[one][1]) is not None}
        return answers[completions[0]][0], reasons, set()
    missing = {
        at
        for at, choices in enumerate(space)
        for one in completions
        for value in choices
        if answers[one][0] != answers[*one[:at], value, *one[at + 1 :]][0]
    }
    return Determination.INFORMATION_NEEDED, set(), missing


def partial_cases() -> Iterator[tuple[Value | None, ...]]:
    """Every case with any facts missing; of a set, the values that conditions tell apart."""
    choices: list[list[Value | None]] = []
    for fact, variable in zip(deciding(), other().variables, strict=True):
        told_apart: list[Value] = [*variable.domain] if fact.kind is FactKind.SET else values(fact)
        choices.append([None, *told_apart])
    return product(*choices)


@pytest.mark.parametrize("day", EDITIONS)
def test_every_partial_case_is_decided_as_by_brute_force(day: date) -> None:
    """Every case, with any of its facts missing, is decided as by brute force."""
    edition = other().editions[day]
    cases = list(partial_cases())

    wrong = []
    for known in cases:
        pattern = tuple(
            UNKNOWN if value is None else variable.index(value)
            for value, variable in zip(known, other().variables, strict=True)
        )
        found = edition.find(pattern)
        expected = by_brute_force(known, day)
        if expected != (found.determination, set(found.reasons), set(found.missing)):
            wrong.append((known, expected, found))
    assert wrong == []
    assert len(cases) == 4 * 3 * 5 * 3 * 3


def test_the_document_gives_the_deciding_facts_and_cases() -> None:
    """The deciding facts and the number of their cases are those of the document."""
    policy = other()

    assert [fact.path for fact in deciding()] == [variable.path for variable in policy.variables]
    assert policy.cases() == 3 * 2 * 4 * 2 * 2
    assert list(policy.editions) == EDITIONS


def test_a_set_element_that_no_rule_uses_changes_nothing() -> None:
    """An element of a set that no rule asks for makes no difference."""
    hypoglycemia = next(one for one in other().variables if one.path == "clinical.hypoglycemia")

    assert hypoglycemia.asked == ("severe", "unnoticed")
    assert hypoglycemia.index(("mild", "severe", "at_night")) == hypoglycemia.index(("severe",))


# --- whole requests --------------------------------------------------------------------------------


def asked(day: str = "2024-06-10", clinical: Mapping[str, Any] = CLINICAL, **header: Any) -> Request:
    header = {"line_of_business": "marketplace", **header}
    return case(line(day, **LISTED), clinical=clinical, **header)


@pytest.mark.parametrize(
    ("day", "header", "expected", "step"),
    [
        ("2017-12-31", {}, Determination.POLICY_NOT_ON_RECORD, Step.POLICY_ON_RECORD),
        ("2018-01-01", {}, Determination.POLICY_NOT_ON_RECORD, Step.POLICY_ON_RECORD),
        ("2020-06-30", {}, Determination.POLICY_NOT_ON_RECORD, Step.POLICY_ON_RECORD),
        ("2020-07-01", {}, Determination.NOT_ADDRESSED, Step.CODE_LISTED),
        ("2022-01-14", {}, Determination.NOT_ADDRESSED, Step.CODE_LISTED),
        ("2022-01-15", {}, Determination.MEDICALLY_NECESSARY, Step.CLINICAL_STATEMENTS),
        ("2022-01-14", {"line_of_business": "medicaid"}, Determination.POLICY_NOT_ON_RECORD, Step.EXCEPTION),
        ("2022-01-15", {"line_of_business": "medicaid"}, Determination.REDIRECTED, Step.EXCEPTION),
        ("2022-01-15", {"line_of_business": "fep"}, Determination.MEDICALLY_NECESSARY, Step.CLINICAL_STATEMENTS),
        ("2022-01-15", {"certification": "cancellation"}, Determination.CANCELLED, Step.CANCELLATION),
    ],
)
def test_the_steps_use_this_documents_dates_and_business_lines(
    day: str, header: dict[str, Any], expected: Determination, step: Step
) -> None:
    """The steps use this document's dates and lines of business."""
    answer = first_line(asked(day, **header), other()).answer

    assert (expected, step) == (answer.determination, answer.step)


@pytest.mark.parametrize(
    ("system", "code", "day", "expected"),
    [
        ("hcpcs", "e2103", "2024-06-10", Determination.MEDICALLY_NECESSARY),
        ("hcpcs", "E210", "2024-06-10", Determination.INVALID_CODE),
        ("hcpcs", "A9276", "2022-01-14", Determination.MEDICALLY_NECESSARY),
        ("hcpcs", "A9276", "2022-01-15", Determination.NOT_ADDRESSED),
        ("hcpcs", "A9276", "2023-01-01", Determination.INVALID_CODE),
        ("ev-local", "l10", "2020-07-01", Determination.MEDICALLY_NECESSARY),
        ("cpt", "38242", "2024-06-10", Determination.NOT_ADDRESSED),
    ],
)
def test_the_codes_are_this_documents(system: str, code: str, day: str, expected: Determination) -> None:
    lines = case(line(day, code, system), clinical=CLINICAL, line_of_business="marketplace")

    assert expected == first_line(lines, other()).answer.determination


def test_a_policy_can_let_a_service_come_first() -> None:
    """A policy without prior authorization lets a service come before its request."""
    early = asked("2024-01-01", submitted_at=datetime.fromisoformat("2024-06-03T09:00:00-05:00"))

    assert first_line(early, other()).answer.determination is Determination.MEDICALLY_NECESSARY


def test_what_a_later_edition_adds_holds_from_its_first_day() -> None:
    type_2 = {**CLINICAL, "diabetes": {"type": "type_2", "insulin": True}}

    def determination(day: str, **more: Any) -> Determination:
        return first_line(asked(day, {**type_2, **more}), other()).answer.determination

    assert determination("2023-03-31") is Determination.POLICY_NOT_ON_RECORD
    assert determination("2023-04-01") is Determination.MEDICALLY_NECESSARY
    assert determination("2023-03-31", hypoglycemia=["severe"], trained=False) is Determination.MEDICALLY_NECESSARY
    assert determination("2023-04-01", hypoglycemia=["severe"], trained=False) is Determination.CRITERIA_NOT_MET


def test_its_facts_have_the_origins_that_it_declares() -> None:
    """The second policy's facts are derived, presumed and asked for as its document declares."""
    result = decided(asked(clinical={}, diagnoses=icd10("E10.9", "Z79.4")), other())

    assert {path: fact.origin for path, fact in result.facts.items()} == {
        "clinical.diabetes.type": Origin.DERIVED,
        "clinical.diabetes.insulin": Origin.DERIVED,
        "clinical.diabetes.since": Origin.NOT_STATED,
        "clinical.hypoglycemia": Origin.NOT_STATED,
        "clinical.monitor": Origin.NOT_STATED,
        "clinical.trained": Origin.PRESUMED,
    }
    (found,) = result.lines
    assert [(one.path, one.question) for one in found.answer.missing] == [
        ("clinical.monitor", "Is the monitor personal or professional?")
    ]


def test_its_contradictions_are_asked_for() -> None:
    clinical = {**CLINICAL, "diabetes": {"insulin": False}}
    answer = first_line(asked(clinical=clinical, diagnoses=icd10("E10.9", "Z79.4")), other()).answer

    claims = (Claim(value=False, diagnoses=()), Claim(value=True, diagnoses=icd10("Z79.4")))
    assert [("clinical.diabetes.insulin", claims)] == [(one.path, one.conflict) for one in answer.missing]


@pytest.mark.parametrize(
    ("system", "code", "clinical", "diagnoses", "expected"),
    [
        ("hcpcs", "E2103", {}, [], ()),
        ("ev-local", "L10", {}, [], ("own-code",)),
        ("ev-local", "L.10", {}, [], ("own-code",)),
        ("hcpcs", "E2104", {}, [], ("unlisted",)),
        ("hcpcs", "E2103", {"monitor": "professional"}, [], ("professional-monitor",)),
        ("hcpcs", "E2103", {"diabetes": {}}, ["O24.410"], ("pregnancy",)),
        ("hcpcs", "E2103", {"diabetes": {"type": "gestational"}}, ["E10.9"], ()),
        ("ev-local", "L10", {"diabetes": {}}, ["O24.410"], ("own-code", "pregnancy")),
    ],
)
def test_its_guidance_is_given_where_all_that_it_names_fits(
    system: str, code: str, clinical: dict[str, Any], diagnoses: list[str], expected: tuple[str, ...]
) -> None:
    lines = case(line(code=code, system=system), clinical={**CLINICAL, **clinical}, diagnoses=icd10(*diagnoses))

    assert expected == first_line(lines, other()).guidance


@pytest.mark.parametrize(
    ("urgency", "expected"), [("standard", "2024-06-06T21:00:00-05:00"), ("expedited", "2024-06-04T09:00:00-05:00")]
)
def test_its_clock_runs_from_submission_though_facts_are_missing(urgency: str, expected: str) -> None:
    result = decided(asked(clinical={}, urgency=urgency), other())

    assert result.action is Action.PENDED
    assert result.deadline.state is ClockState.RUNNING
    assert result.deadline.due_at is not None
    assert expected == result.deadline.due_at.isoformat()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"certification": "extension"}, "2024-05-24T00:30:00+02:00"),
        ({"certification": "extension", "urgency": "expedited"}, "2024-05-21T12:30:00+02:00"),
        ({"certification": "reconsideration"}, "2024-06-19T12:30:00+02:00"),
        ({"certification": "reconsideration", "urgency": "expedited"}, "2024-05-23T12:30:00+02:00"),
    ],
)
def test_its_clocks_run_from_the_chains_first_submission(header: dict[str, Any], expected: str) -> None:
    """Its clocks run from the first submission of a chain, and a reconsideration has a clock of its own."""
    first = datetime.fromisoformat("2024-05-20T12:30:00+02:00")
    deadline = decided(asked(first_submitted_at=first, **header), other()).deadline

    assert deadline.due_at is not None
    assert deadline.due_at.isoformat() == expected
    appeal = header["certification"] == "reconsideration"
    assert deadline.clock is not None
    assert deadline.clock.id == ("own-appeals" if appeal else "own-rule")


@pytest.mark.parametrize(
    ("submitted_at", "expected"),
    [
        ("2024-06-03T23:59:59-05:00", "2024-09-03"),
        ("2023-11-30T09:00:00-05:00", "2024-02-29"),
        ("2022-11-30T09:00:00-05:00", "2023-02-28"),
    ],
)
def test_its_approvals_hold_for_three_months(submitted_at: str, expected: str) -> None:
    result = first_line(asked(submitted_at=datetime.fromisoformat(submitted_at)), other())

    assert result.valid_through == date.fromisoformat(expected)


def test_approvals_of_other_members_have_no_last_day() -> None:
    """Approvals of a line of business for which the document has no validity have no last day."""
    result = first_line(asked(line_of_business="commercial"), other())

    assert result.answer.determination is Determination.MEDICALLY_NECESSARY
    assert result.valid_through is None


def test_what_is_not_necessary_waits_for_a_physician() -> None:
    """A rule may give that care is not medically necessary, which is a recommendation to a physician."""
    text, was = OTHER_FILE.read_text("utf-8"), "determination: criteria_not_met, reason: no_indication"
    assert was in text
    policy = Policy(parse(text.replace(was, "determination: not_medically_necessary").encode(), OTHER_FILE.name))

    result = decided(asked(clinical={**CLINICAL, "diabetes": {"type": "type_1", "insulin": False}}), policy)

    assert [one.answer.determination for one in result.lines] == [Determination.NOT_MEDICALLY_NECESSARY]
    assert (result.action, result.stage) == (Action.PENDED, Stage.RECOMMENDATION)
    assert result.lines[0].acts_next is ActsNext.PHYSICIAN_REVIEWER
    assert result.lines[0].valid_through is None


def test_a_line_of_business_without_clock_has_none() -> None:
    assert decided(asked(line_of_business="commercial"), other()).deadline.state is ClockState.NO_CLOCK


def test_a_variant_of_a_document_has_another_digest() -> None:
    """A variant of a document is another policy, with another digest."""
    shorter = other().document.model_copy(update={"clock_for": ()})

    assert Policy(shorter).sha256 != other().sha256


# --- the core knows no policy ----------------------------------------------------------------------

WORDS = re.compile(
    r"leu[kc]ocyte|lymphocyte|donor\b|chimerism|malignan|transplant|hematolog|conditioning|38242|L\.2\.03",
    re.IGNORECASE,
)
ALLOWED = {("evaluate/case.py", "donor")}
"""Where a service is performed is the wire's word, and no one policy's."""


def policy_words(folder: Path) -> set[tuple[str, str]]:
    """Every word of the packaged policy in the modules of a folder, its documents left out."""
    modules = [file for file in folder.rglob("*.py") if "policies" not in file.relative_to(folder).parts]
    return {
        (file.relative_to(folder).as_posix(), word.lower())
        for file in modules
        for word in WORDS.findall(file.read_text("utf-8"))
    }


def test_no_module_of_the_core_speaks_of_the_packaged_policy() -> None:
    assert policy_words(Path(policy_core.__path__[0])) - ALLOWED == set()


def test_the_word_search_finds_code_and_skips_documents(tmp_path: Path) -> None:
    """The search for words of the policy finds them in code and leaves documents out."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "made.py").write_text("donor")
    (tmp_path / "rules.py").write_text('if fact == "Malignancy": ...')

    assert policy_words(tmp_path) == {("rules.py", "malignan")}
