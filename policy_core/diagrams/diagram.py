"""Reduced ordered multi-valued decision diagrams: functions of finitely many finite variables.

A node tests one variable and has one child for each of its values; a terminal holds the answer. Variables are tested in
one fixed order, equal nodes are one object, and a node whose children are all the same is omitted. Two functions are
therefore equal exactly when their diagrams are the same object, and a diagram tests exactly the variables on which its
function depends (Bryant 1986; Kam et al. 1998 for the multi-valued kind).
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from math import prod

from policy_core.work_limit import Work

UNKNOWN = -1
"""In an assignment: the variable's value is not known."""

Assignment = Sequence[int] | Mapping[int, int]
"""The index of each variable's value, or `UNKNOWN`; of all variables that a diagram tests."""


class Node:
    """A node or terminal of a diagram. Only `Diagrams` creates nodes, so that equal nodes are one object."""

    __slots__ = ("children", "value", "variable")

    def __init__(self, variable: int, children: tuple["Node", ...], value: Hashable) -> None:
        self.variable = variable
        """The index of the tested variable; past the last variable for a terminal."""
        self.children = children
        self.value = value
        """A terminal's answer."""

    @property
    def terminal(self) -> bool:
        """Whether this node is an answer."""
        return not self.children


class Diagrams:
    """All diagrams over the same variables; each variable is given by its number of values.

    Methods that create or combine diagrams raise `TooComplexError` at the work limit.
    """

    def __init__(self, sizes: Sequence[int], work: Work | None = None) -> None:
        self.sizes = tuple(sizes)
        self.work = work or Work()
        self._terminals: dict[tuple[type, Hashable], Node] = {}
        self._nodes: dict[tuple[int, tuple[int, ...]], Node] = {}

    # --- making ---

    def terminal(self, value: Hashable) -> Node:
        """The constant function `value`."""
        key = (type(value), value)  # True and 1 are equal, but not the same answer
        if key not in self._terminals:
            self._terminals[key] = Node(len(self.sizes), (), value)
        return self._terminals[key]

    def node(self, variable: int, children: Sequence[Node]) -> Node:
        """The function that selects a child by the variable's value; children test later variables only."""
        known = len(self._nodes)
        made = _reduced(self._nodes, variable, tuple(children))
        if len(self._nodes) > known:
            self.work.node()
        return made

    def member(self, variable: int, values: set[int]) -> Node:
        """True if the variable has one of `values`, by index."""
        self.work.step(self.sizes[variable])
        choices = [self.terminal(value in values) for value in range(self.sizes[variable])]
        return self.node(variable, choices)

    def cube(self, values: Mapping[int, Collection[int]]) -> Node:
        """True if each variable has one of its values."""
        never, inside = self.terminal(False), self.terminal(True)
        for variable in sorted(values, reverse=True):
            self.work.step(self.sizes[variable])
            some = values[variable]
            inside = self.node(variable, [inside if at in some else never for at in range(self.sizes[variable])])
        return inside

    # --- combining ---

    def apply(
        self,
        operation: Callable[..., Hashable],
        *operands: Node,
        known: Callable[[tuple[Node, ...]], Node | None] | None = None,
    ) -> Node:
        """The function that applies `operation` to the operands' results in every case.

        `known` returns the result for some operands without descending into them, or None.
        """
        memo: dict[tuple[int, ...], Node] = {}

        def combine(nodes: tuple[Node, ...]) -> Node:
            if known is not None and (found := known(nodes)) is not None:
                return found
            key = tuple(map(id, nodes))
            if key not in memo:
                variable = min(node.variable for node in nodes)
                if variable == len(self.sizes):
                    memo[key] = self.terminal(operation(*(node.value for node in nodes)))
                else:
                    self.work.step(self.sizes[variable])
                    memo[key] = self.node(
                        variable,
                        [combine(_cofactors(nodes, variable, value)) for value in range(self.sizes[variable])],
                    )
            return memo[key]

        return combine(operands)

    def all_of(self, nodes: Iterable[Node]) -> Node:
        """True if all of `nodes` are true."""
        return reduce(lambda left, right: self.apply(_and, left, right, known=_and_known), nodes, self.terminal(True))

    def any_of(self, nodes: Iterable[Node]) -> Node:
        """True if at least one of `nodes` is true."""
        return reduce(lambda left, right: self.apply(_or, left, right, known=_or_known), nodes, self.terminal(False))

    def at_least(self, count: int, nodes: Sequence[Node]) -> Node:
        """True if at least `count` of `nodes` are true."""
        # From the last node backwards: for each number still lacking, whether the rest has so many.
        reached = [self.terminal(True), *(self.terminal(False) for _ in range(count))]
        for node in reversed(nodes):
            reached[1:] = [self.choice(node, reached[lacking - 1], reached[lacking]) for lacking in range(1, count + 1)]
        return reached[count]

    def negation(self, node: Node) -> Node:
        """True if `node` is false."""
        return self.apply(_not, node)

    def choice(self, condition: Node, then: Node, otherwise: Node) -> Node:
        """`then` if the condition is true, else `otherwise`."""
        return self.apply(_if, condition, then, otherwise, known=_if_known)

    # --- asking ---

    def restrict(self, node: Node, assignment: Assignment) -> Node:
        """The function that remains when the variables of `assignment` that are not `UNKNOWN` are fixed.

        The result is reduced but not stored here, so that a worker's memory does not grow with new cases.
        """
        return _restricted(node, assignment, {}, {})

    def left(self, node: Node, assignment: Assignment) -> frozenset[Hashable]:
        """The answers that remain when those variables are fixed: those of `restrict`, several times faster."""
        seen: set[int] = set()
        found: set[Hashable] = set()
        waiting = [node]
        while waiting:
            current = waiting.pop()
            while current.children and assignment[current.variable] != UNKNOWN:
                current = current.children[assignment[current.variable]]
            if not current.children:
                found.add(current.value)
            elif id(current) not in seen:
                seen.add(id(current))
                waiting += current.children
        return frozenset(found)

    def count(self, node: Node) -> dict[Hashable, int]:
        """The number of complete cases for each answer."""
        memo: dict[int, dict[Hashable, int]] = {}

        def cases(current: Node) -> dict[Hashable, int]:
            """Counts over the variables from this node's own on."""
            if current.terminal:
                return {current.value: 1}
            if id(current) not in memo:
                total: dict[Hashable, int] = {}
                for child in current.children:
                    skipped = prod(self.sizes[current.variable + 1 : child.variable])
                    for answer, number in cases(child).items():
                        total[answer] = total.get(answer, 0) + number * skipped
                memo[id(current)] = total
            return memo[id(current)]

        before = prod(self.sizes[: node.variable])
        return {answer: number * before for answer, number in cases(node).items()}


