"""What a document may ask for: bounds that are counted, that good documents stay far below, and that bombs meet."""

from datetime import date
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_core.compare import answers as compare_module
from policy_core.compare.answers import compare
from policy_core.diagrams import editions as editions_module
from policy_core.diagrams.diagram import Node
from policy_core.diagrams.editions import EditionCompiler
from policy_core.diagrams.readable_conditions import MOST_CUBES
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import PublicationRefusedError, chain_of
from policy_core.loading.check import check
from policy_core.publications.publication import publication, publications
from policy_core.work_limit import MOST, NODES, STEPS, TooComplexError, Work, allowed
from tests.support.bombs import Json, chained_parity, document, is_, pairs
from tests.support.cases import other, packaged
from tests.support.documents import explained
from tests.support.large_documents import criteria_of_codes, intervals, random_indications
from tests.support.second_policy import decide

MARGIN = 20
MOST_ORDERS = 4
DAY = date(2020, 1, 1)


def drawn(one: PolicyDocument, work: Work | None = None) -> EditionCompiler:
    drawing = EditionCompiler(one, work)
    drawing.editions()
    return drawing


# --- what there is stays far below ---------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [packaged(), other(), explained()], ids=lambda one: one.number)
def test_a_real_document_takes_a_small_part_of_what_it_may(policy: Policy) -> None:
    work = drawn(policy.document).work

    assert work.taken * MARGIN < allowed(len(policy.document.canonical()))
    assert work.made * MARGIN < NODES


