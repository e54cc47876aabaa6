"""How two documents differ in what they read, ask, say and cite, part by part.

`compare.answers` compares the answers. A document also defines how facts are read, when a decision is due, what to ask,
what guidance to give, and which sentences it cites. Each of these becomes one text under its part and field, and the
texts are compared.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from policy_core.diagrams.editions import in_force
from policy_core.document.models import (
    Citation,
    Clock,
    CodeSelector,
    EntryField,
    FactDeclaration,
    Length,
    PolicyDocument,
)
from policy_core.loading.check import citations, cited_parts


class Category(StrEnum):
    """The subject of a part of a document."""

    READING = "reading"
    """The facts, their values, derivations and presumptions."""
    CLOCKS = "clocks"
    REVIEW = "review"
    """What follows a decision: who may refuse care, when a deadline is announced, where a year begins."""
    QUESTIONS = "questions"
    GUIDANCE = "guidance"
    """Which answers each piece of guidance applies to."""
    GROUNDS = "grounds"
    """The cited parts that support an answer."""
    TRACE = "trace"
    """When a statement applies to a case."""
    WORDING = "wording"
    CITATIONS = "citations"
    HISTORY = "history"
    """The revisions themselves."""


DECIDING = frozenset({Category.READING, Category.CLOCKS})
"""The categories that can change an answer or a deadline."""


@dataclass(frozen=True)
class PartChange:
    """One changed field of one part."""

    category: Category
    part: str
    field: str
    before: str | None
    """None if the part did not exist."""
    after: str | None
    """None if the part was removed."""

    @property
    def decides(self) -> bool:
        """Whether it can change an answer or a deadline."""
        return self.category in DECIDING


Key = tuple[Category, str, str]


def part_changes(old: PolicyDocument, new: PolicyDocument) -> Iterator[PartChange]:
    """Every changed field, by category."""
    days = sorted({edition.since for document in (old, new) for edition in document.editions})
    before, after = dict(_texts(old, days)), dict(_texts(new, days))
    order = list(Category)
    for key in sorted(dict.fromkeys([*before, *after]), key=lambda name: order.index(name[0])):
        if before.get(key) != after.get(key):
            yield PartChange(*key, before.get(key), after.get(key))


def _texts(document: PolicyDocument, days: Iterable[date]) -> Iterator[tuple[Key, str]]:
    for fact in document.facts:
        yield from _fact(fact)
    yield from _clocks(document)
    for piece in (*document.guidance, *document.definitions):
        yield (Category.GUIDANCE, piece.id, "is said of"), _applies(piece.applies_to.model_dump(exclude_defaults=True))
    for rule in document.rules:
        for day in days:
            if (outcome := in_force(rule.outcomes, day)) is not None:
                yield (Category.GROUNDS, f"rule {rule.id}", f"from {day} rests on"), ", ".join(outcome.rests_on)
    for statement in document.statements:
        yield (Category.TRACE, statement.id, "holds"), _stretch(statement.since, statement.until)
        yield (Category.TRACE, statement.id, "applies when"), statement.applies_when.model_dump_json(by_alias=True)
    for indication in document.indications:
        yield (Category.TRACE, indication.id, "holds"), _stretch(indication.since, indication.until)
    yield from _wording(document)
    yield from _cited(document)
    for revision in document.revisions:
        kinds = ", ".join(kind.value for kind in revision.kinds)
        number = f"; number {revision.number}" if revision.number else ""
        yield (Category.HISTORY, f"revision {revision.date}", "is"), f"{kinds}: {revision.says}{number}"


def _fact(fact: FactDeclaration) -> Iterator[tuple[Key, str]]:
    yield (Category.READING, fact.path, "is a"), fact.kind.value
    # The order has no meaning.
    yield (Category.READING, fact.path, "can be"), ", ".join(sorted(fact.values))
    units = [fact.unit, *sorted(f"{other.unit} times {other.times}" for other in fact.units)]
    yield (Category.READING, fact.path, "is in"), "; ".join(one for one in units if one is not None)
    fields = sorted(_entry_field(field) for field in fact.fields)
    yield (Category.READING, fact.path, "has entries of"), "; ".join(fields)
    derived = sorted(f"{_value(derivation.value)} from {_selected(derivation)}" for derivation in fact.derived)
    yield (Category.READING, fact.path, "is derived as"), "; ".join(derived)
    presumed = fact.presumed if fact.presumed is not None and fact.presumed.enabled else None
    yield (Category.READING, fact.path, "is presumed to be"), _value(presumed.value) if presumed else ""
    yield (Category.QUESTIONS, fact.path, "is asked as"), fact.question
    if fact.presumed is not None:
        yield (Category.WORDING, fact.path, "is presumed because"), fact.presumed.because


def _entry_field(field: EntryField) -> str:
    values = f" of {', '.join(sorted(field.values))}" if field.values else ""
    return f"{field.name}, a {field.kind}{values}" + (f" in {field.unit}" if field.unit is not None else "")


def _clocks(document: PolicyDocument) -> Iterator[tuple[Key, str]]:
    clocks = {clock.id: clock for clock in document.clocks}
    for assigned in document.clock_for:
        yield (Category.CLOCKS, assigned.line_of_business, "is due"), _due(clocks[assigned.clock])
        if assigned.appeals is not None:
            yield (Category.CLOCKS, assigned.line_of_business, "is due on appeal"), _due(clocks[assigned.appeals])
    for validity in document.validity:
        yield (Category.CLOCKS, validity.line_of_business, "approvals hold"), f"{validity.months} months"
        yield (Category.WORDING, f"validity for {validity.line_of_business}", "says"), validity.says
        yield (Category.WORDING, f"validity for {validity.line_of_business}", "follows"), validity.rule
    for review in document.adverse_review:
        part = f"adverse review for {review.line_of_business}"
        yield (Category.REVIEW, part, "needs a physician licensed in"), review.license_state
        yield (Category.WORDING, part, "says"), review.says
        yield (Category.WORDING, part, "follows"), review.rule
    for clock in document.clocks:
        if clock.due_soon is not None:
            standard, expedited = _length(clock.due_soon.standard), _length(clock.due_soon.expedited)
            announced = f"{standard} before, {expedited} when expedited"
            yield (Category.REVIEW, f"clock {clock.id}", "is announced"), announced
    yield (Category.REVIEW, "document", "counts years in"), document.time_zone


def _due(clock: Clock) -> str:
    starts = clock.starts.value.replace("_", " ")
    standard, expedited = _length(clock.standard), _length(clock.expedited)
    return f"{standard}, {expedited} when expedited, from {starts} (clock {clock.id})"


def _length(length: Length) -> str:
    parts = (f"{length.days} days" if length.days else "", f"{length.hours} hours" if length.hours else "")
    return " ".join(part for part in parts if part)


def _wording(document: PolicyDocument) -> Iterator[tuple[Key, str]]:
    yield (Category.WORDING, "document", "title"), document.title
    yield (Category.WORDING, "document", "publisher"), document.source.publisher
    for _, part in cited_parts(document):
        yield (Category.WORDING, part.id, "says"), part.says
    for name in ("conditions", "rules", "clocks"):
        for named in getattr(document, name):
            yield (Category.WORDING, f"{name.removesuffix('s')} {named.id}", "says"), named.says
    for clock in document.clocks:
        yield (Category.WORDING, f"clock {clock.id}", "follows"), clock.rule
    for edition in document.editions:
        yield (Category.WORDING, f"edition {edition.since}", "says"), edition.says
    yield from _words_of_codes(document)
    for exception in document.exceptions:
        for outcome in exception.outcomes:
            if outcome.program is not None:
                yield (Category.WORDING, f"{exception.id} from {outcome.since}", "says"), outcome.program.says


def _words_of_codes(document: PolicyDocument) -> Iterator[tuple[Key, str]]:
    for system in document.codes.systems:
        yield (Category.WORDING, f"code system {system.system}", "says"), system.says
    for code in document.codes.listed:
        if code.says is not None:
            yield (Category.WORDING, f"{code.system} {code.code}", "says"), code.says


def _cited(document: PolicyDocument) -> Iterator[tuple[Key, str]]:
    cites: dict[str, list[Citation]] = {}
    for _, claimed_by, citation in citations(document):
        cites.setdefault(claimed_by, []).append(citation)
    for part, some in cites.items():
        yield (Category.CITATIONS, part, "cites"), ", ".join(f"{c.section} {c.ordinal} ({c.sha256[:12]})" for c in some)


def _selected(selector: CodeSelector) -> str:
    text = f"{selector.system} {', '.join(sorted(selector.codes))}"
    if selector.length is not None:
        text += f", {selector.length} characters"
    return text + (f", ending in {selector.ends_with}" if selector.ends_with is not None else "")


def _applies(applies: dict[str, object]) -> str:
    if not applies:
        return "every line"
    return "; ".join(f"{name.replace('_', ' ')}: {_listed(value)}" for name, value in applies.items())


def _listed(value: object) -> str:
    return ", ".join(map(_listed, value)) if isinstance(value, list | tuple) else _member(value)


def _member(value: object) -> str:
    return ", ".join(_listed(member) for member in value.values()) if isinstance(value, dict) else str(value)


def _stretch(since: date, until: date | None) -> str:
    return f"from {since}" + (f" up to {until}" if until is not None else "")


def _value(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value
