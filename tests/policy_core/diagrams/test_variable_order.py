"""The order of facts is the engine's business: it decides what fits, and nothing that anybody reads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_core.compare import answers as compare_module
from policy_core.compare.answers import Comparison, compare
from policy_core.diagrams import editions as editions_module
from policy_core.diagrams.diagram import UNKNOWN
from policy_core.diagrams.editions import EditionCompiler, drawn
from policy_core.diagrams.variable_order import facts_together, gathered, orders
from policy_core.diagrams.variables import variables
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.determine import Policy
from policy_core.loading.check import check
from policy_core.publications.publication import publications
from policy_core.work_limit import allowed
from tests.support.bombs import document, is_, pairs
from tests.support.cases import other, packaged
from tests.support.large_documents import counting, intervals, of_facts
from tests.support.second_policy import decide

FACTS = ["a", "b", "c", "d", "e"]
DAY = date(2020, 1, 1)
Json = dict[str, Any]


def paths_of(one: PolicyDocument) -> list[str]:
    return [variable.path for variable in variables(one)]


# --- which orders are tried ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one", [packaged().document, other().document, document(*pairs(8)[::2]), intervals()], ids=lambda one: one.number
)
def test_the_documents_own_order_is_tried_first(one: PolicyDocument) -> None:
    """Each order has all facts, the document's own comes first, and none is tried twice."""
    paths = paths_of(one)
    found = list(orders(one, paths))

    assert found[0] == tuple(range(len(paths)))
    assert all(sorted(order) == list(range(len(paths))) for order in found)
    assert len(set(found)) == len(found)
    assert list(orders(one, paths)) == found


def test_rules_are_followed_into_conditions_and_indications() -> None:
    """The facts of a rule come as it mentions them: by named conditions and by indications too."""
    tree = document(FACTS, {"all": [is_("e"), is_("b")]}).model_dump(mode="json", by_alias=True)
    tree["statements"] = [
        {"id": "s", "since": "2020-01-01", "says": "S.", "applies_when": {"indications_of": "s"}, "cites": []}
    ]
    tree["indications"] = [
        {"id": "i", "statement": "s", "since": "2020-01-01", "says": "I.", "when": {"not": is_("d")}, "cites": []}
    ]
    tree["rules"][0]["when"] = {"any": [{"indications_of": "s"}, {"condition": "bomb"}, is_("a")]}

    mentioned, groups = facts_together(PolicyDocument.model_validate(tree, strict=False))

    assert mentioned == ("clinical.d", "clinical.e", "clinical.b", "clinical.a")
    assert groups == [("clinical.e", "clinical.b"), mentioned]


@given(st.integers(2, 30), st.randoms(use_true_random=False))
def test_facts_of_a_chain_come_one_after_the_other(count: int, random: Random) -> None:
    """Gathering shortens the groups of any order, and never makes them longer."""
    chain = [f"f{at}" for at in range(count)]
    groups = list(pairwise(chain))
    shuffled = random.sample(chain, count)

    found = gathered(shuffled, groups)

    def length(order: Sequence[str]) -> int:
        return sum(abs(order.index(one) - order.index(another)) for one, another in groups)

    assert sorted(found) == sorted(chain)
    assert length(found) <= length(shuffled)
    assert gathered(chain, groups) == chain


@pytest.mark.parametrize("seed", range(4))
def test_clusters_of_facts_in_any_order_are_drawn(seed: int) -> None:
    """Facts that are tested in separate groups are drawn however they are mixed in the document and in the rules."""
    random = Random(seed)
    clusters = [[f"c{at}_{number}" for number in range(6)] for at in range(8)]
    facts = random.sample([fact for cluster in clusters for fact in cluster], 48)
    whens = [
        {"all": [{"any": [is_(one), is_(another)]} for one, another in pairwise(random.sample(cluster, 6))]}
        for cluster in clusters
    ]
    parts = [part for when in whens for part in when["all"]]

    assert check(document(facts, {"any": [{"all": [*when["all"], random.choice(parts)]} for when in whens]})) == []


