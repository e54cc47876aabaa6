"""X12 278 requests: a seeded, realistic mix, in the styles in which senders write them.

The n-th request of a seed depends on the seed and n alone. No value is a person's.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Final, NamedTuple

from hypothesis import strategies as st

from events.adapters.partner import Partner
from tests.support.generator import npi

Segment = tuple[str | tuple[str, ...], ...]
"""A segment's name and its elements; a tuple is a composite."""
Set = tuple[Segment, ...]
"""What stands from BHT up to SE."""

PARTNER: Final = Partner.model_validate(
    {
        "name": "delta",
        "time_zone": "America/Chicago",
        "payer_ids": ["60111"],
        "senders": ["ZZ:DELTAHOSP"],
        "lines_of_business": [
            {"member_id": r"^R\d{8}$", "is": "fep"},
            {"plan": "^STATE-", "is": "state_and_school"},
            {"payer": "60111", "is": "commercial"},
            {"payer": "60112", "is": "state_and_school"},
        ],
    }
)
RECEIVED: Final = 1_748_900_000_000


class Style(NamedTuple):
    """How a sender writes."""

    element: str = "*"
    component: str = ":"
    repetition: str = "^"
    terminator: str = "~"
    before: str = ""
    """What stands before ISA."""
    after: str = ""
    """What stands behind each terminator: a line break, an indentation."""
    is_padded: bool = True
    """Whether ISA's elements have their full width."""
    is_counted: bool = True
    """Whether the counts are right."""
    version: str = "00501"
    guide: str = "005010X217"
    """GS08."""
    sender: str = "DELTAHOSP"
    receiver: str = "MAGNOLIA"


USUAL: Final = Style()


def written(*sets: Set, style: Style = USUAL) -> bytes:
    """An interchange."""
    pad = (lambda text, width: f"{text:<{width}}") if style.is_padded else (lambda text, _: text)
    isa = (
        "ISA", "00", pad("", 10), "00", pad("", 10), "ZZ", pad(style.sender, 15), "ZZ", pad(style.receiver, 15),
        "250602", "1405", style.repetition or "U", style.version, "000000101", "0", "T", style.component,
    )  # fmt: skip
    gs = ("GS", "HI", style.sender, style.receiver, "20250602", "1405", "101", "X", style.guide)
    segments: list[Segment] = [isa, gs]
    for number, one in enumerate(sets, start=1):
        count = len(one) + 2 if style.is_counted else 99
        segments += [
            ("ST", "278", f"{number:04}", "005010X217"),
            *one,
            ("SE", str(count), f"{number:04}"),
        ]
    segments += [("GE", str(len(sets)), "101"), ("IEA", "1", "000000101")]
    return (style.before + "".join(_segment(one, style) for one in segments)).encode()


def _segment(segment: Segment, style: Style) -> str:
    elements = [style.component.join(one) if isinstance(one, tuple) else one for one in segment]
    return style.element.join(elements) + style.terminator + style.after


def message(seed: int, number: int = 0) -> bytes:
    """One request as a record."""
    return written(request(Random(f"{seed}/{number}")))


def request(chance: Random) -> Set:
    """What stands from BHT up to SE of one request that can be decided."""
    asked = date(2025, 1, 2) + timedelta(days=chance.randrange(500))
    own, time = f"DHX-{chance.randrange(10**6)}", f"{chance.randrange(6, 20):02}30"
    begins: Segment = ("BHT", "0007", "13", own, f"{asked:%Y%m%d}", time)
    return _numbered([begins, *_parties(chance), *_event(chance, asked), *_services(chance, asked)])


def _parties(chance: Random) -> list[Segment]:
    member = chance.choice(("MHP0", "R5")) + f"{chance.randrange(10**7):07}"
    segments: list[Segment] = [
        ("HL", "1", "", "20", "1"),
        ("NM1", "X3", "2", "MAGNOLIA HEALTH PLAN", "", "", "", "", "PI", "60111"),
        ("HL", "2", "1", "21", "1"),
        ("NM1", chance.choice(("1P", "FA")), "2", "DELTA TEACHING HOSPITAL", "", "", "", "", "XX", npi(chance)),
        ("PER", "IC", "UM DESK", "TE", "6015550100"),
        ("HL", "3", "2", "22", "1"),
        ("NM1", "IL", "1", "TILLMAN", "ODESSA", "", "", "", "MI", member),
    ]
    if chance.random() < 0.2:
        segments.append(("REF", "6P", f"STATE-{chance.randrange(100)}"))
    segments.append(("DMG", "D8", "19790412", chance.choice("FM")))
    if chance.random() < 0.25:
        segments += [
            ("HL", "4", "3", "23", "1"),
            ("NM1", "QC", "1", "TILLMAN", "ARLO"),
            ("DMG", "D8", "20160229", "M"),
            ("INS", "N", "19"),
        ]
    return segments


