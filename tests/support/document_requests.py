"""Random requests for any document, from its declarations: values around each threshold, of each attribute and class.

Requests of uniform values rarely get past the first rules, so every second one begins with an example of the document.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from random import Random
from typing import Any

from policy_core.diagrams.variables import authorized_units, tests
from policy_core.document.conditions import (
    AnyField,
    AttributeTest,
    Count,
    EntryCondition,
    EveryField,
    FactBetween,
    FieldTest,
    LineTest,
    NotField,
    RequestTest,
    TimeBetween,
)
from policy_core.document.models import EntryField, FactDeclaration, FactKind, PolicyDocument
from policy_core.evaluate.case import Case, ServiceLine
from policy_core.evaluate.measures import passed
from tests.support.cases import case
from tests.support.naive_language import Complete, impossible

LINE_OF_BUSINESS = "commercial"
OPTIONAL = ("member.birth_date", "request.sex", "request.provider_specialty", "line.place_of_service")
"""What a request may leave out beside facts."""


@dataclass(frozen=True)
class Requests:
    """Requests for services on one day of a document's one edition."""

    document: PolicyDocument

    @cached_property
    def day(self) -> date:
        """The date of the service."""
        return next((one.day for one in self.document.examples if one.day), self.document.editions[-1].since)

    @cached_property
    def _tests(self) -> tuple[Any, ...]:
        return tuple(tests(self.document))

    def complete(self, rng: Random) -> Complete:
        """One that can be, with everything known."""
        while True:
            asked = self._one(rng)
            if not impossible(asked, self.document):
                return asked

    def again(self, rng: Random, asked: Complete, paths: Sequence[str]) -> Complete:
        """The same with other values at some paths; it may be one that cannot be."""
        facts, line, request = dict(asked.facts), dict(asked.line), dict(asked.request)
        other = self._random(rng)
        for path in paths:
            owner, name = _place(path)
            if owner == "clinical":
                facts[path] = other.facts[path]
            else:
                holder, values = (line, other.line) if owner == "line" else (request, other.request)
                holder[name] = values[name]
        return Complete(facts, line, request)

    def _one(self, rng: Random) -> Complete:
        asked = self._random(rng)
        if not self.document.examples or rng.random() < 0.5:
            return asked
        example = rng.choice(self.document.examples)
        stated = example.facts
        facts = {path: stated.get(path, value) for path, value in asked.facts.items()}
        # A list of an example may leave out fields: those are known here.
        for fact in self.document.facts:
            if fact.kind is FactKind.LIST and fact.path in stated:
                facts[fact.path] = [{**self._entry(rng, fact), **entry} for entry in facts[fact.path]]
        line = dict(asked.line)
        line |= {"units": example.units, "performed_on": example.performed_on}
        line |= {path.removeprefix("line."): value for path, value in stated.items() if path.startswith("line.")}
        line |= {"code": example.code} if example.code else {}
        line |= {"place_of_service": example.place_of_service} if example.place_of_service else {}
        named = ("birth_date", "sex", "provider_specialty", "certification")
        request = {**asked.request} | {name: value for name in named if (value := getattr(example, name)) is not None}
        paths = [*self.statable(), "line.code", "line.units", "request.certification"]
        return self.again(rng, Complete(facts, line, request), rng.sample(paths, rng.choice([0, 1, 1, 2, 3])))

    def statable(self) -> tuple[str, ...]:
        """What a request may leave out and is then not presumed, by path."""
        presumed = {fact.path for fact in self.document.facts if fact.presumed is not None and fact.presumed.enabled}
        return (*(fact.path for fact in self.document.facts if fact.path not in presumed), *OPTIONAL)

    def _random(self, rng: Random) -> Complete:
        days: dict[str, date] = {
            "service_date": self.day,
            "submitted_on": self.day - timedelta(days=rng.choice([0, 7])),
        }
        dates = ["birth_date", *(fact.path for fact in self.document.facts if fact.kind is FactKind.DATE)]
        for path in rng.sample(dates, len(dates)):
            days[path] = self._day(rng, path, days)
        values: dict[str, Any] = {
            fact.path: days[fact.path].isoformat() if fact.kind is FactKind.DATE else self._value(rng, fact)
            for fact in self.document.facts
        }
        line = {
            "code": rng.choice([f"{one.system} {one.code}" for one in self.document.codes.listed]),
            "units": rng.choice([1, *(units + more for units in authorized_units(self.document) for more in (0, 1))]),
            "performed_on": rng.choice(["member", "donor"]),
            "place_of_service": rng.choice(["12", *self._tested(LineTest, "place_of_service")]),
            "modifiers": [one for one in ("ZZ", *self._tested(LineTest, "modifiers")) if rng.random() < 0.5],
            "service_date": days["service_date"],
        }
        line |= {path.removeprefix("line."): value for path, value in values.items() if path.startswith("line.")}
        request = {
            "certification": rng.choice(["initial", "initial", "revision", "extension", "renewal", "reconsideration"]),
            "line_of_business": rng.choice([LINE_OF_BUSINESS, *self._tested(RequestTest, "line_of_business")]),
            "sex": rng.choice(["female", "male", "other"]),
            "provider_specialty": rng.choice(["208000000X", *self._tested(RequestTest, "provider_specialty")]),
            "submitted_on": days["submitted_on"],
            "birth_date": days["birth_date"],
        }
        facts = {path: value for path, value in values.items() if path.startswith("clinical.")}
        return Complete(facts, line, request)

    def _tested(self, kind: type[AttributeTest], name: str) -> list[str]:
        """The values of an attribute that conditions name."""
        whose = "line" if kind is LineTest else "request"
        found = [one for one in self._tests if isinstance(one, kind) and getattr(one, whose) == name]
        return sorted({value for test in found for value in test.values})

    def _value(self, rng: Random, fact: FactDeclaration) -> Any:
        match fact.kind:
            case FactKind.NUMBER:
                cuts = [
                    cut
                    for test in self._tests
                    if isinstance(test, FactBetween) and test.fact == fact.path
                    for _, cut in test.limits
                ]
                return _number(rng, cuts, fact)
            case FactKind.LIST:
                return [self._entry(rng, fact) for _ in range(rng.choice([0, 1, 2, 3, 4, 7]))]
            case FactKind.SET:
                share = rng.choice([0.1, 0.5])
                return [value for value in fact.values if rng.random() < share]
            case _:
                return _listed(rng, fact)

    def _entry(self, rng: Random, fact: FactDeclaration) -> dict[str, Any]:
        leaves = [
            leaf
            for test in self._tests
            if isinstance(test, Count) and test.count == fact.path and test.where is not None
            for leaf in _leaves(test.where)
        ]
        return {
            field.name: _field(rng, field, [one for one in leaves if one.field == field.name]) for field in fact.fields
        }

    def _day(self, rng: Random, path: str, known: dict[str, date]) -> date:
        """A day whose time from or to another lies at a threshold, or one day beside it."""
        ways = [
            (test, cut)
            for test in self._tests
            if isinstance(test, TimeBetween) and path in test.days and any(end in known for end in test.days)
            for cut in test.cuts
        ]
        if not ways or rng.random() < 0.2:
            return self.day - timedelta(
                days=rng.choice([0, 1, 40, 400, 9_000, 20_000, *([-5] if path != "birth_date" else [])])
            )
        test, cut = rng.choice(ways)
        first = test.days[0] == path
        anchor = known[test.days[1] if first else test.days[0]]
        length = {"days": 1, "months": 28, "years": 365}[test.unit] * int(cut.at)
        found = anchor - timedelta(days=length) if first else anchor + timedelta(days=length)
        step = timedelta(days=-1 if first else 1)
        while (passed(test.unit, found, anchor) if first else passed(test.unit, anchor, found)) < cut.at:
            found += step
        return found + timedelta(days=rng.choice([-1, 0, 0, 1]))


