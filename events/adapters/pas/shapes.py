"""Parts of a message that come back in its answer, held to FHIR's types: what does not fit them is left out.

So an answer is well formed whatever its request was, and bounded: a text of more than `MOST_CHARACTERS` is left out
whole, and of a list all behind the first `MOST_ITEMS`.
Comments, narratives, attachments and extensions do not come back.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from events.adapters.pas.systems import NAIC, NPI
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


class _Element(NamedTuple):
    name: str
    kind: str
    is_list: bool
    is_required: bool


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


def _is_known(coding: dict[str, Any]) -> bool:
    system = coding.get("system", "")
    return _CHECKED.fullmatch(system) is None or coding["code"] in _KNOWN.get(system, ())


_ELEMENTS: Final = {
    kind: [_Element(name, of.rstrip("*!"), of.endswith("*"), of.endswith("!")) for name, of in shape.items()]
    for kind, shape in SHAPES.items()
}


def shaped(value: Any, kind: str) -> Any:
    """What of a value fits a type; None if nothing does."""
    if kind.endswith("*"):
        return _list(value, kind[:-1])
    if (elements := _ELEMENTS.get(kind)) is not None:
        return _complex(value, elements) if isinstance(value, dict) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if not isinstance(value, str):
        return None
    written = value.strip()
    return written if len(written) <= MOST_CHARACTERS and _PRIMITIVES[kind].fullmatch(written) else None


def _list(value: Any, kind: str) -> list[Any] | None:
    if not isinstance(value, list):
        return None
    return [found for one in value[:MOST_ITEMS] if (found := shaped(one, kind)) is not None] or None


def _complex(value: dict[str, Any], elements: list[_Element]) -> dict[str, Any] | None:
    found = {}
    for name, kind, is_list, is_required in elements:
        given = value.get(name)
        one = None if given is None else _list(given, kind) if is_list else shaped(given, kind)
        if one is not None:
            found[name] = one
        elif is_required:
            return None
    if elements is _ELEMENTS["Coding"] and not _is_known(found):
        return None
    return found or None


_NEEDED: Final = {
    "Patient": ("identifier", "name", "gender"),
    "Organization": ("active", "name"),
    "Practitioner": ("identifier", "name"),
    "PractitionerRole": ("practitioner",),
}
"""What the guide's profiles require of resources to which an answer refers."""
_FULL_DATE = 10


def fits_profile(resource: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """A resource without what its profile refuses; None if it then lacks what the profile requires."""
    kept = dict(resource)
    if kind != "Coverage" and (identifiers := [one for one in kept.pop("identifier", ()) if _is_number(one)]):
        kept["identifier"] = identifiers
    if isinstance(kept.get("name"), list):
        wanted = ("family",) if kind == "Practitioner" else ("family", "given")
        kept["name"] = [one for one in kept["name"] if any(part in one for part in wanted)]
    if len(kept.get("birthDate", "")) != _FULL_DATE:
        kept.pop("birthDate", None)
    return kept if all(kept.get(name) not in (None, []) for name in _NEEDED.get(kind, ())) else None


def _is_number(identifier: dict[str, Any]) -> bool:
    """Whether an identifier has a system, and a number that is one of it."""
    system, value = identifier.get("system"), identifier.get("value", "")
    if system == NPI:
        return is_npi(value)
    if system == NAIC:
        return re.fullmatch(r"[0-9]{5}", value) is not None
    return bool(system and value)


def is_npi(value: str) -> bool:
    """Whether a text is a National Provider Identifier."""
    try:
        return re.fullmatch(r"[0-9]{10}", value) is not None and checked_npi(value) == value
    except ValueError:
        return False


_RESTFUL = re.compile(r"https?://[^\s<>\"{}|\\^`#?]+/([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})", re.ASCII)


def is_absolute(url: str, kind: str) -> bool:
    """Whether a fullUrl may stand for a resource of a type: a UUID, or a server's address of such a resource."""
    restful = _RESTFUL.fullmatch(url)
    if restful is not None:
        return restful[1] == kind
    if not url.startswith("urn:uuid:"):
        return False
    try:
        return str(UUID(url[9:])) == url[9:]
    except ValueError:
        return False


def own_id(url: str) -> str | None:
    """The id that a fullUrl gives its resource; None if it gives none."""
    restful = _RESTFUL.fullmatch(url)
    return restful[2] if restful else None
