"""Parts of a message that come back in its answer, held to FHIR's types: what does not fit them is left out.

So an answer is well formed whatever its request was, and bounded: a text of more than `MOST_CHARACTERS` is left out
whole, and of a list all behind the first `MOST_ITEMS`.
Comments, narratives, attachments and extensions do not come back.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from events.adapters.pas.systems import NAIC, NPI
from events.adapters.remembering import remembered
from events.field_types import checked_npi

MOST_CHARACTERS: Final = 200
MOST_ITEMS: Final = 8

_PRIMITIVES: Final = {
    "string": re.compile(r"[^\x00-\x1f\x7f-\x9f]*\S[^\x00-\x1f\x7f-\x9f]*"),
    "code": re.compile(r"[^\s\x00-\x1f\x7f]+(?: [^\s\x00-\x1f\x7f]+)*"),
    "uri": re.compile(r"(?:https?://|urn:[a-z0-9][a-z0-9-]*:)[^\s\x00-\x1f\x7f<>\"{}|\\^`]+", re.ASCII),
    "id": re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII),
    "date": re.compile(r"[1-9]\d{3}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?", re.ASCII),
    "gender": re.compile(r"male|female|other|unknown"),
    "status": re.compile(r"active|cancelled|draft|entered-in-error"),
    "identifier-use": re.compile(r"usual|official|temp|secondary|old"),
}
_Shape = Mapping[str, str]
SHAPES: Final = MappingProxyType[str, _Shape](
    {
        "Coding": {"system": "uri", "code": "code!"},
        "CodeableConcept": {"coding": "Coding*", "text": "string"},
        "Identifier": {"use": "identifier-use", "type": "CodeableConcept", "system": "uri", "value": "string"},
        "HumanName": {"family": "string", "given": "string*", "prefix": "string*", "suffix": "string*"},
        "Class": {"type": "CodeableConcept!", "value": "string!", "name": "string"},
        "Patient": {
            "identifier": "Identifier*",
            "name": "HumanName*",
            "gender": "gender",
            "birthDate": "date",
        },
        "Organization": {
            "identifier": "Identifier*",
            "active": "boolean",
            "type": "CodeableConcept*",
            "name": "string",
        },
        "Practitioner": {"identifier": "Identifier*", "name": "HumanName*"},
        "PractitionerRole": {"identifier": "Identifier*", "active": "boolean"},
        "Coverage": {
            "identifier": "Identifier*",
            "status": "status!",
            "type": "CodeableConcept",
            "subscriberId": "string",
            "relationship": "CodeableConcept",
            "class": "Class*",
        },
    }
)
"""The elements that come back, by type: `*` for a list, `!` for one without which the whole is left out."""


_HL7: Final = "http://terminology.hl7.org/CodeSystem/"
_KNOWN: Final = {
    f"{_HL7}{name}": frozenset(codes.split())
    for name, codes in {
        "claim-type": "institutional oral pharmacy professional vision",
        "coverage-class": "class group plan rxbin rxgroup rxid rxpcn sequence subclass subgroup subplan",
        "organization-type": "bus cg crs dept edu govt ins other pay prov reli team",
        "subscriber-relationship": "child common injured other parent self spouse",
        "v2-0203": "DL JHN MA MB MC MR NPI PN SN SS TAX UMB",
    }.items()
}
"""The codes that come back, of systems whose codes a validator knows: it refuses any other."""


_CHECKED: Final = re.compile(rf"{re.escape(_HL7)}.*|http://hl7\.org/fhir/(?:[^/]*|us/davinci-pas/.*)", re.DOTALL)
"""The systems whose codes a validator knows: HL7's, FHIR's own and the guide's."""


def _is_known(system: str, code: str) -> bool:
    return code in _KNOWN.get(system, ()) or _CHECKED.fullmatch(system) is None


_Shaping = Callable[[Any], Any]
"""What of a value fits a type; None if nothing does."""


def _primitive(pattern: re.Pattern[str]) -> _Shaping:
    @remembered
    def fitting(text: str) -> str | None:
        written = text.strip()
        return written if len(written) <= MOST_CHARACTERS and pattern.fullmatch(written) else None

    return lambda value: fitting(value) if isinstance(value, str) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _list(shaping: _Shaping) -> _Shaping:
    def shaped_list(value: Any) -> list[Any] | None:
        if not isinstance(value, list):
            return None
        return [found for one in value[:MOST_ITEMS] if (found := shaping(one)) is not None] or None

    return shaped_list