# --- that nothing depends on them ----------------------------------------------------------------------------------


@st.composite
def documents(draw: st.DrawFn) -> PolicyDocument:
    """A document over booleans, a choice and a set, with rules of random conditions."""
    leaf = st.one_of(
        st.sampled_from(FACTS).map(is_),
        st.sets(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=2).map(
            lambda some: {"fact": "clinical.f", "in": sorted(some)}
        ),
        st.sampled_from(["p", "q"]).map(lambda value: {"fact": "clinical.g", "includes": value}),
    )
    condition = st.recursive(
        leaf,
        lambda part: st.one_of(
            st.lists(part, min_size=1, max_size=3).map(lambda some: {"all": some}),
            st.lists(part, min_size=1, max_size=3).map(lambda some: {"any": some}),
            part.map(lambda one: {"not": one}),
        ),
        max_leaves=8,
    )
    outcome = st.sampled_from(["medically_necessary", "investigational", "not_addressed"])
    whens = [*draw(st.lists(condition, min_size=1, max_size=3)), {"condition": "bomb"}]
    # The last rule is sometimes absent: then some case is open.
    whens += draw(st.sampled_from([[], [{"otherwise": True}], [{"otherwise": True}]]))
    rules: list[Json] = [
        {
            "id": f"rule-{at}",
            "says": "One.",
            "when": when,
            "outcomes": [{"since": "2020-01-01", "determination": draw(outcome), "reason": f"why_{at}"}],
        }
        for at, when in enumerate(whens)
    ]
    facts: list[Json] = [{"path": f"clinical.{name}", "kind": "boolean", "question": "?"} for name in FACTS]
    facts.append({"path": "clinical.f", "kind": "choice", "values": ["x", "y", "z"], "question": "?"})
    facts.append({"path": "clinical.g", "kind": "set", "values": ["p", "q"], "question": "?"})
    named = [{"id": "bomb", "says": "It.", "when": draw(condition)}]
    return of_facts(draw(st.permutations(facts)), rules=rules, conditions=named)


