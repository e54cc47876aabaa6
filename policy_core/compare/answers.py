"""How the answers of two documents differ, proved over every possible case.

A line's answer depends on finitely many inputs: the interval of service dates between two dates that either document
names, the line of business, the code, whether the service came too early, and the deciding facts. For each combination
of the first four, each document's answers form a decision diagram over the facts of both documents. The product of the
two diagrams holds both answers to every complete case. Equal diagrams decide alike. Nothing is sampled.

Requests with missing facts need no separate proof: their findings and questions follow from the complete cases that
they may become.

An answer is a determination with its reasons and, when redirected, the program's name. How facts are read, when a
decision is due, and what is asked, said and cited is compared part by part.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import reduce
from itertools import pairwise, product
from math import prod
from typing import NamedTuple, TypeVar

from policy_core.compare.wording_and_citations import PartChange, part_changes
from policy_core.diagrams.diagram import Diagrams, Node, reachable
from policy_core.diagrams.editions import IMPOSSIBLE, DrawnEdition
from policy_core.diagrams.intervals import Intervals, decimal
from policy_core.diagrams.readable_conditions import Cover, Cube, cover
from policy_core.diagrams.variable_order import facts_together, gathered
from policy_core.diagrams.variables import ATTRIBUTES, OTHER, Tested, Value, Variable, attribute_classes, tested_values
from policy_core.document.models import FactDeclaration, FactKind, PolicyDocument, Window
from policy_core.document.revisions import boundaries
from policy_core.evaluate.determine import Answer, Policy, Step
from policy_core.work_limit import (
    ELEMENTS_COMPARED,
    FACTS_COMPARED,
    NODES_COMPARED,
    NODES_OF_CONDITIONS,
    STEPS_COMPARED,
    STEPS_OF_CONDITIONS,
    TooComplexError,
    Work,
)

OTHER_BUSINESS = "any other"
"""Represents every line of business that neither document names."""


class Aspect(StrEnum):
    """The part of the documents that causes a difference."""

    RECORD = "record"
    EXCEPTIONS = "exceptions"
    CODES = "codes"
    PRIOR_AUTHORIZATION = "prior_authorization"
    STATEMENTS = "statements"
    FACTS = "facts"
    """One document does not know a fact's value and refuses requests that state it."""


_ASPECTS = {
    Step.POLICY_ON_RECORD: Aspect.RECORD,
    Step.EXCEPTION: Aspect.EXCEPTIONS,
    Step.CODE_VALID: Aspect.CODES,
    Step.CODE_LISTED: Aspect.CODES,
    Step.PRIOR_AUTHORIZATION: Aspect.PRIOR_AUTHORIZATION,
    Step.CLINICAL_STATEMENTS: Aspect.STATEMENTS,
}


class ComparedAnswer(NamedTuple):
    """One document's answer to a case."""

    determination: str | None
    """None if it refuses the request because it does not know a fact's value."""
    reasons: tuple[str, ...]
    program: str | None
    aspect: Aspect
    by: str
    """The rule or step that gives the answer."""
    months: int | None = None
    """How long what is certified holds, if the rule says so."""

    @property
    def answer(self) -> tuple[str | None, tuple[str, ...], str | None, int | None]:
        """What must be equal for two documents to decide alike."""
        return self.determination, self.reasons, self.program, self.months


_REFUSED = ComparedAnswer(None, (), None, Aspect.FACTS, "no such value")
_CONTRADICTED = ComparedAnswer("information_needed", (), None, Aspect.STATEMENTS, "never")
"""To what cannot be: its facts conflict."""
_READ = ComparedAnswer("decided", (), None, Aspect.FACTS, "as any other request")
"""The counterpart of `_REFUSED`: reading a request at all is one difference, whatever the decision."""


@dataclass(frozen=True)
class Example:
    """One complete case with different answers."""

    day: date
    line_of_business: str
    system: str
    code: str
    unauthorized: bool
    facts: Mapping[str, Value]
    """All deciding facts of both documents, by path."""


