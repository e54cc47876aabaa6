"""A revision's changes as text for a policy analyst."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from policy_core.compare.answers import Change, ComparedAnswer, Comparison, JointVariable, Where
from policy_core.compare.wording_and_citations import PartChange
from policy_core.diagrams.readable_conditions import Cube
from policy_core.diagrams.variables import Value
from policy_core.document.models import Window
from workers.console.printable import counted, words

MOST_CONDITIONS = 12
"""Examples shown per change; the JSON output has all."""

_CATEGORIES = {
    "reading": "How facts are read",
    "clocks": "When a decision is due, and how long an approval holds",
    "review": "Who may refuse care, and what is announced",
    "questions": "What is asked",
    "guidance": "What is said beside an answer",
    "grounds": "What carries an answer",
    "trace": "When a statement is shown to apply",
    "wording": "Wording",
    "citations": "Citations",
    "history": "History",
}


def fact_name(path: str) -> str:
    """A fact's path, as words."""
    return words(path.removeprefix("clinical.").replace(".", " "))


def comparison(found: Comparison) -> RenderableType:
    """The whole comparison, for printing."""
    before, after = (policy.document.revisions[-1].date for policy in (found.old, found.new))
    parts: list[RenderableType] = [Text.assemble((found.new.number, "bold"), f": {before} → {after}"), verdict(found)]
    for number, change in enumerate(found.changes, start=1):
        parts += [Text(f"\n{number}. {_headline(change)}", style="bold"), Padding(_change(change, found), (0, 0, 0, 3))]
    for category, title in _CATEGORIES.items():
        rows = [part for part in found.parts if part.category == category]
        if rows:
            parts += [Text(f"\n{title}", style="bold"), Padding(_parts(rows), (0, 0, 0, 2))]
    return Group(*parts)


def verdict(found: Comparison) -> Text:
    """Equivalent or different, in one sentence."""
    if found.equivalent:
        sentence = f"every one of the {found.cases:,} complete cases, and every code and date, is decided alike"
        return Text.assemble(("equivalent", "bold green"), f": {sentence}")
    if not found.changes:
        sentence = (
            f"the {found.cases:,} complete cases are decided alike, but facts are read or deadlines set otherwise"
        )
    else:
        sentence = f"of {found.cases:,} complete cases {found.cases_that_change:,} are decided otherwise"
    return Text.assemble(("different", "bold yellow"), f": {sentence}")


def _headline(change: Change) -> str:
    return f"{_answer_text(change.before)} → {_answer_text(change.after)}"


def _answer_text(answer: ComparedAnswer) -> str:
    if answer.determination is None:
        return "refused"
    reasons = f" ({', '.join(map(words, answer.reasons))})" if answer.reasons else ""
    held = f" for {answer.months} months" if answer.months is not None else ""
    return words(answer.determination) + held + reasons + (f" to {answer.program}" if answer.program else "")


def _change(change: Change, found: Comparison) -> Table:
    table = _plain()
    by = dict.fromkeys(_by(side, found) for side in (change.before, change.after))
    table.add_row("by", Text(" → ".join(by)))
    table.add_row("cases", Text(f"{change.cases:,} of {found.cases:,}"))
    for number, where in enumerate(change.where):
        table.add_row("or for" if number else "for", Text(lines_of(where)))
    for number, cube in enumerate(change.conditions[:MOST_CONDITIONS]):
        table.add_row("or when" if number else "when", Text(_condition(cube, found.variables)))
    if len(change.conditions) > MOST_CONDITIONS:
        table.add_row("", Text(f"or {len(change.conditions) - MOST_CONDITIONS} more conditions, in the JSON output"))
    if not change.whole:
        table.add_row("", Text(f"… and {counted(change.further, 'further case')}, too many to write as conditions"))
    table.add_row("example", Text(_example(change, found)))
    return table


def _plain() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    return table


def _by(answer: ComparedAnswer, found: Comparison) -> str:
    rules = {rule.id: rule.says for policy in (found.old, found.new) for rule in policy.document.rules}
    return (
        f"{answer.by} ({' '.join(rules[answer.by].split())})" if answer.by in rules else f"the step {words(answer.by)}"
    )


def lines_of(where: Where) -> str:
    """The lines affected by a change, in one sentence."""
    parts = [f"services {', '.join(map(_days, where.days))}"]
    if where.lines_of_business:
        parts.append(f"line of business {' or '.join(where.lines_of_business)}")
    if where.codes:
        parts.append(f"code {', '.join(where.codes)}")
    if where.unauthorized is not None:
        early = "before the request, without an authorization"
        parts.append(early if where.unauthorized else "not before the request, or authorized")
    return "; ".join(parts)


def _days(window: Window) -> str:
    since = f"from {window.since}" if window.since is not None else ""
    until = f"before {window.until}" if window.until is not None else ""
    return f"{since} {until}".strip() or "on every day"


def _condition(cube: Cube, variables: Sequence[JointVariable]) -> str:
    return "; ".join(_fact(variables[index], sorted(cube[index])) for index in sorted(cube)) or "every case"


def _fact(variable: JointVariable, values: Sequence[int]) -> str:
    name = fact_name(variable.path)
    chosen = [variable.domain[value] for value in values]
    if all(isinstance(value, tuple) for value in variable.domain):
        return _set(name, variable, [value for value in chosen if isinstance(value, tuple)])
    others = [value for value in variable.domain if value not in chosen]
    if len(others) == 1 and len(variable.domain) > 3:  # noqa: PLR2004 (of three values, two are as short)
        return f"{name} is not {_value(others[0])}"
    return f"{name} is {' or '.join(map(_value, chosen))}"


def _set(name: str, variable: JointVariable, chosen: Sequence[tuple[str, ...]]) -> str:
    """A set by inclusions and exclusions if possible; otherwise value by value."""
    everything = [value for value in variable.domain if isinstance(value, tuple)]
    elements = max(everything, key=len)
    with_, without = (
        [element for element in elements if all((element in value) is included for value in chosen)]
        for included in (True, False)
    )
    matching = [
        value
        for value in everything
        if all(element in value for element in with_) and not any(element in value for element in without)
    ]
    if len(matching) == len(chosen):
        parts = (
            f"include {' and '.join(map(words, with_))}" if with_ else "",
            f"do not include {' or '.join(map(words, without))}" if without else "",
        )
        return f"{name} {' and '.join(part for part in parts if part)}"
    return f"{name} are {' or '.join(map(_value, chosen))}"


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "{" + ", ".join(map(words, value)) + "}"
    return words(value)


def _example(change: Change, found: Comparison) -> str:
    example = change.example
    facts = "; ".join(
        f"{fact_name(variable.path)}: {_value(example.facts[variable.path])}" for variable in found.variables
    )
    early = ", before its request and without an authorization" if example.unauthorized else ""
    return f"{example.system} {example.code} on {example.day}, {example.line_of_business}{early}; {facts}"


def _parts(rows: Sequence[PartChange]) -> Table:
    table = _plain()
    for row in rows:
        for label, text in _part_rows(row):
            table.add_row(label, Text(text))
    return table


def _part_rows(part: PartChange) -> Iterator[tuple[str, str]]:
    label = f"{part.part} {part.field}"
    if part.before is None:
        yield label, f"new: {_quoted(part.after)}"
    elif part.after is None:
        yield label, f"gone: {_quoted(part.before)}"
    else:
        yield label, _quoted(part.before)
        yield "", f"→ {_quoted(part.after)}"


def _quoted(text: str | None) -> str:
    return " ".join((text or "").split()) or "nothing"
