"""`dli dead-letters …`: list them, show one, send them again."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, get_args

import typer
from rich.table import Table

from events.dead_letter import Reason
from events.topics import DEAD_LETTERS
from workers.audit.record_acts import acting, letter_ids
from workers.configuration.command_options import AppId, Bootstrap, Prefix, settings
from workers.configuration.settings import Settings
from workers.console.exit_codes import CommandError, Exit
from workers.console.printable import counted
from workers.console.printing import AsRows, Output, err, out, print_json, write_json
from workers.dead_letters import redrive as post
from workers.dead_letters.masking import masked
from workers.dead_letters.read import StoredDeadLetter, letters
from workers.dead_letters.redrive import MOST_TRIES, Plan
from workers.kafka import reader
from workers.process.logs import Hasher

cli = typer.Typer(no_args_is_help=True, help="Events that could not be decided: list, show, resend.")

ReasonOption = Annotated[str | None, typer.Option("--reason", help=f"One of {', '.join(get_args(Reason))}.")]
SHORT = 12
"""Displayed digits of a letter's id, enough to identify it."""


def add_commands(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(cli, name="dead-letters")


@cli.command("list")
def list_(
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    reason: ReasonOption = None,
    output: AsRows = Output.TABLE,
) -> None:
    """List the stored dead letters; request ids are hashed, as in logs."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    hasher = Hasher(found.log_key)
    kept = sorted(_kept(found, _reason(reason)), key=lambda letter: letter.written)
    if output is Output.JSONL:
        for letter in kept:
            write_json(_fields(letter, hasher))
        return
    table = Table(header_style="bold")
    for column in ("letter", "written", "reason", "request", "partner", "from", "tries", "fields at fault"):
        table.add_column(column, overflow="fold")
    for letter in kept:
        fields = _fields(letter, hasher)
        table.add_row(
            letter.id[:SHORT],
            fields["written"],
            fields["reason"],
            fields["request"] or "-",
            fields["partner"] or "-",
            fields["from"] or "-",
            str(letter.tries),
            ", ".join(error["path"] or "the whole" for error in fields["errors"]),
        )
    out.print(table)
    counts = Counter(letter.content.reason for letter in kept)
    err.print(counted(len(kept), "dead letter") + "".join(f"; {count} {name}" for name, count in counts.most_common()))


def _fields(stored: StoredDeadLetter, hasher: Hasher) -> dict[str, Any]:
    """The fields of a letter without personal data."""
    original = stored.content.original
    place = f"{original.topic}/{original.partition}/{original.offset}" if original.topic is not None else None
    return {
        "letter": stored.id,
        "written": stored.written.isoformat(timespec="seconds"),
        "reason": stored.content.reason,
        "errors": [error.model_dump() for error in stored.content.errors],
        "request": hasher(stored.content.request_id),
        "partner": stored.partner,
        "from": place,
        "tries": stored.tries,
    }


@cli.command()
def show(
    letter: Annotated[str, typer.Argument(help="The letter's id, or its first characters.")],
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the original event, with personal data.")] = False,
) -> None:
    """Show one dead letter with its event; personal data is masked unless --reveal is given."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    [stored] = chosen(_kept(found), [letter])
    fields = _fields(stored, Hasher(found.log_key)) | {"message": stored.content.message}
    fields["event"] = _revealed(stored) if reveal else masked(stored)
    print_json(fields)
    if not reveal:
        err.print("masked: --reveal shows all of it")


def _revealed(stored: StoredDeadLetter) -> Any:
    raw = stored.value or b""
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "backslashreplace")


