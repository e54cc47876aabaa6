"""Checks beyond the format: references between parts, and rules that answer every case.

Each check yields problems with the path of the invalid part. Rules are checked last, because drawing them needs valid
references.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import chain, islice, pairwise

from policy_core.citations import SentencePlace
from policy_core.determinations import CODE_NOT_LISTED
from policy_core.diagrams.diagram import answers, support
from policy_core.diagrams.editions import OPEN, Drawn, DrawnEdition, EditionCompiler, drawn
from policy_core.diagrams.variables import ATTRIBUTES, Test, facts_of, leaves, tested_elements, tested_values, variables
from policy_core.document.code_listings import CodeIndex, bounds
from policy_core.document.conditions import (
    AnyField,
    Condition,
    Count,
    EntryCondition,
    EveryField,
    FactBetween,
    FactIn,
    FactIncludes,
    FactIs,
    IndicationsOf,
    LineTest,
    Named,
    NotField,
    RequestTest,
    TimeBetween,
)
from policy_core.document.models import (
    Citation,
    Cited,
    CodeSelector,
    CodeSystem,
    Dated,
    EntryField,
    FactDeclaration,
    FactKind,
    Indication,
    NamedCondition,
    PolicyDocument,
    Statement,
    Window,
)
from policy_core.document.part import OF_LINE
from policy_core.document.problems import PathPart, Problem, did_you_mean, listed
from policy_core.work_limit import ELEMENTS, FACTS, TooComplexError

Path = tuple[PathPart, ...]

MOST_PROBLEMS = 50
"""Maximum number reported at once: beyond that, most have the same cause."""


def check(document: PolicyDocument) -> list[Problem]:
    """The first problems in a document whose format is valid."""
    fitting = chain(
        _ids(document),
        _facts(document),
        _conditions(document),
        _tested(document),
        _time_line(document),
        _references(document),
        _codes(document),
        _selectors(document),
        _guidance(document),
        _citations(document),
    )
    return list(islice(fitting, MOST_PROBLEMS)) or list(islice(_rules(document), MOST_PROBLEMS))


# --- names ---------------------------------------------------------------------------------------------------------


def cited_parts(document: PolicyDocument) -> Iterator[tuple[Path, Cited]]:
    """Every part that has an id and cites, with its path."""
    for name in ("statements", "indications", "exceptions", "guidance", "definitions", "description", "page"):
        for index, part in enumerate(getattr(document, name)):
            yield (name, index), part
    yield ("codes",), document.codes
    if document.prior_authorization is not None:
        yield ("prior_authorization",), document.prior_authorization


def citations(document: PolicyDocument) -> Iterator[tuple[Path, str, Citation]]:
    """Every citation, with its path and the part that cites the sentence."""
    for path, part in cited_parts(document):
        for index, citation in enumerate(part.cites):
            yield (*path, "cites", index), part.id, citation
    for at, code in enumerate(document.codes.listed):
        for index, citation in enumerate(code.cites):
            yield ("codes", "listed", at, "cites", index), f"{code.system} {code.code}", citation
    for at, revision in enumerate(document.revisions):
        for index, citation in enumerate(revision.cites):
            yield ("revisions", at, "cites", index), f"revision {revision.date}", citation
    for at, fact in enumerate(document.facts):
        for index, citation in enumerate(fact.presumed.cites if fact.presumed else ()):
            yield ("facts", at, "presumed", "cites", index), f"presumption of {fact.path}", citation


def places(document: PolicyDocument) -> Iterator[SentencePlace]:
    """Every citation as a place in the text."""
    for _, claimed_by, citation in citations(document):
        yield SentencePlace(citation.section, citation.ordinal, citation.sha256, claimed_by)


def _ids(document: PolicyDocument) -> Iterator[Problem]:
    yield from _twice([((*path, "id"), part.id) for path, part in cited_parts(document)], "id")
    for name in ("conditions", "never", "rules", "clocks"):
        yield from _twice([((name, at, "id"), part.id) for at, part in enumerate(getattr(document, name))], "id")
    yield from _twice([(("facts", at, "path"), fact.path) for at, fact in enumerate(document.facts)], "fact")
    for name in ("exceptions", "clock_for", "validity", "adverse_review"):
        parts = enumerate(getattr(document, name))
        yield from _twice([((name, at), part.line_of_business) for at, part in parts], "line of business")


def _twice(named: Sequence[tuple[Path, str]], what: str) -> Iterator[Problem]:
    seen: Counter[str] = Counter()
    for path, name in named:
        seen[name] += 1
        if seen[name] > 1:
            yield Problem(path, f"the {what} `{name}` stands here a second time; give each its own")


# --- facts and conditions ------------------------------------------------------------------------------------------


def _facts(document: PolicyDocument) -> Iterator[Problem]:
    paths = {fact.path for fact in document.facts}
    for at, fact in enumerate(document.facts):
        parts = fact.path.split(".")
        above = next((path for end in range(2, len(parts)) if (path := ".".join(parts[:end])) in paths), None)
        if fact.path in ATTRIBUTES:
            yield Problem(("facts", at, "path"), f"every line has a `{fact.path}`; give the fact another name")
        if fact.path.startswith(OF_LINE) and fact.derived:
            yield Problem(("facts", at, "derived"), "codes say nothing of one line; derive a fact of the request")
        if above:
            yield Problem(("facts", at, "path"), f"`{above}` is a fact itself and cannot hold others; rename one")


def _conditions(document: PolicyDocument) -> Iterator[Problem]:
    known = _Known(document)
    for at, named in enumerate(document.conditions):
        yield from known.misfits(("conditions", at, "when"), named.when)
        known.names(named)
    for at, impossible in enumerate(document.never):
        yield from known.misfits(("never", at, "when"), impossible.when)
        if known.asks_for_indications(impossible.when):
            yield Problem(("never", at, "when"), "what cannot be has nothing to do with indications; write its facts")
    for at, statement in enumerate(document.statements):
        yield from known.misfits(("statements", at, "applies_when"), statement.applies_when)
    for at, indication in enumerate(document.indications):
        path = ("indications", at, "when")
        yield from known.misfits(path, indication.when)
        if known.asks_for_indications(indication.when):
            yield Problem(path, "an indication cannot ask for indications; write its facts here")
    for at, rule in enumerate(document.rules):
        yield from known.misfits(("rules", at, "when"), rule.when)


class _Known:
    """What a condition may refer to: facts, statements, and earlier named conditions."""

    def __init__(self, document: PolicyDocument) -> None:
        self._facts = {fact.path: fact for fact in document.facts}
        index = CodeIndex(document.codes)
        self._codes = {index.normal_named(f"{code.system} {code.code}") for code in document.codes.listed}
        self._index = index
        self._statements = {statement.id for statement in document.statements}
        self._named: dict[str, bool] = {}
        """The conditions so far, and whether each refers to indications."""

    def names(self, named: NamedCondition) -> None:
        """Let later conditions use this name."""
        self._named[named.id] = self.asks_for_indications(named.when)

    def asks_for_indications(self, condition: Condition) -> bool:
        return any(
            isinstance(leaf, IndicationsOf) or (isinstance(leaf, Named) and self._named.get(leaf.condition, False))
            for leaf in leaves(condition)
        )

    def misfits(self, path: Path, condition: Condition) -> Iterator[Problem]:
        for leaf in leaves(condition):
            if isinstance(leaf, Test):
                yield from self._test(path, leaf)
            elif isinstance(leaf, Named) and leaf.condition not in self._named:
                hint = did_you_mean(leaf.condition, list(self._named))
                yield Problem(path, f"no condition `{leaf.condition}` before this place; {hint}")
            elif isinstance(leaf, IndicationsOf) and leaf.indications_of not in self._statements:
                hint = did_you_mean(leaf.indications_of, sorted(self._statements))
                yield Problem(path, f"no statement `{leaf.indications_of}`; {hint}")

    def _test(self, path: Path, test: Test) -> Iterator[Problem]:
        for name in facts_of(test):
            fact = self._facts.get(name)
            if fact is None:
                yield Problem(path, f"no fact `{name}`; {did_you_mean(name, list(self._facts))}")
            elif message := _misfit(fact, test):
                yield Problem(path, message)
        if isinstance(test, LineTest | RequestTest):
            yield from self._attribute(path, test)

    def _attribute(self, path: Path, test: LineTest | RequestTest) -> Iterator[Problem]:
        """Whether an attribute may be tested in this way, for these values."""
        attribute = ATTRIBUTES[test.attribute]
        scope, _, name = test.attribute.partition(".")
        if test.test not in attribute.tests:
            written = f"{{{scope}: {name}, {attribute.tests[0]}: …}}"
            yield Problem(path, f"`{name}` cannot be tested with `{test.test}`; write {written}")
            return
        for value in test.values:
            if attribute.known and value not in attribute.known:
                yield Problem(path, f"`{value}` is no {name}; write one of: {', '.join(attribute.known)}")
            elif test.attribute == "line.code" and self._index.normal_named(value) not in self._codes:
                hint = did_you_mean(value, sorted(self._codes))
                yield Problem(
                    path, f"no listed code `{value}`: a code that is not listed never reaches the rules; {hint}"
                )


def _tested(document: PolicyDocument) -> Iterator[Problem]:
    tested = tested_elements(document)
    deciding = [at for at, fact in enumerate(document.facts) if fact.path in tested]
    if len(deciding) > FACTS:
        message = (
            f"conditions test {len(deciding)} facts, more than {FACTS}; make one fact, a choice, of some that belong "
            "together, or two policies of this one"
        )
        yield Problem(("facts", deciding[FACTS]), message)
    if len(tested_values(document, "line.modifiers")) > ELEMENTS:
        yield Problem(("rules",), f"conditions ask for more than {ELEMENTS} modifiers; test fewer, or ask for a fact")
    for at, fact in enumerate(document.facts):
        if len(tested.get(fact.path, ())) > ELEMENTS:
            message = f"conditions ask for more than {ELEMENTS} of its values; make a fact of its own of some"
            yield Problem(("facts", at, "values"), message)


_WAYS: Mapping[FactKind, str] = {
    FactKind.BOOLEAN: "{{fact: {0}, is: …}}",
    FactKind.CHOICE: "{{fact: {0}, is: …}}",
    FactKind.SET: "{{fact: {0}, includes: …}}",
    FactKind.NUMBER: "{{fact: {0}, at_least: …}}",
    FactKind.DATE: "{{days_between: [{0}, service_date], below: …}}",
    FactKind.LIST: "{{count: {0}, at_least: …}}",
}
"""How facts of each kind are tested."""


def _misfit(fact: FactDeclaration, test: Test) -> str | None:
    """Why a condition does not fit a fact that it tests."""
    fitting: dict[type, tuple[FactKind, ...]] = {
        FactIs: (FactKind.BOOLEAN, FactKind.CHOICE),
        FactIn: (FactKind.BOOLEAN, FactKind.CHOICE),
        FactIncludes: (FactKind.SET,),
        FactBetween: (FactKind.NUMBER,),
        TimeBetween: (FactKind.DATE,),
        Count: (FactKind.LIST,),
    }
    if fact.kind not in fitting[type(test)]:
        return f"`{fact.path}` is a {fact.kind}; test it with {_WAYS[fact.kind].format(fact.path)}"
    if isinstance(test, Count):
        return _misfits_entries(fact, test.where) if test.where is not None else None
    if not isinstance(test, FactIs | FactIn | FactIncludes):
        return None
    tested = test.in_ if isinstance(test, FactIn) else (test.is_ if isinstance(test, FactIs) else test.includes,)
    return _no_value(f"`{fact.path}`", fact, tested)


def _misfits_entries(fact: FactDeclaration, where: EntryCondition) -> str | None:
    """Why a condition on entries does not fit the fields of the list."""
    if isinstance(where, EveryField | AnyField):
        parts = where.all if isinstance(where, EveryField) else where.any
        return next((found for part in parts if (found := _misfits_entries(fact, part)) is not None), None)
    if isinstance(where, NotField):
        return _misfits_entries(fact, where.not_)
    field = next((field for field in fact.fields if field.name == where.field), None)
    if field is None:
        return f"`{fact.path}` has no field `{where.field}`; {did_you_mean(where.field, [f.name for f in fact.fields])}"
    if (field.kind is FactKind.NUMBER) != bool(where.limits):
        way = "at_least: …" if field.kind is FactKind.NUMBER else "is: …"
        return f"`{field.name}` is a {field.kind}; test it with {{field: {field.name}, {way}}}"
    return _no_value(f"`{field.name}`", field, where.values)


def _no_value(name: str, fact: FactDeclaration | EntryField, tested: Sequence[str | bool]) -> str | None:
    """Why a tested value is none of a fact."""
    allowed: list[str | bool] = [False, True] if fact.kind is FactKind.BOOLEAN else list(fact.values)
    for value in tested:
        if not any(value is known or (isinstance(value, str) and value == known) for known in allowed):
            written = ", ".join(str(known).lower() if isinstance(known, bool) else known for known in allowed)
            return f"{value!r} is no value of {name}; write one of: {written}"
    return None


# --- time ----------------------------------------------------------------------------------------------------------


def _time_line(document: PolicyDocument) -> Iterator[Problem]:
    revisions = [revision.date for revision in document.revisions]
    editions = [edition.since for edition in document.editions]
    yield from _ascending("revisions", revisions, "date")
    yield from _ascending("editions", editions, "since")
    if editions[0] != revisions[0]:
        message = f"the first edition begins on {editions[0]}, the first revision on {revisions[0]}; begin both alike"
        yield Problem(("editions", 0, "since"), message)
    for at, since in enumerate(editions):
        yield from _among(("editions", at, "since"), since, revisions, "revision")
    for name in ("statements", "indications"):
        for at, part in enumerate(getattr(document, name)):
            yield from _ends((name, at), part, editions, "edition")
    for at, rule in enumerate(document.rules):
        yield from _outcomes(("rules", at), rule.outcomes, editions, "edition")
    for at, exception in enumerate(document.exceptions):
        yield from _outcomes(("exceptions", at), exception.outcomes, revisions, "revision")
    for at, code in enumerate(document.codes.listed):
        yield from _window(("codes", "listed", at, "listed"), code.listed, revisions)
        yield from _window(("codes", "listed", at, "valid"), code.valid, None)


def _ascending(name: str, days: Sequence[date], field: str) -> Iterator[Problem]:
    for at, (earlier, later) in enumerate(pairwise(days), start=1):
        if later <= earlier:
            yield Problem((name, at, field), f"{later} does not come after {earlier}; put them in order, each day once")


def _among(path: Path, day: date, known: Sequence[date], what: str) -> Iterator[Problem]:
    if day not in known:
        near = min(known, key=lambda other: abs((other - day).days))
        yield Problem(path, f"no {what} begins on {day}; the nearest begins on {near}")


def _ends(path: Path, part: Dated, known: Sequence[date], what: str) -> Iterator[Problem]:
    yield from _among((*path, "since"), part.since, known, what)
    if part.until is not None:
        yield from _among((*path, "until"), part.until, known, what)


def _outcomes(path: Path, outcomes: Sequence[Dated], known: Sequence[date], what: str) -> Iterator[Problem]:
    for at, outcome in enumerate(outcomes):
        yield from _ends((*path, "outcomes", at), outcome, known, what)
    for at, (earlier, later) in enumerate(pairwise(outcomes), start=1):
        if later.since < (earlier.until or date.max):
            message = (
                f"begins on {later.since} while the one before it still holds; give that one `until: {later.since}`"
            )
            yield Problem((*path, "outcomes", at, "since"), message)


def _window(path: Path, window: Window, known: Sequence[date] | None) -> Iterator[Problem]:
    if window.since is not None and window.until is not None and window.until <= window.since:
        yield Problem(path, "`until` is not after `since`; it names the first day on which this no longer holds")
    for field in ("since", "until"):
        day = getattr(window, field)
        if known is not None and day is not None:
            yield from _among((*path, field), day, known, "revision")


# --- references ----------------------------------------------------------------------------------------------------


def _references(document: PolicyDocument) -> Iterator[Problem]:
    parts = {part.id: part for _, part in cited_parts(document)}
    for at, rule in enumerate(document.rules):
        for number, outcome in enumerate(rule.outcomes):
            for position, name in enumerate(outcome.rests_on):
                path = ("rules", at, "outcomes", number, "rests_on", position)
                yield from _known(path, name, list(parts), "cited part")
                yield from _in_force(path, parts.get(name), outcome.since)
    statements = [statement.id for statement in document.statements]
    for at, indication in enumerate(document.indications):
        yield from _known(("indications", at, "statement"), indication.statement, statements, "statement")
    clocks = [clock.id for clock in document.clocks]
    for at, assigned in enumerate(document.clock_for):
        yield from _known(("clock_for", at, "clock"), assigned.clock, clocks, "clock")
        if assigned.appeals is not None:
            yield from _known(("clock_for", at, "appeals"), assigned.appeals, clocks, "clock")


def _in_force(path: Path, part: Cited | None, day: date) -> Iterator[Problem]:
    if isinstance(part, Statement | Indication) and not part.on(day):
        held = f"from {part.since}" + (f" up to {part.until}" if part.until else "")
        yield Problem(path, f"`{part.id}` is not in force on {day}; it holds {held}")


def _known(path: Path, name: str, known: Sequence[str], what: str) -> Iterator[Problem]:
    if name not in known:
        yield Problem(path, f"no {what} `{name}`; {did_you_mean(name, known)}")


def _codes(document: PolicyDocument) -> Iterator[Problem]:
    systems = {system.system: system for system in document.codes.systems}
    path: Path = ("codes", "listed")
    listed = list(enumerate(document.codes.listed))
    yield from _twice(
        [((*path, at), f"{code.system} {_bare(systems.get(code.system), code.code)}") for at, code in listed],
        "code",
    )
    yield from _twice(
        [(("codes", "systems", at), system.system) for at, system in enumerate(document.codes.systems)],
        "code system",
    )
    for at, code in listed:
        system = systems.get(code.system)
        if system is None:
            yield from _known((*path, at, "system"), code.system, list(systems), "code system")
        elif system.length not in (None, len(_bare(system, code.code))):
            yield Problem((*path, at, "code"), f"a code of {code.system} has {system.length} characters")


def _bare(system: CodeSystem | None, code: str) -> str:
    return code.replace(".", "") if system and system.ignores_dots else code


def _selectors(document: PolicyDocument) -> Iterator[Problem]:
    for path, selected in _selected(document):
        for at, written in enumerate(selected.codes):
            low, high = bounds(written)
            if high < low:
                yield Problem(
                    (*path, "codes", at),
                    f"`{written}` runs backwards and holds no code; begin with the lower",
                )


def _selected(document: PolicyDocument) -> Iterator[tuple[Path, CodeSelector]]:
    for at, fact in enumerate(document.facts):
        yield from ((("facts", at, "derived", index), selected) for index, selected in enumerate(fact.derived))
    for name in ("guidance", "definitions"):
        for at, part in enumerate(getattr(document, name)):
            applies = part.applies_to.diagnoses
            yield from (
                ((name, at, "applies_to", "diagnoses", index), selected) for index, selected in enumerate(applies)
            )


def _guidance(document: PolicyDocument) -> Iterator[Problem]:
    codes = sorted(f"{code.system} {code.code}" for code in document.codes.listed)
    given = {outcome.reason for rule in document.rules for outcome in rule.outcomes if outcome.reason is not None}
    reasons = sorted(given | {CODE_NOT_LISTED})
    for name in ("guidance", "definitions"):
        for at, part in enumerate(getattr(document, name)):
            path = (name, at, "applies_to")
            for index, code in enumerate(part.applies_to.codes):
                yield from _known((*path, "codes", index), code, codes, "listed code")
            for index, reason in enumerate(part.applies_to.reasons):
                yield from _known((*path, "reasons", index), reason, reasons, "reason")


def _citations(document: PolicyDocument) -> Iterator[Problem]:
    first: dict[tuple[str, int], str] = {}
    for path, _, citation in citations(document):
        yield from _known((*path, "section"), citation.section, document.source.sections, "section of the source")
        place = (citation.section, citation.ordinal)
        if first.setdefault(place, citation.sha256) != citation.sha256:
            message = (
                f"{citation.section} {citation.ordinal} is cited elsewhere with another digest; one of them is wrong"
            )
            yield Problem((*path, "sha256"), message)


# --- rules ---------------------------------------------------------------------------------------------------------


def _rules(document: PolicyDocument) -> Iterator[Problem]:
    tested = len(variables(document))
    if tested > FACTS:
        message = f"conditions test {tested} facts, counts, times and attributes, more than {FACTS}; test fewer"
        yield Problem(("rules",), f"{message}, or make two policies of this one")
        return
    try:
        yield from _drawn(document, drawn(document))
    except TooComplexError as error:
        yield _too_complex(document, error)


def _too_complex(document: PolicyDocument, error: TooComplexError) -> Problem:
    message = f"drawing the rules takes more than the {error.allowed:,} {error.what} that it may"
    if error.part:
        message += f", and {_called(document, error.part)} takes {error.spent:,} of them"
    message += ", in each order of its facts that was tried; make one fact, a choice, of some that belong together"
    facts = _facts_of(document, error.part)
    if facts:
        message += f" (here {len(facts)}: {listed(facts)})"
    return Problem(error.part, f"{message}, or name what several conditions have in common as a fact of its own")


def _called(document: PolicyDocument, part: Path) -> str:
    match part:
        case (str(name), int(at)):
            return f"the {name.removesuffix('s')} `{getattr(document, name)[at].id}`"
    return ".".join(map(str, part))


def _facts_of(document: PolicyDocument, part: Path) -> list[str]:
    """The facts tested by a part's condition, in the document's order."""
    match part:
        case ("statements", int(at)):
            condition = document.statements[at].applies_when
        case ("conditions" | "indications" | "rules" as name, int(at)):
            condition = getattr(document, name)[at].when
        case _:
            return []
    named = {named_condition.id: named_condition.when for named_condition in document.conditions}
    tested: set[str] = set()
    waiting = [condition]
    while waiting:
        for leaf in leaves(waiting.pop()):
            if isinstance(leaf, Test):
                tested.update(facts_of(leaf))
            elif isinstance(leaf, Named) and (behind := named.pop(leaf.condition, None)) is not None:
                waiting.append(behind)
            elif isinstance(leaf, IndicationsOf):
                waiting += [
                    indication.when
                    for indication in document.indications
                    if indication.statement == leaf.indications_of
                ]
    return [fact.path for fact in document.facts if fact.path in tested]


def _drawn(document: PolicyDocument, made: Drawn) -> Iterator[Problem]:
    recorded = {edition.since: edition for edition in made.editions}
    for at, edition in enumerate(document.editions):
        found = recorded.get(edition.since)
        if found is not None:
            yield from _open_case(("editions", at), found, made.drawing)
            yield from _idle_rules(document, found, made.drawing)
            yield from _idle_indications(document, found)
            yield from _only_impossible(found)
        else:
            for number, rule in enumerate(document.rules):
                if any(outcome.on(edition.since) for outcome in rule.outcomes):
                    message = f"says something of {edition.since}, when no statement is on record; begin it later"
                    yield Problem(("rules", number, "outcomes"), message)


def _only_impossible(edition: DrawnEdition) -> Iterator[Problem]:
    if answers(edition.impossible) == {True}:
        yield Problem(("never",), "no case is left; correct what cannot be")


def _open_case(path: Path, edition: DrawnEdition, drawing: EditionCompiler) -> Iterator[Problem]:
    case = drawing.diagrams.example(edition.by_rule, OPEN)
    if case is not None:
        written = ", ".join(
            f"{drawing.variables[index].path} = {_written(drawing.variables[index].domain[value])}"
            for index, value in sorted(case.items())
        )
        message = (
            f"from {edition.since} on, no rule answers the case {written or 'with any facts'}; "
            "add a rule for it, or a last one with `when: {otherwise: true}`"
        )
        yield Problem(path, message)


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _idle_rules(document: PolicyDocument, edition: DrawnEdition, drawing: EditionCompiler) -> Iterator[Problem]:
    positions = {rule.id: at for at, rule in enumerate(document.rules)}
    deciding = answers(edition.by_rule)
    for index, row in enumerate(edition.rows[: len(edition.conditions)]):
        if index not in deciding:
            at = ("rules", positions[row.rule.id])
            with drawing.work.on(*at):
                message = f"can never apply from {edition.since} on: {_why_idle(edition, index)}"
            yield Problem(at, message)


def _why_idle(edition: DrawnEdition, index: int) -> str:
    if answers(edition.conditions[index]) == {False}:
        return "its condition is never true; correct it or remove the rule"
    takers = sorted(edition.takers(index))
    if not takers:
        return "every case it means cannot be; correct `never` or remove the rule"
    names = listed([f"`{edition.rows[taker].rule.id}`" for taker in takers])
    return f"every case it means is taken before it, by {names}; move it up or remove it"


def _idle_indications(document: PolicyDocument, edition: DrawnEdition) -> Iterator[Problem]:
    for at, indication in enumerate(document.indications):
        if indication.on(edition.since):
            node = edition.spoken[indication.id]
            if not support(node):
                always = "always" if answers(node) == {True} else "never"
                message = f"{always} holds from {edition.since} on; correct its condition"
                yield Problem(("indications", at, "when"), message)