@contextmanager
def in_random_orders(order: Random) -> Iterator[None]:
    """Whatever is drawn or compared in this block is drawn in random orders."""

    def at_random(_document: PolicyDocument, paths: Sequence[str]) -> Iterator[tuple[int, ...]]:
        yield tuple(order.sample(range(len(paths)), len(paths)))

    def together(_old: Policy, _new: Policy, paths: Sequence[str]) -> Iterator[tuple[int, ...]]:
        yield tuple(order.sample(range(len(paths)), len(paths)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(editions_module, "orders", at_random)
        patch.setattr(editions_module, "_fitting", {})
        patch.setattr(compare_module, "_orders", together)
        yield


def told(found: Comparison) -> Comparison:
    """A comparison without the policies that were compared."""
    same = packaged()
    return replace(found, old=same, new=same)


@settings(deadline=None, max_examples=40)
@given(documents(), st.randoms(use_true_random=False))
def test_no_finding_or_problem_depends_on_the_order(one: PolicyDocument, random: Random) -> None:
    """Every pattern of known and unknown facts has the same finding in any order, and check says the same."""
    own = EditionCompiler(one)
    [edition] = own.editions()
    problems = check(one)
    order = random.sample(range(len(own.variables)), len(own.variables))
    drawing = EditionCompiler(one, order=order)
    [reordered] = drawing.editions()
    sizes = own.diagrams.sizes

    if not any("no rule answers" in problem.message for problem in problems):
        some = {tuple(random.randrange(UNKNOWN, size) for size in sizes) for _ in range(100)}
        assert {pattern: edition.find(pattern) for pattern in some} == {
            pattern: reordered.find(pattern) for pattern in some
        }
        for pattern in some:
            if UNKNOWN not in pattern:
                values = [variable.domain[at] for variable, at in zip(own.variables, pattern, strict=True)]
                facts = dict(zip(paths_of(one), values, strict=True))
                found = reordered.find(pattern)
                assert (found.determination, *found.reasons) == decide(facts, one, DAY)
    assert own.diagrams.count(edition.by_rule) == drawing.diagrams.count(reordered.by_rule)
    with in_random_orders(random):
        assert check(one) == problems


@settings(deadline=None, max_examples=40)
@given(documents(), documents(), st.randoms(use_true_random=False))
def test_no_comparison_depends_on_the_order(one: PolicyDocument, another: PolicyDocument, random: Random) -> None:
    """Changes, their order, conditions, counts and examples are the same in any order."""
    if any("no rule answers" in problem.message for problem in (*check(one), *check(another))):
        return
    expected = told(compare(Policy(one), Policy(another)))

    with in_random_orders(random):
        assert told(compare(Policy(one), Policy(another))) == expected


@pytest.mark.parametrize("policy", [packaged(), other()], ids=lambda one: one.number)
def test_no_revision_of_a_real_policy_differs_by_the_order(policy: Policy) -> None:
    """Comparisons of a real policy's revisions are the same in any order, to their wording."""
    random = Random(402)
    documents = [one.document for one in publications(policy.document)]
    for before, after in list(pairwise(documents))[-4:]:
        expected = told(compare(Policy(before), Policy(after)))
        with in_random_orders(random):
            assert told(compare(Policy(before), Policy(after))) == expected


@pytest.mark.parametrize("policy", [packaged(), other()], ids=lambda one: one.number)
def test_no_finding_of_a_real_policy_differs_by_the_order(policy: Policy) -> None:
    random = Random(18)
    sizes = [len(variable.domain) for variable in policy.variables]
    with in_random_orders(random):
        reordered = Policy(policy.document)
    assert reordered.order != policy.order

    for _ in range(2_000):
        pattern = tuple(random.randrange(UNKNOWN, size) for size in sizes)
        for since, edition in policy.editions.items():
            assert reordered.editions[since].find(pattern) == edition.find(pattern)


# --- what fits -----------------------------------------------------------------------------------------------------


def test_a_document_that_fits_keeps_its_own_order() -> None:
    """A document that fits in its own order is drawn in it, even if another order were smaller."""
    worst, _, when = pairs(6)
    one = document(worst, when)

    assert drawn(one).drawing.diagrams.order == tuple(range(12))


def test_the_order_that_fits_is_found_once() -> None:
    """A document that needs another order is drawn in that order at once when it is drawn again."""
    worst, _, when = pairs(40)
    one = document(worst, when)
    order = drawn(one).drawing.diagrams.order

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(editions_module, "orders", lambda *_: pytest.fail("the order is sought again"))
        assert drawn(one).drawing.diagrams.order == order == Policy(one).order


def test_another_order_is_no_other_document() -> None:
    """A document drawn in another order has the digest that it had, and asks in its own order."""
    worst, best, when = pairs(40)
    one = document(worst, when)
    digest = one.digest()
    policy = Policy(one)
    [edition] = policy.editions.values()

    assert policy.order != tuple(range(80))
    assert (one.digest(), policy.sha256) == (digest, digest)
    assert [variable.path for variable in policy.variables] == [f"clinical.{name}" for name in worst]
    assert edition.find((UNKNOWN,) * 80).missing == tuple(range(80))
    same = Policy(document(best, when))
    assert compare(policy, same).equivalent


def test_counts_of_criteria_take_a_small_part_of_the_limit() -> None:
    """Thirty of sixty, written with all and any, fits in any order of the facts."""
    one = counting(30, 60)
    random = Random(5)
    tree = one.model_dump(mode="json", by_alias=True)
    mixed = PolicyDocument.model_validate({**tree, "facts": random.sample(tree["facts"], 60)}, strict=False)

    for counted in (one, mixed):
        assert check(counted) == []
        drawing, [edition] = drawn(counted)
        assert drawing.work.taken * 2 < allowed(0)
        assert drawing.diagrams.count(edition.conditions[0]) == drawing.diagrams.count(
            drawing.diagrams.at_least(30, [drawing.diagrams.member(at, {1}) for at in range(60)])
        )
