"""What an answer says at each level: one row for each segment, from which answers and the page are made.

A level of the answer is its HL and, in the order of the implementation guide, what each row of `PARTS` gives for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from events.adapters.code_lists import (
    CORRECT_AND_RESUBMIT,
    ELECTRONICALLY,
    INFORMATION_REQUIRED,
    PENDED_BECAUSE,
    SUPPORTING_DATA,
)
from events.adapters.x12.interchange import Delimiters, Segment
from events.adapters.x12.loops import DEPENDENT, EVENT, LOOPS, PAYER, REQUESTER, SERVICE, SUBSCRIBER, Level, element
from events.adapters.x12.reading import QUANTITIES, SERVICES
from events.adapters.x12.writing import messages
from events.decision import Action, DecidedLine, Decision

REQUEST_FOR_INFORMATION: Final = "102089-0"
"""LOINC: questionnaire form definition, the answer that is asked for."""
MOST_REASONS = 5
"""Of one HCR03."""
MOST_TRACES = 3
"""TRN of one level."""
NUMBERED: Final = ("A1", "A2", "A6")
"""Actions that certify something, under the number in HCR02."""


class Decided(NamedTuple):
    """A decision in the words of the answer."""

    decision: Decision
    number: str
    """The control number."""
    payer: str
    """Who assigns it, as TRN03 has it."""
    submitted: date
    zone: ZoneInfo
    sayings: Mapping[str, str]
    """The words of the parts that lines cite, by id."""


class Place(Struct, frozen=True, gc=False):
    """One level of the answer."""

    level: Level
    delimiters: Delimiters
    rejected: Sequence[str]
    """The reject reasons that stand here, of list 901."""
    decided: Decided | None
    """None if the message is refused."""
    line: DecidedLine | None
    """Of a service level, or of the event if it has none."""
    action: Action | None
    """What is said here."""


class Part(NamedTuple):
    """One segment of the answer."""

    levels: Sequence[str]
    """HL03."""
    segment: str
    says: str
    canonical: str
    """The decision's field, or empty for what comes back as it was sent."""
    write: Callable[[Place], Iterable[Segment]]


def _same(name: str) -> Callable[[Place], Iterable[Segment]]:
    return lambda place: [segment for segment in place.level.all(name) if len(segment) > 1]


def _traces(place: Place) -> Iterable[Segment]:
    sent = [["TRN", "2", *segment[2:]] for segment in place.level.all("TRN") if element(segment, 2)]
    ours = place.decided
    if ours and _is_asked(place) and len(sent) < MOST_TRACES:
        sent.append(["TRN", "1", ours.number, ours.payer])
    return sent[:MOST_TRACES]


def _rejections(place: Place) -> Iterable[Segment]:
    return [["AAA", "N", "", reason, CORRECT_AND_RESUBMIT] for reason in place.rejected]


def _review(place: Place) -> Iterable[Segment]:
    if place.action is None or place.decided is None:
        return []
    number = place.decided.number if place.action in NUMBERED else ""
    return [["HCR", place.action, number, _reasons(place)]]


def _reasons(place: Place) -> str:
    line = place.line
    review = line.review if line else None
    if review is not None and review.reasons:
        separator = place.delimiters.repetition
        return separator.join(review.reasons[:MOST_REASONS]) if separator else review.reasons[0]
    if place.action != "A4" or place.decided is None:
        return ""
    pended = [line] if line else [one for one in place.decided.decision.lines if one.action == "A4"]
    reasons = {PENDED_BECAUSE.get(one.determination, "") for one in pended}
    return INFORMATION_REQUIRED if INFORMATION_REQUIRED in reasons else max(reasons, default="")


def _administrative_number(place: Place) -> Iterable[Segment]:
    return [["REF", "NT", place.decided.number]] if place.decided and place.action == "A4" else []


def _event_dates(place: Place) -> Iterable[Segment]:
    return [sent for sent in place.level.all("DTP") if element(sent, 1) in ("472", "435") and len(sent) > 1]


def _service_dates(place: Place) -> Iterable[Segment]:
    granted = place.line.authorized if place.line else None
    if granted is not None and granted.from_ is not None:
        return [["DTP", "472", *_period(granted.from_, granted.through)]]
    return [sent for sent in place.level.all("DTP") if element(sent, 1) == "472"]


def _valid_through(place: Place) -> Iterable[Segment]:
    line, decided = place.line, place.decided
    if line is None or decided is None or place.action not in NUMBERED:
        return []
    granted = line.authorized
    last = line.valid_through or (granted.through if granted else None)
    if last is None:
        return []
    first = granted.from_ if granted and granted.from_ else decided.submitted
    return [["DTP", "AAH", *_period(min(first, last), last)]]


def _period(first: date, last: date | None) -> tuple[str, str]:
    if last is None:
        return "D8", f"{first:%Y%m%d}"
    return "RD8", f"{first:%Y%m%d}-{last:%Y%m%d}"


def _information(place: Place) -> Iterable[Segment]:
    if not _is_asked(place):
        return []
    separator = place.delimiters.component
    return [["HI", f"LOI{separator}{REQUEST_FOR_INFORMATION}"]] if separator else []


def _is_asked(place: Place) -> bool:
    line = place.line
    return line is not None and place.action == "A4" and line.determination == "information_needed"


