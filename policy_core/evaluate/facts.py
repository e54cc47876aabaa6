"""Read facts from a request's clinical object and diagnoses: stated, derived, presumed, conflicting or not stated.

A fact that is not stated may be derived from a diagnosis code, or presumed if the document says so. Contradictory
values make a fact conflicting: it counts as unknown, and is not resolved here.
"""

import json
import math
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache, partial
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictStr,
    Tag,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError

from policy_core.diagrams.diagram import UNKNOWN
from policy_core.diagrams.variables import Value, Variable
from policy_core.document.code_listings import normal_diagnosis, selector
from policy_core.document.conditions import QUANTITY
from policy_core.document.models import FactDeclaration, FactKind, PolicyDocument
from policy_core.document.part import OF_LINE
from policy_core.evaluate.case import Case, Diagnosis

REMEMBERED = 1 << 14
"""Cached values and codes per fact: a log has far fewer."""


class Origin(StrEnum):
    """Where a fact's value comes from."""

    STATED = "stated"
    DERIVED = "derived"
    PRESUMED = "presumed"
    CONFLICTING = "conflicting"
    NOT_STATED = "not_stated"


class Claim(NamedTuple):
    """One claimed value of a fact."""

    value: Value
    diagnoses: tuple[Diagnosis, ...]
    """The codes that imply it; empty if the request states it."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of one request."""

    path: str
    origin: Origin
    value: Value | None
    """None if conflicting or not stated."""
    diagnoses: tuple[Diagnosis, ...] = ()
    """The codes from which it is derived."""
    claims: tuple[Claim, ...] = ()
    """The contradicting claims, if conflicting."""

    def contradicted(self) -> "Fact":
        """The fact if, with others, it says what cannot be."""
        if self.value is None:
            return self
        return Fact(self.path, Origin.CONFLICTING, None, claims=(Claim(self.value, self.diagnoses),))


class Violation(NamedTuple):
    """A part of the clinical object that does not match the document's facts; the message contains no value."""

    path: str
    message: str


class ClinicalViolationError(Exception):
    """The clinical object does not match the document's facts."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{violation.path}: {violation.message}" for violation in violations))


class FactReader:
    """Reads facts as one document declares them."""

    def __init__(self, document: PolicyDocument, variables: Sequence[Variable]) -> None:
        self.model = clinical_model(document)
        self._model_of_lines = clinical_model(document, of_lines=True)
        self._names = {name for fact in document.facts for name in fact.path.split(".")[1:]}
        self._names |= {field.name for fact in document.facts for field in fact.fields} | {"value", "unit"}
        self.readings = [FactReading(fact) for fact in document.facts if not fact.path.startswith(OF_LINE)]
        """Of the facts of the request; those of its lines are read line by line."""
        # The few values of each variable have their index cached.
        self.indexes = [(fact_of(variable), lru_cache(maxsize=1 << 10)(variable.index)) for variable in variables]
        """For each variable, the fact that has its value, if it is one of the facts', and the index of a value."""

    def read(self, case: Case) -> dict[str, Fact]:
        """Every declared fact of the case, by path.

        Raises:
            ClinicalViolationError: A field is not a declared fact, or a value is not in its list.
        """
        self.check(case.clinical)
        for at, line in enumerate(case.service_lines):
            self.check_line(at, line.clinical)
        codes = [(diagnosis, normal_diagnosis(diagnosis.code)) for diagnosis in case.diagnoses]
        return {reading.path: reading.fact(case.clinical, codes) for reading in self.readings}

    def check(self, clinical: Mapping[str, Any]) -> None:
        """Check a clinical object.

        Raises:
            ClinicalViolationError: A field is not a declared fact, or a value is not in its list.
        """
        self._check(self.model, clinical, "clinical")

    def check_line(self, at: int, clinical: Mapping[str, Any]) -> None:
        """Check the clinical object of the line at an index, likewise."""
        if clinical:
            self._check(self._model_of_lines, clinical, f"service_lines.{at}.clinical")

    def _check(self, model: type[BaseModel], clinical: Mapping[str, Any], place: str) -> None:
        try:
            model.model_validate(clinical)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            raise ClinicalViolationError([_violation(problem, self._names, place) for problem in found]) from None

    def pattern(self, facts: Mapping[str, Fact]) -> tuple[int, ...]:
        """The facts as variables of the diagrams: the index of each value, or UNKNOWN."""
        return tuple(
            [
                UNKNOWN if path is None or (value := facts[path].value) is None else index(value)
                for path, index in self.indexes
            ]
        )


def fact_of(variable: Variable) -> str | None:
    """The request's fact that has a variable's value; None for a time, an attribute and a fact of a line."""
    fact = variable.declaration
    return fact.path if fact is not None and not fact.path.startswith(OF_LINE) else None


