"""Reads one canonical field each from a PAS request. `table` says which function reads which field.

A function gives the field's value, None if the message does not state it, or `Wrong`. None repeats a value of the
message in what it says.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from events.adapters.code_lists import CANCEL, CERTIFICATIONS, LEVELS_OF_SERVICE, shape_of
from events.adapters.numbers import OURS
from events.adapters.partner import Partner
from events.adapters.pas.bundle import (
    NOTHING,
    Bundle,
    Extensions,
    Found,
    Tree,
    code_of,
    codings,
    extension,
    obj,
    objects,
    system_of,
    text,
)
from events.adapters.pas.systems import (
    ABSENT,
    DIAGNOSIS_SYSTEMS,
    NPI_SYSTEMS,
    PROCEDURE_SYSTEMS,
    SERVICE_TYPES,
    TRACE_ORGANIZATION,
    X12,
)
from events.adapters.submission import Trouble
from events.field_types import instant, read_day, whole_second, written_instant
from events.request import Certification, Urgency


class Wrong(NamedTuple):
    """Why a field cannot be read."""

    place: str
    """The element, `Claim.item[1].quantity`."""
    trouble: Trouble
    message: str


class Line(Struct, frozen=True, gc=False):
    """An item of a Claim."""

    place: str
    """`Claim.item[0]`."""
    item: Tree
    claim: Found
    sequence: int | None
    """The line's number; None if it is none."""
    certification: str
    """Its code; empty if it states none."""
    is_cancelled: bool
    """Whether it takes back a service that was requested earlier."""
    extensions: Extensions


class Message:
    """A Bundle that begins with a Claim."""

    def __init__(self, bundle: Bundle, claim: Found, received: int) -> None:
        self.bundle = bundle
        self.claim = claim
        self.received = received
        self.items = items(claim)
        """The Claim's."""
        self.extensions = Extensions(claim.resource)
        """The Claim's."""
        self.parties = _parties(bundle, claim)
        """Whom it is about."""
        self.member_id = _member_id(self.parties)
        """The patient's identifier of type MB, the coverage's, the subscriber's id, or the patient's only one."""
        self.npi = _npi(bundle, claim, self.parties.provider)
        """Of the Claim's provider; of a PractitionerRole its practitioner's, then its organization's."""


def items(claim: Found) -> list[Line]:
    """A Claim's items; one that is no object is an empty one, and so refused."""
    given = claim.resource.get("item")
    listed = given if isinstance(given, list) else () if given is None else (given,)
    return [_line(f"Claim.item[{index}]", obj(one), claim) for index, one in enumerate(listed)]


def _line(place: str, item: Tree, claim: Found) -> Line:
    extensions = Extensions(item)
    flag = extensions.first("modifierextension-infoCancelled", "extension-infoCancelled")
    flag = flag or extensions.get("extension-itemCancelled")
    stated = _certification(extensions)
    is_cancelled = (flag is not None and flag.get("valueBoolean") is True) or stated == CANCEL
    number = item.get("sequence")
    sequence = number if isinstance(number, int) and not isinstance(number, bool) else None
    return Line(place, item, claim, sequence, stated, is_cancelled, extensions)


def _certification(extensions: Extensions) -> str:
    found = extensions.get("extension-certificationType")
    return code_of(found.get("valueCodeableConcept"), f"{X12}1322") if found else ""


def certification(message: Message, _: Partner) -> Certification | Wrong:
    """The Claim's certification type, else its items' if they agree, else whether it follows another Claim.

    A Claim all of whose items are cancelled is itself a cancellation. One that was withdrawn and does not say so by its
    certification type asks for nothing: it must not be decided as if it were active.
    """
    lines = message.items
    if code := _certification(message.extensions):
        stated = [("Claim", code)]
    else:
        kept = [line for line in lines if not line.is_cancelled]
        stated = [(line.place, line.certification) for line in kept if line.certification]
    for place, own in stated:
        if own not in CERTIFICATIONS:
            return Wrong(f"{place}.extension(certificationType)", "invalid", _NO_CERTIFICATION)
    if lines and all(line.is_cancelled for line in lines):
        return "cancellation"
    is_withdrawn = message.claim.resource.get("status") in _WITHDRAWN
    if is_withdrawn and {CERTIFICATIONS[own] for _, own in stated} != {"cancellation"}:
        return Wrong("Claim.status", "invalid", _NOT_ASKED)
    if len({own for _, own in stated}) == 1:
        return CERTIFICATIONS[stated[0][1]]
    return "revision" if is_related(message) else "initial"


