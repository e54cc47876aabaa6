"""Evaluate one case under one policy: the determination of each service line, and the step that decided it.

The steps of a line, in order; the first that applies decides it:

1. cancellation            the request is a cancellation
2. policy_on_record        a revision was in force on the service date and its statements are on record
3. exception               another program is responsible for this line of business
4. code_valid              the code is valid in its own code set
5. code_listed             the policy lists the code
6. prior_authorization     the service does not precede its request
7. clinical_statements     the policy's rules, applied to the known facts
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property, lru_cache
from math import prod
from typing import NamedTuple

from policy_core.determinations import (
    CODE_NOT_LISTED,
    CONSEQUENCES,
    Action,
    ActsNext,
    Determination,
    Stage,
    overall,
    stage_of,
)
from policy_core.diagrams.diagram import UNKNOWN
from policy_core.diagrams.editions import REMEMBERED, DrawnEdition, Finding, Status, drawn
from policy_core.diagrams.variables import Scope
from policy_core.document.code_listings import CodeIndex, CodeStatus, normal_diagnosis, selector
from policy_core.document.models import Clock, ExceptionOutcome, Guidance, PolicyDocument, Program
from policy_core.document.revisions import Register, RegisteredRevision, edition_on
from policy_core.evaluate.case import Case, ServiceLine
from policy_core.evaluate.deadline import Deadline, Submission, deadline, months_after
from policy_core.evaluate.facts import Claim, Fact, FactReader, Origin
from policy_core.evaluate.measures import Asked, Measures, filled
from policy_core.publications.publication import publications
from policy_core.work_limit import allowed


class Step(StrEnum):
    """The step that decided a line."""

    CANCELLATION = "cancellation"
    POLICY_ON_RECORD = "policy_on_record"
    EXCEPTION = "exception"
    CODE_VALID = "code_valid"
    CODE_LISTED = "code_listed"
    PRIOR_AUTHORIZATION = "prior_authorization"
    CLINICAL_STATEMENTS = "clinical_statements"


@dataclass(frozen=True, slots=True)
class MissingFact:
    """A fact that can still change a determination, and what to ask for it."""

    path: str
    question: str
    conflict: tuple[Claim, ...] = ()


class Answer(NamedTuple):
    """The answer given by the deciding step of a line."""

    determination: Determination
    step: Step
    reasons: tuple[str, ...] = ()
    missing: tuple[MissingFact, ...] = ()
    rules: tuple[str, ...] = ()
    """The rules that decide or may still decide."""
    rests_on: tuple[str, ...] = ()
    """The ids of the cited parts that support the determination."""
    program: Program | None = None
    edition: date | None = None
    """The first day of the edition whose clinical statements were evaluated."""
    months: int | None = None
    """How long what is certified holds, if the deciding rules say so."""


@dataclass(frozen=True, slots=True)
class LineResult:
    """The determination of one service line."""

    line: ServiceLine
    answer: Answer
    revision: RegisteredRevision | None
    """The revision in force on the service date."""
    guidance: tuple[str, ...]
    """The ids of the guidance that applies."""
    valid_through: date | None = None
    """The last day of an approval, if the document limits it."""
    measures: tuple[Fact, ...] = ()
    """What the policy tests beside clinical facts, as it is for this line: times, and attributes."""

    @property
    def action(self) -> Action:
        """The action that follows from the determination."""
        return CONSEQUENCES[self.answer.determination].action

    @property
    def acts_next(self) -> ActsNext:
        """Who must act next."""
        return CONSEQUENCES[self.answer.determination].acts_next


class EditionFinding(NamedTuple):
    """What the clinical statements of an edition say."""

    since: date
    lines: tuple[int, ...] | None
    """The lines of which they say so, by number; None if they cannot tell lines apart."""
    statuses: Mapping[str, Status]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The determination of one request."""

    stage: Stage
    action: Action
    deadline: Deadline
    lines: tuple[LineResult, ...]
    findings: tuple["EditionFinding", ...]
    """What the clinical statements say, for each edition evaluated, by its first day."""
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class _Question:
    """A case with everything that is computed once for all its lines."""

    case: Case
    facts: Mapping[str, Fact]
    pattern: tuple[int, ...]
    conflicts: tuple[Fact, ...]
    concerned: tuple[bool, ...]
    """For each piece of guidance, whether it applies to the diagnoses."""
    valid_through: date | None
    """The last day of what is certified now."""