# Not a closure: that would be a cycle, which only the garbage collector frees.
def _restricted(
    node: Node,
    assignment: Assignment,
    memo: dict[int, Node],
    made: dict[tuple[int, tuple[int, ...]], Node],
) -> Node:
    while node.children and assignment[node.variable] != UNKNOWN:
        node = node.children[assignment[node.variable]]
    if not node.children:
        return node
    found = memo.get(id(node))
    if found is None:
        children = tuple([_restricted(child, assignment, memo, made) for child in node.children])
        found = memo[id(node)] = _reduced(made, node.variable, children)
    return found


def _reduced(known: dict[tuple[int, tuple[int, ...]], Node], variable: int, children: tuple[Node, ...]) -> Node:
    first = children[0]
    if all(child is first for child in children):
        return first
    key = (variable, tuple(map(id, children)))
    if key not in known:
        known[key] = Node(variable, children, None)
    return known[key]


def _and(left: bool, right: bool) -> bool:
    return left and right


def _or(left: bool, right: bool) -> bool:
    return left or right


def _and_known(nodes: tuple[Node, ...]) -> Node | None:
    return _decided(nodes, absorbing=False)


def _or_known(nodes: tuple[Node, ...]) -> Node | None:
    return _decided(nodes, absorbing=True)


def _decided(nodes: tuple[Node, ...], *, absorbing: bool) -> Node | None:
    """The result if an operand is constant or both are the same; else None."""
    left, right = nodes
    if left is right:
        return left
    for constant, rest in ((left, right), (right, left)):
        if constant.terminal:
            return constant if constant.value is absorbing else rest
    return None