@dataclass(frozen=True)
class Where:
    """The lines that a change affects: every combination of these values."""

    days: tuple[Window, ...]
    """The service dates, as intervals."""
    lines_of_business: tuple[str, ...]
    """Empty: every one."""
    codes: tuple[str, ...]
    """Empty: every one."""
    unauthorized: bool | None
    """Whether the service precedes its request without an authorization; None if that makes no difference."""


@dataclass(frozen=True)
class Change:
    """One way in which answers differ, with the exact conditions."""

    before: ComparedAnswer
    after: ComparedAnswer
    where: tuple[Where, ...]
    """Any of these."""
    conditions: tuple[Cube, ...]
    """Any of these: values of facts by joint variable; an empty condition holds in every case."""
    further: int
    """Number of cases outside `conditions`, because there are too many conditions to list."""
    cases: int
    """Number of complete cases with this change."""
    example: Example

    @property
    def whole(self) -> bool:
        """Whether `conditions` cover all cases."""
        return not self.further

    @property
    def aspect(self) -> Aspect:
        """The part of the documents that causes the difference: the earlier of the two steps."""
        order = list(Aspect)
        return min(self.before.aspect, self.after.aspect, key=order.index)


@dataclass(frozen=True)
class JointVariable:
    """A deciding fact of either document, with all values that either document knows."""

    path: str
    question: str
    domain: tuple[Value, ...]
    samples: tuple[Value, ...]
    """For each, a value as a request states it."""
    kinds: tuple[FactKind | None, ...]
    """For each, the kind of fact that has it; None if it is of no fact."""


@dataclass(frozen=True)
class Comparison:
    """How the newer of two documents differs in what it answers, reads and says."""

    old: Policy
    new: Policy
    cases: int
    """Number of complete cases over the facts of both."""
    cases_that_change: int
    """Number of those in which some answer differs."""
    variables: tuple[JointVariable, ...]
    lines_of_business: tuple[str, ...]
    """The lines of business that either document names, then `OTHER_BUSINESS`."""
    changes: tuple[Change, ...]
    parts: tuple[PartChange, ...]

    @property
    def equivalent(self) -> bool:
        """Whether every request is decided alike: every case, code and date, every fact read, every deadline."""
        return not self.changes and not any(part.decides for part in self.parts)


def compare(old: Policy, new: Policy, *, before: date | None = None) -> Comparison:
    """How `new` differs from `old`; with `before`, only different answers for services before that day are listed.

    Raises:
        TooComplexError: The comparison exceeds the work limit of both documents, with or without a day.
    """
    joint, points, changing = _joined(old, new)
    return Comparison(
        old,
        new,
        prod(joint.diagrams.sizes),
        changing,
        joint.variables,
        tuple(joint.businesses),
        tuple(_changes(joint, joint.before(before, points) if before is not None else points)),
        tuple(part_changes(old.document, new.document)),
    )


def _joined(old: Policy, new: Policy) -> "tuple[_Joint, Points, int]":
    """Both documents, their differences and the number of cases that change, in the first order of facts that fits."""
    known = _variables(old, new)
    for order in _orders(old, new, [variable.path for variable in known]):
        joint = _Joint(old, new, known, order)
        try:
            return joint, joint.points(), joint.cases_that_change()
        except TooComplexError as error:
            refused = error.with_traceback(None)  # which would keep all nodes
    raise refused


