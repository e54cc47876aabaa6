"""A diagram's cases as a few conditions that a person can read.

Each condition is a cube: for some variables, the values they may have. A cube is as wide as it can be without holding a
case that is not the diagram's, and none is left that the others make superfluous.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from policy_core.diagrams.diagram import Diagrams, Node, example, reachable
from policy_core.work_limit import TooComplexError

Cube = Mapping[int, frozenset[int]]
"""By variable the values it may have, by index; a variable that is left out may have any."""


MOST_CUBES = 64
"""Of one diagram: nobody reads more."""


class Cover(NamedTuple):
    """Cubes that hold cases of a diagram only; they may overlap."""

    cubes: list[Cube]
    whole: bool
    """Whether they hold all of its cases: there may be too many cubes, or finding them too much work."""


def cover(diagrams: Diagrams, node: Node) -> Cover:
    """The cases for which `node` is true, as cubes; as many as can be had for the work that is left."""
    cubes: list[Cube] = []
    left = node
    try:
        while len(cubes) < MOST_CUBES and (case := _example(diagrams, left)) is not None:
            cube = _widened(diagrams, {variable: frozenset({value}) for variable, value in case.items()}, node)
            left = diagrams.all_of([left, diagrams.negation(diagrams.cube(cube))])
            cubes.append(cube)
        if left is diagrams.terminal(value=False):
            return Cover(_needed(diagrams, cubes, node), whole=True)
    except TooComplexError:
        pass
    return Cover(cubes, whole=left is diagrams.terminal(value=False))


def _example(diagrams: Diagrams, node: Node) -> dict[int, int] | None:
    diagrams.work.step(sum(1 for _ in reachable(node)))
    return example(node, answer=True)


def _widened(diagrams: Diagrams, cube: Cube, node: Node) -> Cube:
    # The last variables first: what the document asks first is what a reader expects to find named.
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
        if current.terminal and not current.value:
            return False
        if current.terminal or id(current) in seen:
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