_DIAGNOSES = ("C9202", "C9102", "C9012", "C8331", "Z9484", "C9201", "D469")


def _event(chance: Random, asked: date) -> list[Segment]:
    number = f"TR-{chance.randrange(10**6)}"
    review: Segment = (
        "UM", chance.choice(("HS", "AR")), chance.choice("IIIIIRS4"), "2", ("22", "B"), "",
        chance.choice(("", "", "E", "U", "03")),
    )  # fmt: skip
    codes = chance.sample(_DIAGNOSES, chance.randrange(1, 4))
    segments: list[Segment] = [("HL", "E", "", "EV", "1"), ("TRN", "1", number, "9640001112")]
    if chance.random() < 0.2:
        segments.append(("TRN", "1", f"CLH-{chance.randrange(10**4)}", "9876543210"))
    segments.append(review)
    if chance.random() < 0.2:
        segments.append(("REF", "BB", f"AUTH{chance.randrange(10**5)}"))
    segments += [
        ("DTP", "435", "RD8", f"{asked + timedelta(days=14):%Y%m%d}-{asked + timedelta(days=20):%Y%m%d}"),
        ("HI", ("ABK", codes[0]), *(("ABF", code) for code in codes[1:])),
    ]
    if chance.random() < 0.3:
        segments.append(("MSG", "PLEASE SEE THE ATTACHED NOTES"))
    if chance.random() < 0.3:
        segments.append(("NM1", "71", "1", "OKAFOR", "NGOZI", "", "", "", "XX", npi(chance)))
    return segments


def _services(chance: Random, asked: date) -> list[Segment]:
    segments: list[Segment] = []
    for number in range(1, chance.choice((1, 1, 1, 2, 3)) + 1):
        segments.append(("HL", "S", "E", "SS", "0"))
        if chance.random() < 0.3:
            segments.append(("TRN", "1", f"LN-{number}", "9640001112"))
        if chance.random() < 0.6:
            segments.append(("DTP", "472", "D8", f"{asked + timedelta(days=14 + number):%Y%m%d}"))
        code: tuple[str, ...] = ("HC", chance.choice(("38242", "38242", "86950", "86813", "S2150", "38240")))
        code += ("59",) if chance.random() < 0.2 else ()
        units = chance.choice(("", "1", "2"))
        if chance.random() < 0.7:
            segments.append(("SV1", code, "", "UN" if units else "", units))
        else:
            segments.append(("SV2", "0819", code, "350", "UN" if units else "", units))
        if not units and chance.random() < 0.5:
            segments.append(("HSD", "VS", "3"))
    return segments


def _numbered(segments: Sequence[Segment]) -> Set:
    """A request's segments with their levels numbered in order."""
    counted: list[Segment] = []
    number, event = 0, "4"
    for segment in segments:
        if segment[0] != "HL":
            counted.append(segment)
            continue
        number += 1
        code = segment[3]
        if code == "EV":
            event = str(number)
        parent = "" if number == 1 else event if code == "SS" else str(number - 1)
        counted.append(("HL", str(number), parent, code, *segment[4:]))
    return tuple(counted)


_SEPARATORS = "*|:^~!>{}\x1c\x1d\x1e\x1f"


@st.composite
def styles(draw: st.DrawFn) -> Style:
    """Any style that is let be."""
    element, component, repetition, terminator = draw(st.permutations(_SEPARATORS))[:4]
    return Style(
        element,
        component,
        draw(st.sampled_from((repetition, ""))),
        draw(st.sampled_from((terminator, "\n"))),
        before=draw(st.sampled_from(("", "\ufeff", "\r\n\r\n", " ", "\ufeff\n "))),
        after=draw(st.sampled_from(("", "\n", "\r\n", "\r\n    ", " "))),
        is_padded=draw(st.booleans()),
        is_counted=draw(st.booleans()),
        version=draw(st.sampled_from(("00501", "00401"))),
        guide=draw(st.sampled_from(("005010X217", "005010X279", "005010X279A1"))),
    )


def requests() -> st.SearchStrategy[Set]:
    """Requests that can be decided."""
    return st.integers(0, 2**32).map(lambda seed: request(Random(seed)))
