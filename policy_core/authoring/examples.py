"""Run the examples of a document: each is a request with one line, and what the policy must answer.

Examples are run when an author asks, and never when a document is loaded: a wrong one stops no worker.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from policy_core.determinations import Determination
from policy_core.diagrams.variables import ATTRIBUTES
from policy_core.document.code_listings import CodeStatus
from policy_core.document.models import Example, PolicyDocument
from policy_core.document.part import OF_LINE
from policy_core.document.problems import PathPart, Problem, did_you_mean, listed
from policy_core.evaluate.case import Case, Diagnosis, ServiceLine
from policy_core.evaluate.determine import Answer, CaseResult, Policy, Step
from policy_core.evaluate.facts import ClinicalViolationError, Violation

Path = tuple[PathPart, ...]

LINE_OF_BUSINESS = "commercial"
"""That of an example, if the document gives no line of business a clock."""


@dataclass(frozen=True)
class Tried:
    """What the policy answered to an example on one day."""

    at: int
    """The example's position in the document."""
    day: date
    result: CaseResult

    @property
    def answer(self) -> Answer:
        """The answer to its one line."""
        return self.result.lines[0].answer


@dataclass(frozen=True)
class Trial:
    """All examples of a document, run."""

    tried: tuple[Tried, ...]
    problems: tuple[Problem, ...]
    """What is wrong with an example, and what the policy answers otherwise than an example says; without lines."""


def run(policy: Policy) -> Trial:
    """Run every example of a policy's document, each on its days."""
    document = policy.document
    tried: list[Tried] = []
    problems = list(_twice(document))
    for at, example in enumerate(document.examples):
        path: Path = ("examples", at)
        unknown = list(_unknown(path, example, document))
        problems += unknown
        for day in () if unknown else days(example, document):
            code = example.code or _first_code(policy, day)
            if code is None:
                problems.append(Problem(path, f"no listed code is valid and listed on {day}; write `code: …`"))
                continue
            try:
                result = policy.determine(case(example, day, code, document))
            except ClinicalViolationError as error:
                problems += [Problem((*path, "facts", _fact(example, one)), one.message) for one in error.violations]
                break
            tried.append(Tried(at, day, result))
            problems += _differences(path, example, tried[-1])
    return Trial(tuple(tried), tuple(problems))


def days(example: Example, document: PolicyDocument) -> tuple[date, ...]:
    """The service dates of an example."""
    if example.day is not None:
        return (example.day,)
    if example.since is None:
        return (document.editions[-1].since,)
    first = example.since
    return (first, *(edition.since for edition in document.editions if edition.since > first))


def case(example: Example, day: date, code: str, document: PolicyDocument) -> Case:
    """The request of an example with a service of `code` on `day`; its facts are known to the document."""
    submitted = datetime.combine(example.submitted_on or day, time(), UTC)
    first = next((assigned.line_of_business for assigned in document.clock_for), LINE_OF_BUSINESS)
    system, procedure = code.split(" ", 1)
    return Case(
        certification=example.certification,
        urgency="standard",
        submitted_at=submitted,
        first_submitted_at=submitted,
        has_prior_authorization=False,
        line_of_business=example.line_of_business or first,
        diagnoses=tuple(Diagnosis(*stated.split(" ", 1)) for stated in (*example.diagnoses, *example.procedures)),
        service_lines=(
            ServiceLine(
                1,
                system,
                procedure,
                day,
                example.performed_on,
                example.units,
                example.place_of_service,
                tuple(sorted(example.modifiers)) or None,
                _clinical(example.facts, "line"),
            ),
        ),
        clinical=_clinical(example.facts, "clinical"),
        birth_date=example.birth_date,
        sex=example.sex,
        provider_specialty=example.provider_specialty,
    )


def _clinical(facts: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """The clinical object of the request, or of its line."""
    clinical: dict[str, Any] = {}
    for path, value in facts.items():
        begins, *above, name = path.split(".")
        if begins != whose:
            continue
        place = clinical
        for key in above:
            place = place.setdefault(key, {})
        place[name] = value
    return clinical


def _first_code(policy: Policy, day: date) -> str | None:
    for code in policy.document.codes.listed:
        if policy.codes.standing(code.system, code.code, day) is CodeStatus.LISTED:
            return f"{code.system} {code.code}"
    return None


# --- what is wrong with an example ---------------------------------------------------------------------------------


def _twice(document: PolicyDocument) -> Iterator[Problem]:
    seen: Counter[str] = Counter()
    for at, example in enumerate(document.examples):
        seen[example.id] += 1
        if seen[example.id] > 1:
            yield Problem(("examples", at, "id"), f"the example `{example.id}` stands here a second time")


def _unknown(path: Path, example: Example, document: PolicyDocument) -> Iterator[Problem]:
    known = [fact.path for fact in document.facts]
    for fact in example.facts:
        if fact not in known:
            yield Problem((*path, "facts", fact), f"no fact `{fact}`; {did_you_mean(fact, known)}")
    asked = [*known, *ATTRIBUTES]
    for at, fact in enumerate(example.missing or ()):
        if fact not in asked:
            yield Problem((*path, "missing", at), f"no fact `{fact}`; {did_you_mean(fact, asked)}")
    rules = [rule.id for rule in document.rules]
    if example.rule is not None and example.rule not in rules:
        yield Problem((*path, "rule"), f"no rule `{example.rule}`; {did_you_mean(example.rule, rules)}")


def _fact(example: Example, violation: Violation) -> str:
    """The fact of which an entry or the value is wrong."""
    place = violation.path.replace("service_lines.0.clinical.", OF_LINE)
    return next(fact for fact in example.facts if f"{place}.".startswith(f"{fact}."))


# --- what differs --------------------------------------------------------------------------------------------------


def _differences(path: Path, example: Example, tried: Tried) -> Iterator[Problem]:
    answer = tried.answer
    for_it = f"the example `{example.id}` expects"
    if answer.determination is not example.determination:
        came = f"{example.determination}, but a service on {tried.day} gets {_told(answer)}"
        yield Problem((*path, "determination"), f"{for_it} {came}")
        return
    missing = tuple(fact.path for fact in answer.missing)
    for field, expected, got in (("reasons", example.reasons, answer.reasons), ("missing", example.missing, missing)):
        if expected is not None and set(expected) != set(got):
            message = f"{for_it} {_list(expected)}, but a service on {tried.day} gets {_list(got)}"
            yield Problem((*path, field), message)
    if example.rule is not None and answer.rules != (example.rule,):
        message = f"{for_it} the rule `{example.rule}` alone, but a service on {tried.day} gets {_told(answer)}"
        yield Problem((*path, "rule"), message)


def _list(words: Collection[str]) -> str:
    return f"[{listed(sorted(words))}]"


def _told(answer: Answer) -> str:
    text = str(answer.determination)
    if answer.reasons:
        text += f" ({', '.join(answer.reasons)})"
    if answer.determination is Determination.INFORMATION_NEEDED:
        text += f" for {listed([fact.path for fact in answer.missing])}"
    if answer.step is not Step.CLINICAL_STATEMENTS:
        return f"{text} at the step {answer.step}"
    names = listed([f"`{rule}`" for rule in answer.rules])
    return f"{text} by the rule {names}" if len(answer.rules) == 1 else f"{text}; by the rules {names}"
