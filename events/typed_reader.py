"""Reads most requests many times faster than the models, and accepts nothing that the models refuse.

The envelope, the request's own fields, its member, provider and service lines are read by structs derived from the
models. The parts that recur (diagnoses, the clinical object) are cut out as they are written and read once; their bytes
stand for them from then on.

Only a subset is read here; `read_typed` gives None for anything else, which the models then read or explain. Structs do
not notice a key that is written twice: JSON without escapes that is exactly as long as what was read, encoded again,
white space aside, has none; other JSON is parsed strictly beside.

`tests/events/test_typed_reader.py` compares it with the models on mutated events.
"""

import re
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
import orjson
from pydantic import BaseModel, TypeAdapter

from events.code_spelling import procedure
from events.decode import MOST_FIELDS, decode
from events.envelope import IN_HEADERS, Attributes, Cause, Headers, is_json, loads
from events.field_types import REQUEST_ID, checked_npi, instant, read_day, whole_second, written_instant
from events.request import (
    ELECTRONIC,
    MODIFIER,
    MOST_LINES,
    MOST_MODIFIERS,
    PLACE_OF_SERVICE,
    SPECIALTY,
    AuthorizationRequest,
    Diagnoses,
    Member,
    PastProcedures,
    Provider,
    ServiceLine,
)
from events.request_parts import (
    NO_DIAGNOSES,
    NOTHING_STATED,
    DiagnosisPart,
    LinePart,
    Part,
    RequestParts,
    clinical_part,
    diagnoses_part,
    evidence,
    parts_of,
    procedures_part,
)


class Event(NamedTuple):
    """A request as it is decided."""

    cause: Cause | None
    """What its answer says of the event; None for bare data."""
    request: RequestParts

    def __repr__(self) -> str:
        return "Event('personal data not shown')"


def read(value: bytes | None, headers: Headers = ()) -> Event:
    """The request in a record.

    Raises:
        RejectedError: As `decode`.
    """
    found = read_typed(value, headers) if value is not None else None
    if found is not None:
        return found
    received = decode(value, headers)
    return Event(received.attributes.cause() if received.attributes is not None else None, parts_of(received.request))


def read_typed(value: bytes, headers: Headers = ()) -> Event | None:
    """The request in a record; None if only the models can read it, or explain what is wrong."""
    if len(value) > MOST_FIELDS:
        return None
    try:
        if any(name.lower() == _BINARY for name, _ in headers):
            attributes, read = _in_headers(headers), _read_request(value)
            request = read
        else:
            attributes = read = _read_event(value)
            request = read.data
        if not _is_plain(value) or not _has_nothing_else(value, _encoded(read)):
            loads(value)  # no key is written twice
            _check_texts(request)
        if attributes.type != AuthorizationRequest.TYPE or not _holds_json(attributes.datacontenttype):
            return None
        cause = Cause.of(attributes.id, attributes.correlationid, attributes.traceparent)
        return Event(cause, _parts(request))
    except (_NotTypedError, ValueError, RecursionError):  # of msgspec too, whose limit is what is left of the stack
        return None


def is_valid(request: Mapping[str, Any]) -> bool:
    """Whether the models accept a request of JSON's types alone; False if only they can say."""
    try:
        value = orjson.dumps(request)
        if len(value) > MOST_FIELDS or not _is_plain(value):
            return False
        read = _read_request(value)
        _check_texts(read)
        _read_parts(read)
    except (_NotTypedError, TypeError, ValueError, RecursionError):
        return False
    return True


class _NotTypedError(Exception):
    """The models have to read it."""


# --- structs, derived from the models ------------------------------------------------------------------------------

_ABSENT = msgspec.Raw()


def _struct(model: type[BaseModel], known: Container[str], **own: Any) -> type[msgspec.Struct]:
    """A struct of the fields of a model that are known here; it accepts no text which the model refuses.

    A request with another field of the model is left to the model. Texts are read whole, and everything else as it is
    written; `own` replaces or adds fields, which have to be checked by their reader.
    """
    schema = model.model_json_schema(by_alias=True)
    fields: list[Any] = []
    for name, declared in schema["properties"].items():
        if name not in known:
            continue
        kind = own.pop(name, None) or _type(declared)
        if name in schema["required"]:
            fields.append((name, kind))
        else:
            fields.append((name, kind, _ABSENT) if kind is msgspec.Raw else (name, kind | None, None))
    fields += [(name, *given) if isinstance(given, tuple) else (name, given) for name, given in own.items()]
    fields.sort(key=len)  # those with a default come last
    closed = model.model_config.get("extra") == "forbid"
    return msgspec.defstruct(model.__name__, fields, omit_defaults=True, forbid_unknown_fields=closed, gc=False)