class Policy:
    """A compiled policy document: everything that can be computed before the first request."""

    def __init__(self, document: PolicyDocument, known_through: str | None = None) -> None:
        """Compile a document.

        Args:
            document: The policy, whole.
            known_through: The digest of its newest publication; by default, that of the document's own newest revision.
        """
        drawing, editions = drawn(document, accepted=True)
        self._known_through = known_through
        self.document = document
        self.number = document.number
        self.sha256 = document.digest()
        self.register = Register(document)
        self.variables = drawing.variables
        self.order = drawing.diagrams.order
        """The indices of the variables, in the order in which the diagrams test them."""
        self.editions = {edition.since: edition for edition in editions}
        self.reader = FactReader(document, drawing.variables)
        self.measures = Measures(drawing.variables)
        self._contradictions = drawing.contradictions()
        self.codes = CodeIndex(document.codes)
        self._exceptions = _exceptions(document)
        self._not_listed = _not_listed(document)
        self._unauthorized = _unauthorized(document)
        self.clocks = _Clocks(document)
        self._months = {validity.line_of_business: validity.months for validity in document.validity}
        self.guidance = _Guidance(document, self.codes)
        self._by_statements = lru_cache(maxsize=REMEMBERED)(self._find)

    @cached_property
    def known_through(self) -> str:
        """The digest of the policy's newest known publication."""
        return self._known_through or publications(self.document)[-1].digest

    @cached_property
    def allowed(self) -> int:
        """The document's step limit."""
        return allowed(len(self.document.canonical()))

    def determine(self, case: Case) -> CaseResult:
        """Determine a case. The result depends only on the case and the policy.

        Raises:
            ClinicalViolationError: The case's clinical object does not fit the policy's facts.
        """
        facts = self.reconciled(self.reader.read(case), case)
        diagnoses = tuple([(diagnosis.system, normal_diagnosis(diagnosis.code)) for diagnosis in case.diagnoses])
        question = _Question(
            case,
            facts,
            self.pattern(facts, case),
            tuple([fact for fact in facts.values() if fact.origin is Origin.CONFLICTING]),
            self.guidance.concerned(diagnoses),
            self.valid_through(case.line_of_business, case.submitted_at.date()),
        )
        lines = tuple([self._line(question, line) for line in case.service_lines])
        action = overall([line.action for line in lines])
        due = deadline(
            self.clocks.of(case.line_of_business, case.certification),
            case.urgency,
            Submission(case.submitted_at, case.first_submitted_at),
            information_needed=any(line.answer.determination is Determination.INFORMATION_NEEDED for line in lines),
            answered=action is not Action.PENDED,
        )
        stage = stage_of(line.answer.determination for line in lines)
        return CaseResult(stage, action, due, lines, self._findings(question, lines), facts)

    def pattern(self, facts: Mapping[str, Fact], case: Asked) -> tuple[int, ...]:
        """The facts of a request and its own attributes, as variables: the index of each class, or `UNKNOWN`."""
        found = [*self.measures.of_facts(facts), *self.measures.of_request(facts, case)]
        return filled(self.reader.pattern(facts), found)

    @property
    def tells_lines_apart(self) -> bool:
        """Whether conditions test anything of a line."""
        return self.measures.tests(Scope.LINE)

    @property
    def contradictable(self) -> bool:
        """Whether the document says what cannot be."""
        return bool(self._contradictions)

    def reconciled(self, facts: Mapping[str, Fact], case: Asked) -> Mapping[str, Fact]:
        """The facts, those conflicting that together say what cannot be."""
        if not self._contradictions:
            return facts
        pattern = self.pattern(facts, case)
        said = {path for holds, paths in self._contradictions if holds(pattern) for path in paths}
        presumed = {path for path in said if facts[path].origin is Origin.PRESUMED}
        if presumed:
            # What is only presumed yields to what is stated.
            return self.reconciled(
                {
                    path: Fact(path, Origin.NOT_STATED, None) if path in presumed else fact
                    for path, fact in facts.items()
                },
                case,
            )
        return {path: fact.contradicted() if path in said else fact for path, fact in facts.items()}

    def _findings(self, question: _Question, lines: Sequence[LineResult]) -> tuple[EditionFinding, ...]:
        """Lines of which the statements say the same, together."""
        found: dict[tuple[date, tuple[Status, ...]], tuple[Mapping[str, Status], list[int]]] = {}
        for line in lines:
            if (since := line.answer.edition) is not None:
                finding = self.editions[since].find(self._pattern(question, line.line))
                statuses = finding.statuses
                found.setdefault((since, tuple(statuses.values())), (statuses, []))[1].append(line.line.line)
        return tuple(
            EditionFinding(since, tuple(numbers) if self.tells_lines_apart else None, statuses)
            for (since, _), (statuses, numbers) in sorted(found.items(), key=_by_day)
        )

    def _pattern(self, question: _Question, line: ServiceLine) -> tuple[int, ...]:
        if not self.tells_lines_apart:
            return question.pattern
        return filled(question.pattern, self.measures.of_line(question.facts, question.case, line))

    def valid_through(self, line_of_business: str, day: date) -> date | None:
        """The last day of an approval given on `day`; None if the document does not limit it."""
        months = self._months.get(line_of_business)
        return months_after(day, months) if months is not None else None

    def cases(self) -> int:
        """The number of complete cases: all combinations of what conditions tell apart, but those that cannot be."""
        every = prod(len(variable.domain) for variable in self.variables)
        # What cannot be has no dates: it is the same in every edition.
        return every - next((edition.impossible_cases() for edition in self.editions.values()), 0)

    def edition_on(self, day: date) -> DrawnEdition | None:
        """The edition in force on `day`, if its statements are on record."""
        edition = edition_on(self.document.editions, day)
        return self.editions.get(edition.since) if edition else None

    def _line(self, question: _Question, line: ServiceLine) -> LineResult:
        answer = self._answer(question, line)
        guidance = self.guidance.of(line, answer, question.concerned)
        certified = CONSEQUENCES[answer.determination].action is Action.CERTIFIED_IN_TOTAL
        valid_through = question.valid_through if certified else None
        if answer.months is not None:
            valid_through = months_after(question.case.submitted_at.date(), answer.months)
        revision = self.register.in_force(line.service_date)
        measures = self.measures.seen(question.facts, question.case, line) if answer.edition is not None else ()
        return LineResult(line, answer, revision, guidance, valid_through, measures)

    def _answer(self, question: _Question, line: ServiceLine) -> Answer:
        case = question.case
        unauthorized = line.service_date < case.submitted_at.date() and not case.has_prior_authorization
        answer = self.before_facts(
            case.line_of_business,
            line.system,
            line.code,
            line.service_date,
            unauthorized=unauthorized,
            cancelled=case.certification == "cancellation",
        )
        edition = self.edition_on(line.service_date)
        if answer is not None or edition is None:
            return answer or _NOT_ON_RECORD
        return self._by_statements(edition, self._pattern(question, line), question.conflicts)

    def before_facts(
        self, line_of_business: str, system: str, code: str, day: date, *, unauthorized: bool, cancelled: bool
    ) -> Answer | None:
        """The answer of steps 1 to 6; None if the clinical statements decide."""
        if cancelled:
            return _CANCELLED
        return self.before_statements(line_of_business, system, code, day, unauthorized=unauthorized)

    def before_statements(
        self, line_of_business: str, system: str, code: str, day: date, *, unauthorized: bool
    ) -> Answer | None:
        """The answer of steps 2 to 6; None if the clinical statements decide.

        `unauthorized`: the service precedes its request, without an authorization.
        """
        if self.edition_on(day) is None:
            return _NOT_ON_RECORD
        return self._before_statements(line_of_business, system, code, day, unauthorized=unauthorized)

    def _before_statements(
        self, line_of_business: str, system: str, code: str, day: date, *, unauthorized: bool
    ) -> Answer | None:
        """Steps 3 to 6."""
        return (
            self.by_exception(line_of_business, day)
            or self.by_code(system, code, day)
            or (self._unauthorized if unauthorized else None)
        )

    def by_exception(self, line_of_business: str, day: date) -> Answer | None:
        """The answer of step 3; None if no exception applies."""
        outcomes = self._exceptions.get(line_of_business, ())
        return next((answer for outcome, answer in outcomes if outcome.on(day)), None)

    def by_code(self, system: str, code: str, day: date) -> Answer | None:
        """The answer of steps 4 and 5; None if the code is valid and listed."""
        standing = self.codes.standing(system, code, day)
        if standing is CodeStatus.INVALID:
            return _INVALID_CODE
        return self._not_listed if standing is CodeStatus.NOT_LISTED else None

    def _find(self, edition: DrawnEdition, pattern: tuple[int, ...], conflicts: tuple[Fact, ...]) -> Answer:
        claims = {fact.path: fact.claims for fact in conflicts}
        return self.by_statements(edition, pattern, edition.find(pattern), claims)

    def by_statements(
        self, edition: DrawnEdition, pattern: Sequence[int], finding: Finding, claims: Mapping[str, tuple[Claim, ...]]
    ) -> Answer:
        """The answer of step 7 to a pattern; `claims` are those of conflicting facts, by path."""
        return Answer(
            finding.determination,
            Step.CLINICAL_STATEMENTS,
            reasons=finding.reasons,
            missing=tuple(self._asked(pattern, finding.missing, claims)),
            rules=tuple(dict.fromkeys([row.rule.id for row in finding.rows])),
            rests_on=tuple(dict.fromkeys([part for row in finding.rows for part in row.outcome.rests_on])),
            edition=edition.since,
            months=finding.rows[0].outcome.months if finding.rows and not finding.missing else None,
        )

    def _asked(
        self, pattern: Sequence[int], missing: Sequence[int], claims: Mapping[str, tuple[Claim, ...]]
    ) -> Iterator[MissingFact]:
        """What to ask for variables that are missing: of the two days of a time, those that are not stated."""
        places = {variable.path: at for at, variable in enumerate(self.variables)}
        asked: set[int] = set()
        for index in missing:
            needed = [places[path] for path in self.variables[index].asks]
            unknown = [at for at in needed if pattern[at] == UNKNOWN]
            asked.update(unknown or needed)
        for at in sorted(asked):
            one = self.variables[at]
            yield MissingFact(one.path, one.question, claims.get(one.path, ()))


