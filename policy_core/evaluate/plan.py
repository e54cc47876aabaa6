"""A policy compiled for many requests: the same results as `Policy.determine`, several times faster.

Requests repeat in their parts: few clinical objects, lists of diagnoses and kinds of service lines cover nearly all of
a log. So a plan evaluates each part once and remembers it by its content, and what is left for a request is to put
remembered parts together:

    clinical object ─► stated facts ─┐
    diagnoses ───────► derived facts ┴─► a number for the pattern ─► finding of an edition ─┐
    service line ─► stretch of days ─► kind of line (decided by an earlier step, or not) ───┴─► outcome of the line

Every memory is a pure function of the policy and of the content that is its key, so it may forget at any time: each is
bounded, and cleared when it is full. Results are interned by value: equal outcomes are one object, so that encoders and
comparisons can remember by identity.

A policy that tests more than clinical facts, of the request, of its lines or of the time between days, gives each line
a pattern of its own: the request's number and what is the line's.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from policy_core.determinations import CONSEQUENCES, Action, ActsNext, Determination, Stage, overall, stage_of
from policy_core.diagrams.diagram import UNKNOWN
from policy_core.diagrams.editions import DrawnEdition, Finding, Status
from policy_core.diagrams.variables import Scope, Value
from policy_core.document.code_listings import normal_diagnosis
from policy_core.document.revisions import RegisteredRevision, boundaries
from policy_core.evaluate.case import CodedDiagnosis, Diagnosis, Recurring, RecurringCase, RequestedLine, ServiceLine
from policy_core.evaluate.deadline import Deadline, Submission, deadline, months_after
from policy_core.evaluate.determine import Answer, CaseResult, EditionFinding, LineResult, Policy, Step
from policy_core.evaluate.facts import Fact, Implied

Key = TypeVar("Key")
Found = TypeVar("Found")

REMEMBERED = 1 << 16
"""Entries of one memory; a log has far fewer, and what is forgotten costs a few microseconds each."""
LONGEST_REMEMBERED = 2_048
"""Bytes of a key: what is longer hardly recurs, and would take memory."""


class Memory(dict[Key, Found]):
    """What was found, by key; forgets everything when it is full."""

    def remember(self, key: Key, found: Found) -> Found:
        """Add an entry, unless its key is a long text; returns it."""
        if isinstance(key, bytes) and len(key) > LONGEST_REMEMBERED:
            return found
        if len(self) >= REMEMBERED:
            self.clear()
        self[key] = found
        return found


class Interned(Generic[Found]):
    """One object for each value: compared and hashed by identity."""

    __slots__ = ("value",)

    def __init__(self, value: Found) -> None:
        self.value = value


class StatedFacts:
    """The facts that a clinical object states, and what is left to the codes."""

    __slots__ = ("derivable", "facts", "number")

    def __init__(self, number: int, facts: tuple[Fact, ...], derivable: Interned[tuple[Any, ...]]) -> None:
        self.number = number
        """Of the pattern, without the facts that codes may imply."""
        self.facts = facts
        """All facts, in the document's order; those that codes may imply as they are without codes."""
        self.derivable = derivable
        """What is stated of each fact that codes may imply, or None."""


class DerivedFact:
    """A fact that codes may imply, as it is in some requests."""

    __slots__ = ("fact", "number")

    def __init__(self, number: int, fact: Fact) -> None:
        self.number = number
        self.fact = fact


class DerivedFacts:
    """The facts that codes may imply, as they are together in some requests."""

    __slots__ = ("claims", "facts", "number")

    def __init__(self, facts: tuple[DerivedFact, ...]) -> None:
        self.facts = facts
        self.number = sum([one.number for one in facts])
        self.claims = tuple([(one.fact.path, one.fact.claims) for one in facts if one.fact.claims])
        """What conflicts, by fact."""


