"""`dli decide` and `dli explain`: decide the requests of a file, without a broker."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import structlog
import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from events.dead_letter import DeadLetter
from events.decision import Decision
from events.decode import RejectedError, decode
from policy_core.history.library import Library, load_library
from workers.configuration.command_options import DefaultPolicy, Events, Policies, settings
from workers.console.exit_codes import CommandError, Exit
from workers.console.printable import printable, words
from workers.console.printing import AsReport, AsRows, Form, Output, err, out, write_line
from workers.console.streams import nobody_reads
from workers.dead_letters.write import dead_letter, defect
from workers.decide.decision_text import ACTIONS, STYLES, explanation, rejection
from workers.decide.handler import decide as decide_one
from workers.event_log.json_files import events

log = structlog.get_logger(__name__)


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(decide)
    cli.command()(explain)


def decide(
    file: Events,
    output: AsRows = Output.JSONL,
    policies: Policies = None,
    policy: DefaultPolicy = None,
) -> None:
    """Decide every request of a file: one decision or dead letter each, in order.

    Exit code 3 if there are dead letters, which standard error lists; 141 if the output was closed before any.
    """
    library = _library(policies, policy)
    counts, unread = FileCounts(), False
    with events(file) as found:
        answers = counts.over((event.where, answer(event.raw, library)) for event in found)
        if output is Output.TABLE:
            out.print(table(answers))
        else:
            for answered in answers:
                write_line(answered.to_json())
                if unread := nobody_reads():
                    break
    if counts.refused:
        err.print(counts.sentence(file, to_its_end=not unread), markup=False)
        raise typer.Exit(Exit.DIFFERENT)
    if unread:
        raise typer.Exit(Exit.UNREAD)


class Refused(NamedTuple):
    """An event that became a dead letter."""

    where: str
    reason: str


class FileCounts:
    """Counts answers and remembers the first dead letters."""

    NAMED = 20

    def __init__(self) -> None:
        self.events = 0
        self.refused = 0
        self.first: list[Refused] = []

    def over(self, answers: Iterable[tuple[str, Decision | DeadLetter]]) -> Iterator[Decision | DeadLetter]:
        """Yield the answers, counting them; each input pair also has the event's location."""
        for where, answer in answers:
            self.events += 1
            if isinstance(answer, DeadLetter):
                self.refused += 1
                if self.refused <= self.NAMED:
                    self.first.append(Refused(where, answer.reason))
            yield answer

    def sentence(self, file: Path, *, to_its_end: bool = True) -> str:
        """How many could not be decided, with the locations of the first."""
        named = ", ".join(f"{refused.where} ({refused.reason})" for refused in self.first)
        more = self.refused - len(self.first)
        return (
            f"{file}: {self.refused:,} of {'' if to_its_end else 'the first '}{self.events:,} events could not be "
            f"decided: {named}"
            f"{f', and {more:,} more' if more else ''}"
        )


def explain(
    file: Events,
    request: Annotated[str, typer.Option("--request", help="The request's id.")],
    policies: Policies = None,
    policy: DefaultPolicy = None,
    output: AsReport = Form.TEXT,
) -> None:
    """Explain one request's decision in plain text."""
    library = _library(policies, policy)
    with events(file) as found:
        for event in found:
            answered = answer(event.raw, library)
            if answered.request_id == request:
                if output is Form.JSON:
                    write_line(answered.to_json())
                else:
                    out.print(explained(answered, library) if isinstance(answered, Decision) else rejection(answered))
                return
    raise CommandError(f"{file}: no request with that id; `dli decide {file} -o table` lists what is there")


def explained(decision: Decision, library: Library) -> RenderableType:
    """A decision made under a policy of this library, as a person reads it."""
    return explanation(decision, library[decision.policies[0].number].document)


def _library(policies: list[Path] | None, policy: str | None) -> Library:
    found = settings(policies=policies, default_policy=policy)
    return load_library(found.policies, found.default_policy)


def answer(line: bytes, library: Library) -> Decision | DeadLetter:
    """The decision on one line of a file, or its dead letter."""
    try:
        return decide_one(decode(line, bare_allowed=True), library)
    except RejectedError as rejected:
        return dead_letter(None, line, rejected)
    except Exception as error:  # noqa: BLE001 (one line's defect must not affect the others)
        log.error("defect", error=type(error).__name__)  # noqa: TRY400 (a traceback may contain personal data)
        return dead_letter(None, line, defect())


def table(answers: Iterator[Decision | DeadLetter]) -> Table:
    """Decisions and dead letters, one row per line."""
    made = Table(header_style="bold", expand=False)
    for column in ("request", "action", "code", "determination", "why, or what is missing"):
        made.add_column(column, overflow="fold")
    for answer in answers:
        for row in rows(answer):
            made.add_row(*row)
    return made


def rows(answered: Decision | DeadLetter) -> Iterator[tuple[Text, ...]]:
    """The table's rows for one answer."""
    if isinstance(answered, DeadLetter):
        problems = "; ".join(f"{error.path}: {error.message}".removeprefix(": ") for error in answered.errors)
        yield (
            Text(printable(answered.request_id or "?")),
            Text("-", style="red"),
            Text("-"),
            Text(words(answered.reason), style="red"),
            Text(printable(problems)),
        )
        return
    for index, line in enumerate(answered.lines):
        request = Text(printable(answered.request_id)) if index == 0 else Text("")
        action = Text(f"{line.action} {ACTIONS[line.action]}", style=STYLES.get(line.action, "bold"))
        why = line.program.name if line.program else ", ".join(map(words, line.reasons))
        asked = ", ".join(missing.fact.removeprefix("clinical.") for missing in line.missing)
        resting = "" if line.action == "A1" else ", ".join(line.rests_on)
        yield (
            request,
            action,
            Text(printable(line.code)),
            Text(words(line.determination)),
            Text(why or asked or resting),
        )