_WITHDRAWN = ("cancelled", "entered-in-error", "draft")
_NOT_ASKED = "should be active: a Claim that is withdrawn asks for nothing, unless its certification type is 3, cancel"
_NO_CERTIFICATION = "should be a certification type that is decided here"


def is_related(message: Message) -> bool:
    """Whether the Claim names another that it follows."""
    return bool(objects(message.claim.resource.get("related")))


def urgency(message: Message, _: Partner) -> Urgency:
    """The level of service; never the priority, which is always normal."""
    found = message.extensions.get("extension-levelOfServiceCode")
    code = code_of(found.get("valueCodeableConcept"), f"{X12}1338") if found else ""
    return LEVELS_OF_SERVICE.get(code, "standard")


_CLOCK = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ]((?:[01]\d|2[0-3]):[0-5]\d)(:[0-5]\d)?(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII
)
_ONLY_A_DATE = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?", re.ASCII)


def submitted_at(message: Message, partner: Partner) -> str | Wrong:
    """The Bundle's timestamp, else when the Claim was created, if that has a time, else when it was received."""
    for place, stated in (
        ("Bundle.timestamp", message.bundle.tree.get("timestamp")),
        ("Claim.created", message.claim.resource.get("created")),
    ):
        written = text(stated)
        if whole_second(written) is not None:
            return written
        if stated is None or _ONLY_A_DATE.fullmatch(written):
            continue
        found = _instant(written, partner.zone)
        return found or Wrong(place, "no_such_day", "should be an instant that exists, in RFC 3339")
    return _in_zone(message.received, partner.zone)


def _instant(written: str, zone: ZoneInfo) -> str | None:
    clock = _CLOCK.fullmatch(written)
    if clock is None:
        return None
    day, time, second, fraction, offset = clock.groups()
    iso = f"{day}T{time}{second or ':00'}" + (f".{fraction}" if fraction else "")
    try:
        if offset:
            return written_instant(instant(iso + offset))
        # Through UTC, because a skipped hour is not in the zone; of a repeated one the earlier.
        naive = instant(f"{iso}Z").replace(tzinfo=zone)
        return written_instant(naive.astimezone(UTC).astimezone(zone))
    except (ValueError, OverflowError):
        return None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_370_764_800_000


def _in_zone(at: int, zone: ZoneInfo) -> str:
    return written_instant(moment(at, zone))


def moment(at: int, zone: ZoneInfo) -> datetime:
    """A record's timestamp in a zone; one outside 1970 to 9998 as the nearest in them."""
    return (_EPOCH + timedelta(milliseconds=min(max(at, 0), _LATEST))).astimezone(zone)


def prior_authorization_number(message: Message, _: Partner) -> str | None:
    """Of the Claim, else of an item."""
    return next(_numbers(message, "extension-authorizationNumber"), None)


def _numbers(message: Message, *names: str) -> Iterator[str]:
    for extensions in (message.extensions, *[line.extensions for line in message.items]):
        for name in names:
            found = extensions.get(name)
            if found is not None and (number := text(found.get("valueString"))):
                yield number


def follows(message: Message, certified: Certification) -> bool:
    """Whether it follows an earlier message: it is no first request, or names a Claim or a number of ours.

    `certified` is what `certification` reads.
    """
    if certified != "initial" or is_related(message) or any(line.is_cancelled for line in message.items):
        return True
    numbers = _numbers(message, "extension-authorizationNumber", "extension-administrationReferenceNumber")
    return any(OURS.fullmatch(number) for number in numbers)


