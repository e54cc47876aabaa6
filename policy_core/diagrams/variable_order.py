"""The order in which diagrams test the deciding facts.

A diagram is small if facts that are tested together are tested one after the other: then few combinations have to be
kept apart. Finding the best order is hard (Bollig and Wegener 1996), so a few are tried, each within the work limit:
the document's own, the order in which the rules name the facts, and that order improved by FORCE (Aloul, Markov and
Sakallah 2003), which moves each fact to the centre of those tested with it. All of it is counted arithmetic: the same
document has the same orders on every machine.

An order is no part of a document and changes no answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from policy_core.diagrams.variables import Test, tested_path
from policy_core.document.conditions import AllOf, AnyOf, AtLeastOf, Condition, IndicationsOf, Named, Not
from policy_core.document.models import PolicyDocument

Group = tuple[str, ...]
"""The paths of facts that one condition tests, by their first mention."""

ROUNDS = 50
"""Of FORCE; it settles after a number that grows with the logarithm of the number of facts."""
MOVES = 1_000_000
"""Facts of groups visited by FORCE altogether: fewer rounds for a document with more groups."""


def orders(document: PolicyDocument, paths: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """The orders to try, best guess first; each names the facts by their index in `paths`.

    Args:
        document: A document whose references are valid.
        paths: Its deciding facts, in its order.
    """
    seen: set[tuple[int, ...]] = set()
    for order in _orders(document, paths):
        found = tuple(map(paths.index, order))
        if found not in seen:
            seen.add(found)
            yield found


def _orders(document: PolicyDocument, paths: Sequence[str]) -> Iterator[Sequence[str]]:
    yield paths
    known = set(paths)
    mentioned, groups = facts_together(document)
    by_rules = [*(path for path in mentioned if path in known), *(path for path in paths if path not in mentioned)]
    yield by_rules
    yield gathered(by_rules, groups)
    yield gathered(paths, groups)


def facts_together(document: PolicyDocument) -> tuple[Group, list[Group]]:
    """All facts that conditions test, as the rules mention them first, and those of each condition with parts."""
    groups: dict[Group, None] = {}
    named: dict[str, Group] = {}

    def tested(condition: Condition) -> Group:
        match condition:
            case AllOf(all=parts) | AnyOf(any=parts) | AtLeastOf(of=parts):
                found = _union(map(tested, parts))
            case Not(not_=part):
                found = tested(part)
            case Named(condition=name):
                return named[name]
            case IndicationsOf(indications_of=statement):
                found = _union(by_statement.get(statement, ()))
            case _:
                return (tested_path(condition),) if isinstance(condition, Test) else ()
        if len(found) > 1:
            groups[found] = None
        return found

    # In order, as they are drawn: a named condition only refers to earlier ones, however many.
    for one in document.conditions:
        named[one.id] = tested(one.when)
    by_statement: dict[str, list[Group]] = {}
    for indication in document.indications:
        by_statement.setdefault(indication.statement, []).append(tested(indication.when))
    mentioned = [tested(rule.when) for rule in document.rules]
    mentioned += [tested(statement.applies_when) for statement in document.statements]
    return _union(chain(mentioned, named.values(), *by_statement.values())), list(groups)


def _union(groups: Iterable[Group]) -> Group:
    return tuple(dict.fromkeys(chain.from_iterable(groups)))


def gathered(order: Sequence[str], groups: Iterable[Group]) -> Sequence[str]:
    """The order with the facts of each group moved together; of the rounds, the one with the shortest groups."""
    known = set(order)
    # A group of nearly all facts pulls all to the middle and tells nothing.
    telling = [group for group in groups if 2 * len(group) <= len(order) and known.issuperset(group)]
    best, shortest = order, _length(order, telling)
    for _ in range(min(ROUNDS, MOVES // max(1, sum(map(len, telling))))):
        order = _moved(order, telling)
        length = _length(order, telling)
        if length < shortest:
            best, shortest = order, length
    return best


def _moved(order: Sequence[str], groups: Sequence[Group]) -> Sequence[str]:
    place = _places(order)
    pull = dict.fromkeys(order, 0.0)
    weight = dict.fromkeys(order, 0.0)
    for group in groups:
        # A small group ties its facts more strongly than a large one.
        tie = 1 / len(group)
        centre = sum(place[path] for path in group) * tie
        for path in group:
            pull[path] += centre * tie
            weight[path] += tie
    wanted = {path: pull[path] / weight[path] if weight[path] else float(place[path]) for path in order}
    return sorted(order, key=lambda path: (wanted[path], place[path]))


def _length(order: Sequence[str], groups: Iterable[Group]) -> int:
    place = _places(order)
    return sum(max(place[path] for path in group) - min(place[path] for path in group) for group in groups)


def _places(order: Sequence[str]) -> Mapping[str, int]:
    return {path: at for at, path in enumerate(order)}
