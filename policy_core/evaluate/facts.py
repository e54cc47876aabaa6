"""Read facts from a request's clinical object and diagnoses: stated, derived, presumed, conflicting or not stated.

A fact that is not stated may be derived from a diagnosis code, or presumed if the document says so. Contradictory
values make a fact conflicting: it counts as unknown, and is not resolved here.
"""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache, partial
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticCustomError

from policy_core.diagrams.diagram import UNKNOWN
from policy_core.diagrams.variables import Value, Variable
from policy_core.document.code_listings import normal_diagnosis, selector
from policy_core.document.models import FactDeclaration, FactKind, PolicyDocument
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
        self._names = {name for fact in document.facts for name in fact.path.split(".")[1:]}
        self.readings = [FactReading(fact) for fact in document.facts]
        # The few values of each variable have their index cached.
        self.indexes = [(variable.path, lru_cache(maxsize=1 << 10)(variable.index)) for variable in variables]

    def read(self, case: Case) -> dict[str, Fact]:
        """Every declared fact of the case, by path.

        Raises:
            ClinicalViolationError: A field is not a declared fact, or a value is not in its list.
        """
        self.check(case.clinical)
        codes = [(diagnosis, normal_diagnosis(diagnosis.code)) for diagnosis in case.diagnoses]
        return {reading.path: reading.fact(case.clinical, codes) for reading in self.readings}

    def check(self, clinical: Mapping[str, Any]) -> None:
        """Check a clinical object.

        Raises:
            ClinicalViolationError: A field is not a declared fact, or a value is not in its list.
        """
        try:
            self.model.model_validate(clinical)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            raise ClinicalViolationError([_violation(problem, self._names) for problem in found]) from None

    def pattern(self, facts: Mapping[str, Fact]) -> tuple[int, ...]:
        """The facts as variables of the diagrams: the index of each value, or UNKNOWN."""
        return tuple(
            [UNKNOWN if (value := facts[path].value) is None else index(value) for path, index in self.indexes]
        )


Implied = tuple[tuple[Value, tuple[Diagnosis, ...]], ...]
"""The values that codes imply for a fact, each with its codes."""


class FactReading:
    """How one declared fact is read."""

    def __init__(self, declaration: FactDeclaration) -> None:
        self.path = declaration.path
        self._keys = declaration.path.split(".")[1:]
        self._is_set = declaration.kind is FactKind.SET
        self._values = declaration.values
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
        if self._is_set and value is not None:
            return tuple(element for element in self._values if element in value)
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


_ISODate = Annotated[StrictStr, AfterValidator(_real_date), Field(json_schema_extra={"format": "date"})]


def clinical_model(document: PolicyDocument) -> type[BaseModel]:
    """A pydantic model of the clinical object for this document's facts: closed, with every field optional.

    Its JSON Schema is the contract for requests under this policy.
    """
    tree: dict[str, Any] = {}
    for fact in document.facts:
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
    # Built from the document at run time, so there is no static type.
    choice: Any = Literal[below.values]
    return Annotated[list[choice], BeforeValidator(_few)] if below.kind is FactKind.SET else choice


def _violation(error: Any, declared: Container[str]) -> Violation:
    # An undeclared key may be a person's name.
    parts = [str(part) if isinstance(part, int) or part in declared else "?" for part in error["loc"]]
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "should be")
    if error["type"] == "extra_forbidden":
        message = "no fact of this policy"
    elif error["type"] in ("model_type", "model_attributes_type"):
        message = "should be an object"
    return Violation(".".join(["clinical", *parts]), message)
