"""Conditions of a policy document: what can be tested of a request, of its lines and of its facts.

Every test divides what it tests into finitely many classes: a number into the intervals between thresholds, a date into
intervals of days before or after another, a list into the counts that matter. So each condition is a function of
finitely many finite variables, and everything about it can be proved.
"""

import re
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from policy_core.document.part import FACT_PATH, FactPath, Identifier, Part, Word

QUANTITY = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$"
"""A decimal: never a float, which has no exact value."""
DATE_ENDS = ("service_date", "submitted_on", "birth_date")
DATE_END = rf"^({'|'.join(DATE_ENDS)}|{FACT_PATH.removeprefix('^').removesuffix('$')})$"
TESTED = r"^[A-Za-z0-9_-]+( [A-Z0-9.]+)?$"
"""A value of an attribute: a word, or a code behind its system."""


def canonical_number(value: Any) -> Any:
    """An integer or decimal as its shortest text: `35`, `7.5`; anything else as it is."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(QUANTITY, text):
        return text
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    short = f"{whole}.{fraction}" if fraction else whole
    return "0" if short == "-0" else short


Quantity = Annotated[
    str,
    Field(pattern=QUANTITY),
    BeforeValidator(canonical_number),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": QUANTITY}]}),
]
"""A threshold. A whole number needs no quotes: `35`; a decimal is written in quotes: `"7.5"`."""

_NO_LIMIT = "write `at_least: …` or `above: …` for where it begins, `below: …` or `at_most: …` for where it ends"


class Cut(NamedTuple):
    """A place between numbers: before one, or behind it."""

    at: Fraction
    behind: bool = False


class Limits(Part):
    """An interval, or none."""

    at_least: Quantity | None = None
    above: Quantity | None = None
    below: Quantity | None = None
    at_most: Quantity | None = None

    whole: ClassVar[bool] = False
    """Whether only whole numbers are tested, so that above 2 is at least 3."""

    @property
    def begins(self) -> Cut | None:
        """Where the interval begins; None if nowhere."""
        return self._cut(self.at_least, self.above)

    @property
    def ends(self) -> Cut | None:
        """Where it ends."""
        return self._cut(self.below, self.at_most)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Where it begins and ends."""
        return tuple(cut for cut in (self.begins, self.ends) if cut is not None)

    @property
    def limits(self) -> tuple[tuple[str, str], ...]:
        """Each limit in words, and its number."""
        named = (("at least", self.at_least), ("above", self.above), ("below", self.below), ("at most", self.at_most))
        return tuple((word, number) for word, number in named if number is not None)

    def holds(self, value: Fraction) -> bool:
        """Whether a number is in it."""
        here = Cut(value)
        return (self.begins is None or self.begins <= here) and (self.ends is None or here < self.ends)

    def _cut(self, before: str | None, behind: str | None) -> Cut | None:
        if before is not None:
            return Cut(Fraction(before))
        if behind is None:
            return None
        return Cut(Fraction(behind) + 1) if self.whole else Cut(Fraction(behind), behind=True)

    @model_validator(mode="after")
    def _an_interval(self) -> Self:
        if self.at_least is not None and self.above is not None:
            raise ValueError("write `at_least` or `above`, not both")
        if self.below is not None and self.at_most is not None:
            raise ValueError("write `below` or `at_most`, not both")
        if self.begins is not None and self.ends is not None and self.ends <= self.begins:
            raise ValueError("it ends before it begins; no value can fit")
        return self


class Interval(Limits):
    """An interval with at least one end."""

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if not self.limits:
            raise ValueError(_NO_LIMIT)
        return self


# --- facts ---------------------------------------------------------------------------------------------------------


class FactIs(Part):
    """The fact has this value."""

    fact: FactPath
    is_: str | bool = Field(alias="is")


class FactIn(Part):
    """The fact has one of these values."""

    fact: FactPath
    in_: tuple[str | bool, ...] = Field(alias="in", min_length=1)


class FactIncludes(Part):
    """The fact, a set, has this among its values."""

    fact: FactPath
    includes: str


class FactBetween(Interval):
    """The fact, a number, is in this interval, in the unit of its declaration."""

    fact: FactPath


# --- time ----------------------------------------------------------------------------------------------------------