Implied = tuple[tuple[Value, tuple[Diagnosis, ...]], ...]
"""The values that codes imply for a fact, each with its codes."""


class FactReading:
    """How one declared fact is read."""

    def __init__(self, declaration: FactDeclaration) -> None:
        self.path = declaration.path
        self._keys = declaration.path.split(".")[1:]
        self._read = _READ.get(declaration.kind)
        self._declaration = declaration
        self._derived = [(selector(derivation), derivation.value) for derivation in declaration.derived]
        self.derives = bool(self._derived)
        """Whether codes may imply it."""
        # Equal facts are one object, so that serialization can be cached by identity.
        self._stated_as = lru_cache(maxsize=REMEMBERED)(partial(Fact, self.path, Origin.STATED))
        self._derived_as = lru_cache(maxsize=REMEMBERED)(partial(Fact, self.path, Origin.DERIVED))
        self._values_of = lru_cache(maxsize=REMEMBERED)(self._find_values_of)
        presumed = declaration.presumed
        self._absent = (
            Fact(self.path, Origin.PRESUMED, presumed.value)
            if presumed is not None and presumed.enabled
            else Fact(self.path, Origin.NOT_STATED, None)
        )

    def fact(self, clinical: Mapping[str, Any], codes: Sequence[tuple[Diagnosis, str]]) -> Fact:
        """The fact in a request; `codes` has each diagnosis with its normalized code."""
        return self.of(self.stated(clinical), self.implied_by(codes))

    def of(self, stated: Value | None, implied: Implied) -> Fact:
        """The fact that is stated, and of which codes say this."""
        if len(implied) > 1 or (stated is not None and implied and stated != implied[0][0]):
            own = [Claim(stated, ())] if stated is not None else []
            return Fact(self.path, Origin.CONFLICTING, None, claims=(*own, *(Claim(*claim) for claim in implied)))
        if stated is not None:
            return self._stated_as(stated)
        for value, diagnoses in implied:
            return self._derived_as(value, diagnoses)
        return self._absent

    def stated(self, clinical: Mapping[str, Any]) -> Value | None:
        """The stated value, if any."""
        value: Any = clinical
        for key in self._keys:
            if value is None:
                return None
            value = value.get(key)
        if self._read is not None and value is not None:
            return self._read(self._declaration, value)
        stated: Value | None = value
        return stated

    def implied_by(self, codes: Sequence[tuple[Diagnosis, str]]) -> Implied:
        """What codes say of it."""
        implied: dict[Value, tuple[Diagnosis, ...]] = {}
        for diagnosis, code in codes if self.derives else ():
            for value in self._values_of(diagnosis.system, code):
                if diagnosis not in implied.get(value, ()):
                    implied[value] = (*implied.get(value, ()), diagnosis)
        return tuple(implied.items())

    def _find_values_of(self, system: str, code: str) -> tuple[Value, ...]:
        """The values that a diagnosis code implies."""
        return tuple(value for matches, value in self._derived if matches(system, code))


# --- values as they are kept ---------------------------------------------------------------------------------------


def _elements(fact: FactDeclaration, stated: Any) -> Value:
    return tuple(element for element in fact.values if element in stated)


def _number(_fact: FactDeclaration, stated: Any) -> Value:
    """A number as it was written, with its unit if one was."""
    if isinstance(stated, Mapping):
        unit = stated.get("unit")
        number = number_text(stated["value"])
        return number if unit is None else f"{number} {unit}"
    return number_text(stated)


def _entries(fact: FactDeclaration, stated: Any) -> Value:
    """Each entry as JSON, its fields in the document's order."""
    numbers = {field.name for field in fact.fields if field.kind is FactKind.NUMBER}
    names = [field.name for field in fact.fields]
    kept = [{name: entry[name] for name in names if entry.get(name) is not None} for entry in stated]
    return tuple(
        json.dumps({name: number_text(value) if name in numbers else value for name, value in entry.items()})
        for entry in kept
    )


_READ: Mapping[FactKind, Callable[[FactDeclaration, Any], Value]] = {
    FactKind.SET: _elements,
    FactKind.NUMBER: _number,
    FactKind.LIST: _entries,
}


# --- the clinical object's model, made from the document ----------------------------------------------------------

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _real_date(text: str) -> str:
    try:
        if _ISO_DATE.fullmatch(text):
            date.fromisoformat(text)
            return text
    except ValueError:
        pass
    raise ValueError("should be a day that exists, as YYYY-MM-DD")


MOST_VALUES = 99
"""Maximum length of a stated set: no set has so many values."""


def _few(stated: Any) -> Any:
    # Checked before the entries, so that a very long list is refused at once.
    if isinstance(stated, list) and len(stated) > MOST_VALUES:
        raise PydanticCustomError("too_many", "should have at most {most} entries", {"most": MOST_VALUES})
    return stated