class StatedDiagnoses:
    """A list of diagnoses, and what follows from it."""

    __slots__ = ("concerned", "implied")

    def __init__(self, concerned: tuple[bool, ...], implied: Interned[tuple[Interned[Implied], ...]]) -> None:
        self.concerned = concerned
        """For each piece of guidance, whether it applies."""
        self.implied = implied
        """For each fact that codes may imply, what they say of it."""


class Statuses:
    """What every statement of an edition says, alike for many patterns."""

    __slots__ = ("since", "statuses")

    def __init__(self, since: date, statuses: Mapping[str, Status]) -> None:
        self.since = since
        self.statuses = statuses


class PatternFinding:
    """What an edition says of one pattern of facts."""

    __slots__ = ("answer", "finding", "lines", "statuses")

    def __init__(
        self, finding: Finding, answer: "LineAnswer", statuses: Statuses, lines: tuple[int, ...] | None = None
    ) -> None:
        self.finding = finding
        self.answer = answer
        self.statuses = statuses
        self.lines = lines
        """The lines of which it says so, if its conditions can tell lines apart."""


class LineAnswer:
    """An answer, with the outcomes of the lines that have it."""

    __slots__ = ("answer", "by_value", "certifies", "outcomes")

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.certifies = CONSEQUENCES[answer.determination].action is Action.CERTIFIED_IN_TOTAL
        self.outcomes: Memory[tuple[Any, ...], LineOutcome] = Memory()
        self.by_value: Memory[tuple[Any, ...], LineOutcome] = Memory()


class LineKind:
    """Lines that the policy cannot tell apart before it looks at the facts."""

    __slots__ = ("answer", "code", "edition", "performed_on", "revision", "system")

    def __init__(
        self,
        answer: LineAnswer,
        edition: DrawnEdition | None,
        revision: RegisteredRevision | None,
        performed_on: str,
        system: str,
        code: str,
    ) -> None:
        self.answer = answer
        """Of a step before the clinical statements."""
        self.edition = edition
        """The edition whose statements decide instead, if no step before them does."""
        self.revision = revision
        self.performed_on = performed_on
        self.system = system
        self.code = code
        """One of those that guidance names, or any that it does not."""


class Through(NamedTuple):
    """The last day of an approval."""

    day: date | None
    """None if the policy does not limit it."""


NEVER = Through(None)


class LineOutcome:
    """The outcome of lines that are alike, without what is each line's own."""

    __slots__ = ("action", "acts_next", "answer", "guidance", "measures", "revision", "valid_through")

    def __init__(
        self,
        answer: Answer,
        revision: RegisteredRevision | None,
        guidance: tuple[str, ...],
        valid_through: date | None,
        measures: tuple[Fact, ...] = (),
    ) -> None:
        self.answer = answer
        self.revision = revision
        self.guidance = guidance
        self.valid_through = valid_through
        self.measures = measures
        """What the policy tests beside clinical facts: times, and attributes of the request and the line."""
        consequence = CONSEQUENCES[answer.determination]
        self.action: Action = consequence.action
        self.acts_next: ActsNext = consequence.acts_next


class RequestOutcome:
    """What follows for a whole request from the outcomes of its lines."""

    __slots__ = ("action", "information_needed", "lines", "stage")

    def __init__(self, lines: tuple[LineOutcome, ...]) -> None:
        self.lines = lines
        self.action = overall([line.action for line in lines])
        self.stage: Stage = stage_of(line.answer.determination for line in lines)
        self.information_needed = any(line.answer.determination is Determination.INFORMATION_NEEDED for line in lines)


