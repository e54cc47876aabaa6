"""Reads one canonical field each from a 278 request. `table` says which function reads which field.

A function gives the field's value, None if the message does not state it, or `Wrong`. None repeats a value of the
message in what it says.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from events.adapters.code_lists import CERTIFICATIONS, LEVELS_OF_SERVICE, shape_of
from events.adapters.numbers import OURS
from events.adapters.partner import Partner
from events.adapters.remembering import remembered
from events.adapters.submission import Trouble
from events.adapters.x12.interchange import Segment
from events.adapters.x12.loops import MOST_SERVICES, SERVICE, Line, Message, element, line_of
from events.field_types import read_day, written_instant
from events.request import Certification, Urgency


class Wrong(NamedTuple):
    """Why a field cannot be read."""

    place: str
    """The loop and the element, `2010B NM108`."""
    trouble: Trouble
    message: str


def certification(message: Message, _: Partner) -> Certification | Wrong | None:
    """UM02 of the event; a request all of whose services are cancelled is itself a cancellation."""
    review = message.event.first("UM")
    code = element(review, 2) if review else ""
    if not code:
        return None
    if code not in CERTIFICATIONS:
        return Wrong("2000E UM02", "invalid", "should be a certification type that is decided here")
    if message.lines and all(line.is_cancelled for line in message.lines):
        return "cancellation"
    return CERTIFICATIONS[code]


def urgency(message: Message, _: Partner) -> Urgency:
    """UM06 of the event."""
    review = message.event.first("UM")
    return LEVELS_OF_SERVICE.get(element(review, 6) if review else "", "standard")


def submitted_at(message: Message, partner: Partner) -> str | Wrong:
    """BHT04 and BHT05 in the partner's zone; without a time, when the record was received."""
    begins = message.header.first("BHT") or []
    date, time = element(begins, 4), element(begins, 5)
    if not date or not time:
        return _in_zone(message.received, partner.zone)
    if (day := _d8(date)) is None:
        return Wrong("BHT04", "no_such_day", "should be a day that exists, as CCYYMMDD")
    found = _local(day, time, partner.zone)
    return found or Wrong("BHT05", "invalid", "should be a time of day, as HHMM, at an instant that exists")


_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)(?:([0-5]\d)(\d{0,2}))?", re.ASCII)


@lru_cache(maxsize=1 << 12)
def _local(day: str, time: str, zone: ZoneInfo) -> str | None:
    """A zone's clock reading as an instant: of a repeated hour the earlier, of a skipped one as if it had not been."""
    clock = _TIME.fullmatch(time)
    if clock is None:
        return None
    hour, minute, second, fraction = clock.groups()
    iso = f"{day}T{hour}:{minute}:{second or '00'}.{fraction or '0':0<6}"
    try:
        # Through UTC, because a skipped hour is not in the zone.
        return written_instant(datetime.fromisoformat(iso).replace(tzinfo=zone).astimezone(UTC).astimezone(zone))
    except (ValueError, OverflowError):
        return None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_370_764_800_000


def _in_zone(received: int, zone: ZoneInfo) -> str:
    known = min(max(received, 0), _LATEST)
    return written_instant((_EPOCH + timedelta(milliseconds=known)).astimezone(zone))


def prior_authorization_number(message: Message, _: Partner) -> str | None:
    """REF*BB of the event, else of a service."""
    return next(_references(message, "BB"), None)


def follows(message: Message) -> bool:
    """Whether it follows an earlier message: it is no first request, or names a number of ours."""
    review = message.event.first("UM")
    code = element(review, 2) if review else ""
    if CERTIFICATIONS.get(code, "initial") != "initial" or any(line.is_cancelled for line in message.lines):
        return True
    return any(OURS.fullmatch(number) for number in _references(message, "BB", "NT"))


def _references(message: Message, *qualifiers: str) -> Iterator[str]:
    for level in (message.event, *[line.level for line in message.lines]):
        for reference in level.all("REF"):
            if element(reference, 1) in qualifiers and (number := element(reference, 2)):
                yield number


