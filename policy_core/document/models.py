"""The policy document: one medical policy as data, with its versions and citations.

These models define the format. `policy_core/README.md` explains it to analysts, and the JSON Schema is generated from
the models. `since` is the first day on which something holds, `until` the first day on which it no longer does.
"""

from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

import rfc8785
from pydantic import Field, JsonValue, model_validator

from policy_core.determinations import Determination
from policy_core.document.conditions import Condition, Quantity
from policy_core.document.part import (
    CODE,
    CODE_AND_SYSTEM,
    CODES,
    DIGEST,
    MOST_CHARACTERS,
    STATE,
    TIME_ZONE,
    UNIT,
    FactPath,
    Identifier,
    Part,
    Sentence,
    Word,
)


class Citation(Part):
    """One sentence of the published text, by place and digest; never its words, which are their publisher's."""

    section: Identifier
    ordinal: int = Field(ge=1, le=1_000_000)
    """Position in the section, from 1."""
    sha256: str = Field(pattern=DIGEST)


class Cited(Part):
    """A part that says something in the project's own words and names the sentences it rests on."""

    id: Identifier
    says: Sentence
    cites: tuple[Citation, ...] = ()


class Source(Part):
    """The published text that the document cites."""

    publisher: Sentence
    sections: tuple[Identifier, ...] = Field(min_length=1, max_length=200)
    """In the order of the text."""


# --- facts ---------------------------------------------------------------------------------------------------------


class CodeSelector(Part):
    """Codes of diagnoses or past procedures by system and range, without dots: `C81-C96` is all from C81 to C96."""

    system: Identifier
    codes: tuple[Annotated[str, Field(pattern=CODES, max_length=2 * MOST_CHARACTERS)], ...] = Field(min_length=1)
    length: int | None = Field(default=None, ge=1, le=MOST_CHARACTERS)
    """Only codes of this many characters, the dot not counted."""
    ends_with: str | None = Field(default=None, min_length=1, max_length=MOST_CHARACTERS)
    """Only codes that end with this."""


class Derivation(CodeSelector):
    """A value that the code of a diagnosis or past procedure gives a fact that is not stated."""

    value: str | bool


class Presumption(Part):
    """A value that is taken when nothing is stated or derived."""

    value: str | bool
    because: Sentence
    enabled: bool = True
    cites: tuple[Citation, ...] = ()


class FactKind(StrEnum):
    """What a fact's value looks like."""

    CHOICE = "choice"
    BOOLEAN = "boolean"
    SET = "set"
    DATE = "date"
    NUMBER = "number"
    LIST = "list"


LISTED = (FactKind.CHOICE, FactKind.SET)
"""The kinds with a closed list of values."""


class OtherUnit(Part):
    """Another unit in which a number may be stated, and the exact factor to the fact's own."""

    unit: str = Field(pattern=UNIT)
    times: Quantity


class EntryField(Part):
    """One field of the entries of a list."""

    name: Word
    kind: Literal[FactKind.CHOICE, FactKind.BOOLEAN, FactKind.NUMBER]
    values: tuple[Word, ...] = Field(default=(), max_length=200)
    """The closed list, for a `choice`."""
    unit: str | None = Field(default=None, pattern=UNIT)
    """Of a `number`."""

    @model_validator(mode="after")
    def _values_fit_the_kind(self) -> Self:
        _check_values(self.kind, self.values)
        _check_unit(self.kind, self.unit)
        return self


class FactDeclaration(Part):
    """One clinical fact: where the request has it, what it can be, and what to ask when it is not known."""

    path: FactPath
    kind: FactKind
    values: tuple[Word, ...] = Field(default=(), max_length=200)
    """The closed list, for a `choice` or a `set`."""
    unit: str | None = Field(default=None, pattern=UNIT)
    """Of a `number`; without one it is a plain number."""
    units: tuple[OtherUnit, ...] = Field(default=(), max_length=20)
    """Other units of a `number`."""
    fields: tuple[EntryField, ...] = Field(default=(), max_length=20)
    """Of the entries of a `list`."""
    question: Sentence
    derived: tuple[Derivation, ...] = ()
    presumed: Presumption | None = None

    @model_validator(mode="after")
    def _values_fit_the_kind(self) -> Self:
        _check_values(self.kind, self.values)
        _check_unit(self.kind, self.unit)
        if self.units and self.unit is None:
            raise ValueError("other `units` need the fact's own `unit`")
        units = [self.unit, *(other.unit for other in self.units)]
        if len(set(units)) < len(units):
            raise ValueError("each unit stands once")
        if any(Fraction(other.times) <= 0 for other in self.units):
            raise ValueError("a unit's factor is above 0")
        names = [field.name for field in self.fields]
        if (self.kind is FactKind.LIST) != bool(names) or len(set(names)) < len(names):
            raise ValueError("a list, and nothing else, needs `fields`, each once")
        given = [derivation.value for derivation in self.derived] + ([self.presumed.value] if self.presumed else [])
        if given and self.kind not in (FactKind.CHOICE, FactKind.BOOLEAN):
            raise ValueError(f"a {self.kind} can be neither derived nor presumed")
        allowed: tuple[str | bool, ...] = (False, True) if self.kind is FactKind.BOOLEAN else self.values
        for value in given:
            if value not in allowed:
                raise ValueError(f"{value!r} is not one of this fact's values; write one of {list(allowed)}")
        return self


