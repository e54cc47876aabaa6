"""Which responses a subscription is told of: its partner's, about a provider that it names."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from workers.gateway.messages import answers_inquiry


def concerns(response: bytes, organizations: frozenset[str], of_partner: tuple[str, ...]) -> bool:
    """Whether a response of the subscription's own partner is one of those that it asks for.

    An answer to an inquiry is none: who inquired has it. Where the response does not say whose request it was, it is.

    Args:
        response: The record's value.
        organizations: The identifiers that the subscription filters by; empty for all.
        of_partner: Identifiers of the sending system, to which every request of the partner belongs.
    """
    try:
        read: Any = orjson.loads(response)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(read, dict) or read.get("resourceType") != "Bundle" or answers_inquiry(response):
        return False
    if not organizations or any(_matches(one, organizations) for one in map(_split, of_partner)):
        return True
    found = list(_requesters(read))
    return not found or any(_matches(one, organizations) for one in found)


_Identifier = tuple[str, str]
"""System and value; the system may be empty."""


def _split(text: str) -> _Identifier:
    system, bar, value = text.rpartition("|")
    return (system, value) if bar else ("", text)


def _matches(identifier: _Identifier, organizations: frozenset[str]) -> bool:
    system, value = identifier
    return any(
        wanted_value == value and wanted_system in {"", system}
        for wanted_system, wanted_value in map(_split, organizations)
    )


def _requesters(bundle: Mapping[str, Any]) -> Iterator[_Identifier]:
    """The identifiers of who asked, as far as the Bundle has them."""
    entries = [one for one in _list(bundle.get("entry")) if isinstance(one, dict)]
    resources = {
        str(one.get("fullUrl", "")): one["resource"] for one in entries if isinstance(one.get("resource"), dict)
    }
    for response in resources.values():
        if response.get("resourceType") != "ClaimResponse" or not isinstance(response.get("requestor"), dict):
            continue
        requestor = response["requestor"]
        if isinstance(requestor.get("identifier"), dict):
            yield from _identifiers([requestor["identifier"]])
        reference = requestor.get("reference")
        for url, resource in resources.items():
            relative = f"{resource.get('resourceType')}/{resource.get('id')}"
            if isinstance(reference, str) and reference in {url, relative}:
                yield from _identifiers(resource.get("identifier"))


def _identifiers(listed: Any) -> Iterator[_Identifier]:
    for one in _list(listed):
        if isinstance(one, dict) and isinstance(one.get("value"), str):
            yield str(one.get("system", "")), one["value"]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
