"""Reduced ordered multi-valued decision diagrams: functions of finitely many finite variables.

A node tests one variable and has one child for each of its values; a terminal holds the answer. Variables are tested in
one fixed order, equal nodes are one object, and a node whose children are all the same is omitted. Two functions are
therefore equal exactly when their diagrams are the same object, and a diagram tests exactly the variables on which its
function depends (Bryant 1986; Kam et al. 1998 for the multi-valued kind).

The order determines how large a diagram is, and nothing else: variables are named by their index, whatever the order in
which they are tested, and no answer, count or example depends on it.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from math import prod

from policy_core.work_limit import Work

UNKNOWN = -1
"""In an assignment: the variable's value is not known."""

REMEMBERED_RESULTS = 100_000
"""Results of operations remembered while drawing, about 25 MB; beyond, they are found again."""

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

    def __init__(self, sizes: Sequence[int], work: Work | None = None, order: Sequence[int] | None = None) -> None:
        """Prepare to draw.

        Args:
            sizes: Each variable's number of values.
            work: The work limit.
            order: The variables in the order in which they are tested; by default, that of `sizes`.
        """
        self.sizes = tuple(sizes)
        self.order = tuple(order) if order is not None else tuple(range(len(self.sizes)))
        if sorted(self.order) != list(range(len(self.sizes))):
            raise ValueError("an order names each variable once")
        self.work = work or Work()
        self._level = [0] * len(self.sizes) + [len(self.sizes)]  # the last is that of terminals
        for level, variable in enumerate(self.order):
            self._level[variable] = level
        self._terminals: dict[tuple[type, Hashable], Node] = {}
        self._nodes: dict[tuple[int, tuple[Node, ...]], Node] = {}
        self._known: dict[Callable[..., Hashable], dict[tuple[Node, ...], Node]] = {}

    @contextmanager
    def working(self, work: Work) -> Iterator[None]:
        """Count the work in this block against another limit."""
        outer, self.work = self.work, work
        try:
            yield
        finally:
            self.work = outer

    def forget(self) -> None:
        """Free the results remembered for drawing; nothing changes but the time that drawing more takes."""
        self._known.clear()

    # --- making ---

    def terminal(self, value: Hashable) -> Node:
        """The constant function `value`."""
        key = (type(value), value)  # True and 1 are equal, but not the same answer
        if key not in self._terminals:
            self._terminals[key] = Node(len(self.sizes), (), value)
        return self._terminals[key]

    def node(self, variable: int, children: Sequence[Node]) -> Node:
        """The function that selects a child by the variable's value; children only test variables that come later."""
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
        for variable in sorted(values, key=self._level.__getitem__, reverse=True):
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
        return self._apply(operation, operands, known, {})

    def _logic(
        self,
        operation: Callable[..., Hashable],
        *operands: Node,
        known: Callable[[tuple[Node, ...]], Node | None] | None = None,
    ) -> Node:
        """The same; results are remembered, because conditions have parts in common."""
        if sum(map(len, self._known.values())) > REMEMBERED_RESULTS:
            self.forget()
        return self._apply(operation, operands, known, self._known.setdefault(operation, {}))

    def _apply(
        self,
        operation: Callable[..., Hashable],
        operands: tuple[Node, ...],
        known: Callable[[tuple[Node, ...]], Node | None] | None,
        memo: dict[tuple[Node, ...], Node],
    ) -> Node:
        level = self._level

        def combine(nodes: tuple[Node, ...]) -> Node:
            if known is not None and (found := known(nodes)) is not None:
                return found
            if nodes not in memo:
                first = min(level[node.variable] for node in nodes)
                if first == len(self.sizes):
                    memo[nodes] = self.terminal(operation(*(node.value for node in nodes)))
                else:
                    variable = self.order[first]
                    self.work.step(self.sizes[variable])
                    memo[nodes] = self.node(
                        variable,
                        [combine(_cofactors(nodes, variable, value)) for value in range(self.sizes[variable])],
                    )
            return memo[nodes]

        return combine(operands)

    def all_of(self, nodes: Iterable[Node]) -> Node:
        """True if all of `nodes` are true."""
        return reduce(lambda left, right: self._logic(_and, left, right, known=_and_known), nodes, self.terminal(True))

    def any_of(self, nodes: Iterable[Node]) -> Node:
        """True if at least one of `nodes` is true."""
        return reduce(lambda left, right: self._logic(_or, left, right, known=_or_known), nodes, self.terminal(False))

    def negation(self, node: Node) -> Node:
        """True if `node` is false."""
        return self._logic(_not, node)

    def choice(self, condition: Node, then: Node, otherwise: Node) -> Node:
        """`then` if the condition is true, else `otherwise`."""
        return self._logic(_if, condition, then, otherwise, known=_if_known)

    def select(self, variable: int, children: Sequence[Node]) -> Node:
        """The function that selects a child by the variable's value; children may test any variables."""
        self.work.step(self.sizes[variable])
        level = self._level[variable]
        if all(self._level[child.variable] > level for child in children):
            return self.node(variable, children)
        by_child: dict[Node, set[int]] = {}
        for value, child in enumerate(children):
            by_child.setdefault(child, set()).add(value)
        result = children[0]
        for child, values in by_child.items():
            result = self.choice(self.member(variable, values), child, result)
        return result

    def at_least(self, count: int, nodes: Iterable[Node]) -> Node:
        """True if at least `count` of `nodes` are true; a node that occurs twice counts twice.

        Takes about `count` times as many choices as there are nodes. Nodes are added from the last tested to the first,
        so that the choices of simple nodes descend nowhere.
        """
        ordered = sorted(nodes, key=lambda node: self._level[node.variable], reverse=True)
        always, never = self.terminal(value=True), self.terminal(value=False)
        # By number: whether at least so many of the nodes so far are true.
        reached = [always] + [never] * max(count, 0)
        for done, node in enumerate(ordered, start=1):
            fewest = max(1, count - (len(ordered) - done))  # with fewer, the rest cannot reach `count`
            # Downwards: each needs the number below it without this node.
            for number in range(min(done, count), fewest - 1, -1):
                reached[number] = self.choice(node, reached[number - 1], reached[number])
        return reached[max(count, 0)]

    def split(self, node: Node, *, without: Hashable) -> dict[Hashable, Node]:
        """For each answer that some case gets, except one, the cases that get it; all in one pass."""
        never, always = self.terminal(value=False), self.terminal(value=True)
        memo: dict[int, dict[Node, Node]] = {}

        def parts(current: Node) -> dict[Node, Node]:
            """By the terminal that has the answer."""
            if not current.children:
                return {current: always} if current.value != without else {}
            if id(current) not in memo:
                below = [parts(child) for child in current.children]
                given = dict.fromkeys(answer for found in below for answer in found)
                self.work.step(self.sizes[current.variable] + sum(map(len, below)))
                memo[id(current)] = {
                    answer: self.node(current.variable, [found.get(answer, never) for found in below])
                    for answer in given
                }
            return memo[id(current)]

        return {answer.value: cases for answer, cases in parts(node).items()}

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

    def deciding(self, node: Node, impossible: Hashable) -> frozenset[int]:
        """Variables that decide the answer in every case that does not end in `impossible`, none of them to spare.

        Where all cases are possible these are the variables on which the function depends. Otherwise several sets may
        do; the one returned keeps earlier variables rather than later ones.
        """
        kept, left = set(), node
        for variable in sorted(support(node), reverse=True):
            without = _without(left, variable, impossible, {}, _Merging(self._level))
            if without is None:
                kept.add(variable)
            else:
                left = without
        return frozenset(kept & support(left))

    def count(self, node: Node) -> dict[Hashable, int]:
        """The number of complete cases for each answer."""
        return {answer: self.number(node, answer) for answer in answers(node)}

    def number(self, node: Node, answer: Hashable) -> int:
        """The number of complete cases that get `answer`."""
        every = prod(self.sizes)
        memo: dict[int, int] = {}

        def cases(current: Node) -> int:
            """Of all variables: those that a child does not test multiply its number, which their values share."""
            if not current.children:
                return every if current.value == answer else 0
            found = memo.get(id(current))
            if found is None:
                found = memo[id(current)] = sum([cases(child) for child in current.children]) // len(current.children)
            return found

        return cases(node)

    def first(self, node: Node, answer: Hashable) -> dict[int, int] | None:
        """The first case that gets `answer`: each variable that the diagram tests, with as low a value as can be.

        The variable with the lowest index counts most. None if no case gets the answer.
        """
        # A case as one number, whose digits are the values: the first case is the smallest number.
        weights = [1] * len(self.sizes)
        for variable in range(len(self.sizes) - 1, 0, -1):
            weights[variable - 1] = weights[variable] * self.sizes[variable]
        memo: dict[int, int | None] = {}

        def smallest(current: Node) -> int | None:
            if not current.children:
                return 0 if current.value == answer else None
            if id(current) not in memo:
                weight, best = weights[current.variable], None
                for value, child in enumerate(current.children):
                    rest = smallest(child)
                    if rest is not None and (best is None or value * weight + rest < best):
                        best = value * weight + rest
                memo[id(current)] = best
            return memo[id(current)]

        number = smallest(node)
        if number is None:
            return None
        return {variable: number // weights[variable] % self.sizes[variable] for variable in sorted(support(node))}

    def example(self, node: Node, answer: Hashable) -> dict[int, int] | None:
        """The first case that gets `answer`, without the variables that no longer matter beside those before them."""
        case = self.first(node, answer)
        if case is None:
            return None
        told: dict[int, int] = {}
        fixed = [UNKNOWN] * len(self.sizes)
        left = node
        for variable, value in case.items():
            met = list(reachable(left))
            self.work.step(len(met))
            if any(other.variable == variable for other in met):
                told[variable] = fixed[variable] = value
                left = self.restrict(left, fixed)
        return told


# Not a closure: that would be a cycle, which only the garbage collector frees.
def _restricted(
    node: Node,
    assignment: Assignment,
    memo: dict[int, Node],
    made: dict[tuple[int, tuple[Node, ...]], Node],
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


def _reduced(known: dict[tuple[int, tuple[Node, ...]], Node], variable: int, children: tuple[Node, ...]) -> Node:
    first = children[0]
    if children.count(first) == len(children):
        return first
    key = (variable, children)
    if key not in known:
        known[key] = Node(variable, children, None)
    return known[key]


def _and(left: bool, right: bool) -> bool:
    return left and right


def _or(left: bool, right: bool) -> bool:
    return left or right


def _and_known(nodes: tuple[Node, ...]) -> Node | None:
    left, right = nodes
    if left is right:
        return left
    if not left.children:
        return right if left.value else left
    if not right.children:
        return left if right.value else right
    return None


def _or_known(nodes: tuple[Node, ...]) -> Node | None:
    left, right = nodes
    if left is right:
        return left
    if not left.children:
        return left if left.value else right
    if not right.children:
        return right if right.value else left
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


class _Merging:
    """The tables of one call; its nodes are not stored with the others."""

    def __init__(self, level: Sequence[int]) -> None:
        self.level = level
        self.merged: dict[tuple[int, int], Node | None] = {}
        self.made: dict[tuple[int, tuple[Node, ...]], Node] = {}


def _without(
    node: Node, variable: int, impossible: Hashable, memo: dict[int, Node | None], tables: _Merging
) -> Node | None:
    """The function without a variable, right in all possible cases; None if the variable is needed."""
    if tables.level[node.variable] > tables.level[variable]:
        return node
    if id(node) in memo:
        return memo[id(node)]
    found: Node | None
    if node.variable == variable:
        found = node.children[0]
        for child in node.children[1:]:
            found = _either(found, child, impossible, tables) if found is not None else None
    else:
        children = [_without(child, variable, impossible, memo, tables) for child in node.children]
        known = tuple(child for child in children if child is not None)
        found = _reduced(tables.made, node.variable, known) if len(known) == len(children) else None
    memo[id(node)] = found
    return found


def _either(one: Node, other: Node, impossible: Hashable, tables: _Merging) -> Node | None:
    """The function that is `one` wherever that is possible and else `other`; None if possible answers differ."""
    if one is other:
        return one
    for this, that in ((one, other), (other, one)):
        if this.terminal and this.value == impossible:
            return that
    if one.terminal and other.terminal:
        return None
    key = (id(one), id(other))
    if key not in tables.merged:
        variable = min(one.variable, other.variable, key=tables.level.__getitem__)
        size = len(one.children if one.variable == variable else other.children)
        found: list[Node] = []
        for value in range(size):
            left, right = _cofactors((one, other), variable, value)
            both = _either(left, right, impossible, tables)
            if both is None:
                break
            found.append(both)
        tables.merged[key] = _reduced(tables.made, variable, tuple(found)) if len(found) == size else None
    return tables.merged[key]


def answers(node: Node) -> frozenset[Hashable]:
    """All answers that some case gets."""
    return frozenset(found.value for found in reachable(node) if found.terminal)
