"""The page *Dead letters*: what could not be decided and why, with what may be personal masked."""

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from workers.dashboard.views.wording import moment, words
from workers.dead_letters.redrive import Plan, StoredDeadLetter, masked

SHORT = 12
"""Digits of a letter's id that are shown, and enough to name it."""


class LetterRow(NamedTuple):
    """One letter in the list."""

    letter: str
    written: str
    reason: str
    request: str
    """The request's id as the hash that stands in logs."""
    came_from: str
    tries: int
    fields: str


class Opened(NamedTuple):
    """One letter in full, as far as anybody may see it."""

    row: LetterRow
    message: str
    errors: tuple[tuple[str, str], ...]
    """Fields at fault, each with what is wrong."""
    event: str
    """As it came, masked."""
    is_json: bool


class Becomes(NamedTuple):
    """What became, or would become, of a letter."""

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
        ", ".join(one.path or "the whole" for one in letter.content.errors),
    )


def opened(letter: StoredDeadLetter, hashed: Callable[[str | None], str | None]) -> Opened:
    """A letter in full."""
    event = masked(letter)
    return Opened(
        row(letter, hashed),
        letter.content.message,
        tuple((one.path or "the whole", one.message) for one in letter.content.errors),
        event if isinstance(event, str) else json.dumps(event, indent=2),
        not isinstance(event, str),
    )


def becomes(plans: Sequence[Plan], *, sent: bool) -> tuple[Becomes, ...]:
    """What became of letters that were sent again, or what would."""
    done = "sent again" if sent else "will be sent again"
    return tuple(
        Becomes(one.letter.id[:SHORT], words(one.letter.content.reason), one.refusal or done, one.refusal is None)
        for one in plans
    )