def _check_values(kind: FactKind, values: tuple[str, ...]) -> None:
    if kind in LISTED and len(set(values)) < max(1, len(values)):
        raise ValueError(f"a {kind} needs `values`, each once")
    if kind not in LISTED and values:
        raise ValueError(f"a {kind} has no `values`; remove them, or write `kind: choice`")


def _check_unit(kind: FactKind, unit: str | None) -> None:
    if unit is not None and kind is not FactKind.NUMBER:
        raise ValueError(f"a {kind} has no `unit`; remove it, or write `kind: number`")


class NamedCondition(Part):
    """A condition that several places use under one name."""

    id: Identifier
    says: Sentence
    when: Condition


class Impossibility(NamedCondition):
    """What no case can be: left out of cases and examples; a request that says it contradicts itself."""


# --- statements and rules ------------------------------------------------------------------------------------------


class Dated(Part):
    """Something that holds from a day on, up to another day if one is named."""

    since: date
    until: date | None = None
    """The first day on which it no longer holds."""

    def on(self, day: date) -> bool:
        """Whether it holds on `day`."""
        return self.since <= day and (self.until is None or day < self.until)

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError("`until` is not after `since`; it names the first day on which this no longer holds")
        return self


class Statement(Cited, Dated):
    """One statement of the policy, with the condition under which it speaks of a case."""

    applies_when: Condition


class Indication(Cited, Dated):
    """One of the situations in which a statement's coverage holds."""

    statement: Identifier
    when: Condition


class Authorizes(Part):
    """How much a certification gives."""

    months: int | None = Field(default=None, ge=1, le=600)
    """Calendar months from the day of the request, in place of the document's `validity`."""
    units: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """The most units of a line that are certified; a line with more is handed to a physician reviewer."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.months is None and self.units is None:
            raise ValueError("nothing; write `months: …`, `units: …`, or both")
        return self


class Outcome(Dated):
    """What a rule says of a line, in the editions from `since` on."""

    determination: Literal[
        Determination.MEDICALLY_NECESSARY,
        Determination.INVESTIGATIONAL,
        Determination.NOT_MEDICALLY_NECESSARY,
        Determination.CRITERIA_NOT_MET,
        Determination.NOT_ADDRESSED,
        Determination.POLICY_NOT_ON_RECORD,
    ]
    reason: Word | None = None
    rests_on: tuple[Identifier, ...] = ()
    """The cited parts of the document that support this outcome."""
    authorizes: Authorizes | None = None
    """Of what is medically necessary."""

    @property
    def months(self) -> int | None:
        """How long what is certified holds, if the outcome says so."""
        return self.authorizes.months if self.authorizes is not None else None

    @model_validator(mode="after")
    def _authorizes_what_is_certified(self) -> Self:
        if self.authorizes is not None and self.determination is not Determination.MEDICALLY_NECESSARY:
            raise ValueError("only what is `medically_necessary` authorizes anything")
        return self


class Rule(Part):
    """One row of the ordered rules: the first that applies decides."""

    id: Identifier
    says: Sentence
    when: Condition
    outcomes: tuple[Outcome, ...] = Field(min_length=1)


class Edition(Part):
    """A stretch of service dates with the same clinical statements, up to the next edition."""

    since: date
    on_record: bool
    """Whether the text of its statements is known."""
    says: Sentence


# --- codes, exceptions, guidance, clocks, revisions ---------------------------------------------------------------


class Window(Part):
    """A stretch of days; an end left out is open."""

    since: date | None = None
    until: date | None = None

    def holds(self, day: date) -> bool:
        """Whether `day` is in the interval."""
        return (self.since is None or self.since <= day) and (self.until is None or day < self.until)


class CodeSystem(Part):
    """A procedure code system: its valid service dates and what its codes look like."""

    system: Identifier
    valid: Window = Window()
    length: int | None = Field(default=None, ge=1, le=MOST_CHARACTERS)
    """If given, codes have exactly this many letters and digits."""
    ignores_dots: bool = False
    says: Sentence


class ListedCode(Part):
    """One code of the policy's list: when the policy listed it, and when its own code set had it."""

    system: Identifier
    code: Annotated[str, Field(pattern=CODE, max_length=MOST_CHARACTERS)]
    listed: Window = Window()
    valid: Window = Window()
    shares_rules: bool = False
    """Whether it is meant to be decided by the rules of other codes: for `check`, and no part of the digest."""
    says: Sentence | None = None
    cites: tuple[Citation, ...] = ()


