"""What examples reach: rules in each edition, and indications."""

from datetime import date
from typing import Any

from policy_core.authoring.coverage import Coverage, coverage
from policy_core.authoring.examples import run
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.determine import Policy
from tests.support.cases import OTHER_FILE
from tests.support.documents import plain

OTHER = OTHER_FILE.read_text("utf-8")
FIRST, SECOND = date(2020, 7, 1), date(2023, 4, 1)
PERSONAL = {"clinical.monitor": "personal", "clinical.hypoglycemia": [], "clinical.diabetes.insulin": True}
PROFESSIONAL = {"clinical.monitor": "professional"}


def covered(*examples: dict[str, Any]) -> Coverage:
    named = [{"id": f"e{at}", "says": "A case.", **example} for at, example in enumerate(examples)]
    policy = Policy(PolicyDocument.model_validate({**plain(OTHER), "examples": named}, strict=False))
    trial = run(policy)
    assert trial.problems == ()
    return coverage(policy, trial.tried)


def test_without_examples_nothing_is_reached() -> None:
    found = covered()

    assert found.rules[FIRST] == (
        "professional",
        "gestational-diabetes",
        "covered-indication",
        "type-2-not-said",
        "no-indication",
    )
    assert found.rules[SECOND][2] == "untrained"
    assert (found.indications, found.complete) == (("type-1", "hypoglycemia", "type-2"), False)


def test_a_rule_is_reached_in_the_edition_of_the_example() -> None:
    found = covered({"since": "2020-07-01", "facts": PROFESSIONAL, "determination": "not_addressed"})
    newest = covered({"facts": PROFESSIONAL, "determination": "not_addressed"})

    assert ["professional" in rules for rules in found.rules.values()] == [False, False]
    assert ["professional" in rules for rules in newest.rules.values()] == [True, False]


def test_a_rule_that_may_only_decide_is_not_reached() -> None:
    assert covered({"determination": "information_needed"}).rules == covered().rules


def test_an_indication_is_met_by_an_example_of_which_it_holds() -> None:
    one = {"facts": {**PERSONAL, "clinical.diabetes.type": "type_2"}, "determination": "medically_necessary"}

    assert covered(one).indications == ("type-1", "hypoglycemia")


def test_examples_of_everything_are_complete() -> None:
    def one(day: str, determination: str, **facts: Any) -> dict[str, Any]:
        stated = {f"clinical.{name}": value for name, value in facts.items()}
        diabetes = {"clinical.diabetes.type": stated.pop("clinical.type")}
        return {"since": day, "facts": {**PERSONAL, **diabetes, **stated}, "determination": determination}

    found = covered(
        one("2020-07-01", "not_addressed", type="type_1", monitor="professional"),
        one("2020-07-01", "investigational", type="gestational"),
        one("2020-07-01", "medically_necessary", type="type_1", hypoglycemia=["severe"]),
        one("2020-07-01", "criteria_not_met", type="type_1")
        | {"diagnoses": []}
        | {"facts": {**PERSONAL, "clinical.diabetes.type": "type_1", "clinical.diabetes.insulin": False}},
        {**one("", "policy_not_on_record", type="type_2"), "since": None, "day": "2020-07-01"},
        one("2023-04-01", "medically_necessary", type="type_2"),
        one("2023-04-01", "criteria_not_met", type="type_2", trained=False),
    )

    assert (found.rules, found.indications) == ({FIRST: (), SECOND: ()}, ())
    assert found.complete