_CANCELLED = Answer(Determination.CANCELLED, Step.CANCELLATION)
_NOT_ON_RECORD = Answer(Determination.POLICY_NOT_ON_RECORD, Step.POLICY_ON_RECORD)
_INVALID_CODE = Answer(Determination.INVALID_CODE, Step.CODE_VALID)


def _not_listed(document: PolicyDocument) -> Answer:
    return Answer(
        Determination.NOT_ADDRESSED, Step.CODE_LISTED, reasons=(CODE_NOT_LISTED,), rests_on=(document.codes.id,)
    )


def _unauthorized(document: PolicyDocument) -> Answer | None:
    required = document.prior_authorization
    if required is None:
        return None
    return Answer(Determination.NO_PRIOR_AUTHORIZATION, Step.PRIOR_AUTHORIZATION, rests_on=(required.id,))


def _exceptions(document: PolicyDocument) -> dict[str, tuple[tuple[ExceptionOutcome, Answer], ...]]:
    """The answers of exceptions with their outcomes, by line of business."""
    return {
        exception.line_of_business: tuple(
            (
                outcome,
                Answer(outcome.determination, Step.EXCEPTION, rests_on=(exception.id,), program=outcome.program),
            )
            for outcome in exception.outcomes
        )
        for exception in document.exceptions
    }