def trace(message: Message, sender: str) -> str | None:
    """What identifies the matter: the first TRN of the event, else the sender and its BHT03."""
    for numbered in message.event.all("TRN"):
        if (own := element(numbered, 2)) and (company := element(numbered, 3)):
            return f"{company}:{own}"
    begins = message.header.first("BHT")
    own = element(begins, 3) if begins else ""
    return f"{sender}:{own}" if sender and own else None


def traces(message: Message) -> list[str]:
    """Every TRN02 of the event."""
    return [element(numbered, 2) for numbered in message.event.all("TRN")]


def member_id(message: Message, _: Partner) -> str | Wrong | None:
    """NM109 of the subscriber, for a dependent too."""
    name = message.subscriber.first("NM1", "IL")
    if name is None or not element(name, 9):
        return None
    if element(name, 8) != "MI":
        return Wrong("2010C NM108", "invalid", "should be MI, a member's identification number")
    return element(name, 9)


def line_of_business(message: Message, partner: Partner) -> str | Wrong:
    """By the partner's rules, from the member's id, the plan (REF*6P) and the payer."""
    member, payer = message.subscriber.first("NM1", "IL"), message.payer.first("NM1")
    found = partner.line_of_business(
        element(member, 9) if member else "",
        tuple(element(plan, 2) for plan in message.subscriber.all("REF") if element(plan, 1) == "6P"),
        element(payer, 9) if payer else None,
    )
    return found or Wrong("2010C NM109", "invalid", "should match one of the partner's lines of business")


def npi(message: Message, _: Partner) -> str | Wrong | None:
    """NM109 of the requester."""
    name = message.requester.first("NM1", "1P", "FA")
    if name is None:
        return None
    if element(name, 8) != "XX":
        return Wrong("2010B NM108", "no_such_provider", "should be XX, a National Provider Identifier")
    return element(name, 9) or None


EVENT_LOOP: Final = "2000E"
DIAGNOSIS_SYSTEMS: Final = {
    "ABK": "icd-10-cm",  # principal
    "ABF": "icd-10-cm",
    "ABJ": "icd-10-cm",  # admitting
    "BK": "icd-9-cm",
    "BF": "icd-9-cm",
    "BJ": "icd-9-cm",
}
"""Of HI's composites, by their qualifier."""


class Stated(Struct, frozen=True, gc=False):
    """A diagnosis, and where it stands."""

    place: str
    system: str
    """Empty if it is none."""
    code: str


def coded(message: Message) -> list[Stated]:
    """The codes of every HI, in their order, with those that are no diagnosis."""
    found = []
    repetition = message.delimiters.repetition
    for loop, level in ((EVENT_LOOP, message.event), *[(line.loop, line.level) for line in message.lines]):
        for segment in level.all("HI"):
            for number, text in enumerate(segment[1:], start=1):
                for composite in text.split(repetition) if repetition else (text,):
                    qualifier, code = (*message.components(composite), "", "")[:2]
                    if qualifier or code:
                        system = DIAGNOSIS_SYSTEMS.get(qualifier, "")
                        found.append(Stated(f"{loop} HI{number:02}-2", system, code))
    return found


SERVICES: Final = {"SV1": 1, "SV2": 2, "SV3": 1}
"""The number of the element with the procedure, by segment."""
QUANTITIES: Final = {"SV1": 4, "SV2": 5, "SV3": 6}
"""The number of the element with the quantity, by segment."""


def service(line: Line) -> Segment | None:
    """The segment with a line's procedure."""
    return line.services[0] if line.services else None


SERVICE_TYPE: Final = "service-type"
"""The system of a line for which only the kind of service is stated."""

_BY_QUALIFIER: Final = {"HC": "hcpcs", "AD": "hcpcs", "ID": "icd-9-pcs", "ZZ": "icd-10-pcs", "IP": "icd-10-pcs"}


def code_system(qualifier: str, code: str) -> str | None:
    """A procedure code's system, by its shape; by its qualifier if it has no shape that is known."""
    shape = shape_of(code)
    if shape in ("cpt", "hcpcs") or (shape is not None and qualifier != "HC"):
        return shape
    if qualifier == "HC" and code[:1].isdigit():
        return "cpt"
    return _BY_QUALIFIER.get(qualifier)


