"""What conditions test beside clinical facts: times between days, and attributes of the request and of its lines."""

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from policy_core.diagrams.variables import BORN, Scope, Value, Variable
from policy_core.document.conditions import TimeUnit
from policy_core.document.part import OF_LINE
from policy_core.evaluate.case import Case, RecurringCase, RequestedLine, ServiceLine
from policy_core.evaluate.facts import Fact, FactReading, Origin

Asked = Case | RecurringCase
AskedLine = ServiceLine | RequestedLine

_OF_REQUEST: Mapping[str, Callable[[Asked], Value | None]] = {
    "request.certification": lambda request: request.certification,
    "request.line_of_business": lambda request: request.line_of_business,
    "request.sex": lambda request: request.sex,
    "request.provider_specialty": lambda request: request.provider_specialty,
    BORN: lambda request: request.birth_date.isoformat() if request.birth_date else None,
}
_OF_LINE: Mapping[str, Callable[[AskedLine], Value | None]] = {
    "line.code": lambda line: f"{line.system} {line.code}",
    "line.performed_on": lambda line: line.performed_on,
    "line.place_of_service": lambda line: line.place_of_service,
    # A line that states no modifiers has none: no form of a claim has a way to say so.
    "line.modifiers": lambda line: line.modifiers or (),
    "line.units": lambda line: str(line.units),
}

Read = Callable[[Mapping[str, Fact], Asked | None, AskedLine | None], Value | None]


class Measures:
    """What a policy tests of requests and lines, and of the times between their days."""

    def __init__(self, variables: Sequence[Variable]) -> None:
        self._variables = variables
        readings = [(at, variable, _reading(variable)) for at, variable in enumerate(variables)]
        self._read = {
            scope: tuple((at, one, read) for at, one, read in readings if read is not None and one.scope is scope)
            for scope in Scope
        }

    def tests(self, scope: Scope) -> bool:
        """Whether anything of a scope is tested that is no fact."""
        return bool(self._read[scope])

    def of_facts(self, facts: Mapping[str, Fact]) -> list[tuple[int, int]]:
        """The classes of what follows from facts alone, by variable."""
        return [(at, index) for at, index, _ in self._found(Scope.FACTS, facts, None, None)]

    def of_request(self, facts: Mapping[str, Fact], request: Asked) -> list[tuple[int, int]]:
        """The classes of what belongs to the request, by variable."""
        return [(at, index) for at, index, _ in self._found(Scope.REQUEST, facts, request, None)]

    def of_line(self, facts: Mapping[str, Fact], request: Asked, line: AskedLine) -> list[tuple[int, int]]:
        """The classes of what belongs to the line, by variable."""
        return [(at, index) for at, index, _ in self._found(Scope.LINE, facts, request, line)]

    def seen(self, facts: Mapping[str, Fact], request: Asked, line: AskedLine) -> tuple[Fact, ...]:
        """All that is tested beside the facts, as it is for a line, in the order of the variables."""
        found = [one for scope in Scope for one in self._found(scope, facts, request, line)]
        values = {at: value for at, _, value in found}
        # A date of birth is told by the age alone.
        every = sorted(at for read in self._read.values() for at, one, _ in read if one.path != BORN)
        return tuple(
            Fact(self._variables[at].path, Origin.STATED if at in values else Origin.NOT_STATED, values.get(at))
            for at in every
        )

    def _found(
        self, scope: Scope, facts: Mapping[str, Fact], request: Asked | None, line: AskedLine | None
    ) -> list[tuple[int, int, Value]]:
        return [
            (at, variable.index(value), value)
            for at, variable, read in self._read[scope]
            if (value := read(facts, request, line)) is not None
        ]


def _reading(variable: Variable) -> Read | None:
    """How a variable's value is read; None if it is a fact's, or counted from one."""
    if variable.time is not None:
        first, second = variable.time.days
        unit = variable.time.unit

        def between(facts: Mapping[str, Fact], request: Asked | None, line: AskedLine | None) -> Value | None:
            since, until = _day(first, facts, request, line), _day(second, facts, request, line)
            return str(passed(unit, since, until)) if since is not None and until is not None else None

        return between
    fact = variable.declaration
    if fact is not None and fact.path.startswith(OF_LINE):
        reading = FactReading(fact)
        return lambda _facts, _request, line: _stated(reading, line) if line is not None else None
    if (of_line := _OF_LINE.get(variable.path)) is not None:
        return lambda _facts, _request, line: of_line(line) if line is not None else None
    if (of_request := _OF_REQUEST.get(variable.path)) is not None:
        return lambda _facts, request, _line: of_request(request) if request is not None else None
    return None


def _day(end: str, facts: Mapping[str, Fact], request: Asked | None, line: AskedLine | None) -> date | None:
    if end == "service_date":
        return line.service_date if line is not None else None
    if end == "submitted_on":
        return request.submitted_at.date() if request is not None else None
    if end == "birth_date":
        return request.birth_date if request is not None else None
    if end.startswith(OF_LINE):
        stated = _clinical(line).get(end.removeprefix(OF_LINE)) if line is not None else None
    else:
        stated = facts[end].value
    return date.fromisoformat(stated) if isinstance(stated, str) else None


def _stated(reading: FactReading, line: AskedLine) -> Value | None:
    """A line's own fact, or what is presumed."""
    return reading.fact(_clinical(line), ()).value


def _clinical(line: AskedLine) -> Mapping[str, Any]:
    """A line's own clinical object."""
    return line.clinical if isinstance(line, ServiceLine) else line.clinical.value


def passed(unit: TimeUnit, since: date, until: date) -> int:
    """Days, or full months or years of the calendar, from one day to another; negative if the other is earlier.

    A month is full on the same day of a later one, or on its last day if it has no such day; a year has 12 months.
    """
    if unit == "days":
        return (until - since).days
    months = (until.year - since.year) * 12 + until.month - since.month
    if min(since.day, monthrange(until.year, until.month)[1]) > until.day:
        months -= 1
    return months if unit == "months" else months // 12


def filled(pattern: Sequence[int], found: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """A pattern with some classes set."""
    whole = list(pattern)
    for at, index in found:
        whole[at] = index
    return tuple(whole)