def _by_day(found: tuple[tuple[date, tuple[Status, ...]], tuple[Mapping[str, Status], list[int]]]) -> date:
    return found[0][0]


class _Guidance:
    """Finds the guidance for a line."""

    def __init__(self, document: PolicyDocument, index: CodeIndex) -> None:
        self._index = index
        self._all = [_Applies(guidance, index) for guidance in (*document.guidance, *document.definitions)]
        self._of = lru_cache(maxsize=REMEMBERED)(self._find)

    def concerned(self, diagnoses: Sequence[tuple[str, str]]) -> tuple[bool, ...]:
        """For each piece of guidance, whether it applies to the diagnoses."""
        return tuple([guidance.speaks_of(diagnoses) for guidance in self._all])

    @property
    def codes(self) -> frozenset[tuple[str, str]]:
        """The procedure codes that a piece of guidance names, by system and normal code."""
        return frozenset().union(*(guidance.codes for guidance in self._all))

    def of(self, line: ServiceLine, answer: Answer, concerned: tuple[bool, ...]) -> tuple[str, ...]:
        """The ids of the guidance for a line, in the document's order."""
        return self.among(
            line.performed_on, (line.system, self._index.normal(line.system, line.code)), answer, concerned
        )

    def among(
        self, performed_on: str, code: tuple[str, str], answer: Answer, concerned: tuple[bool, ...]
    ) -> tuple[str, ...]:
        """The same for a line with this system and normal code."""
        found: tuple[str, ...] = self._of(performed_on, code, answer.determination, answer.reasons, concerned)
        return found

    def _find(
        self,
        performed_on: str,
        code: tuple[str, str],
        determination: Determination,
        reasons: tuple[str, ...],
        concerned: tuple[bool, ...],
    ) -> tuple[str, ...]:
        return tuple(
            guidance.id
            for guidance, speaks in zip(self._all, concerned, strict=True)
            if speaks and guidance.fits(performed_on, code, determination, reasons)
        )