DateEnd = Annotated[str, Field(pattern=DATE_END, max_length=256)]
Ends = Annotated[tuple[DateEnd, ...], Field(min_length=2, max_length=2)]
TimeUnit = Literal["days", "months", "years"]


class TimeBetween(Interval):
    """The time from the first of two days to the second is in this interval; negative if the second is earlier.

    The days are facts that are dates, `service_date`, `submitted_on` or `birth_date`. Months and years are full ones.
    """

    whole: ClassVar[bool] = True

    days_between: Ends | None = None
    months_between: Ends | None = None
    years_between: Ends | None = None

    @property
    def unit(self) -> TimeUnit:
        """What is counted."""
        if self.days_between is not None:
            return "days"
        return "months" if self.months_between is not None else "years"

    @property
    def days(self) -> tuple[str, ...]:
        """The two days."""
        return self.days_between or self.months_between or self.years_between or ()

    @model_validator(mode="after")
    def _two_days(self) -> Self:
        if sum(ends is not None for ends in (self.days_between, self.months_between, self.years_between)) != 1:
            raise ValueError("write one of `days_between`, `months_between` and `years_between`")
        if any("." in number for _, number in self.limits):
            raise ValueError("days, months and years are counted whole; write a whole number")
        if self.days[0] == self.days[1]:
            raise ValueError("both ends are the same day; name two")
        return self


# --- the request and its lines ------------------------------------------------------------------------------------


class AttributeTest(Limits):
    """An attribute of the request or of the line has this value, one of these, or lies in this interval."""

    whole: ClassVar[bool] = True

    is_: Annotated[str, Field(pattern=TESTED)] | None = Field(default=None, alias="is")
    in_: tuple[Annotated[str, Field(pattern=TESTED)], ...] | None = Field(default=None, alias="in", min_length=1)
    includes: Annotated[str, Field(pattern=TESTED)] | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """The values that are tested, if any."""
        return self.in_ or tuple(value for value in (self.is_, self.includes) if value is not None)

    @property
    def test(self) -> str:
        """The way in which it is tested: `is`, `includes` or `at_least`."""
        return "includes" if self.includes is not None else "is" if self.values else "at_least"

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        tests = [self.is_ is not None, self.in_ is not None, self.includes is not None, bool(self.cuts)]
        if any("." in number for _, number in self.limits):
            raise ValueError("units are counted whole; write a whole number")
        if sum(tests) != 1:
            raise ValueError(
                "write one test: `is: …`, `in: […]`, `includes: …`, or limits, such as `at_least: …` and `below: …`"
            )
        return self


class LineTest(AttributeTest):
    """A test of the line that is decided."""

    line: Literal["code", "units", "performed_on", "place_of_service", "modifiers"]

    @property
    def attribute(self) -> str:
        """What is tested, as it is named everywhere: `line.…`."""
        return f"line.{self.line}"


class RequestTest(AttributeTest):
    """A test of the request."""

    request: Literal["certification", "line_of_business", "sex", "provider_specialty"]

    @property
    def attribute(self) -> str:
        """What is tested, as it is named everywhere: `request.…`."""
        return f"request.{self.request}"


# --- lists of findings ---------------------------------------------------------------------------------------------


class FieldTest(Limits):
    """A field of an entry has this value, one of these, or lies in this interval."""

    field: Word
    is_: str | bool | None = Field(default=None, alias="is")
    in_: tuple[str | bool, ...] | None = Field(default=None, alias="in", min_length=1)

    @property
    def values(self) -> tuple[str | bool, ...]:
        """The values that are tested, if any."""
        return self.in_ or (() if self.is_ is None else (self.is_,))

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        if sum([self.is_ is not None, self.in_ is not None, bool(self.cuts)]) != 1:
            raise ValueError("write one test: `is: …`, `in: […]`, or limits, such as `at_least: …` and `below: …`")
        return self


class EveryField(Part):
    """All of these hold of the entry."""

    all: tuple["EntryCondition", ...] = Field(min_length=1)


class AnyField(Part):
    """One of these holds of the entry."""

    any: tuple["EntryCondition", ...] = Field(min_length=1)


class NotField(Part):
    """This does not hold of the entry."""

    not_: "EntryCondition" = Field(alias="not")


def _entry_shape(value: Any) -> str | None:
    """The shape of a condition on an entry, given as data or as a model."""
    return _shape_among(value, ("field", "all", "any", "not"))