def _if_known(nodes: tuple[Node, ...]) -> Node | None:
    condition, then, otherwise = nodes
    if then is otherwise:
        return then
    if condition.terminal:
        return then if condition.value else otherwise
    return None


def _not(value: bool) -> bool:
    return not value


def _if(condition: bool, then: Hashable, otherwise: Hashable) -> Hashable:
    return then if condition else otherwise


def _cofactors(nodes: tuple[Node, ...], variable: int, value: int) -> tuple[Node, ...]:
    return tuple(node.children[value] if node.variable == variable else node for node in nodes)


def reachable(node: Node) -> Iterator[Node]:
    """Every node of the diagram once, including terminals, in no particular order."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting.extend(current.children)


def support(node: Node) -> frozenset[int]:
    """The variables on which the function depends."""
    return frozenset(found.variable for found in reachable(node) if not found.terminal)


def deciding(node: Node, impossible: Hashable) -> frozenset[int]:
    """Variables that decide the answer in every case that does not end in `impossible`, none of them to spare.

    Where all cases are possible these are the variables on which the function depends. Otherwise several sets may do;
    the one returned keeps earlier variables rather than later ones.
    """
    kept, left = set(), node
    for variable in sorted(support(node), reverse=True):
        without = _without(left, variable, impossible, {}, {}, {})
        if without is None:
            kept.add(variable)
        else:
            left = without
    return frozenset(kept & support(left))


# The arguments of these are the tables of one call; not closures, as above.
Made = dict[tuple[int, tuple[int, ...]], Node]
Merged = dict[tuple[int, int], Node | None]


def _without(
    node: Node, variable: int, impossible: Hashable, memo: dict[int, Node | None], merged: Merged, made: Made
) -> Node | None:
    """The function without a variable, right in all possible cases; None if the variable is needed."""
    if node.variable > variable:
        return node
    if id(node) in memo:
        return memo[id(node)]
    found: Node | None
    if node.variable == variable:
        found = node.children[0]
        for child in node.children[1:]:
            found = _either(found, child, impossible, merged, made) if found is not None else None
    else:
        children = [_without(child, variable, impossible, memo, merged, made) for child in node.children]
        known = tuple(child for child in children if child is not None)
        found = _reduced(made, node.variable, known) if len(known) == len(children) else None
    memo[id(node)] = found
    return found


def _either(one: Node, other: Node, impossible: Hashable, merged: Merged, made: Made) -> Node | None:
    """The function that is `one` wherever that is possible and else `other`; None if possible answers differ."""
    if one is other:
        return one
    for this, that in ((one, other), (other, one)):
        if this.terminal and this.value == impossible:
            return that
    if one.terminal and other.terminal:
        return None
    key = (id(one), id(other))
    if key not in merged:
        variable = min(one.variable, other.variable)
        size = len(one.children if one.variable == variable else other.children)
        found: list[Node] = []
        for value in range(size):
            left, right = _cofactors((one, other), variable, value)
            both = _either(left, right, impossible, merged, made)
            if both is None:
                break
            found.append(both)
        merged[key] = _reduced(made, variable, tuple(found)) if len(found) == size else None
    return merged[key]


def answers(node: Node) -> frozenset[Hashable]:
    """All answers that some case gets."""
    return frozenset(found.value for found in reachable(node) if found.terminal)


def example(node: Node, answer: Hashable) -> dict[int, int] | None:
    """A case that gets `answer`, by variable; omitted variables do not matter. None if no case does."""
    dead: set[int] = set()

    def search(current: Node) -> dict[int, int] | None:
        if current.terminal:
            return {} if current.value == answer else None
        for value, child in enumerate(current.children):
            if id(child) in dead:
                continue
            found = search(child)
            if found is not None:
                return {current.variable: value} | found
            dead.add(id(child))
        return None

    return search(node)