def trace(message: Message) -> str | None:
    """What identifies the matter: the Claim's first identifier with its organization, else the sender's of the Bundle.

    That is TRN03 and TRN02, and ISA06 and BHT03.
    """
    for identifier in objects(message.claim.resource.get("identifier")):
        system, own = text(identifier.get("system")), text(identifier.get("value"))
        assigner = obj(obj(identifier.get("assigner")).get("identifier"))
        company = system[len(TRACE_ORGANIZATION) :] if system.startswith(TRACE_ORGANIZATION) else ""
        company = company or text(assigner.get("value"))
        if own and company:
            return f"{company}:{own}"
    sent = message.extensions.get("extension-TransmissionIdentifiers")
    sender = extension(sent, "interchangeSenderID") if sent is not None else None
    company = text(sender.get("valueString")) if sender is not None else ""
    own = text(obj(message.bundle.tree.get("identifier")).get("value"))
    return f"{company}:{own}" if company and own else None


class Parties(Struct, frozen=True, gc=False):
    """Whom a message is about."""

    patient: Found | None
    coverage: Found | None
    insurer: Found | None
    provider: Found | None


def _parties(bundle: Bundle, claim: Found) -> Parties:
    """What the Claim's references lead to."""
    insurances = objects(claim.resource.get("insurance"))
    focal = next((one for one in insurances if one.get("focal") is True), insurances[0] if insurances else NOTHING)
    coverage = bundle.resolve(focal.get("coverage"), claim)
    insurer = bundle.resolve(claim.resource.get("insurer"), claim)
    if insurer is None and coverage is not None:
        payors = objects(coverage.resource.get("payor"))
        insurer = bundle.resolve(payors[0], coverage) if payors else None
    return Parties(
        bundle.resolve(claim.resource.get("patient"), claim),
        coverage,
        insurer,
        bundle.resolve(claim.resource.get("provider"), claim),
    )


def _identifiers(found: Found | None) -> list[Tree]:
    """A resource's identifiers that have a value."""
    stated = objects(found.resource.get("identifier")) if found is not None else []
    return [one for one in stated if text(one.get("value"))]


def _member_number(found: Found | None) -> str:
    for one in _identifiers(found):
        if any(text(coding.get("code")) == "MB" for coding in codings(one.get("type"))):
            return text(one.get("value"))
    return ""


def member_id(message: Message, _: Partner) -> str | None:
    """Who is to be treated, as the payer knows them."""
    return message.member_id


def _member_id(about: "Parties") -> str | None:
    if found := _member_number(about.patient) or _member_number(about.coverage):
        return found
    if about.coverage is not None and (subscriber := text(about.coverage.resource.get("subscriberId"))):
        return subscriber
    stated = _identifiers(about.patient)
    return text(stated[0].get("value")) if len(stated) == 1 else None


def line_of_business(message: Message, partner: Partner) -> str | Wrong:
    """By the partner's rules, from the member's id, the coverage's classes and the insurer."""
    about = message.parties
    coverage = about.coverage.resource if about.coverage is not None else NOTHING
    kinds = [({text(c.get("code")) for c in codings(one.get("type"))}, one) for one in objects(coverage.get("class"))]
    plans = tuple([text(one.get("value")) for kind, one in kinds if kind & {"plan", "group"} or not kind])
    found = partner.line_of_business(message.member_id or "", plans, _payer(message, about, partner))
    return found or Wrong("Coverage", "invalid", "should match one of the partner's lines of business")


def _payer(message: Message, about: Parties, partner: Partner) -> str | None:
    logical = text(obj(obj(message.claim.resource.get("insurer")).get("identifier")).get("value"))
    stated = [text(one.get("value")) for one in _identifiers(about.insurer)] + ([logical] if logical else [])
    known = _known_payers(partner)
    return next((one for one in stated if one in known), stated[0] if stated else None)


