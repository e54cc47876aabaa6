"""A diagram's cases as a few readable conditions.

Each condition is a cube: for some variables, the values they may have. Each cube is as wide as possible without
including other cases, and redundant cubes are removed.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from policy_core.diagrams.diagram import Diagrams, Node, reachable
from policy_core.work_limit import TooComplexError, Work

Cube = Mapping[int, frozenset[int]]
"""For each variable, the indices of its allowed values; an omitted variable may have any value."""


MOST_CUBES = 64
"""Per diagram: nobody reads more."""


class Cover(NamedTuple):
    """Cubes that contain only cases of a diagram; they may overlap."""

    cubes: list[Cube]
    further: int
    """Number of cases outside all cubes: there may be too many cubes, or finding them may exceed the work limit."""


def cover(diagrams: Diagrams, node: Node, work: Work) -> Cover:
    """The cases for which `node` is true, as cubes, as many as `work` allows.

    `work` is apart from the diagrams' own: what is written down never limits what is proved and counted.
    """
    cubes: list[Cube] = []
    left = node
    with diagrams.working(work):
        try:
            while len(cubes) < MOST_CUBES and (case := _first(diagrams, left)) is not None:
                cube = _widened(diagrams, {variable: frozenset({value}) for variable, value in case.items()}, node)
                left = diagrams.all_of([left, diagrams.negation(diagrams.cube(cube))])
                cubes.append(cube)
            if left is diagrams.terminal(value=False):
                cubes = _needed(diagrams, cubes, node)
        except TooComplexError:
            pass
    return Cover(cubes, diagrams.number(left, answer=True))


def _first(diagrams: Diagrams, node: Node) -> dict[int, int] | None:
    diagrams.work.step(sum(1 for _ in reachable(node)))
    return diagrams.first(node, answer=True)


def _widened(diagrams: Diagrams, cube: Cube, node: Node) -> Cube:
    # Drop the last variables first: readers expect the document's first facts to be named.
    for variable in sorted(cube, reverse=True):
        freed = {name: values for name, values in cube.items() if name != variable}
        if _holds_in(diagrams, freed, node):
            cube = freed
    for variable in sorted(cube):
        for value in range(diagrams.sizes[variable]):
            wider = {**cube, variable: cube[variable] | {value}}
            if value not in cube[variable] and _holds_in(diagrams, wider, node):
                cube = wider
    return cube


def _holds_in(diagrams: Diagrams, cube: Cube, node: Node) -> bool:
    """Whether `node` is true in every case of the cube."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if not current.children:
            if not current.value:
                return False
            continue
        if id(current) in seen:
            continue
        seen.add(id(current))
        some = cube.get(current.variable)
        met = current.children if some is None else [current.children[value] for value in some]
        diagrams.work.step(len(met))
        waiting.extend(met)
    return True


def _needed(diagrams: Diagrams, cubes: Sequence[Cube], node: Node) -> list[Cube]:
    kept = list(cubes)
    for cube in cubes:
        others = [other for other in kept if other is not cube]
        if others and diagrams.any_of([diagrams.cube(other) for other in others]) is node:
            kept = others
    return kept