def _type(declared: Mapping[str, Any]) -> Any:
    """The type of a text or an integer, which may be written as `1.0`; of anything else, its bytes."""
    options = [one for one in declared.get("anyOf", [declared]) if one.get("type") != "null"]
    if len(options) != 1:
        return msgspec.Raw
    text = options[0]
    if text.get("type") == "integer":
        return Annotated[int, msgspec.Meta(ge=text.get("minimum"), le=text.get("maximum"))]
    if text.get("type") != "string":
        return msgspec.Raw
    if "enum" in text or "const" in text:
        return Literal[tuple(text.get("enum", [text.get("const")]))]
    if text.get("pattern", REQUEST_ID) != REQUEST_ID or "format" in text:
        return msgspec.Raw
    return Annotated[str, msgspec.Meta(min_length=text.get("minLength"), max_length=text.get("maxLength"))]


# The fields that `_parts` and `_lines` check and make canonical. A new field of a model is added to them there,
# and then here; until then requests that have it are read by the models.
REQUEST_FIELDS = (
    *("request_id", "certification", "urgency", "submitted_at", "first_submitted_at", "channel"),
    *("prior_authorization_number", "policy_number", "supersedes"),
    *("member", "provider", "diagnoses", "procedures", "service_lines", "clinical"),
)
MEMBER_FIELDS = ("member_id", "line_of_business", "birth_date", "sex")
PROVIDER_FIELDS = ("npi", "specialty")
LINE_FIELDS = (
    *("line", "system", "code", "units", "service_date", "performed_on"),
    *("place_of_service", "modifiers", "clinical"),
)

_Attributes: Any = _struct(Attributes, Attributes.model_fields)
_Member: Any = _struct(Member, MEMBER_FIELDS, birth_date=str)
_Provider: Any = _struct(Provider, PROVIDER_FIELDS, npi=str, specialty=str)
_Modifiers = Annotated[list[str], msgspec.Meta(max_length=MOST_MODIFIERS)]
_Line: Any = _struct(ServiceLine, LINE_FIELDS, code=str, service_date=str, place_of_service=str, modifiers=_Modifiers)
_Lines = Annotated[list[_Line], msgspec.Meta(min_length=1, max_length=MOST_LINES)]
_Request: Any = _struct(
    AuthorizationRequest,
    REQUEST_FIELDS,
    member=_Member,
    provider=_Provider,
    service_lines=_Lines,
    submitted_at=str,
    first_submitted_at=str,
)
# A request's time is its own `submitted_at`, so that of the event may be any text.
_Event: Any = _struct(Attributes, Attributes.model_fields, data=_Request, time=(str | None, None))

_read_event = msgspec.json.Decoder(_Event).decode
_read_request = msgspec.json.Decoder(_Request).decode
_encoded = msgspec.json.Encoder().encode
_sorted = msgspec.json.Encoder(order="sorted").encode
_compact = msgspec.json.format


def _is_plain(value: bytes) -> bool:
    """Whether each text is its own JSON, and has no character that an id may not have."""
    return value.isascii() and b"\\" not in value and b"\x7f" not in value


def _has_nothing_else(value: bytes, encoded: bytes) -> bool:
    """Whether a text without escapes has, beside white space, only what was read of it and encoded again."""
    return len(value) == len(encoded) or len(_compact(value, indent=-1)) == len(_compact(encoded, indent=-1))


def _check_texts(request: Any) -> None:
    """Whether the request's own texts have only characters that every text may have."""
    texts = (request.request_id, request.supersedes, request.prior_authorization_number, request.policy_number)
    for text in (*texts, request.member.member_id):
        if text is not None and not (text.isascii() and text.isprintable()):
            raise _NotTypedError


# --- attributes ----------------------------------------------------------------------------------------------------