@lru_cache(maxsize=1 << 6)
def _known_payers(partner: Partner) -> frozenset[str | None]:
    return frozenset({rule.payer for rule in partner.lines_of_business} | {*partner.payer_ids})


def npi(message: Message, _: Partner) -> str | None:
    """Who asks."""
    return message.npi


def _npi(bundle: Bundle, claim: Found, found: Found | None) -> str | None:
    candidates: list[Found | None] = [found]
    if found is not None and found.type == "PractitionerRole":
        candidates += [bundle.resolve(found.resource.get(name), found) for name in ("practitioner", "organization")]
    stated = [one for candidate in candidates for one in _identifiers(candidate)]
    stated.append(obj(obj(claim.resource.get("provider")).get("identifier")))
    for one in stated:
        if text(one.get("system")) in NPI_SYSTEMS and (number := text(one.get("value"))):
            return number
    return None


class Stated(Struct, frozen=True, gc=False):
    """A diagnosis, and where it stands."""

    place: str
    system: str
    """Empty if it is neither ICD-10-CM nor ICD-9-CM."""
    code: Any


def diagnoses(coded: Sequence[Stated]) -> list[Stated]:
    """Every code of ICD-10-CM and ICD-9-CM that the Claim states or refers to, once."""
    found = {(one.system, str(one.code)): one for one in reversed(coded) if one.system}
    return list(reversed(found.values()))


def coded(message: Message) -> list[Stated]:
    """What the Claim's diagnoses state, those that are left out too."""
    given = message.claim.resource.get("diagnosis")
    found = []
    for index, one in enumerate(given if isinstance(given, list) else ()):
        place, stated = f"Claim.diagnosis[{index}]", obj(one)
        concept = stated.get("diagnosisCodeableConcept")
        if concept is None:
            condition = message.bundle.resolve(stated.get("diagnosisReference"), message.claim)
            concept = condition.resource.get("code") if condition is not None else None
        systems = ((DIAGNOSIS_SYSTEMS.get(text(c.get("system"))), c.get("code")) for c in codings(concept))
        icd = [Stated(place, system, code) for system, code in systems if system]
        found += icd or [Stated(place, "", "")]
    return found


SERVICE_TYPE: Final = "service-type"
"""The system of a line for which only the kind of service is stated."""


def code_system(system: str, code: str) -> str | None:
    """A procedure code's system, by its shape and then by the system that is stated; None if it is no procedure's."""
    named = PROCEDURE_SYSTEMS.get(system)
    if named is None and system:
        return None
    shape = shape_of(code)
    if shape == "hcpcs":
        return shape
    other = "icd-10-pcs" if named in ("icd-10-pcs", "icd-9-pcs") else "cpt"
    return shape if shape == other else named


def procedure(_: Message, line: Line, __: Partner) -> tuple[str, str] | Wrong:
    """An item's code and its system; without a procedure, the kind of service."""
    place = f"{line.place}.productOrService"
    stated = [one for one in codings(line.item.get("productOrService")) if text(one.get("system")) != ABSENT]
    for coding in stated:
        code = text(coding.get("code"))
        if code and (system := code_system(text(coding.get("system")), code)):
            return system, code
    kinds = [*stated, *(() if stated else codings(line.item.get("category")))]
    for coding in kinds:
        if system_of(coding) == SERVICE_TYPES and (code := text(coding.get("code"))):
            return SERVICE_TYPE, code
    wanted = "should be a code of CPT, HCPCS or ICD, or a service type" if stated else "missing"
    return Wrong(place, "no_such_procedure", wanted)


def number(_: Message, line: Line, __: Partner) -> int | Wrong | None:
    """An item's sequence."""
    if line.item.get("sequence") is None:
        return None
    return line.sequence or Wrong(f"{line.place}.sequence", "invalid", _WHOLE)


_WHOLE = "should be a whole number, at least 1"