MOST_DIGITS = 15
"""So many digits of a JSON number every reader takes exactly; more are written as a text."""


def number_text(stated: Any) -> str:
    """A checked number as it was written."""
    return format(Decimal(repr(stated)), "f") if isinstance(stated, float) else str(stated)


def _real_number(stated: Any) -> Any:
    """A JSON number that is exactly what was written, or a decimal in a text."""
    if isinstance(stated, bool) or not isinstance(stated, int | float | str):
        raise PydanticCustomError("number", "should be a number, or a decimal in a text")
    if isinstance(stated, float) and len(Decimal(repr(stated)).as_tuple().digits) > MOST_DIGITS:
        raise PydanticCustomError("number", "has too many digits for a JSON number; write it as a text")
    if isinstance(stated, float) and not math.isfinite(stated):
        raise PydanticCustomError("number", "should be a number")
    if not re.fullmatch(QUANTITY, number_text(stated)):
        raise PydanticCustomError("number", "should be a decimal such as 7.5, of at most 15 digits before the point")
    return stated


_Number = Annotated[
    Any,
    AfterValidator(_real_number),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": QUANTITY}]}),
]


def _number_type(fact: FactDeclaration) -> Any:
    """A plain number in the fact's unit, or an object with a unit of the fact."""
    if fact.unit is None:
        return _Number
    units: Any = Literal[(fact.unit, *(other.unit for other in fact.units))]
    config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    quantity = create_model("Quantity", __config__=config, value=(_Number, ...), unit=(units | None, None))
    return Annotated[
        Annotated[_Number, Tag("number")] | Annotated[quantity, Tag("quantity")],
        Discriminator(lambda stated: "quantity" if isinstance(stated, Mapping | BaseModel) else "number"),
    ]


_ISODate = Annotated[StrictStr, AfterValidator(_real_date), Field(json_schema_extra={"format": "date"})]


def clinical_model(document: PolicyDocument, *, of_lines: bool = False) -> type[BaseModel]:
    """A pydantic model of the clinical object for this document's facts: closed, with every field optional.

    Its JSON Schema is the contract for requests under this policy; `of_lines` is that of a line's own object.
    """
    tree: dict[str, Any] = {}
    for fact in document.facts:
        if fact.path.startswith(OF_LINE) is not of_lines:
            continue
        *above, name = fact.path.split(".")[1:]
        place = tree
        for key in above:
            place = place.setdefault(key, {})
        place[name] = fact
    return _model("Clinical", tree)


def _model(name: str, tree: Mapping[str, Any]) -> type[BaseModel]:
    # Numbered names with aliases, so that no path can clash with names that pydantic reserves.
    fields: dict[str, Any] = {
        f"field_{index}": (_field_type(key, below) | None, _field(key, below))
        for index, (key, below) in enumerate(tree.items())
    }
    config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    return create_model(name, __config__=config, __doc__=f"{name} facts of the policy.", **fields)


def _field(key: str, below: Any) -> Any:
    description = below.question if isinstance(below, FactDeclaration) else None
    return Field(default=None, alias=key, description=description)


def _field_type(key: str, below: Any) -> Any:
    if not isinstance(below, FactDeclaration):
        return _model(key.title().replace("_", ""), below)
    if below.kind is FactKind.BOOLEAN:
        return StrictBool
    if below.kind is FactKind.DATE:
        return _ISODate
    if below.kind is FactKind.NUMBER:
        return _number_type(below)
    if below.kind is FactKind.LIST:
        entry: Any = _entry_model(below)
        return Annotated[list[entry], BeforeValidator(_few)]
    # Built from the document at run time, so there is no static type.
    choice: Any = Literal[below.values]
    return Annotated[list[choice], BeforeValidator(_few)] if below.kind is FactKind.SET else choice


def _entry_model(fact: FactDeclaration) -> type[BaseModel]:
    """An entry of a list: closed, with every field optional."""
    kinds: dict[FactKind, Any] = {FactKind.BOOLEAN: StrictBool, FactKind.NUMBER: _Number}
    fields: dict[str, Any] = {}
    for index, field in enumerate(fact.fields):
        kind = kinds[field.kind] if field.kind in kinds else Literal[field.values]
        fields[f"field_{index}"] = (kind | None, Field(default=None, alias=field.name))
    config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    return create_model("Entry", __config__=config, **fields)


def _violation(error: Any, declared: Container[str], place: str) -> Violation:
    # An undeclared key may be a person's name.
    parts = [str(part) if isinstance(part, int) or part in declared else "?" for part in error["loc"]]
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "should be")
    if error["type"] == "extra_forbidden":
        message = "no fact of this policy"
    elif error["type"] in ("model_type", "model_attributes_type"):
        message = "should be an object"
    return Violation(".".join([place, *parts]), message)