@dataclass(slots=True)
class PlannedResult:
    """The determination of one request, made of remembered parts."""

    case: RecurringCase
    outcome: RequestOutcome
    deadline: Deadline
    findings: tuple[PatternFinding, ...]
    """One for each edition that decided a line, by its first day."""
    stated: StatedFacts
    derived: DerivedFacts
    plan: "Plan"

    @property
    def facts(self) -> dict[str, Fact]:
        """Every declared fact, by path."""
        return self.plan.facts(self.stated, self.derived)

    def result(self) -> CaseResult:
        """The same in the form of `Policy.determine`."""
        lines = tuple(
            LineResult(
                _line(line),
                outcome.answer,
                outcome.revision,
                outcome.guidance,
                outcome.valid_through,
                outcome.measures,
            )
            for line, outcome in zip(self.case.service_lines, self.outcome.lines, strict=True)
        )
        findings = tuple(
            EditionFinding(found.statuses.since, found.lines, found.statuses.statuses) for found in self.findings
        )
        return CaseResult(self.outcome.stage, self.outcome.action, self.deadline, lines, findings, self.facts)


_BY_STATEMENTS = LineAnswer(Answer(Determination.INFORMATION_NEEDED, Step.CLINICAL_STATEMENTS))
"""In place of an answer where the clinical statements decide."""


