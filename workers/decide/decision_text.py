"""A decision as readable text: the answer, reasons, facts, missing information, and policy version.

A decision does not repeat what its policy document says of statements and sentences, so the document is read beside it.
"""

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from events.dead_letter import DeadLetter
from events.decision import Claim, DecidedLine, Decision, TracedFact
from policy_core.document.models import Cited, PolicyDocument
from policy_core.loading.check import cited_parts
from workers.console.printable import printable, words

ACTIONS = {
    "A1": "certified in total",
    "A2": "certified in part",
    "A3": "not certified",
    "A4": "pended",
    "A6": "modified",
    "C": "cancelled",
    "CT": "contact payer",
}
NEXT = {
    "nobody": "nothing more to do",
    "provider": "the provider has to answer",
    "physician_reviewer": "a physician decides; this is a recommendation",
    "medical_policy_reviewer": "a medical-policy reviewer decides",
    "case_management": "case management looks at it",
    "other_program": "the other program answers",
}
STYLES = {"A1": "bold green", "A3": "bold red", "A4": "bold yellow", "CT": "bold cyan", "C": "bold"}
MARKS = {"applies": "yes", "does_not_apply": "no", "unknown": "cannot be told yet"}


def explanation(decision: Decision, document: PolicyDocument | None) -> RenderableType:
    """The whole decision, for printing, with the words of its policy document if that is known."""
    parts: list[RenderableType] = [headline(decision), _lines(decision.lines)]
    for title, rows in sections(decision, document):
        parts += section(title, rows)
    return Group(*parts)


def sections(decision: Decision, document: PolicyDocument | None) -> Iterator[tuple[str, Iterator[tuple[str, str]]]]:
    """The parts of a decision besides its answer, by title."""
    parts = {part.id: part for _, part in cited_parts(document)} if document is not None else {}
    says = {reference.id: reference.says for reference in decision.references}
    says |= {name: part.says for name, part in parts.items()}
    yield "What the reviewers said", _reviews(decision)
    yield "What is missing", _missing(decision)
    yield "Why, statement by statement", _statements(decision, says)
    yield "The facts, and where they come from", _facts(decision)
    yield "Said beside it", _guidance(decision, says)
    yield "Until when it holds", _validity(decision)
    yield "Under which version", _versions(decision)
    yield "Sentences of the published text it rests on", _citations(decision, parts)


def rejection(letter: DeadLetter) -> Text:
    """A dead letter as readable text."""
    text = Text.assemble(("Not decided: ", "bold red"), letter.message)
    for error in letter.errors:
        text.append(f"\n  {printable(error.path) or 'the whole event'}: {printable(error.message)}")
    return text


def section(title: str, rows: Iterator[tuple[str, str]]) -> list[RenderableType]:
    """Indented rows under a title; nothing if there are none."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for left, right in rows:
        table.add_row(Text(printable(left)), Text(printable(right)))
    return [Text(f"\n{title}", style="bold"), Padding(table, (0, 0, 0, 2))] if table.row_count else []


def headline(decision: Decision) -> Text:
    """The answer to the whole request, with its due date."""
    text = Text.assemble(("Request ", ""), (printable(decision.request_id), "bold"), ": ")
    text.append(f"{decision.action} {ACTIONS[decision.action]}", style=STYLES.get(decision.action, "bold"))
    clock = decision.clock
    if decision.due_at is not None:
        text.append(f", due {decision.due_at.isoformat()}")
    if clock.name is not None:
        text.append(f" (clock {clock.name}: {words(clock.state)}; {clock.rule})")
    return text


def _lines(lines: tuple[DecidedLine, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in LINE:
        table.add_column(column, style="bold" if column == "determination" else "", header_style="dim")
    for line in lines:
        table.add_row(*line_of(line))
    return table


LINE = ("line", "code", "determination", "action", "next")


def line_of(line: DecidedLine) -> tuple[str, str, str, str, str]:
    """One service line's answer, a text for each of `LINE`."""
    found = words(line.determination) + (f": {', '.join(map(words, line.reasons))}" if line.reasons else "")
    after = line.program.says if line.program else NEXT[line.acts_next]
    return str(line.line), f"{line.system} {line.code}", found, line.action, after


