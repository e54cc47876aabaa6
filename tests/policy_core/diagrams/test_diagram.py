"""Decision diagrams, held against tables: every law over small random functions, by brute force."""

from collections import Counter
from collections.abc import Hashable, Mapping
from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_core.diagrams.diagram import UNKNOWN, Diagrams, Node, answers, reachable, support
from policy_core.work_limit import Work

Case = tuple[int, ...]
Table = Mapping[Case, Hashable]
"""A function the naive way: its answer for every case."""


class World(NamedTuple):
    """Diagrams over a few small variables, with some functions as tables."""

    diagrams: Diagrams
    tables: tuple[Table, ...]

    @property
    def cases(self) -> list[Case]:
        return list(product(*(range(size) for size in self.diagrams.sizes)))

    def draw(self, table: Table) -> Node:
        """The diagram of a table, one variable after the other and no cleverness."""
        return drawn(self.diagrams, table)


def drawn(diagrams: Diagrams, table: Table) -> Node:
    def below(fixed: Mapping[int, int]) -> Node:
        if len(fixed) == len(diagrams.sizes):
            return diagrams.terminal(table[tuple(fixed[variable] for variable in range(len(fixed)))])
        variable = diagrams.order[len(fixed)]
        return diagrams.node(variable, [below({**fixed, variable: at}) for at in range(diagrams.sizes[variable])])

    return below({})


def answer(node: Node, case: Case) -> Hashable:
    while not node.terminal:
        node = node.children[case[node.variable]]
    return node.value


def table_of(node: Node, world: World) -> Table:
    return {case: answer(node, case) for case in world.cases}


def essential(table: Table, sizes: Case) -> set[int]:
    """The variables of which two cases that differ in it alone get different answers."""
    return {
        variable
        for variable, size in enumerate(sizes)
        for case in table
        for value in range(size)
        if table[case] != table[*case[:variable], value, *case[variable + 1 :]]
    }


@st.composite
def worlds(draw: st.DrawFn, functions: int = 1, values: tuple[Hashable, ...] = ("a", "b", "c")) -> World:
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    cases = list(product(*(range(size) for size in sizes)))
    tables = []
    for _ in range(functions):
        # A function of few of the variables, often, so that nodes are left out and shared.
        kept = draw(st.sets(st.integers(0, len(sizes) - 1)))
        seen: dict[Case, Hashable] = {}
        table: dict[Case, Hashable] = {}
        for case in cases:
            key = tuple(value for variable, value in enumerate(case) if variable in kept)
            if key not in seen:
                seen[key] = draw(st.sampled_from(values))
            table[case] = seen[key]
        tables.append(table)
    order = draw(st.permutations(range(len(sizes))))
    return World(Diagrams(sizes, order=order), tuple(tables))


BOOLEANS = (False, True)


@given(worlds(functions=2))
def test_applying_an_operation_is_applying_it_case_by_case(world: World) -> None:
    one, other = world.tables

    combined = world.diagrams.apply(lambda left, right: (left, right), world.draw(one), world.draw(other))

    assert {case: (one[case], other[case]) for case in world.cases} == table_of(combined, world)


@given(worlds(functions=3, values=BOOLEANS))
def test_all_of_any_of_and_negation_are_what_logic_says(world: World) -> None:
    nodes = [world.draw(table) for table in world.tables]

    every, some = world.diagrams.all_of(nodes), world.diagrams.any_of(nodes)
    opposite = world.diagrams.negation(nodes[0])

    given_to = {case: [table[case] for table in world.tables] for case in world.cases}
    assert {case: all(values) for case, values in given_to.items()} == table_of(every, world)
    assert {case: any(values) for case, values in given_to.items()} == table_of(some, world)
    assert {case: not values[0] for case, values in given_to.items()} == table_of(opposite, world)


@given(worlds(functions=3, values=BOOLEANS))
def test_a_choice_follows_its_condition(world: World) -> None:
    """A choice takes its first branch where its condition is true and its second branch where not."""
    condition, then, otherwise = world.tables

    chosen = world.diagrams.choice(*(world.draw(table) for table in world.tables))

    expected = {case: (then if condition[case] else otherwise)[case] for case in world.cases}
    assert expected == table_of(chosen, world)