@cli.command()
def redrive(
    letters: Annotated[list[str] | None, typer.Argument(help="Ids of letters, or their first characters.")] = None,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    app_id: AppId = None,
    reason: ReasonOption = None,
    all_letters: Annotated[bool, typer.Option("--all", help="All stored letters.")] = False,
    tries: Annotated[int, typer.Option("--tries", min=1, help="How often an event may be resent.")] = MOST_TRIES,
    execute: Annotated[
        bool, typer.Option("--execute", help="Resend them; otherwise only show what would be resent.")
    ] = False,
    output: AsRows = Output.TABLE,
) -> None:
    """Resend the original events of dead letters, each to its partition; exit 3 if some cannot be resent."""
    if sum((bool(letters), reason is not None, all_letters)) != 1:
        raise CommandError("choose letters by their ids, by --reason, or --all")
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix, app_id=app_id)
    kept = _kept(found, _reason(reason))
    sending = chosen(kept, letters) if letters else kept
    plans = _sent(found, sending, tries, reason) if execute else post.planned(found, sending, tries)
    if output is Output.JSONL:
        for plan in plans:
            write_json(_plan(plan, execute=execute))
    else:
        out.print(_table(plans, execute=execute))
    _summary(plans, execute=execute)
    if any(plan.refusal and not plan.done for plan in plans):
        raise typer.Exit(Exit.DIFFERENT)


def _sent(found: Settings, sending: Sequence[StoredDeadLetter], tries: int, reason: str | None) -> list[Plan]:
    meant = letter_ids(letter.id for letter in sending)
    with acting(
        found, "dead-letters redrive", letters=meant, letter_reason=reason, count=len(sending), group=found.app_id
    ) as act:
        plans = post.redrive(found, sending, tries)
        sent = [plan.letter.id for plan in plans if plan.refusal is None]
        act.note(letters=letter_ids(sent), count=len(sent))
    return plans


def _plan(plan: Plan, *, execute: bool) -> dict[str, Any]:
    original = plan.letter.content.original
    return {
        "letter": plan.letter.id,
        "reason": plan.letter.content.reason,
        "to": f"{original.topic}/{original.partition}" if original.topic is not None else None,
        "try": plan.letter.tries + 1,
        "sent": execute and plan.refusal is None,
        "refusal": plan.refusal,
    }


def _table(plans: Sequence[Plan], *, execute: bool) -> Table:
    table = Table(header_style="bold")
    for column in ("letter", "reason", "to", "try", "what becomes of it"):
        table.add_column(column, overflow="fold")
    for plan in plans:
        fields = _plan(plan, execute=execute)
        becomes = plan.refusal or ("sent" if execute else "would be sent")
        table.add_row(plan.letter.id[:SHORT], fields["reason"], fields["to"] or "-", str(fields["try"]), becomes)
    return table


def _summary(plans: Sequence[Plan], *, execute: bool) -> None:
    sent = sum(plan.refusal is None for plan in plans)
    before = sum(plan.done for plan in plans)
    refused = len(plans) - sent - before
    verb = "sent again" if execute else "would be sent again (--execute sends)"
    text = f"{sent:,} of {counted(len(plans), 'dead letter')} {verb}"
    text += f"; {before:,} had been sent again earlier" if before else ""
    err.print(text + (f"; {refused:,} cannot be sent again" if refused else ""))


def _kept(found: Settings, reason: str | None = None) -> list[StoredDeadLetter]:
    topic = found.topic(DEAD_LETTERS)
    if (lacking := reader.lacking(found, [topic])) is not None:
        raise CommandError(f"{lacking}: there are no dead letters to show; {reader.MAKE_TOPICS}")
    return list(letters(found, reason))


def _reason(reason: str | None) -> str | None:
    if reason is not None and reason not in get_args(Reason):
        raise CommandError(f"no reason {reason}; there is {', '.join(get_args(Reason))}")
    return reason


def chosen(kept: Sequence[StoredDeadLetter], ids: Sequence[str]) -> list[StoredDeadLetter]:
    """The letters with these ids or id prefixes.

    Raises:
        CommandError: An id matches no letter, or more than one.
    """
    found: dict[str, StoredDeadLetter] = {}
    for wanted in ids:
        if not wanted.strip():
            raise CommandError(f"a letter's id, or its beginning, is not empty; {_LISTED} shows what is kept")
        matching = [letter for letter in kept if letter.id.startswith(wanted)]
        if not matching:
            raise CommandError(f"no dead letter has an id that begins with {wanted}; {_LISTED} shows what is kept")
        if len(matching) > 1:
            many = counted(len(matching), "dead letter")
            raise CommandError(f"{many} have an id that begins with {wanted}; give more of it, as {_LISTED} shows it")
        found[matching[0].id] = matching[0]
    return list(found.values())


_LISTED = "`dli dead-letters list`"