class CodeList(Cited):
    """The codes that the policy says it applies to."""

    systems: tuple[CodeSystem, ...] = Field(min_length=1, max_length=50)
    listed: tuple[ListedCode, ...]
    """Empty in a document before its first code was listed."""


class Program(Part):
    """Another program that answers instead of this policy."""

    name: Sentence
    says: Sentence


class ExceptionOutcome(Dated):
    """What an exception says, from `since` on."""

    determination: Literal[Determination.REDIRECTED, Determination.POLICY_NOT_ON_RECORD]
    program: Program | None = None

    @model_validator(mode="after")
    def _redirected_somewhere(self) -> Self:
        if (self.determination is Determination.REDIRECTED) != (self.program is not None):
            raise ValueError("`redirected` needs a `program` to go to, and nothing else has one")
        return self


class PolicyException(Cited):
    """A line of business for which somebody else answers."""

    line_of_business: Word
    outcomes: tuple[ExceptionOutcome, ...] = Field(min_length=1)


class PriorAuthorization(Cited):
    """A service must not come before the request for it, unless it carries an authorization's number."""


class AppliesTo(Part):
    """The lines that a piece of guidance concerns: all that is named must fit; nothing named fits every line."""

    performed_on: Word | None = None
    diagnoses: tuple[CodeSelector, ...] = ()
    codes: tuple[Annotated[str, Field(pattern=CODE_AND_SYSTEM, max_length=200)], ...] = ()
    """Each as system, space, code: `cpt 86812`."""
    determinations: tuple[Determination, ...] = ()
    reasons: tuple[Word, ...] = ()


class Guidance(Cited):
    """What a decision says beside its determination: an instruction or a definition."""

    applies_to: AppliesTo = AppliesTo()


class Length(Part):
    """A length of time; both parts add up. A day is 24 hours."""

    days: int = Field(default=0, ge=0, le=3_650)
    hours: int = Field(default=0, ge=0, le=87_600)

    @cached_property
    def elapsed(self) -> timedelta:
        """The same as elapsed time."""
        return timedelta(days=self.days, hours=self.hours)

    @model_validator(mode="after")
    def _not_nothing(self) -> Self:
        if not (self.days or self.hours):
            raise ValueError("no time at all; write {days: …} or {hours: …}")
        return self


class ClockStart(StrEnum):
    """What sets a clock going."""

    SUBMISSION = "submission"
    NECESSARY_INFORMATION = "necessary_information"


class LeadTime(Part):
    """How long before it is due an unanswered request is announced."""

    standard: Length
    expedited: Length


class Clock(Part):
    """How long the payer may take: a rule that is cited, a length for each urgency, and what starts it."""

    id: Identifier
    rule: Sentence
    """Where the rule is published."""
    says: Sentence
    starts: ClockStart
    standard: Length
    expedited: Length
    due_soon: LeadTime | None = None
    """Absent: nothing is announced before it is due."""


class ClockAssignment(Part):
    """Which clock runs for a line of business."""

    line_of_business: Word
    clock: Identifier
    appeals: Identifier | None = None
    """The clock of a reconsideration; absent: the same."""


class Validity(Part):
    """How long an approval holds for a line of business: calendar months from the day of the approval."""

    line_of_business: Word
    months: int = Field(ge=1, le=600)
    rule: Sentence
    """Where the rule is published."""
    says: Sentence


class AdverseReview(Part):
    """Who may refuse care for a line of business: a physician licensed in this state. Without one, nobody may."""

    line_of_business: Word
    license_state: str = Field(pattern=STATE)
    rule: Sentence
    """Where the rule is published."""
    says: Sentence


class RevisionKind(StrEnum):
    """What a revision did."""

    APPROVAL = "approval"
    STATEMENT = "statement"
    GUIDELINE = "guideline"
    DEFINITION = "definition"
    DESCRIPTION = "description"
    CODE = "code"
    NUMBER = "number"
    TITLE = "title"
    EXCEPTION = "exception"
    EDITORIAL = "editorial"
    REVIEW = "review"