def test_all_of_nothing_holds_always_and_any_of_nothing_never() -> None:
    diagrams = Diagrams([2])

    assert diagrams.all_of([]) is diagrams.terminal(value=True)
    assert diagrams.any_of([]) is diagrams.terminal(value=False)


@given(worlds(), st.data())
def test_a_variable_is_a_member_of_exactly_the_values_named(world: World, data: st.DataObject) -> None:
    variable = data.draw(st.integers(0, len(world.diagrams.sizes) - 1))
    values = data.draw(st.sets(st.integers(0, world.diagrams.sizes[variable] - 1)))

    assert {case: case[variable] in values for case in world.cases} == table_of(
        world.diagrams.member(variable, values), world
    )


@given(worlds(functions=2, values=BOOLEANS))
def test_only_equal_functions_are_the_same_object(world: World) -> None:
    """Equal functions are the same object, and different functions are not."""
    one, other = (world.draw(table) for table in world.tables)
    diagrams = world.diagrams
    # The same function by another way: De Morgan.
    one_and_other = diagrams.all_of([one, other])
    by_detour = diagrams.negation(diagrams.any_of([diagrams.negation(one), diagrams.negation(other)]))

    assert one_and_other is by_detour
    assert diagrams.negation(diagrams.negation(one)) is one
    assert (world.tables[0] == world.tables[1]) == (one is other)


def test_true_and_one_are_different_answers() -> None:
    diagrams = Diagrams([2])

    assert diagrams.terminal(value=True) is not diagrams.terminal(1)
    assert diagrams.node(0, [diagrams.terminal(value=True), diagrams.terminal(1)]).terminal is False


@given(worlds(), st.data())
def test_restricting_fixes_what_is_known_and_asks_what_matters(world: World, data: st.DataObject) -> None:
    table = world.tables[0]
    known = data.draw(st.tuples(*(st.integers(UNKNOWN, size - 1) for size in world.diagrams.sizes)))

    left = world.diagrams.restrict(world.draw(table), known)

    def fixed(case: Case) -> Case:
        return tuple(value if given == UNKNOWN else given for value, given in zip(case, known, strict=True))

    expected = {case: table[fixed(case)] for case in world.cases}
    assert expected == table_of(left, world)
    assert essential(expected, world.diagrams.sizes) == support(left)
    assert world.diagrams.left(world.draw(table), known) == answers(left) == set(expected.values())


@given(worlds(), st.data())
def test_restricting_leaves_nothing_behind(world: World, data: st.DataObject) -> None:
    drawn = world.draw(world.tables[0])
    known = data.draw(st.tuples(*(st.integers(UNKNOWN, size - 1) for size in world.diagrams.sizes)))
    nodes = len(world.diagrams._nodes)  # noqa: SLF001 (that nothing is kept shows nowhere else)

    world.diagrams.restrict(drawn, known)

    assert nodes == len(world.diagrams._nodes)  # noqa: SLF001


@given(worlds())
def test_the_support_is_the_variables_that_matter(world: World) -> None:
    """The support of a function is the set of variables on which it depends."""
    assert essential(world.tables[0], world.diagrams.sizes) == support(world.draw(world.tables[0]))


@given(worlds())
def test_answers_and_their_counts_are_those_of_the_cases(world: World) -> None:
    drawn = world.draw(world.tables[0])

    assert Counter(world.tables[0].values()) == world.diagrams.count(drawn)
    assert set(world.tables[0].values()) == answers(drawn)


@given(worlds())
def test_an_example_gets_its_answer_with_any_free_variables(world: World) -> None:
    """An example gets its answer, whatever values the variables that it leaves out have."""
    table = world.tables[0]
    drawn = world.draw(table)

    for wanted in ("a", "b", "c"):
        found = world.diagrams.example(drawn, wanted)
        if found is None:
            assert wanted not in table.values()
        else:
            meant = [case for case in world.cases if all(case[at] == value for at, value in found.items())]
            assert {wanted} == {table[case] for case in meant}