def _complex(shape: _Shape) -> _Shaping:
    elements = [(name, _SHAPINGS[of.rstrip("!")], of.endswith("!")) for name, of in shape.items()]

    def shaped_object(value: Any) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            return None
        found = {}
        for name, shaping, is_required in elements:
            given = value.get(name)
            one = None if given is None else shaping(given)
            if one is not None:
                found[name] = one
            elif is_required:
                return None
        return found or None

    return shaped_object


def _coding(shaping: _Shaping) -> _Shaping:
    def shaped_coding(value: Any) -> Any:
        found = shaping(value)
        return found if found is not None and _is_known(found.get("system", ""), found["code"]) else None

    return shaped_coding


_SHAPINGS: dict[str, _Shaping] = {"boolean": _boolean}


def _declare(kind: str, shaping: _Shaping) -> None:
    _SHAPINGS[kind] = shaping
    _SHAPINGS[f"{kind}*"] = _list(shaping)


for _kind, _pattern in _PRIMITIVES.items():
    _declare(_kind, _primitive(_pattern))
for _kind, _shape in SHAPES.items():  # each behind those of which it has elements
    _declare(_kind, _coding(_complex(_shape)) if _kind == "Coding" else _complex(_shape))


def shaped(value: Any, kind: str) -> Any:
    """What of a value fits a type; None if nothing does."""
    return _SHAPINGS[kind](value)


_NEEDED: Final = {
    "Patient": ("identifier", "name", "gender"),
    "Organization": ("active", "name"),
    "Practitioner": ("identifier", "name"),
    "PractitionerRole": ("practitioner",),
}
"""What the guide's profiles require of resources to which an answer refers."""
_ABSENT: tuple[Any, ...] = (None, [])
_FULL_DATE = 10


def fits_profile(resource: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """A resource without what its profile refuses; None if it then lacks what the profile requires."""
    kept = resource.copy()
    if kind != "Coverage" and (identifiers := [one for one in kept.pop("identifier", ()) if _is_number(one)]):
        kept["identifier"] = identifiers
    if isinstance(kept.get("name"), list):
        wanted = ("family",) if kind == "Practitioner" else ("family", "given")
        kept["name"] = [one for one in kept["name"] if any(part in one for part in wanted)]
    if len(kept.get("birthDate", "")) != _FULL_DATE:
        kept.pop("birthDate", None)
    for name in _NEEDED.get(kind, ()):
        if kept.get(name) in _ABSENT:
            return None
    return kept


def _is_number(identifier: dict[str, Any]) -> bool:
    """Whether an identifier has a system, and a number that is one of it."""
    system, value = identifier.get("system"), identifier.get("value", "")
    if system == NPI:
        return is_npi(value)
    if system == NAIC:
        return _NAIC.fullmatch(value) is not None
    return bool(system and value)


_NAIC = re.compile(r"[0-9]{5}")


@remembered
def is_npi(value: str) -> bool:
    """Whether a text is a National Provider Identifier."""
    try:
        return re.fullmatch(r"[0-9]{10}", value) is not None and checked_npi(value) == value
    except ValueError:
        return False


_RESTFUL = re.compile(r"https?://[^\s<>\"{}|\\^`#?]+/([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@remembered
def _restful(url: str) -> tuple[str, str] | None:
    """The type and id in a server's address of a resource."""
    found = _RESTFUL.fullmatch(url)
    return (found[1], found[2]) if found is not None else None


def is_absolute(url: str, kind: str) -> bool:
    """Whether a fullUrl may stand for a resource of a type: a UUID, or a server's address of such a resource."""
    if url.startswith("urn:uuid:"):
        return _UUID.fullmatch(url, 9) is not None
    restful = _restful(url)
    return restful is not None and restful[0] == kind


def own_id(url: str) -> str | None:
    """The id that a fullUrl gives its resource; None if it gives none."""
    restful = _restful(url)
    return restful[1] if restful is not None else None
