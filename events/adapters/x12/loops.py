"""A transaction set's loops: its hierarchical levels, and which of them says what.

HL*1**20*1      2000A  the payer
HL*2*1*21*1     2000B  the requester
HL*3*2*22*1     2000C  the subscriber
HL*4*3*23*1     2000D  the dependent, if the patient is one
HL*5*4*EV*1     2000E  the patient event
HL*6*5*SS*0     2000F  a service; any number of them
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from events.adapters.code_lists import CANCEL
from events.adapters.x12.interchange import Delimiters, Segment, TransactionSet
from events.request import MOST_LINES

LOOPS: Final = {"20": "A", "21": "B", "22": "C", "23": "D", "EV": "E", "SS": "F"}
"""The last letter of a level's loops, by HL03."""
PAYER, REQUESTER, SUBSCRIBER, DEPENDENT, EVENT, SERVICE = LOOPS
_RANKS = {code: rank for rank, code in enumerate(LOOPS)}
MOST_SERVICES: Final = 2 * MOST_LINES
"""Service levels of a message, cancelled ones among them."""
SERVICE_SEGMENTS: Final = ("SV1", "SV2", "SV3")
"""Those that have a procedure."""


def element(segment: Segment, number: int) -> str:
    """An element of a segment, without blanks around it; empty if it has none."""
    return segment[number].strip() if number < len(segment) else ""


class Level:
    """One hierarchical level: HL and what follows it."""

    def __init__(self, code: str, segments: list[Segment]) -> None:
        self.code = code
        """HL03."""
        self.segments = segments
        """HL first, if there is one."""
        self._named: Mapping[str, Sequence[Segment]] | None = None

    def named(self) -> Mapping[str, Sequence[Segment]]:
        """Its segments by name, when it has them all."""
        if self._named is not None:
            return self._named
        found: dict[str, list[Segment]] = {}
        for segment in self.segments:
            if (same := found.get(segment[0])) is None:
                found[segment[0]] = [segment]
            else:
                same.append(segment)
        self._named = found
        return found

    def all(self, name: str) -> Sequence[Segment]:
        """Its segments of a name."""
        return (self._named or self.named()).get(name, ())

    def first(self, name: str, *qualifiers: str) -> Segment | None:
        """The first of them, or the first whose first element is one of the qualifiers."""
        for segment in (self._named or self.named()).get(name, ()):
            if not qualifiers or element(segment, 1) in qualifiers:
                return segment
        return None


_NOTHING = Level("", [])


class Line(Struct, frozen=True, gc=False):
    """A service level, or what the event says if there is none."""

    number: int
    """The ordinal of its 2000F loop, or 1."""
    loop: str
    """`2000F[2]`, by which places name it."""
    level: Level
    services: Sequence[Segment]
    """Its segments with a procedure."""
    is_cancelled: bool
    """Whether it takes back a service that was requested earlier."""


def line_of(number: int, loop: str, level: Level) -> Line:
    """A level as a line."""
    review = level.first("UM")
    services = [segment for segment in level.segments if segment[0] in SERVICE_SEGMENTS]
    return Line(number, loop, level, services, review is not None and element(review, 2) == CANCEL)


class Message(Struct, frozen=True, gc=False):
    """A transaction set in its loops. A loop that the message does not have is empty."""

    delimiters: Delimiters
    header: Level
    """What stands before the first level: BHT."""
    levels: Sequence[Level]
    payer: Level
    requester: Level
    subscriber: Level
    event: Level
    lines: Sequence[Line]
    """The service levels: the first of them, as many as there may be."""
    received: int
    """When the record was, in milliseconds since the epoch."""

    def components(self, text: str) -> list[str]:
        """The components of an element, without blanks around them."""
        separator = self.delimiters.component
        return [part.strip() for part in text.split(separator)] if separator else [text.strip()]

    def count(self, code: str) -> int:
        """How many levels of a kind it has."""
        return [level.code for level in self.levels].count(code)


def message_of(found: TransactionSet, received: int) -> Message:
    """The loops of a transaction set."""
    separator = found.delimiters.element
    header = Level("", [])
    levels: list[Level] = []
    current = header.segments
    for text in found.written:
        segment = text.split(separator)
        segment[0] = name = segment[0].strip()
        if name == "HL":
            current = []
            levels.append(Level(element(segment, 3), current))
        current.append(segment)
    levels = _with_event(levels)
    services = [level for level in levels if level.code == SERVICE][:MOST_SERVICES]
    return Message(
        delimiters=found.delimiters,
        header=header,
        levels=levels,
        payer=_of(levels, PAYER),
        requester=_of(levels, REQUESTER),
        subscriber=_of(levels, SUBSCRIBER),
        event=_of(levels, EVENT),
        lines=[line_of(number, f"2000F[{number}]", level) for number, level in enumerate(services, start=1)],
        received=received,
    )


def _of(levels: Sequence[Level], code: str) -> Level:
    for level in levels:
        if level.code == code:
            return level
    return _NOTHING


_OF_EVENTS: Final = frozenset(
    ("TRN", "UM", "DTP", "HI", "HSD", "CRC", "CL1", "CR1", "CR2", "CR4", "CR5", "CR6", "PWK", "MSG", *SERVICE_SEGMENTS)
)


def _with_event(levels: Sequence[Level]) -> list[Level]:
    """The levels with a patient event: without one, as in older versions, what the patient's levels say of it."""
    if any(level.code == EVENT for level in levels):
        return [*levels]
    said: list[Segment] = []
    found: list[Level] = []
    after = 0
    for level in levels:
        if level.code in (SUBSCRIBER, DEPENDENT):
            said += [segment for segment in level.segments if _is_of_event(segment)]
            level = Level(level.code, [segment for segment in level.segments if not _is_of_event(segment)])  # noqa: PLW2901
            after = len(found) + 1
        found.append(level)
    service = _of(levels, SERVICE)
    if all(segment[0] != "UM" for segment in said) and (review := service.first("UM")) is not None:
        said.append(review)
    if said:
        found.insert(after, Level(EVENT, [["HL", "", "", EVENT], *said]))
    return found


def _is_of_event(segment: Segment) -> bool:
    return segment[0] in _OF_EVENTS or (segment[0] == "REF" and element(segment, 1) in ("BB", "NT"))


def renumbered(levels: Sequence[Level]) -> list[Segment]:
    """The HL segments of a tree, numbered as the standard wants it, whatever its sender has done.

    A level keeps its parent if that is open; otherwise it stands under the nearest open level above its kind.
    """
    parents: list[int | None] = []
    ours: dict[str, int] = {}
    opened: list[int] = []
    ranks: list[int] = []
    for number, level in enumerate(levels, start=1):
        heading, rank = level.segments[0], _RANKS.get(level.code, len(_RANKS))
        parent = ours.get(element(heading, 2))
        if parent not in opened:
            parent = next((other for other, above in zip(opened[::-1], ranks[::-1], strict=True) if above < rank), None)
        depth = 0 if parent is None else opened.index(parent) + 1
        opened[depth:], ranks[depth:] = [number], [rank]
        if own := element(heading, 1):
            ours[own] = number
        parents.append(parent)
    above_others = set(parents)
    return [
        ["HL", str(number), "" if parent is None else str(parent), level.code, "1" if number in above_others else "0"]
        for number, (level, parent) in enumerate(zip(levels, parents, strict=True), start=1)
    ]