class Plan:
    """Decides cases under one policy; its results are those of `Policy.determine`."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._read = policy.reader
        self._weights, self._of_fact = _weights(policy)
        self._is_measured = any(map(policy.measures.tests, Scope)) or policy.contradictable
        self._sizes = [len(variable.domain) + 1 for variable in policy.variables]
        self._derivable = [reading for reading in policy.reader.readings if reading.derives]
        self.derives = [reading.derives for reading in policy.reader.readings]
        """Of each declared fact, whether codes may imply it."""
        self._derivable_at = [at for at, derives in enumerate(self.derives) if derives]
        self._days = sorted(boundaries(policy.document) | {one.date for one in policy.document.revisions})
        self._named = policy.guidance.codes
        # What was found, by content.
        self._stretches: Memory[date, int] = Memory()
        self._stated: Memory[bytes, StatedFacts] = Memory()
        self._diagnoses: Memory[bytes, StatedDiagnoses] = Memory()
        self._derived: list[Memory[tuple[Interned[Implied], Any], DerivedFact]] = [Memory() for _ in self._derivable]
        self._together: Memory[tuple[Interned[Any], Interned[Any]], DerivedFacts] = Memory()
        self._through: Memory[tuple[str, date], Through] = Memory()
        self._kinds: Memory[tuple[Any, ...], LineKind] = Memory()
        self._found: Memory[tuple[Any, ...], PatternFinding] = Memory()
        self._wholes: Memory[tuple[LineOutcome, ...], RequestOutcome] = Memory()
        # One object for each value.
        self._implied: Memory[Implied, Interned[Implied]] = Memory()
        self._tuples: Memory[tuple[Any, ...], Interned[tuple[Any, ...]]] = Memory()
        self._concerned: Memory[tuple[bool, ...], tuple[bool, ...]] = Memory()
        self._answers: Memory[Answer, LineAnswer] = Memory()
        self._line_kinds: Memory[tuple[Any, ...], LineKind] = Memory()
        self._statuses: Memory[tuple[Any, ...], Statuses] = Memory()
        self._restated: Memory[tuple[Any, ...], tuple[StatedFacts, DerivedFacts]] = Memory()

    def decide(self, case: RecurringCase) -> PlannedResult:
        """Determine a case.

        Raises:
            ClinicalViolationError: The case's clinical object does not fit the policy's facts.
        """
        clinical, diagnosed = case.clinical, case.diagnoses
        stated = self._stated.get(clinical.key) or self._state(clinical)
        diagnoses = self._diagnoses.get(diagnosed.key) or self._diagnose(diagnosed)
        codes_and_stated = (diagnoses.implied, stated.derivable)
        derived = self._together.get(codes_and_stated) or self._derive_all(codes_and_stated)
        for at, line in enumerate(case.service_lines):
            if line.clinical.value:
                self._read.check_line(at, line.clinical.value)
        measured = None
        if self._is_measured:
            stated, derived, measured = self._measure(case, stated, derived)
        found: dict[DrawnEdition, PatternFinding] = {}
        outcomes, day, authorized = [], case.submitted_at.date(), case.has_prior_authorization
        business, cancelled = case.line_of_business, case.certification == "cancellation"
        through = self._through.get((business, day)) or self._valid_through(business, day)
        for line in case.service_lines:
            on = line.service_date
            stretch = self._stretches.get(on) or self._stretch(on)
            early = not authorized and on < day
            key = (line.system, line.code, stretch, line.performed_on, business, early, cancelled)
            kind = self._kinds.get(key) or self._kind(*key)
            answer = kind.answer
            measures: tuple[Fact, ...] = ()
            if kind.edition is not None and measured is not None:
                answer, measures = measured.answer(kind.edition, line)
            elif kind.edition is not None:
                finding = found.get(kind.edition)
                if finding is None:
                    finding = found[kind.edition] = self.find(kind.edition, stated.number + derived.number, derived)
                answer = finding.answer
            held = through if answer.certifies else NEVER
            if answer.answer.months is not None:
                held = Through(months_after(day, answer.answer.months))
            outcome = (kind, diagnoses.concerned, held, measures)
            outcomes.append(answer.outcomes.get(outcome) or self._outcome(answer, *outcome))
        lines = tuple(outcomes)
        whole = self._wholes.get(lines) or self._wholes.remember(lines, RequestOutcome(lines))
        due = deadline(
            self.policy.clocks.of(business, case.certification),
            case.urgency,
            Submission(case.submitted_at, case.first_submitted_at),
            information_needed=whole.information_needed,
            answered=whole.action is not Action.PENDED,
        )
        if measured is not None:
            return PlannedResult(case, whole, due, measured.findings(), stated, derived, self)
        findings = tuple(found.values()) if len(found) < 2 else tuple(found[one] for one in sorted(found, key=_since))  # noqa: PLR2004 (an order takes two)
        return PlannedResult(case, whole, due, findings, stated, derived, self)

    def facts(self, stated: StatedFacts, derived: DerivedFacts) -> dict[str, Fact]:
        """Every declared fact, by path."""
        found = list(stated.facts)
        for at, one in zip(self._derivable_at, derived.facts, strict=True):
            found[at] = one.fact
        return {fact.path: fact for fact in found}

    # --- what is no fact ---

    def _measure(
        self, case: RecurringCase, stated: StatedFacts, derived: DerivedFacts
    ) -> tuple[StatedFacts, DerivedFacts, "_MeasuredCase"]:
        """The facts, as they are where some contradict each other, and what else conditions test."""
        facts: Mapping[str, Fact] = self.facts(stated, derived)
        reconciled = self.policy.reconciled(facts, case)
        contradicted = tuple(path for path, fact in reconciled.items() if fact is not facts[path])
        if contradicted:
            key = (stated, derived, contradicted)
            stated, derived = self._restated.get(key) or self._restate(key, reconciled)
        measures = self.policy.measures
        number = stated.number + derived.number
        number += self.number_of([*measures.of_facts(reconciled), *measures.of_request(reconciled, case)])
        return stated, derived, _MeasuredCase(self, case, reconciled, derived, number)

    def _restate(self, key: tuple[Any, ...], facts: Mapping[str, Fact]) -> tuple[StatedFacts, DerivedFacts]:
        """The same facts in the two parts of a plan."""
        numbers = {path: self._number(path, fact.value) for path, fact in facts.items()}
        derivable = tuple(DerivedFact(numbers[one.path], facts[one.path]) for one in self._derivable)
        derived = DerivedFacts(derivable)
        derived.claims = tuple((path, fact.claims) for path, fact in facts.items() if fact.claims)
        number = sum(numbers.values()) - derived.number
        return self._restated.remember(key, (StatedFacts(number, tuple(facts.values()), key[0].derivable), derived))

    def number_of(self, found: Sequence[tuple[int, int]]) -> int:
        """What classes of variables add to a pattern's number."""
        return sum([self._weights[at] * (index + 1) for at, index in found])

    # --- facts ---

    def _state(self, clinical: Recurring[Mapping[str, Any]]) -> StatedFacts:
        self._read.check(clinical.value)
        number, facts, derivable = 0, [], []
        for reading in self._read.readings:
            fact = reading.fact(clinical.value, ())
            facts.append(fact)
            if reading.derives:
                derivable.append(reading.stated(clinical.value))
            else:
                number += self._number(fact.path, fact.value)
        return self._stated.remember(clinical.key, StatedFacts(number, tuple(facts), self._same(tuple(derivable))))

    def _diagnose(self, diagnosed: Recurring[Sequence[CodedDiagnosis]]) -> StatedDiagnoses:
        codes = [(Diagnosis(one.system, one.code), normal_diagnosis(one.code)) for one in diagnosed.value]
        found = self.policy.guidance.concerned(tuple([(diagnosis.system, code) for diagnosis, code in codes]))
        concerned = self._concerned.get(found) or self._concerned.remember(found, found)
        implied = tuple([self._interned(reading.implied_by(codes)) for reading in self._derivable])
        return self._diagnoses.remember(diagnosed.key, StatedDiagnoses(concerned, self._same(implied)))

    def _interned(self, implied: Implied) -> Interned[Implied]:
        return self._implied.get(implied) or self._implied.remember(implied, Interned(implied))

    def _same(self, values: tuple[Any, ...]) -> Interned[tuple[Any, ...]]:
        return self._tuples.get(values) or self._tuples.remember(values, Interned(values))

    def _derive_all(self, key: tuple[Interned[Any], Interned[Any]]) -> DerivedFacts:
        implied, stated = key
        pairs = enumerate(zip(implied.value, stated.value, strict=True))
        found = tuple([self._derived[at].get(pair) or self._derive(at, *pair) for at, pair in pairs])
        return self._together.remember(key, DerivedFacts(found))

    def _derive(self, at: int, implied: Interned[Implied], stated: Any) -> DerivedFact:
        fact = self._derivable[at].of(stated, implied.value)
        return self._derived[at].remember((implied, stated), DerivedFact(self._number(fact.path, fact.value), fact))

    def _number(self, path: str, value: Value | None) -> int:
        """What a fact's value adds to a pattern's number."""
        if value is None:
            return 0
        return sum([weight * (index(value) + 1) for weight, index in self._of_fact.get(path, ())])

    # --- lines ---

    def _stretch(self, day: date) -> int:
        """The number, from 1, of the stretch of days in which all answers are alike."""
        return self._stretches.remember(day, bisect_right(self._days, day) + 1)

    def _kind(
        self, system: str, code: str, stretch: int, performed_on: str, business: str, early: bool, cancelled: bool
    ) -> LineKind:
        policy = self.policy
        day = self._days[stretch - 2] if stretch > 1 else self._days[0] - timedelta(days=1)
        answer = policy.before_facts(business, system, code, day, unauthorized=early, cancelled=cancelled)
        edition = policy.edition_on(day) if answer is None else None
        revision = policy.register.in_force(day)
        normal = (system, policy.codes.normal(system, code))
        named = normal if normal in self._named else ("", "")
        # A policy has one object for each edition and revision.
        value = (answer, id(edition), id(revision), performed_on, named)
        kind = self._line_kinds.get(value)
        if kind is None:
            answered = self._answer(answer) if answer is not None else _BY_STATEMENTS
            kind = self._line_kinds.remember(value, LineKind(answered, edition, revision, performed_on, *named))
        return self._kinds.remember((system, code, stretch, performed_on, business, early, cancelled), kind)

    def _valid_through(self, business: str, day: date) -> Through:
        through = Through(self.policy.valid_through(business, day))
        return self._through.remember((business, day), through)

    def _answer(self, answer: Answer) -> LineAnswer:
        return self._answers.get(answer) or self._answers.remember(answer, LineAnswer(answer))

    def find(self, edition: DrawnEdition, number: int, derived: DerivedFacts) -> PatternFinding:
        """What an edition says of a pattern, by its number."""
        key = (edition.since, number, derived.claims)
        return self._found.get(key) or self._new_finding(key, edition)

    def _new_finding(self, key: tuple[Any, ...], edition: DrawnEdition) -> PatternFinding:
        _, number, claims = key
        pattern = []
        for size in self._sizes:
            number, digit = divmod(number, size)
            pattern.append(digit - 1 if digit else UNKNOWN)
        finding = edition.find(tuple(pattern))
        answer = self._answer(self.policy.by_statements(edition, pattern, finding, dict(claims)))
        spoken = (edition.since, *finding.statuses.values())
        statuses = self._statuses.get(spoken) or self._statuses.remember(
            spoken, Statuses(edition.since, finding.statuses)
        )
        return self._found.remember(key, PatternFinding(finding, answer, statuses))

    def _outcome(
        self,
        answer: LineAnswer,
        kind: LineKind,
        concerned: tuple[bool, ...],
        through: Through,
        measures: tuple[Fact, ...],
    ) -> LineOutcome:
        guidance = self.policy.guidance.among(kind.performed_on, (kind.system, kind.code), answer.answer, concerned)
        value = (id(kind.revision), guidance, through.day, measures)  # a policy has one object for each revision
        outcome = answer.by_value.get(value)
        if outcome is None:
            made = LineOutcome(answer.answer, kind.revision, guidance, through.day, measures)
            outcome = answer.by_value.remember(value, made)
        return answer.outcomes.remember((kind, concerned, through, measures), outcome)