def units(_: Message, line: Line, partner: Partner) -> int | Wrong | None:
    """An item's quantity, else what the partner's configuration says of lines without one."""
    quantity = line.item.get("quantity")
    value: Any = obj(quantity).get("value")
    if quantity is None or (value is None and isinstance(quantity, dict)):
        return partner.absent_quantity
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 1 or value != int(value):
        return Wrong(f"{line.place}.quantity", "invalid", _WHOLE)
    return int(value)


def service_date(message: Message, line: Line, _: Partner) -> str | Wrong | None:
    """An item's date, else the event's, else that of the order it names; of a period its first day."""
    for place, stated in _dates(message, line):
        day = stated.strip()[:10] if isinstance(stated, str) and "T" in stated else text(stated)
        if read_day(day) is None:
            return Wrong(place, "no_such_day", "should be a day that exists, as YYYY-MM-DD")
        return day
    return None


def _dates(message: Message, line: Line) -> Iterator[tuple[str, Any]]:
    yield from _when(line.item, "serviced", line.place)
    given = line.claim.resource.get("supportingInfo")
    for index, info in enumerate(given if isinstance(given, list) else ()):
        if any(text(one.get("code")) == "patientEvent" for one in codings(obj(info).get("category"))):
            yield from _when(info, "timing", f"Claim.supportingInfo[{index}]")
    service = line.extensions.get("extension-requestedService")
    order = message.bundle.resolve(service.get("valueReference"), line.claim) if service is not None else None
    if order is not None:
        yield from _when(order.resource, "occurrence", order.type)


def _when(element: Tree, name: str, place: str) -> Iterator[tuple[str, Any]]:
    for kind in ("Date", "DateTime"):
        if (stated := element.get(name + kind)) is not None:
            yield f"{place}.{name}{kind}", stated
    period = element.get(f"{name}Period")
    if period is not None:
        start = period.get("start", "") if isinstance(period, dict) else ""
        if start is not None:
            yield f"{place}.{name}Period.start", start


def prior_claim(message: Message) -> Found | None:
    """The Claim that is followed, if the Bundle has it."""
    for related in objects(message.claim.resource.get("related")):
        found = message.bundle.resolve(related.get("claim"), message.claim)
        if found is not None and found.type == "Claim" and found.resource is not message.claim.resource:
            return found
    others = [one for one in message.bundle.all("Claim") if one.resource is not message.claim.resource]
    return others[0] if len(others) == 1 else None


class Past(NamedTuple):
    """A past procedure."""

    place: str
    read: dict[str, Any] | None
    """None if it is left out."""
    why: str = ""
    """Why it is left out."""


def past_procedures(message: Message, submitted: str) -> Sequence[Past]:
    """What the Claim says was done by the day `submitted`, in ISO 8601: what is planned or not done is no evidence."""
    given = message.claim.resource.get("procedure")
    found = []
    for index, one in enumerate(given if isinstance(given, list) else ()):
        stated, concept, status = obj(one), obj(one).get("procedureCodeableConcept"), None
        days: list[Any] = [stated.get("date")]
        if concept is None:
            done = message.bundle.resolve(stated.get("procedureReference"), message.claim)
            resource = done.resource if done is not None else NOTHING
            concept, status = resource.get("code"), resource.get("status")
            days += [resource.get("performedDateTime"), obj(resource.get("performedPeriod")).get("start")]
        read = _past(concept, days)
        why = ""
        if read is None:
            why = "no procedure with a code that is known here"
        elif status not in {None, "completed"}:
            why = "it is not said to be completed"
        elif read.get("date", "") > submitted:
            why = "it is planned, for after the request"
        found.append(Past(f"Claim.procedure[{index}]", None if why else read, why))
    return found


def _past(concept: Any, days: list[Any]) -> dict[str, Any] | None:
    codes = ((code_system(text(c.get("system")), text(c.get("code"))), text(c.get("code"))) for c in codings(concept))
    stated = next(((system, code) for system, code in codes if system and code), None)
    day = next((text(one)[:10] for one in days if text(one)), "")
    if stated is None or (day and read_day(day) is None):
        return None
    return {"system": stated[0], "code": stated[1]} | ({"date": day} if day else {})