_BINARY = "ce_specversion"
_NAMES = {f"ce_{name}": name for name in IN_HEADERS} | {"content-type": "datacontenttype"}


def _in_headers(headers: Headers) -> Any:
    """The attributes in headers; of those written twice, the last."""
    found = {}
    for name, value in headers:
        attribute = _NAMES.get(name) or _NAMES.get(name.lower())
        if attribute is None:
            continue
        if value is None or not value.isascii():
            raise _NotTypedError
        found[attribute] = value.decode()
    content_type = found.get("datacontenttype", "")
    if content_type.strip().lower().startswith("application/cloudevents"):
        raise _NotTypedError
    try:
        return msgspec.convert(found, _Attributes)
    except msgspec.ValidationError:
        raise _NotTypedError from None


_holds_json = lru_cache(maxsize=256)(is_json)


# --- the request's parts -------------------------------------------------------------------------------------------

Key = TypeVar("Key")
Found = TypeVar("Found")
_REMEMBERED = 1 << 15
LONGEST_REMEMBERED = 1_024
"""Bytes: what is longer hardly recurs, and would take memory."""


class _Bounded(dict[Key, Found]):
    """What was found; forgets everything when it is full."""

    def remember(self, key: Key, found: Found, length: int) -> Found:
        """Add an entry, unless its key is a long text; returns it."""
        if length <= LONGEST_REMEMBERED:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[key] = found
        return found


class _Pieces(_Bounded[bytes, Found]):
    """What the models made of pieces of JSON."""

    def __init__(self, make: Callable[[bytes, Any], Found]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, written: bytes) -> Found:
        if written.count(b"{") + written.count(b"[") > _MOST_BRACKETS:
            raise _NotTypedError
        try:
            found = self._make(written, loads(written))
        except ValueError:  # of pydantic too
            raise _NotTypedError from None
        return self.remember(written, found, len(written))


class _Procedures(_Bounded[tuple[str, str], str]):
    """Procedure codes in the spelling of their systems, by system and as they are written."""

    def __missing__(self, written: tuple[str, str]) -> str:
        system, code = written
        spelled = procedure(system, code)  # or a ValueError
        if not (spelled.isascii() and spelled.isprintable()):
            raise _NotTypedError
        return self.remember(written, spelled, len(code))


class _Days(_Bounded[str, date]):
    """Dates, as they are written."""

    def __missing__(self, written: str) -> date:
        day = read_day(written)
        if day is None:
            raise _NotTypedError
        return self.remember(written, day, len(written))


_MOST_BRACKETS = 200
"""Of a piece: so it is never nested more deeply than an event may be."""

_diagnoses_of = TypeAdapter(Diagnoses).validate_python
_past_procedures_of = TypeAdapter(PastProcedures).validate_python


def _clinical(written: bytes, tree: Any) -> Part[Mapping[str, Any]]:
    if not isinstance(tree, dict | None):
        raise _NotTypedError
    return clinical_part(written, tree) if tree else NOTHING_STATED


def _coded(_: bytes, tree: Any) -> Part[Sequence[DiagnosisPart]]:
    diagnoses = _diagnoses_of(tree) if tree is not None else ()
    return diagnoses_part(diagnoses) if diagnoses else NO_DIAGNOSES


def _past(_: bytes, tree: Any) -> Part[Sequence[DiagnosisPart]]:
    procedures = _past_procedures_of(tree) if tree is not None else ()
    return procedures_part(procedures) if procedures else NO_DIAGNOSES


_diagnoses = _Pieces(_coded)
_past_procedures = _Pieces(_past)
_clinicals = _Pieces(_clinical)
_procedures = _Procedures()
_days = _Days()


def _lines(lines: Sequence[Any]) -> tuple[LinePart, ...]:
    """The service lines, which are made canonical in place."""
    read = []
    for line in lines:
        spelled = _procedures[line.system, line.code]
        if spelled != line.code:
            line.code = spelled
        if line.performed_on == "member":
            line.performed_on = None
        day = _days[line.service_date]
        place = line.place_of_service
        if place is not None and not _is_place(place):
            raise _NotTypedError
        modifiers = _modifiers(line) if line.modifiers is not None else None
        clinical = NOTHING_STATED
        if line.clinical:
            clinical = _clinicals[bytes(line.clinical)]
            line.clinical = msgspec.Raw(clinical.canonical) if clinical.canonical else _ABSENT
        performed_on = line.performed_on or "member"
        read.append(
            LinePart(line.line, line.system, spelled, day, performed_on, line.units, place, modifiers, clinical)
        )
    if len(read) > 1 and len({line.line for line in read}) < len(read):
        raise _NotTypedError
    return tuple(read)


