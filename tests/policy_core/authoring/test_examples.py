"""Examples of a document: run as requests, and told where the policy answers otherwise."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_core.authoring.examples import Trial, run
from policy_core.determinations import Determination
from policy_core.document.models import FactDeclaration, FactKind, PolicyDocument
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import chain_of
from policy_core.loading.load import parse
from tests.support.cases import OTHER_FILE, PACKAGED_FILE, other, packaged, problems
from tests.support.documents import plain
from tests.support.second_policy import decide

OTHER = OTHER_FILE.read_text("utf-8")
TYPE_1 = {
    "clinical.diabetes.type": "type_1",
    "clinical.diabetes.insulin": True,
    "clinical.hypoglycemia": [],
    "clinical.monitor": "personal",
}
COVERED = {"id": "covered", "says": "Type 1.", "facts": TYPE_1, "determination": "medically_necessary"}
ASKED = {"id": "asked", "says": "Nothing is known.", "determination": "information_needed"}
NOT_LISTED = {"determination": "not_addressed", "reasons": ["code_not_listed"]}


def tried(*examples: dict[str, Any]) -> Trial:
    return run(Policy(PolicyDocument.model_validate({**plain(OTHER), "examples": examples}, strict=False)))


def told(*examples: dict[str, Any]) -> list[str]:
    return [problem.sentence("policy.yaml") for problem in tried(*examples).problems]


def differs(field: str, expected: str, got: str) -> str:
    """The problem of the first example, which is decided otherwise in the newest edition."""
    expects = f"policy.yaml: examples.0.{field}: the example `covered` expects {expected}"
    return f"{expects}, but a service on 2023-04-01 gets {got}"


# --- that hold -----------------------------------------------------------------------------------------------------


def test_an_example_is_a_request_in_the_newest_edition() -> None:
    trial = tried(COVERED)

    assert trial.problems == ()
    assert [(one.day, one.answer.determination) for one in trial.tried] == [
        (date(2023, 4, 1), Determination.MEDICALLY_NECESSARY)
    ]


def test_every_stated_part_reaches_the_decision() -> None:
    """Each example has a determination that it gets only if its field is used."""
    examples: list[dict[str, Any]] = [
        {**COVERED, "id": "by-a-rule", "rule": "covered-indication", "reasons": []},
        {**ASKED, "id": "all-asked", "missing": list(TYPE_1)},
        {**ASKED, "id": "diagnosed", "diagnoses": ["icd-10-cm E10.9"], "missing": list(TYPE_1)[1:]},
        {**COVERED, "id": "cancelled", "certification": "cancellation", "determination": "cancelled"},
        {**COVERED, "id": "medicaid", "line_of_business": "medicaid", "determination": "redirected"},
        {**COVERED, "id": "unlisted", "code": "hcpcs A0000", **NOT_LISTED},
        {**COVERED, "id": "invalid", "code": "hcpcs A9276", "determination": "invalid_code"},
        {**COVERED, "id": "before", "day": "2019-01-01", "determination": "policy_not_on_record"},
    ]

    assert told(*examples) == []


def test_a_late_request_is_one_without_prior_authorization() -> None:
    bare = PACKAGED_FILE.read_text("utf-8").partition("\nexamples:")[0]
    late = "{id: late, says: Late., day: 2024-01-01, submitted_on: 2024-01-02, determination: no_prior_authorization}"

    assert run(Policy(parse(f"{bare}\nexamples: [{late}]\n".encode(), "policy.yaml"))).problems == ()


def test_an_example_since_a_day_holds_in_every_later_edition() -> None:
    one = {**COVERED, "since": "2020-07-01"}
    untrained_too = "criteria_not_met (no_training) by the rule `untrained`"
    untrained = {**one, "facts": {**TYPE_1, "clinical.trained": False}}

    assert [(each.day, each.at) for each in tried(one).tried] == [(date(2020, 7, 1), 0), (date(2023, 4, 1), 0)]
    assert told(untrained) == [differs("determination", "medically_necessary", untrained_too)]


def values(fact: FactDeclaration) -> st.SearchStrategy[Any]:
    if fact.kind is FactKind.SET:
        return st.lists(st.sampled_from(fact.values), unique=True)
    return st.booleans() if fact.kind is FactKind.BOOLEAN else st.sampled_from(fact.values)


COMPLETE = st.fixed_dictionaries(
    {fact.path: values(fact) for fact in other().document.facts if fact.kind is not FactKind.DATE}
)


@given(COMPLETE, st.sampled_from(["2020-07-01", "2022-03-01", "2023-04-01", "2025-05-05"]))
def test_an_example_holds_exactly_if_the_rules_say_so(facts: dict[str, Any], day: str) -> None:
    """As they are read off the document without the engine; an example with any other answer is told of."""
    known = {path: tuple(value) if isinstance(value, list) else value for path, value in facts.items()}
    determination, reason = decide(known, other().document, date.fromisoformat(day))
    example = {"id": "any", "says": "Any.", "day": day, "code": "ev-local L.10", "facts": facts}
    right = {**example, "determination": determination, "reasons": [] if reason is None else [reason]}

    assert told(right) == []
    assert len(told({**right, "reasons": ["another"]})) == 1
    assert len(told({**right, "determination": "redirected"})) == 1


# --- that differ ---------------------------------------------------------------------------------------------------


BY_RULE = "medically_necessary by the rule `covered-indication`"
ASKS = (
    f"information_needed for {', '.join(TYPE_1)}; "
    "by the rules `professional`, `gestational-diabetes`, `covered-indication`, `no-indication`"
)


@pytest.mark.parametrize(
    ("change", "field", "expected", "got"),
    [
        ({"determination": "investigational"}, "determination", "investigational", BY_RULE),
        ({"facts": {}}, "determination", "medically_necessary", ASKS),
        ({"reasons": ["well_trained"]}, "reasons", "[well_trained]", "[]"),
        ({"missing": ["clinical.monitor"]}, "missing", "[clinical.monitor]", "[]"),
        ({"rule": "no-indication"}, "rule", "the rule `no-indication` alone", BY_RULE),
        (
            {"line_of_business": "medicaid"},
            "determination",
            "medically_necessary",
            "redirected at the step exception",
        ),
    ],
    ids=["determination", "asks", "reasons", "missing", "rule", "step"],
)
def test_what_is_decided_otherwise_is_told_with_what_came(
    change: dict[str, Any], field: str, expected: str, got: str
) -> None:
    assert told({**COVERED, **change}) == [differs(field, expected, got)]


# --- that are wrong themselves -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"facts": {"clinical.monitr": "personal"}},
            "examples.0.facts.clinical.monitr: no fact `clinical.monitr`; did you mean `clinical.monitor`?",
        ),
        (
            {"facts": {"clinical.monitor": "public"}},
            "examples.0.facts.clinical.monitor: should be 'personal' or 'professional'",
        ),
        (
            {"facts": {"clinical.hypoglycemia": ["mild", "rare"]}},
            "examples.0.facts.clinical.hypoglycemia: should be 'mild', 'severe', 'at_night' or 'unnoticed'",
        ),
        (
            {"rule": "covered-indications"},
            "examples.0.rule: no rule `covered-indications`; did you mean `covered-indication`?",
        ),
        (
            {"missing": ["clinical.trainee"]},
            "examples.0.missing.0: no fact `clinical.trainee`; did you mean `clinical.trained`?",
        ),
    ],
    ids=["fact", "value", "element", "rule", "missing fact"],
)
def test_what_an_example_names_must_be_there(change: dict[str, Any], message: str) -> None:
    assert [one[: len(f"policy.yaml: {message}")] for one in told({**COVERED, **change})] == [f"policy.yaml: {message}"]


def test_an_example_on_a_day_without_a_listed_code_must_name_one() -> None:
    early = {**COVERED, "day": "2019-01-01", "determination": "policy_not_on_record"}
    tree = plain(OTHER.replace("listed: {until: 2022-01-15}", "listed: {since: 2022-01-15}"))
    document = PolicyDocument.model_validate({**tree, "examples": [early]}, strict=False)

    assert tried(early).tried[0].result.lines[0].line.code == "A9276"
    assert [one.message for one in run(Policy(document)).problems] == [
        "no listed code is valid and listed on 2019-01-01; write `code: …`"
    ]


def test_two_examples_have_two_ids() -> None:
    assert told(COVERED, COVERED) == ["policy.yaml: examples.1.id: the example `covered` stands here a second time"]


def test_an_example_has_one_day() -> None:
    both = OTHER + "examples: [{id: a, says: A., day: 2024-01-01, since: 2024-01-01, determination: cancelled}]\n"
    [told] = problems(both)

    assert told.startswith(f"policy.yaml:{both.count(chr(10))}: examples.0: write `day`, for one service date, or")


# --- they are no part of a decision --------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [PACKAGED_FILE, OTHER_FILE], ids=["packaged", "other"])
def test_examples_change_no_digest_and_no_publication(file: Any) -> None:
    """With other examples, or none, a document and its whole history have the same digests; none is published."""
    bare = file.read_text("utf-8").partition("\nexamples:")[0] + "\n"
    more = bare + "examples: [{id: a, says: A., day: 2024-01-01, determination: cancelled}]\n"
    before, after = parse(bare.encode(), "policy.yaml"), parse(more.encode(), "policy.yaml")

    assert (len(before.examples), len(after.examples)) == (0, 1)
    assert before.canonical() == after.canonical()
    assert [one.digest for one in chain_of(before)] == [one.digest for one in chain_of(after)]
    assert {one.document.examples for one in chain_of(after)} == {()}


def test_the_packaged_policy_keeps_its_digest() -> None:
    assert packaged().sha256 == "0d38badc7f92f971ac32b60665e11acea2eb82be36b5b3d47ceccb2d26d15869"


def test_a_document_with_a_wrong_example_decides_all_the_same() -> None:
    """Only its author is told: nothing that it decides is wrong."""
    wrong = OTHER + "examples: [{id: a, says: A., facts: {clinical.nothing: 1}, determination: cancelled}]\n"

    assert problems(wrong) == []