def _place(path: str) -> tuple[str, str]:
    owner, _, name = path.partition(".")
    return ("request" if owner == "member" else owner), name


def _listed(rng: Random, of: FactDeclaration | EntryField) -> Any:
    return rng.random() < 0.5 if of.kind is FactKind.BOOLEAN else rng.choice(of.values)


def _number(rng: Random, cuts: Sequence[str], fact: FactDeclaration | None) -> Any:
    """A number at a threshold or beside it, in any of its units."""
    whole = int(float(rng.choice(cuts or ["0"])))
    near = [*cuts, whole - 1, whole, whole + 1, f"{whole}.5", f"{whole}.01"]
    value = rng.choice(near)
    if fact is None or fact.unit is None or rng.random() < 0.8:
        return value
    unit = rng.choice([fact.unit, *(other.unit for other in fact.units)])
    times = next((float(other.times) for other in fact.units if other.unit == unit), 1.0)
    return {"value": value if times == 1.0 else f"{float(str(value)) / times:.4f}", "unit": unit}


def _field(rng: Random, field: EntryField, leaves: Sequence[FieldTest]) -> Any:
    if field.kind is FactKind.NUMBER:
        return _number(rng, [cut for one in leaves for _, cut in one.limits], None)
    tested = [value for one in leaves for value in one.values]
    return rng.choice(tested) if tested and rng.random() < 0.5 else _listed(rng, field)


def _leaves(where: EntryCondition) -> Iterator[FieldTest]:
    match where:
        case EveryField(all=parts):
            for part in parts:
                yield from _leaves(part)
        case AnyField(any=parts):
            for part in parts:
                yield from _leaves(part)
        case NotField(not_=part):
            yield from _leaves(part)
        case FieldTest():
            yield where


# --- as the engine reads them --------------------------------------------------------------------------------------


def as_case(asked: Complete, unstated: Sequence[str] = ()) -> Case:
    """The request with one line, without what is unstated."""

    def known(path: str, value: Any) -> Any:
        return None if path in unstated else value

    clinical = _nested({path: value for path, value in asked.facts.items() if path not in unstated})
    attributes = ("code", "units", "performed_on", "place_of_service", "modifiers", "service_date")
    own = {
        name: value for name, value in asked.line.items() if name not in attributes and f"line.{name}" not in unstated
    }
    system, code = asked.line["code"].split(" ")
    line = ServiceLine(
        1,
        system,
        code,
        asked.line["service_date"],
        asked.line["performed_on"],
        asked.line["units"],
        known("line.place_of_service", asked.line["place_of_service"]),
        tuple(sorted(asked.line["modifiers"])) or None,
        own,
    )
    submitted = datetime.combine(asked.request["submitted_on"], time(12), UTC)
    return case(
        line,
        clinical=clinical,
        certification=asked.request["certification"],
        line_of_business=asked.request["line_of_business"],
        sex=known("request.sex", asked.request["sex"]),
        provider_specialty=known("request.provider_specialty", asked.request["provider_specialty"]),
        birth_date=known("member.birth_date", asked.request["birth_date"]),
        submitted_at=submitted,
        first_submitted_at=submitted,
    )


def _nested(facts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in facts.items():
        _, *above, name = path.split(".")
        place = found
        for key in above:
            place = place.setdefault(key, {})
        place[name] = value
    return found