EntryCondition = Annotated[
    Annotated[FieldTest, Tag("field")]
    | Annotated[EveryField, Tag("all")]
    | Annotated[AnyField, Tag("any")]
    | Annotated[NotField, Tag("not")],
    Discriminator(
        _entry_shape,
        custom_error_type="condition_shape",
        custom_error_message="not a condition on an entry; write one of {field: …, is: …}, {field: …, in: […]}, "
        "{field: …, at_least: …}, {all: […]}, {any: […]}, {not: …}",
    ),
]


class Count(Interval):
    """The number of entries of the list of which `where` holds is in this interval."""

    whole: ClassVar[bool] = True

    count: FactPath
    where: EntryCondition | None = None
    """Absent: all entries count."""

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if any("-" in number or "." in number for _, number in self.limits):
            raise ValueError("entries are counted; write a whole number, 0 or more")
        return self


# --- conditions of conditions --------------------------------------------------------------------------------------


class AllOf(Part):
    """Every one of these holds."""

    all: tuple["Condition", ...] = Field(min_length=1)


class AnyOf(Part):
    """At least one of these holds."""

    any: tuple["Condition", ...] = Field(min_length=1)


class AtLeastOf(Part):
    """At least so many of these hold."""

    at_least: int = Field(ge=1, le=500)
    of: tuple["Condition", ...] = Field(min_length=1, max_length=500)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.at_least > len(self.of):
            raise ValueError(f"of {len(self.of)} conditions never {self.at_least} can hold")
        return self


class Not(Part):
    """This does not hold."""

    not_: "Condition" = Field(alias="not")


class Named(Part):
    """The named condition of the document holds."""

    condition: Identifier


class IndicationsOf(Part):
    """At least one indication of the named statement holds, of those on record in the edition."""

    indications_of: Identifier


class Otherwise(Part):
    """Always: what is left when no rule before it applied."""

    otherwise: Literal[True]


SHAPES = (
    # What says alone which shape it is, first.
    "line",
    "request",
    "count",
    "of",
    "days_between",
    "months_between",
    "years_between",
    "is",
    "in",
    "includes",
    "at_least",
    "above",
    "below",
    "at_most",
    "all",
    "any",
    "not",
    "condition",
    "indications_of",
    "otherwise",
)
_SAME_SHAPE = {
    "above": "at_least",
    "below": "at_least",
    "at_most": "at_least",
    "months_between": "days_between",
    "years_between": "days_between",
}


def shape(value: Any) -> str | None:
    """The shape of a condition, given as data or as a model; None if it is not a condition."""
    found = _shape_among(value, SHAPES)
    return _SAME_SHAPE.get(found, found) if found is not None else None


def _shape_among(value: Any, shapes: tuple[str, ...]) -> str | None:
    if isinstance(value, Part):
        names = {field.alias or name for name, field in type(value).model_fields.items()}
        return next((one for one in shapes if one in names), None)
    return next((one for one in shapes if one in value), None) if isinstance(value, dict) else None


Condition = Annotated[
    Annotated[LineTest, Tag("line")]
    | Annotated[RequestTest, Tag("request")]
    | Annotated[Count, Tag("count")]
    | Annotated[AtLeastOf, Tag("of")]
    | Annotated[TimeBetween, Tag("days_between")]
    | Annotated[FactIs, Tag("is")]
    | Annotated[FactIn, Tag("in")]
    | Annotated[FactIncludes, Tag("includes")]
    | Annotated[FactBetween, Tag("at_least")]
    | Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")]
    | Annotated[Named, Tag("condition")]
    | Annotated[IndicationsOf, Tag("indications_of")]
    | Annotated[Otherwise, Tag("otherwise")],
    Discriminator(
        shape,
        custom_error_type="condition_shape",
        custom_error_message="not a condition; write one of {fact: …, is: …}, {fact: …, in: […]}, "
        "{fact: …, includes: …}, {fact: …, at_least: …}, {days_between: […], below: …}, {line: …, is: …}, "
        "{request: …, is: …}, {count: …, at_least: …}, {at_least: …, of: […]}, {all: […]}, {any: […]}, {not: …}, "
        "{condition: …}, {indications_of: …}, {otherwise: true}",
    ),
]