@pytest.mark.parametrize("policy", [packaged(), other()], ids=lambda one: one.number)
def test_comparing_revisions_takes_a_small_part_of_the_limit(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revisions are compared completely for a small part of the work that they may take."""

    def tight(steps: int, nodes: int) -> Work:
        return Work(steps // MARGIN, nodes // MARGIN)

    monkeypatch.setattr(compare_module, "Work", tight)
    versions = [Policy(one.document, one.digest) for one in publications(policy.document)]

    for before, after in pairwise(versions):
        assert all(change.whole for change in compare(before, after).changes)


def test_larger_documents_get_more_work_up_to_a_maximum() -> None:
    """A larger document may ask for more work, up to the maximum of the largest one."""
    assert allowed(0) == STEPS < allowed(30_000) < allowed(1_000_000) == allowed(10**9) == MOST


def test_many_codes_and_criteria_take_a_small_part_of_the_limit() -> None:
    """Three hundred codes with ten sets of criteria over twenty facts fit easily."""
    one = criteria_of_codes(300, 10, 20)

    assert check(one) == []
    assert drawn(one).work.taken * 2 < allowed(len(one.canonical()))


def test_ten_facts_of_eight_intervals_are_compared_whole() -> None:
    """Ten facts of eight intervals each are compared for a part of the work, however long it is to write."""
    old, new = Policy(intervals()), Policy(intervals(moved=1))
    joint, points, changing = compare_module._joined(old, new)  # noqa: SLF001 (its work shows nowhere else)

    assert joint.diagrams.work.taken * 4 < old.allowed + new.allowed
    assert changing == sum(joint.diagrams.count(node)[True] for _, _, node in points) == 95_657_588
    [change] = compare(old, new).changes
    assert change.cases == changing
    assert 0 < len(change.conditions) <= MOST_CUBES
    assert 0 < change.further < changing


# --- bombs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [16, 24, 60])
def test_badly_ordered_pairs_are_drawn_in_another_order(count: int) -> None:
    """Pairs whose facts are far apart in the document need another order, and no other document."""
    worst, best, when = pairs(count)

    with pytest.raises(TooComplexError):
        drawn(document(worst, when))
    assert check(document(worst, when)) == check(document(best, when)) == []


def test_indications_without_structure_are_refused_with_advice() -> None:
    """What no order of facts makes small is refused with the condition, its facts and what to write instead."""
    [problem] = check(random_indications(60, 40))

    assert problem.path == ("conditions", 0)
    assert problem.message.startswith("drawing the rules takes more than the 20,000 nodes that it may, and the cond")
    assert "the condition `bomb` takes" in problem.message
    assert "of them, in each order of its facts that was tried; make one fact, a choice, of some" in problem.message
    assert "(here 58: clinical.f0, clinical.f1, " in problem.message


def test_a_refusal_takes_the_work_of_a_few_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn more often than there are orders to try, each within the limit of one document."""
    made: list[Work] = []

    def counted(steps: int) -> Work:
        made.append(Work(steps))
        return made[-1]

    monkeypatch.setattr(editions_module, "Work", counted)
    one = random_indications(60, 40)

    assert check(one) != []
    assert len(made) <= MOST_ORDERS
    assert sum(work.taken for work in made) <= MOST_ORDERS * allowed(len(one.canonical()))


def test_the_same_document_takes_the_same_work_every_time() -> None:
    worst, _, when = pairs(10)
    one, again = (drawn(document(worst, when)).work for _ in range(2))

    assert (one.taken, one.made) == (again.taken, again.made)
    drawn(document(worst, when), Work(one.taken, one.made))
    for steps, nodes in ((one.taken - 1, one.made), (one.taken, one.made - 1)):
        with pytest.raises(TooComplexError):
            drawn(document(worst, when), Work(steps, nodes))


def test_a_refusal_names_the_part_that_takes_the_most_work() -> None:
    """A refusal names the part that takes the most work and not the last part."""
    worst, _, when = pairs(9)
    small = [{"id": f"small-{at}", "says": "Small.", "when": is_(worst[at])} for at in range(9)]
    conditions = [small[0], {"id": "bomb", "says": "Large.", "when": when}, *small[1:]]
    one = document(worst, when, conditions=conditions)
    whole = drawn(one).work.taken

    with pytest.raises(TooComplexError) as caught:
        drawn(one, Work(whole - 1))

    assert caught.value.part == ("conditions", 1)


def test_many_editions_of_many_conditions_are_counted_too() -> None:
    days = [date(2020 + at // 12, 1 + at % 12, 1).isoformat() for at in range(200)]
    facts = ["a", "b"]
    conditions = [{"id": f"c{at}", "says": "Again.", "when": {"not": is_("a")}} for at in range(900)]
    one = document(
        facts,
        is_("a"),
        conditions=[{"id": "bomb", "says": "It.", "when": is_("b")}, *conditions],
        editions=[{"since": day, "on_record": True, "says": "One."} for day in days],
        revisions=[{"date": day, "kinds": ["review"], "says": "One."} for day in days],
    )

    [problem] = check(one)

    assert "steps that it may" in problem.message


def test_too_many_facts_are_refused_before_drawing() -> None:
    """More facts than can be drawn are refused before anything is drawn."""
    facts = [f"f{at}" for at in range(400)]

    [problem] = check(document(facts, {"all": [is_(one) for one in facts]}))

    assert problem.path == ("facts", 150)
    assert problem.message.startswith("conditions test 400 facts, more than 150; make one fact, a choice, of some")


def test_as_many_facts_as_there_may_be_are_drawn_and_compared() -> None:
    facts = [f"f{at}" for at in range(150)]
    one = document(facts, {"all": [is_(fact) for fact in facts]})

    assert check(one) == []
    assert compare(Policy(one), Policy(document(facts, is_("f0")))).cases_that_change == 2**149 - 1


# --- comparing -----------------------------------------------------------------------------------------------------


def revised(first: PolicyDocument, facts: list[str], when: Json) -> PolicyDocument:
    """The document with another condition and order of facts from a new edition on."""
    day = "2021-01-01"
    tree = first.model_dump(mode="json", by_alias=True)
    made = document(facts, when).model_dump(mode="json", by_alias=True)
    for rule in tree["rules"]:
        rule["outcomes"][0]["until"] = day
    new = [{**rule, "id": f"new-{rule['id']}"} for rule in made["rules"]]
    new[0]["when"] = {"condition": "new"}
    for rule in new:
        rule["outcomes"][0]["since"] = day
    tree["facts"] = made["facts"]
    tree["conditions"].append({"id": "new", "says": "New.", "when": when})
    tree["rules"] = [*tree["rules"], *new]
    tree["editions"].append({"since": day, "on_record": True, "says": "New."})
    tree["revisions"].append({"date": day, "kinds": ["statement"], "says": "New."})
    return PolicyDocument.model_validate(tree, strict=False)


def test_documents_in_different_orders_are_compared() -> None:
    """Documents that are each small in their own order are compared in one that suits both."""
    worst, best, when = pairs(40)
    # Each fact decides in the first one, so that its order would be that of both.
    first = document(worst, {"all": [is_(one) for one in worst]})
    chain = chain_of(first)
    second = revised(first, best, when)
    assert check(first) == check(second) == []

    [*_, newest] = chain.accept(publication(second, chain.known_through)).links

    assert newest.document == second


def test_the_chain_refuses_documents_too_large_together() -> None:
    """The chain refuses two documents that are small alone and too large to compare together in any order."""
    # Without structure, as large as two documents may be that are one history.
    first, other_one = random_indications(40, 14, seed=1), random_indications(40, 14, seed=2)
    chain = chain_of(first)
    when = other_one.conditions[0].when.model_dump(mode="json", by_alias=True)
    second = revised(first, [f"f{at}" for at in range(40)], when)
    assert check(first) == check(second) == []

    with pytest.raises(PublicationRefusedError) as caught:
        chain.accept(publication(second, chain.known_through))

    assert caught.value.path == ("document",)
    assert caught.value.sentence.startswith("cannot be compared with the revision of 2020-01-01, which asks for more")
    assert caught.value.sentence.endswith("; publish the change as several revisions")


VALUES = [f"v{at}" for at in range(20)]


def asking(some: list[str]) -> Policy:
    """A policy whose rule tests some values of one set of twenty."""
    fact: Json = {"path": "clinical.s", "kind": "set", "values": VALUES, "question": "Which?"}
    when = {"any": [{"fact": "clinical.s", "includes": one} for one in some]}
    tree = document(["s"], when).model_dump(mode="json", by_alias=True)
    return Policy(PolicyDocument.model_validate({**tree, "facts": [fact]}, strict=False))


def test_sets_that_are_large_only_together_are_not_spread_out() -> None:
    """Sets that are small alone and large together are refused and not spread out."""
    with pytest.raises(TooComplexError, match=r"more than the 12 values of one set that it may; clinical\.s takes 20"):
        compare(asking(VALUES[:10]), asking(VALUES[10:]))


def test_sets_as_large_as_they_may_be_are_compared() -> None:
    """Twelve values of one set together are spread out and compared, subset by subset."""
    found = compare(asking(VALUES[:6]), asking(VALUES[6:12]))

    assert found.cases == 2**12
    # Some of the first six and none of the others, or the other way around.
    assert found.cases_that_change == 2 * (2**6 - 1)


def test_a_long_difference_is_counted_whole_but_written_in_part() -> None:
    """A difference that is long to write is counted as a whole and written in part."""
    facts = [f"f{at}" for at in range(12)]
    conditions = [*chained_parity(facts)]
    odd = document(
        facts,
        {"condition": "odd-11"},
        conditions=[*conditions, {"id": "bomb", "says": "It.", "when": {"condition": "odd-11"}}],
    )
    even = document(
        facts,
        is_("f0"),
        conditions=[*conditions, {"id": "bomb", "says": "It.", "when": {"not": {"condition": "odd-11"}}}],
    )

    found = compare(Policy(odd), Policy(even))

    assert found.cases_that_change == found.cases == 2**12
    for change in found.changes:
        assert change.cases == 2**11
        assert not change.whole
        assert change.further > 0
        assert 0 < len(change.conditions) <= MOST_CUBES


# --- against brute force -------------------------------------------------------------------------------------------

FACTS = ["a", "b", "c", "d"]


def conditions() -> st.SearchStrategy[Json]:
    leaf = st.sampled_from(FACTS).map(is_)
    return st.recursive(
        leaf,
        lambda part: st.one_of(
            st.lists(part, min_size=1, max_size=3).map(lambda some: {"all": some}),
            st.lists(part, min_size=1, max_size=3).map(lambda some: {"any": some}),
            part.map(lambda one: {"not": one}),
        ),
        max_leaves=8,
    )


@st.composite
def documents(draw: st.DrawFn) -> PolicyDocument:
    whens = draw(st.lists(conditions(), min_size=1, max_size=3))
    outcome = st.sampled_from(["medically_necessary", "investigational", "not_addressed"])
    rules: list[Json] = [
        {
            "id": f"rule-{at}",
            "says": "One.",
            "when": when,
            "outcomes": [{"since": "2020-01-01", "determination": draw(outcome)}],
        }
        for at, when in enumerate([*whens, {"condition": "bomb"}, {"otherwise": True}])
    ]
    return document(FACTS, draw(conditions()), rules=rules)


def answered(node: Node, case: tuple[int, ...]) -> Any:
    while not node.terminal:
        node = node.children[case[node.variable]]
    return node.value


def complete(drawing: EditionCompiler) -> list[tuple[int, ...]]:
    return list(product(*(range(len(one.domain)) for one in drawing.variables)))


@settings(deadline=None)
@given(documents(), st.integers(0, 400))
def test_a_small_document_is_drawn_correctly_or_refused(one: PolicyDocument, steps: int) -> None:
    """With any work limit, a small document is drawn as every case says, or refused."""
    try:
        drawing = EditionCompiler(one, Work(steps))
        [edition] = drawing.editions()
    except TooComplexError:
        assert drawn(one).work.taken > steps
        return

    assert drawing.work.taken <= steps
    for case in complete(drawing):
        facts = {variable.path: variable.domain[at] for variable, at in zip(drawing.variables, case, strict=True)}
        assert answered(edition.by_determination, case) == decide(facts, one, DAY)[0]


@settings(deadline=None, max_examples=40)
@given(documents(), documents(), st.integers(0, 2_000))
def test_a_difference_of_small_documents_agrees_with_all_cases(
    one: PolicyDocument, another: PolicyDocument, steps: int
) -> None:
    """What two small documents answer differently agrees with every case, under any work limit."""
    old, new = Policy(one), Policy(another)
    old.__dict__["allowed"], new.__dict__["allowed"] = steps, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_module, "STEPS_COMPARED", 0)
        try:
            found = compare(old, new)
        except TooComplexError:
            return

    expected = 0
    for case in product((False, True), repeat=len(found.variables)):
        facts = dict.fromkeys((f"clinical.{name}" for name in FACTS), False)
        facts |= {variable.path: value for variable, value in zip(found.variables, case, strict=True)}
        expected += decide(facts, one, DAY) != decide(facts, another, DAY)
    assert found.cases_that_change == 0 or found.changes != ()
    listed = [change for change in found.changes if change.before.aspect == "statements"]
    assert sum(change.cases for change in listed) == expected
    for change in listed:
        covered = sum(
            any(all(values[at] in some for at, some in cube.items()) for cube in change.conditions)
            for values in product((0, 1), repeat=len(found.variables))
        )
        assert covered == change.cases - change.further
