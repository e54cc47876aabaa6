"""A diagram's cases as a few conditions that a person can read.

Each condition is a cube: for some variables, the values they may have. A cube is as wide as it can be without holding a
case that is not the diagram's, and none is left that the others make superfluous.
"""

from collections.abc import Mapping, Sequence

from policy_core.diagram import Diagrams, Node, answers, example

Cube = Mapping[int, frozenset[int]]
"""By variable the values it may have, by index; a variable that is left out may have any."""


def cover(diagrams: Diagrams, node: Node) -> list[Cube]:
    """Cubes that together hold exactly the cases for which `node` is true; they may overlap."""
    cubes: list[Cube] = []
    left = node
    while (case := example(left, answer=True)) is not None:
        cube = _widened(diagrams, {variable: frozenset({value}) for variable, value in case.items()}, node)
        cubes.append(cube)
        left = diagrams.all_of([left, diagrams.negation(diagrams.cube(cube))])
    return _needed(diagrams, cubes, node)


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
    outside = diagrams.all_of([diagrams.cube(cube), diagrams.negation(node)])
    return answers(outside) == {False}


def _needed(diagrams: Diagrams, cubes: Sequence[Cube], node: Node) -> list[Cube]:
    kept = list(cubes)
    for cube in cubes:
        others = [one for one in kept if one is not cube]
        if others and diagrams.any_of([diagrams.cube(one) for one in others]) is node:
            kept = others
    return kept