@given(worlds())
def test_no_example_depends_on_the_order_of_variables(world: World) -> None:
    """An example and the first case of an answer are those of diagrams in the variables' own order."""
    table = world.tables[0]
    plain = Diagrams(world.diagrams.sizes)
    one, other = drawn(plain, table), world.draw(table)

    for wanted in ("a", "b", "c"):
        cases = [case for case in world.cases if table[case] == wanted]
        tested = sorted(support(other))
        first = {variable: min(cases)[variable] for variable in tested} if cases else None
        assert first == world.diagrams.first(other, wanted) == plain.first(one, wanted)
        assert world.diagrams.example(other, wanted) == plain.example(one, wanted) == in_own_order(one, wanted)


def in_own_order(node: Node, wanted: Hashable) -> dict[int, int] | None:
    """The first path to an answer through a diagram in the variables' own order."""
    if node.terminal:
        return {} if node.value == wanted else None
    for value, child in enumerate(node.children):
        if (found := in_own_order(child, wanted)) is not None:
            return {node.variable: value} | found
    return None


@given(worlds(functions=5, values=BOOLEANS), st.integers(-1, 8), st.integers(0, 3))
def test_at_least_counts_the_conditions_that_hold(world: World, count: int, again: int) -> None:
    """At least so many of some conditions hold where they do case by case; one that is named twice counts twice."""
    tables = [*world.tables, *world.tables[:again]]

    counted = world.diagrams.at_least(count, [world.draw(table) for table in tables])

    assert {case: sum(bool(table[case]) for table in tables) >= count for case in world.cases} == table_of(
        counted, world
    )


@pytest.mark.parametrize("total", range(7))
def test_facts_are_counted_in_every_case(total: int) -> None:
    """At least so many of single facts is right for every count and case."""
    diagrams = Diagrams([2] * total)
    facts = [diagrams.member(at, {1}) for at in range(total)]

    for count in range(-1, total + 2):
        counted = diagrams.at_least(count, facts)
        for case in product((0, 1), repeat=total):
            assert answer(counted, case) == (sum(case) >= count)


def test_counting_takes_steps_for_each_fact_and_count_only() -> None:
    """Thirty of sixty facts take a few steps for each fact and each count, whatever the order."""
    work = Work()
    diagrams = Diagrams([2] * 60, work)

    diagrams.at_least(30, [diagrams.member(at, {1}) for at in range(60)])

    assert work.taken < 5 * 30 * 60


@given(worlds(functions=4), st.data())
def test_selecting_takes_the_child_of_the_value(world: World, data: st.DataObject) -> None:
    """Selecting takes the child of the variable's value, whatever the children test."""
    variable = data.draw(st.integers(0, len(world.diagrams.sizes) - 1))
    tables = world.tables[: world.diagrams.sizes[variable]]

    selected = world.diagrams.select(variable, [world.draw(table) for table in tables])

    assert {case: tables[case[variable]][case] for case in world.cases} == table_of(selected, world)


@given(worlds())
def test_splitting_gives_the_cases_of_each_answer(world: World) -> None:
    table = world.tables[0]

    found = world.diagrams.split(world.draw(table), without="c")

    assert found.keys() == set(table.values()) - {"c"}
    for wanted, node in found.items():
        assert {case: table[case] == wanted for case in world.cases} == table_of(node, world)


@given(worlds(functions=2, values=BOOLEANS))
def test_forgetting_changes_no_result(world: World) -> None:
    one, other = map(world.draw, world.tables)
    before = world.diagrams.all_of([one, other])

    world.diagrams.forget()

    assert world.diagrams.all_of([one, other]) is before


def test_an_order_names_each_variable_once() -> None:
    for order in ([0, 0], [0], [0, 2], [0, 1, 2]):
        with pytest.raises(ValueError, match="each variable once"):
            Diagrams([2, 2], order=order)


@given(worlds())
def test_no_node_asks_in_vain_and_none_stands_twice(world: World) -> None:
    nodes = [node for node in reachable(world.draw(world.tables[0])) if not node.terminal]

    in_vain = [node for node in nodes if len(set(map(id, node.children))) == 1]
    assert in_vain == []
    assert len(nodes) == len({(node.variable, *map(id, node.children)) for node in nodes})