def procedure(message: Message, line: Line, _: Partner) -> tuple[str, str] | Wrong:
    """A line's code and its system."""
    stated = line.services
    if not stated and line.loop == EVENT_LOOP:
        kind = service_type(message)
        return (SERVICE_TYPE, kind) if kind else Wrong("2000E UM03", "no_such_procedure", "missing")
    if not stated:
        return Wrong(f"{line.loop} SV1", "no_such_procedure", "should have a procedure: SV1, SV2 or SV3")
    place = f"{line.loop} {stated[0][0]}{SERVICES[stated[0][0]]:02}-2"
    found = [message.components(element(segment, SERVICES[segment[0]])) for segment in stated]
    if len(found) > 1 and any(other[:2] != found[0][:2] for other in found):
        return Wrong(place, "no_such_procedure", "should have one procedure; give each its own service level")
    qualifier, code = (*found[0], "", "")[:2]
    if not code:
        return Wrong(place, "no_such_procedure", "missing")
    system = code_system(qualifier, code)
    if system is None:
        return Wrong(place, "no_such_procedure", "should be a code of CPT, HCPCS or ICD")
    return system, code


def modifiers(message: Message, line: Line) -> list[str]:
    """A line's modifiers."""
    segment = service(line)
    parts = message.components(element(segment, SERVICES[segment[0]])) if segment else []
    return [part for part in parts[2:6] if part]


_WHOLE = re.compile(r"0*(\d{1,18})(?:\.0*)?", re.ASCII)


def units(_: Message, line: Line, partner: Partner) -> int | Wrong | None:
    """A line's quantity, else that of HSD, else what the partner's configuration says of lines without one."""
    segment, rate = service(line), line.level.first("HSD")
    place, written = "", ""
    if segment is not None:
        place = f"{line.loop} {segment[0]}{QUANTITIES[segment[0]]:02}"
        written = element(segment, QUANTITIES[segment[0]])
    if not written and rate is not None and element(rate, 2):
        place, written = f"{line.loop} HSD02", element(rate, 2)
    if not written:
        return partner.absent_quantity
    whole = _WHOLE.fullmatch(written)
    if whole is None or not (number := int(whole[1])):
        return Wrong(place, "invalid", "should be a whole number, at least 1")
    return number


EVENT_DATES: Final = ("472", "AAH", "435")
"""The event's dates that a line without its own takes, in their order."""


def service_date(message: Message, line: Line, _: Partner | None = None) -> str | Wrong | None:
    """A line's date, else the event's; of a period its first day."""
    if (own := line.level.first("DTP", "472")) is not None:
        return _day(own, line.loop)
    for qualifier in EVENT_DATES:
        if (stated := message.event.first("DTP", qualifier)) is not None:
            return _day(stated, "2000E")
    return None


def _day(stated: Segment, loop: str) -> str | Wrong:
    form, text = element(stated, 2), element(stated, 3)
    if form not in ("D8", "RD8"):
        return Wrong(f"{loop} DTP02", "invalid", "should be D8 or RD8")
    day = _d8(text.partition("-")[0].strip() if form == "RD8" else text)
    return day or Wrong(f"{loop} DTP03", "no_such_day", "should be a day that exists, as CCYYMMDD")


@remembered
def _d8(text: str) -> str | None:
    """A day of eight digits as ISO 8601 writes it; None if there is no such day."""
    day = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return day if read_day(day) is not None else None


def service_type(message: Message) -> str:
    """UM03 of the event: what is asked for if there is no service level; empty if it is not stated."""
    review = message.event.first("UM")
    return element(review, 3) if review else ""


def event_line(message: Message) -> Line:
    """The only line of a request without service levels."""
    return line_of(1, EVENT_LOOP, message.event)


def too_many(message: Message) -> Sequence[tuple[str, Wrong]]:
    """What a message has more of than one request may have: it is for one member and one event."""
    found = []
    for code, path, loop in (("22", "member", "2000C"), ("23", "member", "2000D"), ("EV", "service_lines", "2000E")):
        if message.count(code) > 1:
            found.append((path, Wrong(f"{loop} HL", "invalid", "stands twice; send a transaction set for each")))
    if message.count(SERVICE) > MOST_SERVICES:
        found.append(("service_lines", Wrong("2000F HL", "invalid", f"stands more than {MOST_SERVICES} times")))
    return found