def _reviews(decision: Decision) -> Iterator[tuple[str, str]]:
    if decision.supersedes_decision is not None:
        yield "replaces", f"decision {decision.supersedes_decision}"
    for line in decision.lines:
        review = line.review
        if review is None:
            continue
        who = [words(review.role)]
        who += [f"licensed in {review.license_state}"] if review.license_state else []
        who += [review.specialty] if review.specialty else []
        who += [f"NPI {review.npi}"] if review.npi else []
        yield f"line {line.line}", f"{line.action} {ACTIONS[line.action]}, {review.decided_at.isoformat()}"
        yield "", f"{', '.join(who)}; verdict {review.verdict_id}"
        if line.authorized is not None:
            part = line.authorized
            yield "", f"authorized: {part.code}, {part.units} units"
        if review.reasons or review.text:
            reasons = f"reason {', '.join(review.reasons)}: " if review.reasons else ""
            yield "", f"{reasons}{review.text or ''}"


def _missing(decision: Decision) -> Iterator[tuple[str, str]]:
    asked = {question.fact: question for line in decision.lines for question in line.missing}
    for fact, question in asked.items():
        conflict = f" The request contradicts itself: {_contradiction(question.conflict)}." if question.conflict else ""
        yield fact, question.question + conflict


def _contradiction(claims: tuple[Claim, ...]) -> str:
    sources = (f"{found} says" if (found := _codes(claim)) else "it states" for claim in claims)
    return ", but ".join(f"{who} {_value(claim.value)}" for who, claim in zip(sources, claims, strict=True))


def _codes(of: Claim | TracedFact) -> str:
    diagnoses = [f"{one.system} {one.code}" for one in of.diagnoses or ()]
    return " and ".join([*diagnoses, *(f"{one.system} {one.code}" for one in of.procedures or ())])


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(words, value)) or "nothing"
    return words(str(value))


def _statements(decision: Decision, says: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for edition in decision.trace.editions if decision.trace is not None else ():
        of = f", of line {', '.join(map(str, edition.lines))}" if edition.lines else ""
        yield "", f"as on record from {edition.since} on{of}"
        for statement in edition.statements:
            cited = ", ".join(statement.cites)
            yield f"{statement.id}: {MARKS[statement.status]}", says.get(statement.id, f"see {cited}")
    for line in decision.lines:
        if line.step != "clinical_statements":
            carried = "; ".join(says[name] for name in line.rests_on if name in says)
            yield (
                f"line {line.line}",
                f"decided by the step {words(line.step)}" + (f": {carried}" if carried else ""),
            )


def _facts(decision: Decision) -> Iterator[tuple[str, str]]:
    for fact in decision.trace.facts if decision.trace is not None else ():
        yield fact.fact, _origin(fact)
    for line in decision.lines:
        for one in line.tested:
            yield f"line {line.line}: {one.name}", "not stated" if one.value is None else _value(one.value)


def _origin(fact: TracedFact) -> str:
    if fact.origin == "not_stated":
        return "not stated"
    if fact.origin == "conflicting":
        return f"conflicting: {_contradiction(fact.conflict or ())}"
    found = _codes(fact)
    source = f"derived from {found}" if found else words(fact.origin)
    return f"{_value(fact.value)} ({source})"


def _guidance(decision: Decision, says: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(name for line in decision.lines for name in line.guidance):
        carrying = [str(line.line) for line in decision.lines if name in line.guidance]
        where = "every line" if len(carrying) == len(decision.lines) else f"line {', '.join(carrying)}"
        yield where, says.get(name, name)


def _validity(decision: Decision) -> Iterator[tuple[str, str]]:
    for line in decision.lines:
        if line.valid_through is not None:
            yield f"line {line.line}", f"approved through {line.valid_through}"


def _versions(decision: Decision) -> Iterator[tuple[str, str]]:
    seen = dict.fromkeys((line.policy.number, str(line.policy.revision or "none in force")) for line in decision.lines)
    for number, revision in seen:
        yield "policy", f"{number}, revision {revision}"
    for policy in decision.policies:
        yield "document", f"sha256 {policy.sha256}"
        yield "known through", f"sha256 {policy.known_through}"
    yield "decision", decision.decision_id


def _citations(decision: Decision, parts: Mapping[str, Cited]) -> Iterator[tuple[str, str]]:
    deciding = {name for line in decision.lines for name in line.rests_on}
    for reference in decision.references:
        if reference.id in deciding:
            cites = parts[reference.id].cites if reference.id in parts else ()
            digests = {f"{citation.section} {citation.ordinal}": f"sha256 {citation.sha256}" for citation in cites}
            for sentence in reference.cites:
                yield f"{reference.id}: {sentence}", digests.get(sentence, "the policy document has its digest")