def _services(place: Place) -> Iterable[Segment]:
    granted = place.line.authorized if place.line else None
    sent = [segment for segment in place.level.segments if segment[0] in SERVICES]
    if granted is None:
        return sent
    return [_as_granted(segment, granted.code, granted.units, place) for segment in sent]


def _as_granted(segment: Segment, code: str, units: int, place: Place) -> Segment:
    name = segment[0]
    changed = [*segment, *[""] * (QUANTITIES[name] + 1 - len(segment))]
    separator = place.delimiters.component
    if separator:
        parts = changed[SERVICES[name]].split(separator)
        changed[SERVICES[name]] = separator.join([parts[0], code, *parts[2:]])
    changed[QUANTITIES[name]] = str(units)
    if name != "SV3" and not changed[QUANTITIES[name] - 1]:
        changed[QUANTITIES[name] - 1] = "UN"
    return changed


def _quantities(place: Place) -> Iterable[Segment]:
    granted = place.line.authorized if place.line else None
    sent = [segment for segment in place.level.all("HSD") if len(segment) > 1]
    if granted is None:
        return sent
    units = str(granted.units)
    return [[*one[:2], units, *one[3:]] if element(one, 2) else one for one in sent]


def _attachments(place: Place) -> Iterable[Segment]:
    if not _is_asked(place) or place.decided is None:
        return []
    return [["PWK", SUPPORTING_DATA, ELECTRONICALLY, "", "", "AC", place.decided.number]]


def _words(place: Place) -> Iterable[Segment]:
    if place.decided is None:
        return []
    texts = _sentences(place, place.decided)
    return [["MSG", part] for text in texts for part in messages(text, place.delimiters)]


def _sentences(place: Place, decided: Decided) -> Iterable[str]:
    line = place.line
    if line is not None:
        if line.program is not None:
            yield f"{line.program.name} - {line.program.says}"
        for missing in line.missing:
            yield f"Question - {missing.question}"
        if line.review is not None and line.review.text:
            yield line.review.text
        for id_ in line.guidance:
            yield decided.sayings.get(id_, "")
    due = decided.decision.due_at
    if place.level.code == EVENT and place.action == "A4" and due is not None:
        # Without colons, which are most senders' component separators.
        yield f"A decision is due by {due.astimezone(decided.zone):%Y-%m-%d at %H%M (UTC %z)}."


_MEMBERS = (SUBSCRIBER, DEPENDENT)
_REVIEWED = (EVENT, SERVICE)

PARTS: Final = (
    Part((PAYER, REQUESTER, *_MEMBERS), "NM1", "As sent.", "", _same("NM1")),
    Part(
        _REVIEWED,
        "TRN",
        "As sent, as TRN*2; where something is asked, TRN*1 with the control number.",
        "decision_id",
        _traces,
    ),
    Part(
        (PAYER, REQUESTER, *_MEMBERS, *_REVIEWED),
        "AAA",
        "Of a refused message: N, the reason of list 901, C.",
        "",
        _rejections,
    ),
    Part(_MEMBERS, "DMG", "As sent.", "", _same("DMG")),
    Part(_MEMBERS, "INS", "As sent.", "", _same("INS")),
    Part(_REVIEWED, "UM", "As sent.", "", _same("UM")),
    Part(
        _REVIEWED,
        "HCR",
        "HCR01 the action; HCR02 the control number on A1, A2 and A6; HCR03 a reviewer's reasons, or of A4 0U or 0V. "
        "Before a verdict never 0F, 0N or 0T.",
        "action, lines.N.action, lines.N.determination, lines.N.review.reasons",
        _review,
    ),
    Part(_REVIEWED, "REF", "REF*NT with the control number, of what is pended.", "decision_id", _administrative_number),
    Part((EVENT,), "DTP", "472 and 435 as sent.", "", _event_dates),
    Part((SERVICE,), "DTP", "472 as sent, or as granted.", "lines.N.authorized", _service_dates),
    Part(
        _REVIEWED,
        "DTP",
        "AAH, RD8: from the day of the request, or the first that is granted, to the last day of the approval.",
        "lines.N.valid_through",
        _valid_through,
    ),
    Part(_REVIEWED, "HI", "LOI, LOINC 102089-0: answers to questions are wanted.", "lines.N.missing", _information),
    Part(_REVIEWED, "SV1, SV2, SV3", "As sent, or as granted.", "lines.N.authorized", _services),
    Part(_REVIEWED, "HSD", "As sent, or as granted.", "lines.N.authorized", _quantities),
    Part(_REVIEWED, "PWK", "The control number, under which answers are sent.", "lines.N.missing", _attachments),
    Part(
        _REVIEWED,
        "MSG",
        "The other program, the questions, a reviewer's words, guidance, and when a decision is due; 264 characters "
        "each, broken between words.",
        "lines.N.program, lines.N.missing, lines.N.review.text, lines.N.guidance, references, due_at",
        _words,
    ),
    Part(_REVIEWED, "NM1", "As sent.", "", _same("NM1")),
)
"""In the order of the implementation guide, within a level."""


_WRITERS = {code: [part.write for part in PARTS if code in part.levels] for code in LOOPS}


def level(place: Place) -> list[Segment]:
    """A level's segments behind HL."""
    found: list[Segment] = []
    for write in _WRITERS.get(place.level.code, ()):
        found += write(place)
    return found