class _MeasuredCase:
    """One request under a policy that tests more than clinical facts: each line has a pattern of its own."""

    def __init__(
        self, plan: Plan, case: RecurringCase, facts: Mapping[str, Fact], derived: DerivedFacts, number: int
    ) -> None:
        self._plan = plan
        self._case = case
        self._facts = facts
        self._derived = derived
        self._number = number
        self._found: dict[Statuses, tuple[PatternFinding, list[int]]] = {}

    def answer(self, edition: DrawnEdition, line: RequestedLine) -> tuple[LineAnswer, tuple[Fact, ...]]:
        """What the edition's statements answer, and what was tested beside the facts."""
        measures = self._plan.policy.measures
        number = self._number + self._plan.number_of(measures.of_line(self._facts, self._case, line))
        finding = self._plan.find(edition, number, self._derived)
        self._found.setdefault(finding.statuses, (finding, []))[1].append(line.line)
        return finding.answer, measures.seen(self._facts, self._case, line)

    def findings(self) -> tuple[PatternFinding, ...]:
        """What was found, by edition; lines of which the same is said, together."""
        apart = self._plan.policy.tells_lines_apart
        return tuple(
            PatternFinding(found.finding, found.answer, statuses, tuple(lines) if apart else None)
            for statuses, (found, lines) in sorted(self._found.items(), key=lambda one: one[0].since)
        )


def _line(line: RequestedLine) -> ServiceLine:
    return ServiceLine(
        line.line,
        line.system,
        line.code,
        line.service_date,
        line.performed_on,
        line.units,
        line.place_of_service,
        line.modifiers,
        line.clinical.value,
    )


def _since(edition: DrawnEdition) -> date:
    return edition.since


def _weights(policy: Policy) -> tuple[list[int], dict[str, list[tuple[int, Any]]]]:
    """The weight of each variable's class in a pattern's number; of each fact, its weights and indexes of a value."""
    weights: list[int] = []
    of_fact: dict[str, list[tuple[int, Any]]] = {}
    weight = 1
    for variable, (path, index) in zip(policy.variables, policy.reader.indexes, strict=True):
        weights.append(weight)
        if path is not None:
            of_fact.setdefault(path, []).append((weight, index))
        weight *= len(variable.domain) + 1
    return weights, of_fact
