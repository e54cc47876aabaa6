"""Conditions as they are read: they cover what they may and count the rest, whatever the work and the order."""

from collections.abc import Sequence
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from policy_core.diagrams.diagram import Diagrams, Node
from policy_core.diagrams.readable_conditions import MOST_CUBES, Cube, cover
from policy_core.work_limit import Work

Case = tuple[int, ...]
SIZES = (2, 3, 2, 3)
CASES = list(product(*map(range, SIZES)))


def drawn(diagrams: Diagrams, meant: set[Case]) -> Node:
    return diagrams.any_of([diagrams.cube({at: [value] for at, value in enumerate(case)}) for case in sorted(meant)])


def covered(cubes: Sequence[Cube]) -> set[Case]:
    return {case for case in CASES if any(all(case[at] in some for at, some in cube.items()) for cube in cubes)}


def meant() -> st.SearchStrategy[set[Case]]:
    """Single cases, and blocks of cases, which need few conditions."""
    block = st.tuples(*(st.sets(st.integers(0, size - 1), min_size=1) for size in SIZES)).map(
        lambda sides: set(product(*sides))
    )
    return st.lists(block, max_size=4).map(lambda blocks: set[Case]().union(*blocks))


@given(meant())
def test_conditions_cover_exactly_the_cases(cases: set[Case]) -> None:
    diagrams = Diagrams(SIZES)

    found = cover(diagrams, drawn(diagrams, cases), Work())

    assert covered(found.cubes) == cases
    assert found.further == 0


@given(meant(), st.integers(0, 300), st.integers(0, 20))
def test_what_no_condition_covers_is_counted_under_any_limit(cases: set[Case], steps: int, nodes: int) -> None:
    """With any work limit, conditions contain no other case, and the cases outside of them are counted."""
    diagrams = Diagrams(SIZES)
    node = drawn(diagrams, cases)
    taken, made = diagrams.work.taken, diagrams.work.made

    found = cover(diagrams, node, Work(steps, nodes))

    assert covered(found.cubes) <= cases
    assert found.further == len(cases - covered(found.cubes))
    # The diagrams' own limit is left alone: it is for what is proved.
    assert (diagrams.work.taken, diagrams.work.made) == (taken, made)


@given(meant(), st.permutations(range(len(SIZES))))
def test_conditions_do_not_depend_on_the_order_of_variables(cases: set[Case], order: list[int]) -> None:
    plain, other = Diagrams(SIZES), Diagrams(SIZES, order=order)

    assert cover(plain, drawn(plain, cases), Work()) == cover(other, drawn(other, cases), Work())


def test_no_more_conditions_than_anybody_reads_are_written() -> None:
    """An odd number of true facts needs a condition for each case; the first are written, and the rest is counted."""
    diagrams = Diagrams([2] * 9)
    odd = diagrams.terminal(value=False)
    for fact in range(9):
        odd = diagrams.choice(diagrams.member(fact, {1}), diagrams.negation(odd), odd)

    found = cover(diagrams, odd, Work())

    assert len(found.cubes) == MOST_CUBES
    assert found.further == 2**8 - MOST_CUBES