def _orders(old: Policy, new: Policy, paths: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """The orders to try: that of each document, then with the facts gathered that either tests together."""
    tried: set[tuple[int, ...]] = set()
    for order in _orders_of_paths(old, new):
        found = tuple(map(paths.index, order))
        if found not in tried:
            tried.add(found)
            yield found


def _orders_of_paths(old: Policy, new: Policy) -> Iterator[Sequence[str]]:
    tested = [[policy.variables[at] for at in policy.order] for policy in (old, new)]
    own, its = ([variable.path for variable in some if _varies(variable)] for some in tested)
    first = list(dict.fromkeys([*own, *its]))
    yield first
    yield list(dict.fromkeys([*its, *own]))
    groups = [group for policy in (old, new) for group in facts_together(policy.document)[1]]
    yield gathered(first, [tuple(path for path in group if path in first) for group in groups])


# --- the space of both ----------------------------------------------------------------------------------------------


class _Code(NamedTuple):
    """A procedure code, possibly representing all codes that behave alike."""

    system: str
    code: str
    label: str


class _Point(NamedTuple):
    """A combination of the inputs other than clinical facts."""

    cell: int
    line_of_business: str
    code: _Code
    unauthorized: bool


_Key = tuple[ComparedAnswer, ComparedAnswer, Node]
"""Two answers that differ, and the cases in which they do."""
Points = dict[_Key, list[_Point]]
Thing = TypeVar("Thing")


class _Joint:
    """Both documents over the same inputs."""

    def __init__(self, old: Policy, new: Policy, variables: tuple[JointVariable, ...], order: Sequence[int]) -> None:
        self.sides = (old, new)
        self.variables = variables
        work = Work(STEPS_COMPARED + old.allowed + new.allowed, NODES_COMPARED)
        self.diagrams = Diagrams([len(variable.domain) for variable in self.variables], work, order)
        days = sorted(boundaries(old.document) | boundaries(new.document))
        self.cells = [Window(until=days[0]), *(Window(since=a, until=b) for a, b in pairwise(days))]
        self.cells.append(Window(since=days[-1]))
        self.businesses = [*_businesses(old.document, new.document), OTHER_BUSINESS]
        self.codes = tuple(_codes(old, new))
        self._translations = tuple(_Translation(self, side) for side in self.sides)
        self._different: dict[tuple[int, int], tuple[tuple[tuple[ComparedAnswer, ComparedAnswer], Node], ...]] = {}
        self._pairs: dict[Node, None] = {}
        """Both answers to each case, or None where they are alike, for each two diagrams compared."""

    def day(self, cell: int) -> date:
        """A day that represents its interval."""
        window = self.cells[cell]
        return window.since if window.since is not None else (window.until or date.max) - timedelta(days=1)

    def points(self) -> Points:
        """The points of each difference, intervals of days in order."""
        found: Points = {}
        for cell in range(len(self.cells)):
            for key, point in self._differing(cell):
                self.diagrams.work.step()
                found.setdefault(key, []).append(point)
        return found

    def cases_that_change(self) -> int:
        """Number of complete cases in which some answer differs; `points` has compared all."""
        different = [pairs for pairs in self._pairs if pairs is not self.diagrams.terminal(None)]
        if not different:
            return 0
        # One alone is counted as it is: no diagram of it needs to be drawn.
        alike = reduce(lambda one, other: self.diagrams.apply(_alike_in_both, one, other), different)
        return prod(self.diagrams.sizes) - self.diagrams.number(alike, None)

    def before(self, day: date, points: Points) -> Points:
        """The points before a day."""
        early = {at for at, cell in enumerate(self.cells) if cell.since is None or cell.since < day}
        found = {key: [point for point in some if point.cell in early] for key, some in points.items()}
        return {key: some for key, some in found.items() if some}

    def _differing(self, cell: int) -> Iterator[tuple[_Key, _Point]]:
        """The differences within one interval of days.

        Lines of business that both documents treat alike are evaluated once, and likewise codes.
        """
        day = self.day(cell)
        businesses = self._classes(self.businesses, lambda policy, business: _treated(policy, day, business=business))
        codes = self._classes(self.codes, lambda policy, code: _treated(policy, day, code=code))
        for some, others, unauthorized in product(businesses, codes, (False, True)):
            self.diagrams.work.step()
            business, code = self.businesses[some[0]], self.codes[others[0]]
            before, after = (
                translation.answers(business, code, day, unauthorized=unauthorized)
                for translation in self._translations
            )
            for (was, is_), node in self._differences(before, after):
                for at_business, at_code in product(some, others):
                    point = _Point(cell, self.businesses[at_business], self.codes[at_code], unauthorized)
                    yield (was, is_, node), point

    def _classes(self, things: Sequence[Thing], answer_of: Callable[[Policy, Thing], Hashable]) -> list[list[int]]:
        """Group things that each document treats alike; returns their indices."""
        found: dict[tuple[Hashable, ...], list[int]] = {}
        for at, thing in enumerate(things):
            self.diagrams.work.step()
            found.setdefault(tuple(answer_of(policy, thing) for policy in self.sides), []).append(at)
        return list(found.values())

    def _differences(self, before: Node, after: Node) -> tuple[tuple[tuple[ComparedAnswer, ComparedAnswer], Node], ...]:
        key = (id(before), id(after))
        if key not in self._different:
            pairs = self.diagrams.apply(_different, before, after)
            self._pairs[pairs] = None
            found = self.diagrams.split(pairs, without=None)
            self._different[key] = tuple((pair, found[pair]) for pair in _in_order(found))
        return self._different[key]


def _treated(policy: Policy, day: date, *, business: str | None = None, code: _Code | None = None) -> Hashable:
    """What is alike for lines of business, or for codes, that a document treats alike on a day."""
    if code is not None:
        return policy.by_code(code.system, code.code, day), _fixed(policy, CODE, f"{code.system} {code.code}")
    named = str(business)
    return policy.by_exception(named, day), _fixed(policy, BUSINESS, named)


CODE, BUSINESS = "line.code", "request.line_of_business"
"""The variables that a point fixes."""


def _fixed(policy: Policy, path: str, value: str) -> int | None:
    """The class of a point's value, if the document's conditions test it."""
    found = next((variable for variable in policy.variables if variable.path == path), None)
    return found.index(value) if found is not None else None


def _different(before: ComparedAnswer, after: ComparedAnswer) -> tuple[ComparedAnswer, ComparedAnswer] | None:
    if before.answer == after.answer:
        return None
    if _REFUSED in (before, after):
        return (_REFUSED, _READ) if before == _REFUSED else (_READ, _REFUSED)
    return before, after


def _alike_in_both(one: Hashable, other: Hashable) -> bool | None:
    return None if one is None and other is None else True


def _in_order(pairs: Iterable[Hashable]) -> list[tuple[ComparedAnswer, ComparedAnswer]]:
    return sorted((pair for pair in pairs if isinstance(pair, tuple)), key=repr)


class _Translation:
    """One document's answers, over the inputs of both."""

    def __init__(self, joint: _Joint, policy: Policy) -> None:
        self._diagrams = joint.diagrams
        self._policy = policy
        self._own = {variable.path: index for index, variable in enumerate(policy.variables)}
        self._joint = {variable.path: index for index, variable in enumerate(joint.variables)}
        self._values = [self._readings(variable) for variable in joint.variables]
        self._known = self._all_known()
        self._index = {edition.since: at for at, edition in enumerate(policy.document.editions)}
        self._editions: dict[tuple[date, int | None, int | None], Node] = {}

    def answers(self, business: str, code: _Code, day: date, *, unauthorized: bool) -> Node:
        """The document's answers to every case."""
        early = self._policy.before_statements(business, code.system, code.code, day, unauthorized=unauthorized)
        edition = self._policy.edition_on(day)
        if early is None and edition is not None:
            named = f"{code.system} {code.code}"
            return self._edition(edition, _fixed(self._policy, CODE, named), _fixed(self._policy, BUSINESS, business))
        return self._or_refused(self._diagrams.terminal(_early_answer(early)))

    def _edition(self, edition: DrawnEdition, code: int | None, business: int | None) -> Node:
        key = (edition.since, code, business)
        if key not in self._editions:
            with self._diagrams.work.on("editions", self._index[edition.since]):
                fixed = {CODE: code, BUSINESS: business}
                self._editions[key] = self._or_refused(self._translated(edition, fixed))
        return self._editions[key]

    def _translated(self, edition: DrawnEdition, fixed: Mapping[str, int | None]) -> Node:
        memo: dict[int, Node] = {}
        own = [variable.path for variable in self._policy.variables]

        def walk(node: Node) -> Node:
            if id(node) not in memo:
                memo[id(node)] = leaf(node) if node.terminal else inner(node)
            return memo[id(node)]

        def leaf(node: Node) -> Node:
            if not isinstance(node.value, int):
                raise TypeError("a diagram of rules ends in rules")
            if node.value == IMPOSSIBLE:
                return self._diagrams.terminal(_CONTRADICTED)
            outcome, rule = edition.rows[node.value].outcome, edition.rows[node.value].rule
            reasons = (outcome.reason,) if outcome.reason is not None else ()
            return self._diagrams.terminal(
                ComparedAnswer(outcome.determination.value, reasons, None, Aspect.STATEMENTS, rule.id, outcome.months)
            )

        def inner(node: Node) -> Node:
            path = own[node.variable]
            if (index := fixed.get(path)) is not None:
                return walk(node.children[index])
            at = self._joint[path]
            refused = self._diagrams.terminal(_REFUSED)
            read = [walk(node.children[reading]) if reading is not None else refused for reading in self._values[at]]
            return self._diagrams.select(at, read)

        return walk(edition.by_rule)

    def _readings(self, variable: JointVariable) -> list[int | None]:
        """For each joint value, the index of the document's own value; None if the document does not know it."""
        own = self._own.get(variable.path)
        index = self._policy.variables[own].index if own is not None else lambda _value: 0
        declared = next((fact for fact in self._policy.document.facts if fact.path == variable.path), None)
        if declared is None and any(variable.kinds):
            return [0] * len(variable.domain)  # requests do not state a fact that the document lacks
        return [
            index(value) if declared is None or _declares(declared, value, kind) else None
            for value, kind in zip(variable.samples, variable.kinds, strict=True)
        ]

    def _all_known(self) -> Node:
        known = [
            self._diagrams.member(at, {value for value, reading in enumerate(readings) if reading is not None})
            for at, readings in enumerate(self._values)
        ]
        return self._diagrams.all_of(known)

    def _or_refused(self, node: Node) -> Node:
        # A request with an unknown value is refused before any line is decided.
        return self._diagrams.choice(self._known, node, self._diagrams.terminal(_REFUSED))


def _early_answer(answer: Answer | None) -> ComparedAnswer:
    if answer is None:
        raise TypeError("a day without an edition has an answer before the statements")
    program = answer.program.name if answer.program else None
    return ComparedAnswer(answer.determination.value, answer.reasons, program, _ASPECTS[answer.step], answer.step.value)


def _variables(old: Policy, new: Policy) -> tuple[JointVariable, ...]:
    """The deciding facts of both documents: in the old document's order, then new facts."""
    own = {variable.path: variable for variable in old.variables if _varies(variable)}
    its = {variable.path: variable for variable in new.variables if _varies(variable)}
    paths = dict.fromkeys([*own, *its])
    if len(paths) > FACTS_COMPARED:
        raise TooComplexError((), len(paths), FACTS_COMPARED, "deciding facts")
    return tuple(_both(own.get(path), its.get(path)) for path in paths)


def _varies(variable: Variable) -> bool:
    """Whether a case may have one class or another, and no point fixes it."""
    return variable.tested is not Tested.PRESENCE and variable.path not in (CODE, BUSINESS)


def _both(before: Variable | None, after: Variable | None) -> JointVariable:
    present = [variable for variable in (before, after) if variable is not None]
    newest = present[-1]
    if all(variable.tested is Tested.SET for variable in present):
        asked = dict.fromkeys(element for variable in present for element in variable.asked)
        if len(asked) > ELEMENTS_COMPARED:
            raise TooComplexError((newest.path,), len(asked), ELEMENTS_COMPARED, "values of one set")
        domain: tuple[Value, ...] = tuple(_subsets(list(asked)))
        return JointVariable(newest.path, newest.question, domain, domain, (newest.kind,) * len(domain))
    if newest.path in ATTRIBUTES and newest.tested is Tested.VALUES:
        named = dict.fromkeys(value for variable in present for value in variable.domain if value != OTHER)
        domain, samples = attribute_classes(newest.path, list(named))
        return JointVariable(newest.path, newest.question, domain, samples, (None,) * len(domain))
    numbers = [variable for variable in present if variable.tested is Tested.INTERVALS]
    intervals = Intervals.between(cut for variable in numbers for cut in variable.cuts)
    values: dict[tuple[Value, FactKind | None], tuple[Value, Value]] = {}
    pairs: Sequence[tuple[Value, Value]]
    for variable in present:
        if variable.tested is Tested.INTERVALS:
            pairs = [*zip(intervals.labels, map(decimal, intervals.samples), strict=True)]
        else:
            # A boolean that became a choice has values of both kinds.
            pairs = [*zip(variable.domain, variable.samples, strict=True)]
        values |= {(label, variable.kind): (label, sample) for label, sample in pairs}
    domain, samples = zip(*values.values(), strict=True)
    return JointVariable(newest.path, newest.question, domain, samples, tuple(kind for _, kind in values))


def _subsets(elements: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for mask in range(1 << len(elements)):
        yield tuple(element for bit, element in enumerate(elements) if mask >> bit & 1)


def _declares(fact: FactDeclaration, value: Value, kind: FactKind | None) -> bool:
    """Whether a request may state the value, which is one of a fact of this kind."""
    if FactKind.NUMBER in (fact.kind, kind):
        return fact.kind is kind
    if fact.kind is FactKind.BOOLEAN:
        return isinstance(value, bool)
    if fact.kind is FactKind.SET:
        return isinstance(value, tuple) and all(element in fact.values for element in value)
    return fact.kind is FactKind.CHOICE and value in fact.values


def _businesses(old: PolicyDocument, new: PolicyDocument) -> list[str]:
    # Those with a clock first: their requests are decided here.
    clocks = [assigned.line_of_business for document in (old, new) for assigned in document.clock_for]
    tested = [name for document in (old, new) for name in tested_values(document, BUSINESS)]
    exceptions = [exception.line_of_business for document in (old, new) for exception in document.exceptions]
    return list(dict.fromkeys([*clocks, *exceptions, *tested]))


# --- codes ----------------------------------------------------------------------------------------------------------


def _codes(old: Policy, new: Policy) -> Iterator[_Code]:
    """Codes that represent all codes; those with the same label are treated alike by both documents on every day."""
    seen: set[tuple[str, str]] = set()
    for code in (*_listed(old, new), *_unlisted(old, new)):
        if (code.system, code.code) not in seen:
            seen.add((code.system, code.code))
            yield code


def _spellings(code: str) -> tuple[str, str, str]:
    """The code as it is, without a dot, and with one: the only spellings that a code system can distinguish."""
    bare = code.replace(".", "")
    return code, bare, f"{bare[:1]}.{bare[1:]}"


def _listed(old: Policy, new: Policy) -> Iterator[_Code]:
    for code in (*old.document.codes.listed, *new.document.codes.listed):
        listed = [policy.codes.entry(code.system, code.code) for policy in (old, new)]
        for spelling in _spellings(code.code):
            found = [policy.codes.entry(code.system, spelling) for policy in (old, new)]
            if found == listed:
                yield _Code(code.system, spelling, f"{code.system} {code.code}")
            elif any(found):
                yield _Code(code.system, spelling, f"{code.system} {spelling}")


def _unlisted(old: Policy, new: Policy) -> Iterator[_Code]:
    """An unlisted code is treated by its system and form alone: its length and its dots."""
    systems = dict.fromkeys(known.system for policy in (old, new) for known in policy.document.codes.systems)
    for system in systems:
        rules = [known for policy in (old, new) for known in policy.document.codes.systems if known.system == system]
        lengths = {known.length for known in rules if known.length is not None}
        odd = next(number for number in range(1, len(lengths) + 2) if number not in lengths)
        for length in sorted({*lengths, odd}):
            for spelling in _spellings(_unused(system, length, (old, new)))[1:]:
                fits = {policy.codes.well_formed(system, spelling) for policy in (old, new)}
                if len(fits) > 1:
                    label = f"{system} code of a form as {spelling}"
                else:
                    label = f"any other {system} code" if True in fits else f"{system} code of another form"
                yield _Code(system, spelling, label)
    another = "another" + "_" * (1 + max(map(len, systems), default=0))
    yield _Code(another, "0", "any code of another system")


def _unused(system: str, length: int, policies: Iterable[Policy]) -> str:
    letters = "ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210"
    tried = ("".join(characters) for characters in product(letters, repeat=length))
    taken = {
        entry.code.replace(".", "")
        for policy in policies
        for entry in policy.document.codes.listed
        if entry.system == system
    }
    return next((code for code in tried if code not in taken), "?" * length)


# --- from points to changes -----------------------------------------------------------------------------------------


def _changes(joint: _Joint, points: Points) -> Iterator[Change]:
    covers = _covers(joint.diagrams, [node for _, _, node in points])
    for ((before, after, node), where), found in zip(points.items(), covers, strict=True):
        # From the newest interval of days; of its points, the first.
        exemplary = max(where, key=lambda point: point.cell)
        facts = joint.diagrams.first(node, answer=True) or {}
        yield Change(
            before,
            after,
            where=tuple(_where(joint, box) for box in _boxes(where)),
            conditions=tuple(found.cubes),
            further=found.further,
            cases=joint.diagrams.number(node, answer=True),
            example=Example(
                joint.day(exemplary.cell),
                exemplary.line_of_business,
                exemplary.code.system,
                exemplary.code.code,
                exemplary.unauthorized,
                {variable.path: variable.domain[facts.get(at, 0)] for at, variable in enumerate(joint.variables)},
            ),
        )


def _covers(diagrams: Diagrams, nodes: Sequence[Node]) -> list[Cover]:
    """Each change's conditions. Small changes come first, so that large ones get what those leave of their shares."""
    work = Work(STEPS_OF_CONDITIONS, NODES_OF_CONDITIONS)
    found: dict[int, Cover] = {}
    by_size = sorted(range(len(nodes)), key=lambda at: sum(1 for _ in reachable(nodes[at])))
    for done, at in enumerate(by_size):
        share = work.share(len(nodes) - done)
        found[at] = cover(diagrams, nodes[at], share)
        work.spend(share)
    return [found[at] for at in range(len(nodes))]


def _where(joint: _Joint, box: "_Box") -> Where:
    return Where(
        days=_windows(joint, box.cells),
        lines_of_business=_all_or(box.businesses, joint.businesses),
        codes=_all_or(box.codes, [code.label for code in joint.codes]),
        unauthorized=next(iter(box.unauthorized)) if len(box.unauthorized) == 1 else None,
    )


class _Box(NamedTuple):
    """A set of points: every combination of these sides."""

    cells: frozenset[int]
    businesses: frozenset[str]
    codes: frozenset[str]
    unauthorized: frozenset[bool]


def _boxes(points: Iterable[_Point]) -> Iterator[_Box]:
    """The points as boxes: grouped by codes that behave alike, then lines of business, then the rest."""
    by_code: dict[str, set[tuple[str, bool, int]]] = {}
    for point in points:
        by_code.setdefault(point.code.label, set()).add((point.line_of_business, point.unauthorized, point.cell))
    for codes, of_codes in _alike(by_code):
        by_business: dict[str, set[tuple[bool, int]]] = {}
        for business, unauthorized, cell in of_codes:
            by_business.setdefault(business, set()).add((unauthorized, cell))
        for businesses, of_businesses in _alike(by_business):
            by_time: dict[bool, set[int]] = {}
            for unauthorized, cell in of_businesses:
                by_time.setdefault(unauthorized, set()).add(cell)
            for times, cells in _alike(by_time):
                yield _Box(cells, businesses, codes, times)


Name = TypeVar("Name", bound=Hashable)
Rest = TypeVar("Rest", bound=Hashable)


def _alike(named: Mapping[Name, set[Rest]]) -> Iterator[tuple[frozenset[Name], frozenset[Rest]]]:
    """Group names that have the same values."""
    same: dict[frozenset[Rest], list[Name]] = {}
    for name, behind in named.items():
        same.setdefault(frozenset(behind), []).append(name)
    for rest, names in same.items():
        yield frozenset(names), rest


def _all_or(chosen: frozenset[str], known: Sequence[str]) -> tuple[str, ...]:
    return () if chosen == set(known) else tuple(dict.fromkeys(name for name in known if name in chosen))


def _windows(joint: _Joint, cells: frozenset[int]) -> tuple[Window, ...]:
    """Merge adjacent intervals."""
    windows: list[Window] = []
    for cell in sorted(cells):
        since, until = joint.cells[cell].since, joint.cells[cell].until
        if windows and windows[-1].until == since:
            since = windows.pop().since
        windows.append(Window(since=since, until=until))
    return tuple(windows)