class Revision(Part):
    """One dated entry of the policy's history; in force from its date up to the next one's."""

    date: date
    kinds: tuple[RevisionKind, ...] = Field(min_length=1)
    says: Sentence
    number: str | None = Field(default=None, max_length=128)
    """The policy's new number, if this revision changed it."""
    cites: tuple[Citation, ...] = ()


# --- examples ------------------------------------------------------------------------------------------------------

SystemAndCode = Annotated[str, Field(pattern=CODE_AND_SYSTEM, max_length=200)]
"""A system, a space and a code: `cpt 86812`."""


class Example(Part):
    """A request with one line, and what the policy must answer. `dli policy check` runs it; decisions never do."""

    id: Identifier
    says: Sentence
    day: date | None = None
    """The date of the service."""
    since: date | None = None
    """In place of `day`: the example holds on this day, and in every later edition. Without either, in the newest."""
    submitted_on: date | None = None
    """The day of the request; by default that of the service."""
    code: SystemAndCode | None = None
    """The requested procedure; by default, the first listed code that is valid and listed on the day."""
    performed_on: Word = "member"
    units: int = Field(default=1, ge=1)
    place_of_service: str | None = None
    modifiers: tuple[str, ...] = ()
    birth_date: date | None = None
    sex: Word | None = None
    provider_specialty: str | None = None
    certification: Word = "initial"
    line_of_business: Word | None = None
    """By default, the first that has a clock, or `commercial`."""
    facts: dict[str, JsonValue] = Field(default={})
    """By path, each as a request states it."""
    diagnoses: tuple[SystemAndCode, ...] = ()
    procedures: tuple[SystemAndCode, ...] = ()
    """Past procedures."""
    determination: Determination
    reasons: tuple[Word, ...] | None = None
    """All reasons, in any order; absent: any."""
    missing: tuple[str, ...] | None = None
    """The paths of all facts that must be asked for, in any order; absent: any."""
    rule: Identifier | None = None
    """The only rule that decides; absent: any."""

    @model_validator(mode="after")
    def _one_day(self) -> Self:
        if self.day is not None and self.since is not None:
            raise ValueError("write `day`, for one service date, or `since`, for it and every later edition")
        return self


_NOT_IN_THE_DIGEST: Any = {"examples": True, "codes": {"listed": {"__all__": {"shares_rules"}}}}


class PolicyDocument(Part):
    """One medical policy, whole."""

    format: Literal[1]
    number: Identifier
    title: Sentence
    source: Source
    facts: tuple[FactDeclaration, ...] = Field(min_length=1, max_length=500)
    conditions: tuple[NamedCondition, ...] = Field(default=(), max_length=1_000)
    never: tuple[Impossibility, ...] = Field(default=(), max_length=100)
    editions: tuple[Edition, ...] = Field(min_length=1, max_length=200)
    statements: tuple[Statement, ...] = Field(default=(), max_length=500)
    indications: tuple[Indication, ...] = Field(default=(), max_length=500)
    rules: tuple[Rule, ...] = Field(max_length=500)
    """Empty only while no edition is on record."""
    prior_authorization: PriorAuthorization | None = None
    codes: CodeList
    exceptions: tuple[PolicyException, ...] = Field(default=(), max_length=100)
    guidance: tuple[Guidance, ...] = ()
    definitions: tuple[Guidance, ...] = ()
    clocks: tuple[Clock, ...] = Field(default=(), max_length=100)
    clock_for: tuple[ClockAssignment, ...] = Field(default=(), max_length=100)
    validity: tuple[Validity, ...] = Field(default=(), max_length=100)
    """Of a line of business that is not named, approvals do not end by the policy."""
    adverse_review: tuple[AdverseReview, ...] = Field(default=(), max_length=100)
    time_zone: Annotated[str, Field(pattern=TIME_ZONE, max_length=64)] = "UTC"
    """The IANA time zone in which a year of public figures begins and ends."""
    description: tuple[Cited, ...] = ()
    page: tuple[Cited, ...] = ()
    """Headings, notices and other sentences of the text that do not concern care."""
    revisions: tuple[Revision, ...] = Field(min_length=1, max_length=500)
    examples: tuple[Example, ...] = Field(default=(), max_length=1_000)
    """What the document must answer, for `dli policy check`; not part of its canonical form."""

    def canonical(self) -> bytes:
        """The document as RFC 8785 canonical JSON, without default values, examples and what is said to `check` alone.

        Omitting defaults keeps digests stable when the format gains an optional field. Examples test a document and say
        nothing about care: with them in the digest, a new test of an old policy would look like a new policy, and the
        packaged history could get none. So they are not published either.
        """
        return rfc8785.dumps(
            self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_NOT_IN_THE_DIGEST)
        )

    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal: the `policy.sha256` of every decision."""
        return sha256(self.canonical()).hexdigest()
