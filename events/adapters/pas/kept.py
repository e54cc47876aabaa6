"""What the answer repeats of a request: it goes into the context, and never grows with the request's attachments."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from pydantic import JsonValue

from events.adapters.partner import Partner
from events.adapters.pas.bundle import Found, code_of, extension_name, objects
from events.adapters.pas.reading import Message
from events.adapters.pas.shapes import fits_profile, is_absolute, own_id, shaped
from events.adapters.pas.systems import CLAIM_TYPES, PROCEDURE_SYSTEMS, WRITTEN_SYSTEMS
from events.adapters.remembering import remembered
from events.request import MOST_LINES

_MOST_TRACES = 3
_MOST_MODIFIERS = 4
"""Of an item, as in a 278."""


def uuid_of(*parts: str) -> str:
    """A UUID that depends on nothing but these texts."""
    digits = sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


class _Echoed:
    """The resources that come back, under the fullUrls by which the answer refers to them."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._urls: dict[str, str] = {}
        self._taken: set[str] = set()
        self.entries: list[dict[str, Any]] = []

    def add(self, found: Found | None, kinds: Iterable[str], references: Mapping[str, Any] | None = None) -> str | None:
        """The fullUrl of a resource; None if it is not here, of another kind, or without what it must have."""
        if found is None or found.type not in kinds:
            return None
        if (known := self._urls.get(found.place)) is not None:
            return known
        resource = shaped(found.resource, found.type)
        # A role may have nothing of its own, but its links.
        if resource is None and not (references and found.type == "PractitionerRole"):
            return None
        resource = fits_profile({**(resource or {}), **(references or {})}, found.type)
        if resource is None:
            return None
        url = self.url(found)
        own = own_id(url) or shaped(found.resource.get("id"), "id")
        self._urls[found.place] = url
        self._taken.add(url)
        named = {"resourceType": found.type} | ({"id": own} if own else {})
        self.entries.append({"fullUrl": url, "resource": named | resource})
        return url

    def url(self, found: Found) -> str:
        """As it was sent, if it is absolute."""
        if is_absolute(found.url, found.type) and found.url not in self._taken:
            return found.url
        return f"urn:uuid:{uuid_of(self._seed, found.place)}"


def echo(message: Message, partner: Partner, seed: str) -> dict[str, JsonValue]:
    """Everything that an answer needs beside its decision; `seed` identifies the message."""
    claim, about = message.claim.resource, message.parties
    echoed = _Echoed(seed)
    insurer = echoed.add(about.insurer, ("Organization",))
    requestor = _requestor(message, about.provider, echoed)
    patient = echoed.add(about.patient, ("Patient",))
    if patient and insurer:
        links = {"beneficiary": {"reference": patient}, "payor": [{"reference": insurer}]}
        echoed.add(about.coverage, ("Coverage",), links)
    named: dict[str, JsonValue] = {
        "patient": _reference(patient, about.patient, ("Patient",), message.member_id),
        "insurer": _reference(insurer, about.insurer, ("Organization",), next(iter(partner.payer_ids), None)),
    }
    if requestor or about.provider:
        named["requestor"] = _reference(requestor, about.provider, _REQUESTORS, message.npi)
    if requestor and about.provider and about.provider.type == "Organization":
        named["sender"] = {"reference": requestor}
    return {
        "zone": partner.time_zone,
        "questionnaire": partner.questionnaire,
        "claim": echoed.url(message.claim),
        "type": _type(claim.get("type")),
        "identifiers": [
            one for one in shaped(claim.get("identifier"), "Identifier*") or () if {"system", "value"} <= one.keys()
        ],
        "named": named,
        "entries": [*echoed.entries],
        "items": dict(_items(message)),
    }


def _requestor(message: Message, found: Found | None, echoed: _Echoed) -> str | None:
    if found is None or found.type != "PractitionerRole":
        return echoed.add(found, ("Organization",))
    links: dict[str, Any] = {}
    for name, kind in (("practitioner", "Practitioner"), ("organization", "Organization")):
        url = echoed.add(message.bundle.resolve(found.resource.get(name), found), (kind,))
        if url is not None:
            links[name] = {"reference": url}
    return echoed.add(found, ("PractitionerRole",), links)


def _type(given: Any) -> Any:
    """The kind of claim; None if it is none of FHIR's."""
    return _type_of(code_of(given, CLAIM_TYPES))


@remembered
def _type_of(code: str) -> Any:
    return shaped({"coding": [{"system": CLAIM_TYPES, "code": code}]}, "CodeableConcept")


_REQUESTORS = ("Organization", "PractitionerRole")
"""The guide has no Practitioner here: one is named by its number."""


def _reference(url: str | None, found: Found | None, kinds: Sequence[str], number: str | None) -> JsonValue:
    """To a resource that comes back; to another by its address, or by the number it is known under."""
    if url is not None:
        return {"reference": url}
    if found is not None and found.type in kinds and is_absolute(found.url, found.type) and own_id(found.url):
        return {"reference": found.url}
    value = shaped(number, "string")
    return {"identifier": {"value": value}} if value else {"display": "not stated"}


def _items(message: Message) -> Iterator[tuple[str, JsonValue]]:
    """What comes back of each item, by its number."""
    for line in message.items[:MOST_LINES]:
        if line.sequence is None:
            continue
        given = objects(line.item.get("extension")) if "extension-itemTraceNumber" in line.extensions else ()
        traced = [one for one in given if extension_name(one) == "extension-itemTraceNumber"]
        numbers = (shaped([one.get("valueIdentifier") for one in traced], "Identifier*") or ()) if traced else ()
        modifiers = shaped(line.item.get("modifier"), "CodeableConcept*") or ()
        yield (
            str(line.sequence),
            {
                "traces": [
                    {"system": one["system"], "value": one["value"]}
                    for one in numbers[:_MOST_TRACES]
                    if "system" in one and "value" in one
                ],
                "modifiers": [{"coding": [coding]} for one in modifiers[:_MOST_MODIFIERS] for coding in _modifier(one)],
            },
        )


_MODIFIER_LISTS = {"cpt", "hcpcs"}
"""The guide has no other modifiers."""


def _modifier(concept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its first coding in one of the guide's lists, under that list's URL; empty if it has none."""
    for coding in concept.get("coding", ()):
        if (system := PROCEDURE_SYSTEMS.get(coding.get("system", ""))) in _MODIFIER_LISTS:
            return [coding | {"system": WRITTEN_SYSTEMS[system]}]
    return []
