"""What a revision changes: the claim is held against every case, one by one, for random edits of two policies."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_core.compare.answers import (
    OTHER_BUSINESS,
    Aspect,
    Change,
    ComparedAnswer,
    Comparison,
    Example,
    Where,
    compare,
)
from policy_core.compare.wording_and_citations import Category
from policy_core.diagrams.variables import Value
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.case import Case, ServiceLine
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.facts import ClinicalViolationError
from policy_core.history.library import PACKAGED
from policy_core.loading.check import check
from policy_core.loading.document_at_revision import as_of
from policy_core.loading.load import parse
from tests.support.cases import case, line, other, packaged, with_fact

Tree = dict[str, Any]
Answer = tuple[str | None, tuple[str, ...], str | None]


def at(revision: str, policy: Policy | None = None) -> Policy:
    return Policy(as_of((policy or packaged()).document, date.fromisoformat(revision)))


@cache
def between(old: str, new: str) -> Comparison:
    return compare(at(old), at(new))


# --- the packaged policy's own revisions ---------------------------------------------------------------------------


def test_the_review_of_2025_changes_no_answer() -> None:
    found = between("2024-04-29", "2025-03-28")

    assert found.equivalent
    assert (found.cases, found.changes, found.cases_that_change) == (46_656, (), 0)
    assert {one.category for one in found.parts} == {Category.HISTORY, Category.CITATIONS}


def test_the_revision_of_2016_changes_answers_under_three_rules() -> None:
    """The revision of 2016 changes answers under three rules, from its own day on."""
    found = between("2015-09-18", "2016-03-08")

    assert not found.equivalent
    by_rule = {
        (one.before.by, one.after.by): (one.before.determination, one.after.determination, one.cases)
        for one in found.changes
    }
    assert by_rule == {
        ("modified-leukocytes", "modified-leukocytes"): ("policy_not_on_record", "investigational", 31_104),
        ("nonhematologic-malignancy", "nonhematologic-malignancy"): ("policy_not_on_record", "investigational", 864),
        ("investigational-transplant", "investigational-transplant"): ("policy_not_on_record", "investigational", 432),
    }
    assert {window.since for one in found.changes for where in one.where for window in where.days} == {date(2016, 3, 8)}
    assert {where.lines_of_business for one in found.changes for where in one.where} == {("commercial", OTHER_BUSINESS)}


def test_a_list_of_codes_that_changes_shows_as_codes() -> None:
    found = between("2014-07-10", "2015-08-25")

    assert {one.aspect.value for one in found.changes} == {"codes"}
    assert {code for one in found.changes for where in one.where for code in where.codes} == {
        "icd-10-pcs 30233Q1",
        "icd-10-pcs 30243Q1",
        "icd-10-pcs 30253Q1",
        "icd-10-pcs 30263Q1",
    }


def test_an_example_is_from_the_newest_days_of_its_change() -> None:
    """That is what its readers are to act on; the days of an edition begin anew where a code list changes."""
    text = (PACKAGED / "L.2.03.402.yaml").read_bytes().replace(b'code: "38242"', b'code: "38243"')
    changes = compare(packaged(), Policy(parse(text, "delisted"))).changes
    days = {(one.before.by, one.before.determination): one.example.day for one in changes}

    assert days["covered-indication", "medically_necessary"] == date(2024, 4, 29)
    assert days["modified-leukocytes", "policy_not_on_record"] == date(2015, 10, 1)


def test_exceptions_that_change_show_as_exceptions_in_every_case() -> None:
    found = between("2023-04-04", "2024-04-29")

    assert {one.aspect.value for one in found.changes} == {"exceptions"}
    assert {one.cases for one in found.changes} == {46_656}
    assert {where.lines_of_business for one in found.changes for where in one.where} == {
        ("fep",),
        ("state_and_school",),
    }


@pytest.mark.parametrize("policy", [packaged(), other()], ids=lambda one: one.number)
def test_no_past_revision_changes_answers_before_its_day(policy: Policy) -> None:
    """No past revision changes the answers for services before its own day."""
    days = [one.date for one in policy.document.revisions]
    policies = [Policy(as_of(policy.document, day)) for day in days]

    assert len(policies) > 1
    for earlier, later, day in zip(policies, policies[1:], days[1:], strict=False):
        assert compare(earlier, later, before=day).changes == ()


# --- a document as it read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [packaged(), other()], ids=lambda one: one.number)
def test_a_document_as_it_read_is_a_document(policy: Policy) -> None:
    for revision in policy.document.revisions:
        past = as_of(policy.document, revision.date)

        assert check(past) == []
        assert past.revisions[-1] == revision
        assert PolicyDocument.model_validate_json(past.canonical()).canonical() == past.canonical()
    assert as_of(policy.document, policy.document.revisions[-1].date) is policy.document


def test_a_document_has_only_read_as_at_its_revisions() -> None:
    with pytest.raises(ValueError, match="no revision of 2016-03-09"):
        as_of(packaged().document, date(2016, 3, 9))


def test_what_came_later_was_not_there_yet() -> None:
    past = as_of(packaged().document, date(2016, 6, 6))
    codes = {one.code: (one.listed.until, one.valid.until) for one in past.codes.listed}

    # That a code was deleted from its own set was noted by the revision of 2019-09-30, a day before it was.
    assert codes["30253Q1"] == (None, None)
    assert codes["36511"] == (date(2005, 1, 10), None)
    noted = {one.code: one.valid.until for one in as_of(packaged().document, date(2019, 9, 30)).codes.listed}
    assert noted["30253Q1"] == date(2019, 10, 1)
    assert as_of(packaged().document, date(2005, 1, 10)).rules == ()


# --- every case, one by one ----------------------------------------------------------------------------------------


def stated(document: PolicyDocument, facts: Mapping[str, Value]) -> dict[str, Any]:
    """The clinical object that states facts, as far as the document has them."""
    clinical: dict[str, Any] = {}
    known = {fact.path for fact in document.facts}
    for path, value in facts.items():
        if path in known:
            written = list(value) if isinstance(value, tuple) else value
            clinical = with_fact(path.removeprefix("clinical."), written, clinical)
    return clinical


EARLY, LATE = (datetime(year, 1, 1, 12, tzinfo=UTC) for year in (1990, 2040))
"""Submitted before every service that is asked about, and after."""


def asked(policy: Policy, example: Example, *lines: ServiceLine) -> Case:
    return replace(
        case(*lines or (line(example.day.isoformat(), example.code, example.system),)),
        submitted_at=LATE if example.unauthorized else EARLY,
        has_prior_authorization=False,
        line_of_business=example.line_of_business,
        clinical=stated(policy.document, example.facts),
    )


def answered(policy: Policy, example: Example, *lines: ServiceLine) -> list[Answer]:
    """What the whole engine says of a complete case, from its facts to its answer, for each line."""
    try:
        answers = [one.answer for one in policy.determine(asked(policy, example, *lines)).lines]
    except ClinicalViolationError:
        return [(None, (), None)] * max(1, len(lines))
    return [(one.determination.value, one.reasons, one.program.name if one.program else None) for one in answers]


def holds(change: Change, found: Comparison, example: Example, label: str) -> bool:
    """Whether a change says that it concerns a case."""
    values = [one.domain.index(example.facts[one.path]) for one in found.variables]
    return any(_concerns(where, example, label) for where in change.where) and any(
        all(values[variable] in some for variable, some in cube.items()) for cube in change.conditions
    )


def _concerns(where: Where, example: Example, label: str) -> bool:
    return (
        any(window.holds(example.day) for window in where.days)
        and example.line_of_business in (where.lines_of_business or (example.line_of_business,))
        and label in (where.codes or (label,))
        and where.unauthorized in (None, example.unauthorized)
    )


def disagreements(found: Comparison, codes: list[tuple[str, str, str]], days: list[date]) -> Iterator[str]:
    """Where the comparison claims otherwise than both engines, asked case by case."""
    places = list(product(days, codes))
    lines = [line(day.isoformat(), code, system) for day, (system, code, _) in places]
    for values in product(*(one.domain for one in found.variables)):
        facts = dict(zip((one.path for one in found.variables), values, strict=True))
        for business, late in product(("commercial", "medicaid"), (False, True)):
            asked_of = Example(days[0], business, "", "", late, facts)
            both = zip(answered(found.old, asked_of, *lines), answered(found.new, asked_of, *lines), strict=True)
            for (day, (system, code, label)), (before, after) in zip(places, both, strict=True):
                named = business if business in found.lines_of_business else OTHER_BUSINESS
                example = Example(day, named, system, code, late, facts)
                claimed = [one for one in found.changes if holds(one, found, example, label)]
                if (before != after) != (len(claimed) == 1):
                    yield f"{example}: {before} → {after}, claimed {len(claimed)}"
                elif claimed and not _as_claimed(claimed[0], before, after):
                    yield f"{example}: {before} → {after}, claimed {claimed[0].before} → {claimed[0].after}"


def _as_claimed(change: Change, before: Answer, after: Answer) -> bool:
    return _says(change.before, before) and _says(change.after, after)


def _says(said: ComparedAnswer, answer: Answer) -> bool:
    return answer[0] is not None if said.determination == "decided" else said.answer[:3] == answer


CODES = [
    ("hcpcs", "E2103", "hcpcs E2103"),
    ("hcpcs", "A9276", "hcpcs A9276"),
    ("hcpcs", "XXXXX", "any other hcpcs code"),
    ("hcpcs", "XXX", "hcpcs code of another form"),
    ("hcpcs", "E.2103", "hcpcs code of another form"),
    ("ev-local", "L10", "ev-local L.10"),
    ("ev-local", "l1.0", "ev-local L.10"),
    ("ev-local", "Z9", "any other ev-local code"),
]
"""Of EV-12, and the names that a comparison gives them."""


def edits(tree: Tree) -> st.SearchStrategy[Tree]:
    """The document with one small edit: what an analyst changes, well or badly."""
    rules, facts, outcomes = tree["rules"], tree["facts"], [one for rule in tree["rules"] for one in rule["outcomes"]]
    return st.one_of(
        st.sampled_from(range(len(rules) - 2)).map(lambda n: _swapped(tree, n)),
        st.sampled_from(range(len(outcomes))).flatmap(
            lambda n: st.sampled_from(["medically_necessary", "investigational", "criteria_not_met"]).map(
                lambda word: _outcome(tree, n, determination=word)
            )
        ),
        st.sampled_from(range(len(outcomes))).map(lambda n: _outcome(tree, n, reason="another_reason")),
        st.sampled_from(range(len(rules) - 1)).map(lambda n: _without(tree, "rules", n)),
        st.sampled_from(range(len(tree["indications"]))).map(lambda n: _without(tree, "indications", n)),
        st.sampled_from(range(len(rules) - 1)).flatmap(
            lambda n: st.sampled_from(_conditions(facts)).map(lambda when: _when(tree, "rules", n, when))
        ),
        st.sampled_from(range(len(tree["indications"]))).flatmap(
            lambda n: st.sampled_from(_conditions(facts)).map(lambda when: _when(tree, "indications", n, when))
        ),
        st.sampled_from(range(len(tree["codes"]["listed"]))).map(lambda n: _code(tree, n)),
        st.sampled_from(["prior_authorization", "exceptions", "value", "fact", "rename"]).map(
            lambda n: _other(tree, n)
        ),
    )


def _conditions(facts: list[Tree]) -> list[Tree]:
    simple = [{"fact": one["path"], "is": value} for one in facts for value in one.get("values", [True, False])]
    kinds = {one["path"]: one["kind"] for one in facts}
    fitting = [one for one in simple if kinds[one["fact"]] in ("choice", "boolean")]
    sets = [{"fact": "clinical.hypoglycemia", "includes": one} for one in ("mild", "at_night", "severe")]
    return [*fitting, *sets, *({"not": one} for one in fitting[:4])]


def _copy(tree: Tree) -> Tree:
    return PolicyDocument.model_validate(tree, strict=False).model_dump(mode="json", by_alias=True)


def _swapped(tree: Tree, n: int) -> Tree:
    made = _copy(tree)
    made["rules"][n], made["rules"][n + 1] = made["rules"][n + 1], made["rules"][n]
    return made


def _outcome(tree: Tree, n: int, **fields: str) -> Tree:
    made = _copy(tree)
    [one for rule in made["rules"] for one in rule["outcomes"]][n].update(fields)
    return made


def _without(tree: Tree, name: str, n: int) -> Tree:
    made = _copy(tree)
    del made[name][n]
    return made


def _when(tree: Tree, name: str, n: int, when: Tree) -> Tree:
    made = _copy(tree)
    made[name][n]["when"] = when
    return made


def _code(tree: Tree, n: int) -> Tree:
    made = _copy(tree)
    window = made["codes"]["listed"][n]["listed"]
    window["since"] = None if window["since"] else "2022-01-15"
    window["until"] = None
    return made


def _other(tree: Tree, what: str) -> Tree:
    made = _copy(tree)
    if what == "prior_authorization":
        made["prior_authorization"] = {"id": "ask-first", "says": "Ask first."}
    elif what == "exceptions":
        made["exceptions"] = []
    elif what == "value":
        made["facts"][0]["values"].append("other_type")
    elif what == "fact":
        made["facts"].append(
            {"path": "clinical.pump", "kind": "boolean", "question": "Is there a pump?", "derived": [], "values": []}
        )
        made["rules"][3]["when"] = {"all": [made["rules"][3]["when"], {"fact": "clinical.pump", "is": True}]}
    else:
        made["rules"][0]["id"] = "renamed"
    return made


def document(tree: Tree) -> PolicyDocument:
    return PolicyDocument.model_validate(tree, strict=False)


OTHER_TREE: Tree = other().document.model_dump(mode="json", by_alias=True)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(
    edits(OTHER_TREE).map(document).filter(lambda one: not check(one)),
    st.sampled_from([(0, 1), (1, 0)]),
)
def test_what_is_claimed_of_a_small_edit_is_what_every_case_says(
    edited: PolicyDocument, order: tuple[int, int]
) -> None:
    policies = (other(), Policy(edited))
    found = compare(policies[order[0]], policies[order[1]])
    days = [date(2019, 1, 1), date(2021, 6, 1), date(2022, 6, 1), date(2023, 6, 1)]

    assert list(disagreements(found, CODES, days)) == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(edits(OTHER_TREE).map(document).filter(lambda one: not check(one)))
def test_an_example_is_decided_as_its_change_claims(edited: PolicyDocument) -> None:
    """An example is decided as its change says, and the cases that change are counted correctly."""
    found = compare(other(), Policy(edited))

    for change in found.changes:
        [before], [after] = answered(found.old, change.example), answered(found.new, change.example)
        assert _as_claimed(change, before, after)
        values = product(*(range(len(one.domain)) for one in found.variables))
        inside = [
            one
            for one in values
            if any(all(one[variable] in some for variable, some in cube.items()) for cube in change.conditions)
        ]
        assert len(inside) == change.cases


def test_a_checker_that_misses_a_change_is_caught() -> None:
    edited = Policy(document(_outcome(OTHER_TREE, 1, determination="criteria_not_met")))
    found = compare(other(), edited)
    days = [date(2021, 6, 1)]

    assert found.changes != ()
    assert list(disagreements(found, CODES, days)) == []
    assert list(disagreements(replace(found, changes=()), CODES, days)) != []
    wider = replace(found.changes[0], conditions=({},))
    assert list(disagreements(replace(found, changes=(wider, *found.changes[1:])), CODES, days)) != []


MONITOR: dict[str, Tree] = {
    "choice": {"values": ["personal", "professional"], "when": {"is": "professional"}},
    "boolean": {"values": [], "when": {"is": True}},
    "set": {"values": ["personal", "professional"], "when": {"includes": "professional"}},
}
"""How EV-12 may declare its fact of the monitor, by kind, and the condition that tests it."""


def of_kind(kind: str) -> Policy:
    made = _copy(OTHER_TREE)
    [monitor] = [fact for fact in made["facts"] if fact["path"] == "clinical.monitor"]
    monitor.update(kind=kind, values=MONITOR[kind]["values"])
    made["rules"][0]["when"] = {"fact": "clinical.monitor", **MONITOR[kind]["when"]}
    return Policy(document(made))


@pytest.mark.parametrize(("before", "after"), list(permutations(MONITOR, 2)))
def test_a_fact_that_changes_its_kind_has_the_values_of_both(before: str, after: str) -> None:
    """Each document refuses the values that only the other one knows, and the comparison says so in every case."""
    found = compare(of_kind(before), of_kind(after))

    assert {change.aspect for change in found.changes} >= {Aspect.FACTS}
    assert list(disagreements(found, CODES[:1], [date(2019, 1, 1), date(2021, 6, 1)])) == []


@pytest.mark.parametrize(
    "pair", [("2015-09-18", "2016-03-08"), ("2005-01-10", "2011-08-11"), ("2016-06-06", "2019-09-30")]
)
def test_the_packaged_policys_examples_are_decided_as_they_say(pair: tuple[str, str]) -> None:
    """The examples of the packaged policy's changes are decided as they say."""
    found = between(*pair)

    assert found.changes != ()
    for change in found.changes:
        assert answered(found.old, change.example) == [change.before.answer[:3]]
        assert answered(found.new, change.example) == [change.after.answer[:3]]


