"""`dli decide` and `dli explain`: the decision agent's work on a file, with no broker."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.table import Table
from rich.text import Text

from events.dead_letter import DeadLetter
from events.decision import Decision
from events.decode import RejectedError, decode
from policy_core.library import Library, load_library
from workers.console import (
    CommandError,
    DefaultPolicy,
    Output,
    Policies,
    lines,
    opened,
    out,
    settings,
    write_line,
)
from workers.dead_letters import dead_letter, defect
from workers.decide.handler import decide as decide_one
from workers.explain import ACTIONS, STYLES, explanation, rejection, words

log = structlog.get_logger(__name__)

Events = Annotated[Path, typer.Argument(metavar="FILE|-", help="Newline-delimited requests: bare data or CloudEvents.")]


def add_to(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(decide)
    cli.command()(explain)


def decide(
    file: Events,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print the decisions.")] = Output.JSONL,
    policies: Policies = None,
    policy: DefaultPolicy = None,
) -> None:
    """Decide every request of a file: one decision or dead letter per line, in the order of the file."""
    library = _library(policies, policy)
    with opened(file) as stream:
        answers = (answer(line, library) for line in lines(stream))
        if output is Output.TABLE:
            out.print(table(answers))
        else:
            for one in answers:
                write_line(one.to_json())


def explain(
    file: Events,
    request: Annotated[str, typer.Option("--request", help="The request's id.")],
    policies: Policies = None,
    policy: DefaultPolicy = None,
) -> None:
    """Explain one request's decision as a person reads it."""
    library = _library(policies, policy)
    with opened(file) as stream:
        for line in lines(stream):
            found = answer(line, library)
            if found.request_id == request:
                out.print(explanation(found) if isinstance(found, Decision) else rejection(found))
                return
    raise CommandError(f"{file}: no request with that id; `dli decide {file} -o table` lists what is there")


def _library(policies: list[Path] | None, policy: str | None) -> Library:
    found = settings(policies=policies, default_policy=policy)
    return load_library(found.policies, found.default_policy)


def answer(line: bytes, library: Library) -> Decision | DeadLetter:
    """The decision on one line of a file, or the dead letter in its place."""
    try:
        return decide_one(decode(line, bare_allowed=True), library)
    except RejectedError as rejected:
        return dead_letter(None, line, rejected)
    except Exception as error:  # noqa: BLE001 (one line's defect must not keep the others from their answers)
        log.error("defect", error=type(error).__name__)  # noqa: TRY400 (a traceback may repeat a person's data)
        return dead_letter(None, line, defect())


def table(answers: Iterator[Decision | DeadLetter]) -> Table:
    """Decisions and dead letters, a row for each line."""
    made = Table(header_style="bold", expand=False)
    for column in ("request", "action", "code", "determination", "why, or what is missing"):
        made.add_column(column, overflow="fold")
    for one in answers:
        for row in rows(one):
            made.add_row(*row)
    return made


def rows(one: Decision | DeadLetter) -> Iterator[tuple[Text, ...]]:
    """The table's rows for one answer."""
    if isinstance(one, DeadLetter):
        problems = "; ".join(f"{error.path}: {error.message}".removeprefix(": ") for error in one.errors)
        yield (
            Text(one.request_id or "?"),
            Text("-", style="red"),
            Text("-"),
            Text(words(one.reason), style="red"),
            Text(problems),
        )
        return
    for index, line in enumerate(one.lines):
        shown = Text(one.request_id) if index == 0 else Text("")
        action = Text(f"{line.action} {ACTIONS[line.action]}", style=STYLES.get(line.action, "bold"))
        why = line.program.name if line.program else ", ".join(map(words, line.reasons))
        asked = ", ".join(missing.fact.removeprefix("clinical.") for missing in line.missing)
        resting = "" if line.action == "A1" else ", ".join(line.rests_on)
        yield shown, action, Text(line.code), Text(words(line.determination)), Text(why or asked or resting)