def _modifiers(line: Any) -> tuple[str, ...]:
    """A line's modifiers, which are sorted in place."""
    modifiers: list[str] = line.modifiers
    modifiers.sort()
    if len(set(modifiers)) < len(modifiers) or not all(map(_is_modifier, modifiers)):
        raise _NotTypedError
    return tuple(modifiers)


_is_place = re.compile(PLACE_OF_SERVICE, re.ASCII).fullmatch
_is_modifier = re.compile(MODIFIER, re.ASCII).fullmatch
_is_specialty = re.compile(SPECIALTY, re.ASCII).fullmatch


def _birth_date(written: str | None) -> date | None:
    # Not among `_days`: there are far more days of birth than days of service.
    day = read_day(written) if written is not None else None
    if day is None and written is not None:
        raise _NotTypedError
    return day


def _check_npi(npi: str) -> None:
    if len(npi) != _NPI_DIGITS or not (npi.isascii() and npi.isdecimal()):
        raise _NotTypedError
    checked_npi(npi)  # or a ValueError


_NPI_DIGITS = 10


class _Read(NamedTuple):
    diagnoses: Part[Sequence[DiagnosisPart]]
    procedures: Part[Sequence[DiagnosisPart]]
    clinical: Part[Mapping[str, Any]]
    lines: tuple[LinePart, ...]
    submitted: "_Time"
    first: "_Time"
    born: date | None


def _read_parts(request: Any) -> _Read:
    """What is read of the parts that the structs have as they are written; all that they do not check is checked."""
    provider = request.provider
    _check_npi(provider.npi)
    if provider.specialty is not None and not _is_specialty(provider.specialty):
        raise _NotTypedError
    born = _birth_date(request.member.birth_date)
    diagnoses = _diagnoses[bytes(request.diagnoses)] if request.diagnoses else NO_DIAGNOSES
    procedures = _past_procedures[bytes(request.procedures)] if request.procedures else NO_DIAGNOSES
    clinical = _clinicals[bytes(request.clinical)] if request.clinical else NOTHING_STATED
    lines = _lines(request.service_lines)
    if request.supersedes == request.request_id:
        raise _NotTypedError
    submitted = first = _time(request.submitted_at)
    if request.first_submitted_at is not None:
        first = _time(request.first_submitted_at)
        if first.at > submitted.at:
            raise _NotTypedError
    return _Read(diagnoses, procedures, clinical, lines, submitted, first, born)


def _parts(request: Any) -> RequestParts:
    diagnoses, procedures, clinical, lines, submitted, first, born = _read_parts(request)
    if request.first_submitted_at is not None:
        request.first_submitted_at = first.written
    # What was read is made canonical in place, and then the request's content.
    request.submitted_at = submitted.written
    if request.channel == ELECTRONIC:
        request.channel = None
    request.diagnoses = msgspec.Raw(diagnoses.canonical) if diagnoses.canonical else _ABSENT
    request.procedures = msgspec.Raw(procedures.canonical) if procedures.canonical else _ABSENT
    request.clinical = msgspec.Raw(clinical.canonical) if clinical.canonical else _ABSENT
    return RequestParts(
        request.request_id,
        request.certification,
        request.urgency,
        submitted.at,
        submitted.written,
        first.at,
        request.prior_authorization_number is not None,
        request.policy_number,
        request.supersedes,
        request.member.line_of_business,
        born,
        request.member.sex,
        request.provider.specialty,
        evidence(diagnoses, procedures),
        lines,
        clinical,
        _sorted(request),
    )


class _Time(NamedTuple):
    at: datetime
    written: str
    """In the form of a request's content."""


def _time(text: str) -> _Time:
    if (at := whole_second(text)) is not None:
        return _Time(at, text)
    try:
        at = instant(text)
    except ValueError:
        raise _NotTypedError from None
    return _Time(at, written_instant(at))