def test_a_document_is_equivalent_to_itself() -> None:
    found = compare(packaged(), packaged())

    assert found.equivalent
    assert found.parts == ()


@pytest.mark.parametrize(
    ("edit", "category", "equivalent"),
    [
        (lambda one: one["facts"][0].update(question="Which type?"), Category.QUESTIONS, True),
        (lambda one: one["facts"][0]["derived"].pop(), Category.READING, False),
        (lambda one: one["facts"][5]["presumed"].update(enabled=False), Category.READING, False),
        (lambda one: one["facts"][2].update(kind="boolean"), Category.READING, False),
        (lambda one: one["clocks"][0]["standard"].update(days=5), Category.CLOCKS, False),
        (lambda one: one["clock_for"].clear(), Category.CLOCKS, False),
        (lambda one: one["clocks"][1]["standard"].update(days=20), Category.CLOCKS, False),
        (lambda one: one["clock_for"][0].pop("appeals"), Category.CLOCKS, False),
        (lambda one: one["validity"][0].update(months=4), Category.CLOCKS, False),
        (lambda one: one["validity"].clear(), Category.CLOCKS, False),
        (lambda one: one["validity"][0].update(rule="Otherwise."), Category.WORDING, True),
        (lambda one: one["validity"][0].update(says="Otherwise."), Category.WORDING, True),
        (lambda one: one["clocks"][0]["due_soon"]["expedited"].update(hours=3), Category.REVIEW, True),
        (lambda one: one["clocks"][0].pop("due_soon"), Category.REVIEW, True),
        (lambda one: one["adverse_review"][0].update(license_state="UT"), Category.REVIEW, True),
        (lambda one: one["adverse_review"].clear(), Category.REVIEW, True),
        (lambda one: one["adverse_review"][0].update(rule="Otherwise."), Category.WORDING, True),
        (lambda one: one["adverse_review"][0].update(says="Otherwise."), Category.WORDING, True),
        (lambda one: one.update(time_zone="America/Boise"), Category.REVIEW, True),
        (lambda one: one.pop("time_zone"), Category.REVIEW, True),
        (lambda one: one["guidance"].pop(), Category.GUIDANCE, True),
        (lambda one: one["rules"][1]["outcomes"][0].update(rests_on=["covered"]), Category.GROUNDS, True),
        (lambda one: one["statements"][1].update(since="2023-04-01"), Category.TRACE, True),
        (lambda one: one["statements"][1].update(says="Otherwise."), Category.WORDING, True),
        (lambda one: one["statements"][1]["cites"].clear(), Category.CITATIONS, True),
        (lambda one: one["revisions"][1].update(says="Otherwise."), Category.HISTORY, True),
    ],
    ids=lambda value: value.value if isinstance(value, Category) else "",
)
def test_what_is_read_asked_and_said_otherwise_is_named(edit: Any, category: Category, equivalent: bool) -> None:
    made = _copy(OTHER_TREE)
    edit(made)
    found = compare(other(), Policy(document(made)))

    assert found.changes == ()
    assert category in {one.category for one in found.parts}
    assert found.equivalent is equivalent
