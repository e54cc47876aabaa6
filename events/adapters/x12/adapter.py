"""The X12 278 format: requests in, answers out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import count

from events.adapters.adapter import Decided
from events.adapters.code_lists import NOT_FOUND, REJECTED_BECAUSE
from events.adapters.numbers import control_number
from events.adapters.partner import Partner
from events.adapters.remembering import remembered
from events.adapters.submission import Context, Format, Refusal, SourceError, Submission
from events.adapters.x12 import answering
from events.adapters.x12.answering import Place
from events.adapters.x12.interchange import Segment, UnreadableError, transaction_sets
from events.adapters.x12.loops import EVENT, LOOPS, PAYER, SERVICE, SUBSCRIBER, Level, element, renumbered
from events.adapters.x12.received import ANSWER, submission, unreadable
from events.adapters.x12.writing import Kept, clock, interchange, kept
from events.decision import DecidedLine, Decision

_COMPLETE, _PENDED = "18", "19"
"""BHT06."""


class _X12:
    """Implements `events.adapters.adapter.Adapter`."""

    format: Format = "x12-278"

    def read(self, value: bytes, partner: Partner, received: int) -> tuple[Submission, ...]:
        """Every transaction set of a record; at least one submission."""
        try:
            found = transaction_sets(value)
        except UnreadableError as error:
            return (unreadable(value, partner, str(error)),)
        read = [submission(one, partner, received) for one in found.sets]
        if found.unreadable is not None:
            read.append(unreadable(value, partner, found.unreadable))
        return tuple(read)

    def answer(self, context: Context, decided: Decided) -> bytes:
        """The 278 response to a request that was decided."""
        found = kept(context.echo)
        decision = decided.decision
        pended = decision.action == "A4" or any(line.action == "A4" for line in decision.lines)
        places = _decided_places(found, context, decision)
        body = _body(found, places, _PENDED if pended else _COMPLETE, decided.timestamp)
        return interchange(found.envelope, body, decided.timestamp, decision.decision_id)

    def refuse(self, refused: Submission | Context, refusal: Refusal, at: int) -> bytes:
        """The 278 response that names, by loop, what is wrong; empty for a message that is itself a response."""
        if refused.echo.get("is_answer"):
            return b""
        found = kept(refused.echo)
        levels = found.levels or [Level(PAYER, [["HL", "1", "", PAYER]])]
        numbers = _line_numbers(refused)
        rejected: dict[int, list[str]] = {}
        for error in refusal.errors or (_WITHOUT_DETAILS,):
            reasons = rejected.setdefault(_level_of(error, levels, numbers), [])
            if (reason := REJECTED_BECAUSE[error.trouble]) not in reasons:
                reasons.append(reason)
        return _refused(found._replace(levels=levels), rejected, at, refused.message)

    def report(self, inquiry: Submission, context: Context | None, decided: Decided | None, at: int) -> bytes:
        """The newest answer of its trace. No 278 that is read here is an inquiry: 005010X215 has its own guide."""
        if context is not None and decided is not None:
            return self.answer(context, decided)
        found = kept(inquiry.echo)
        levels = found.levels or [Level(PAYER, [["HL", "1", "", PAYER]])]
        at_subscriber = next((index for index, level in enumerate(levels) if level.code == SUBSCRIBER), 0)
        return _refused(found._replace(levels=levels), {at_subscriber: [NOT_FOUND]}, at, inquiry.message)


X12 = _X12()

_WITHOUT_DETAILS = SourceError(path="", place="", trouble="invalid", message="cannot be decided")


def _body(found: Kept, places: Sequence[Place], status: str, at: int) -> Iterator[Segment]:
    yield ["BHT", "0007", ANSWER, found.bht or "0", *clock(at, found.envelope.zone), status]
    for heading, place in zip(renumbered(found.levels), places, strict=True):
        yield heading
        yield from answering.level(place)


def _decided_places(found: Kept, context: Context, decision: Decision) -> list[Place]:
    decided = answering.Decided(
        decision=decision,
        number=control_number(decision.decision_id),
        payer=_payer(found.levels),
        submitted=date.fromisoformat(str(context.request["submitted_at"])[:10]),
        zone=found.envelope.zone,
        sayings={reference.id: reference.says for reference in decision.references},
    )
    by_number = {line.line: line for line in decision.lines}
    has_services = any(level.code == SERVICE for level in found.levels)
    only = decision.lines[0] if len(decision.lines) == 1 and not has_services else None
    ordinal = count(1)
    places = []
    for level in found.levels:
        line: DecidedLine | None = None
        action = None
        if level.code == SERVICE:
            number = next(ordinal)
            line = by_number.get(number)
            action = line.action if line else "C" if _is_cancelled(number, context, decision) else None
        elif level.code == EVENT:
            line, action = only, decision.action
        places.append(Place(level, found.envelope.delimiters, (), decided, line, action))
    return places


def _is_cancelled(number: int, context: Context, decision: Decision) -> bool:
    return number in context.cancelled_lines or decision.action == "C"


def _payer(levels: Sequence[Level]) -> str:
    """Who assigns our numbers, in the ten characters of TRN03: 9, and the payer's id."""
    name = next((level.first("NM1") for level in levels if level.code == PAYER), None)
    return _company(element(name, 9) if name else "")


@remembered
def _company(payer: str) -> str:
    bare = re.sub(r"[^0-9A-Z]", "", payer.upper())
    return f"9{bare[:9]:0>9}"


def _refused(found: Kept, rejected: Mapping[int, list[str]], at: int, message: str) -> bytes:
    own = found.envelope.delimiters
    places = [Place(level, own, rejected.get(index, ()), None, None, None) for index, level in enumerate(found.levels)]
    return interchange(found.envelope, _body(found, places, _COMPLETE, at), at, message)


_LOOP = re.compile(r"20[01]0([A-F])(?:\[(\d+)\])?")
_BY_FIELD = {"member": "C", "provider": "B", "certification": "E", "urgency": "E", "prior_authorization_number": "E",
             "diagnoses": "E", "service_lines": "E", "clinical": "E", "request_id": "E", "supersedes": "E"}  # fmt: skip
_LEVEL_OF_LETTER = {letter: code for code, letter in LOOPS.items()}


def _level_of(error: SourceError, levels: Sequence[Level], numbers: Sequence[int]) -> int:
    """Where an error is told: at its loop, or the last one above it that the message has."""
    letter, ordinal = _loop(error, numbers)
    code = _LEVEL_OF_LETTER[letter]
    found = [index for index, level in enumerate(levels) if level.code == code]
    if found:
        return found[min(ordinal, len(found)) - 1]
    above = [index for index, level in enumerate(levels) if LOOPS.get(level.code, "Z") < letter]
    return above[-1] if above else 0


def _loop(error: SourceError, numbers: Sequence[int]) -> tuple[str, int]:
    if place := _LOOP.match(error.place):
        return place[1], int(place[2] or 1)
    field, _, rest = error.path.partition(".")
    index = rest.partition(".")[0]
    if field == "service_lines" and index.isdigit() and int(index) < len(numbers):
        return "F", numbers[int(index)]
    return _BY_FIELD.get(field, "A"), 1


def _line_numbers(refused: Submission | Context) -> list[int]:
    """The number of each canonical line."""
    lines = (refused.request or {}).get("service_lines")
    stated = [line.get("line") for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    return [number for number in stated if isinstance(number, int)]
