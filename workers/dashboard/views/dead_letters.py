"""The page *Dead letters*: undecided events with reasons, personal data masked."""

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from workers.console.printable import words
from workers.dashboard.views.times import moment
from workers.dead_letters.masking import masked
from workers.dead_letters.read import StoredDeadLetter
from workers.dead_letters.redrive import Plan

SHORT = 12
"""Displayed digits of a letter's id, enough to identify it."""


class LetterRow(NamedTuple):
    """One letter in the list."""

    letter: str
    written: str
    reason: str
    request: str
    """The request id, hashed as in logs."""
    came_from: str
    tries: int
    fields: str


class Opened(NamedTuple):
    """One letter in full, masked."""

    row: LetterRow
    message: str
    errors: tuple[tuple[str, str], ...]
    """The invalid fields with their problems."""
    event: str
    """The original event, masked."""
    is_json: bool


class Becomes(NamedTuple):
    """The actual or planned result for a letter."""

    letter: str
    reason: str
    what: str
    sent: bool


def row(letter: StoredDeadLetter, hashed: Callable[[str | None], str | None]) -> LetterRow:
    """A letter in the list."""
    original = letter.content.original
    place = f"{original.topic}/{original.partition}/{original.offset}" if original.topic is not None else "-"
    return LetterRow(
        letter.id,
        moment(letter.written),
        words(letter.content.reason),
        hashed(letter.content.request_id) or "-",
        place,
        letter.tries,
        ", ".join(problem.path or "the whole" for problem in letter.content.errors),
    )


def opened(letter: StoredDeadLetter, hashed: Callable[[str | None], str | None]) -> Opened:
    """A letter in full."""
    event = masked(letter)
    return Opened(
        row(letter, hashed),
        letter.content.message,
        tuple((problem.path or "the whole", problem.message) for problem in letter.content.errors),
        event if isinstance(event, str) else json.dumps(event, indent=2),
        not isinstance(event, str),
    )


def becomes(plans: Sequence[Plan], *, sent: bool) -> tuple[Becomes, ...]:
    """The actual or planned results of a redrive."""
    done = "sent again" if sent else "will be sent again"
    return tuple(
        Becomes(plan.letter.id[:SHORT], words(plan.letter.content.reason), plan.refusal or done, plan.refusal is None)
        for plan in plans
    )