class _Applies:
    """Decides whether a piece of guidance applies to a line."""

    def __init__(self, guidance: Guidance, index: CodeIndex) -> None:
        self.id = guidance.id
        applies = guidance.applies_to
        self._performed_on = applies.performed_on
        self._diagnoses = [selector(selected) for selected in applies.diagnoses]
        named = [code.split(" ", 1) for code in applies.codes]
        self.codes = frozenset((system, index.normal(system, code)) for system, code in named)
        self._determinations = frozenset(applies.determinations)
        self._reasons = frozenset(applies.reasons)

    def speaks_of(self, diagnoses: Sequence[tuple[str, str]]) -> bool:
        return not self._diagnoses or any(
            matches(system, code) for matches in self._diagnoses for system, code in diagnoses
        )

    def fits(
        self, performed_on: str, code: tuple[str, str], determination: Determination, reasons: tuple[str, ...]
    ) -> bool:
        return (
            (self._performed_on is None or performed_on == self._performed_on)
            and (not self.codes or code in self.codes)
            and (not self._determinations or determination in self._determinations)
            and (not self._reasons or not self._reasons.isdisjoint(reasons))
        )


class _Clocks:
    """Finds the clock of a request."""

    def __init__(self, document: PolicyDocument) -> None:
        by_id = {clock.id: clock for clock in document.clocks}
        self._usual = {assigned.line_of_business: by_id[assigned.clock] for assigned in document.clock_for}
        self._of_appeals = {
            assigned.line_of_business: by_id[assigned.appeals or assigned.clock] for assigned in document.clock_for
        }

    def of(self, line_of_business: str, certification: str) -> Clock | None:
        clocks = self._of_appeals if certification == "reconsideration" else self._usual
        return clocks.get(line_of_business)
